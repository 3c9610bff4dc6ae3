/**
 * Three etcd processes on loopback ports in a temporary folder, and a client that speaks gRPC over one HTTP/2
 * connection by hand: the npm clients are slower than the server. Puts go to the leader, which spares a hop.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '@itc/node/testing/ports.js';
import { stopProcess } from './network.ts';

export const ETCD_INSTALL = 'etcd is not installed: apt-get install etcd-server etcd-client';
const READY_MS = 20_000;

/** Its version line, or undefined when `etcd` is not on the path. */
export function etcdVersion(): string | undefined {
  const { status, stdout } = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  return status === 0 ? (/etcd Version: (\S+)/.exec(stdout)?.[1] ?? 'unknown') : undefined;
}

export class EtcdCluster implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];
  readonly #folder: string;
  readonly #session: ClientHttp2Session;
  readonly #onExit: () => void;

  private constructor(parts: {
    readonly children: readonly ChildProcess[];
    readonly folder: string;
    readonly session: ClientHttp2Session;
    readonly onExit: () => void;
  }) {
    this.#children = parts.children;
    this.#folder = parts.folder;
    this.#session = parts.session;
    this.#onExit = parts.onExit;
  }

  static async start(size = 3): Promise<EtcdCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'itc-bench-etcd-'));
    const ports = await freePorts(2 * size);
    const url = (port: number | undefined): string => `http://127.0.0.1:${port}`;
    const names = Array.from({ length: size }, (_, i) => `etcd-${i}`);
    const cluster = names.map((name, i) => `${name}=${url(ports[i])}`).join(',');
    const children = names.map((name, i) => {
      const log = openSync(join(folder, `${name}.log`), 'a');
      const peer = url(ports[i]);
      const client = url(ports[size + i]);
      const child = spawn(
        'etcd',
        [
          `--name=${name}`,
          `--data-dir=${join(folder, name)}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--listen-client-urls=${client}`,
          `--advertise-client-urls=${client}`,
          `--initial-cluster=${cluster}`,
          '--initial-cluster-state=new',
          '--log-level=warn',
        ],
        { stdio: ['ignore', log, log] },
      );
      closeSync(log);
      return child;
    });
    const onExit = (): void => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    };
    process.once('exit', onExit);
    try {
      const leader = await findLeader(ports.slice(size).map(url));
      const session = connect(leader);
      await new Promise<void>((resolve, reject) => {
        session.once('connect', () => resolve());
        session.once('error', reject);
      });
      return new EtcdCluster({ children, folder, session, onExit });
    } catch (error) {
      const log = readFileSync(join(folder, 'etcd-0.log'), 'utf8').slice(-1_000);
      await Promise.all(children.map(stopProcess));
      onExit();
      throw new Error(`etcd did not come up:\n${log}`, { cause: error });
    }
  }

  get pids(): readonly number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** Resolves when the quorum has it on disk. */
  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    const stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/etcdserverpb.KV/Put',
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      te: 'trailers',
    });
    return new Promise((resolve, reject) => {
      let status = '';
      stream.on('trailers', (headers) => (status = String(headers['grpc-status'])));
      stream.on('error', reject);
      stream.on('close', () => {
        if (status === '0') resolve();
        else reject(new Error(`etcd answered with gRPC status ${status}`));
      });
      stream.resume();
      stream.end(putRequest(key, value));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
    await Promise.all(this.#children.map(stopProcess));
    process.removeListener('exit', this.#onExit);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** gRPC frame (flag, u32 length) round a PutRequest { key = 1, value = 2 }. */
function putRequest(key: Uint8Array, value: Uint8Array): Buffer {
  const body = Buffer.concat([field(1, key), field(2, value)]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(body.length, 1);
  return Buffer.concat([frame, body]);
}

/** Protocol buffers, length-delimited. */
function field(number: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

interface EtcdStatus {
  readonly header?: { readonly member_id?: string };
  readonly leader?: string;
}

async function findLeader(urls: readonly string[]): Promise<string> {
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline) {
    for (const url of urls) {
      const answer = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' }).catch(
        () => undefined,
      );
      if (answer?.ok !== true) continue;
      const status = (await answer.json()) as EtcdStatus;
      if (status.leader !== undefined && status.leader === status.header?.member_id) return url;
    }
    await sleep(100);
  }
  throw new Error(`no leader after ${READY_MS} ms`);
}
