/**
 * PostgreSQL on loopback in a temporary folder: a primary and one standby that takes part in every commit
 * (synchronous_commit = on), driven by its own pgbench. It trusts its clients and its standby.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  appendFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '@itc/node/testing/ports.js';
import type { LoadSamples } from './load.ts';
import { stopProcess } from './network.ts';
import { percentile } from './result.ts';

export const POSTGRES_INSTALL = 'PostgreSQL is not installed: apt-get install postgresql postgresql-contrib';
const READY_MS = 30_000;
const KEYS = 1_000;

interface Installed {
  readonly folder: string;
  readonly version: string;
  /** It refuses to run as root; then it runs as the user its package made. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/** Where its programs are, or undefined when it is absent or there is no user it may run as. */
export function findPostgres(): Installed | undefined {
  const root = '/usr/lib/postgresql';
  const folders = existsSync(root) ? readdirSync(root).map((version) => join(root, version, 'bin')) : [];
  const folder = folders.findLast((path) =>
    ['initdb', 'postgres', 'pgbench', 'pg_basebackup'].every((name) => existsSync(join(path, name))),
  );
  if (folder === undefined) return undefined;
  const { status, stdout } = spawnSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8' });
  const version = /(\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? 'unknown';
  if (status !== 0) return undefined;
  if (process.getuid?.() !== 0) return { folder, version, owner: undefined };
  const [, , uid, gid] = /^postgres:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[0].split(':') ?? [];
  return uid === undefined ? undefined : { folder, version, owner: { uid: Number(uid), gid: Number(gid) } };
}

export class Postgres implements AsyncDisposable {
  readonly #installed: Installed;
  readonly #folder: string;
  readonly #port: number;
  readonly #children: ChildProcess[] = [];
  readonly #onExit: () => void;

  private constructor(installed: Installed, folder: string, port: number) {
    this.#installed = installed;
    this.#folder = folder;
    this.#port = port;
    this.#onExit = () => {
      for (const child of this.#children) child.kill('SIGKILL');
      rmSync(this.#folder, { recursive: true, force: true });
    };
    process.once('exit', this.#onExit);
  }

  static async start(installed: Installed): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), 'itc-bench-postgres-'));
    const { owner } = installed;
    if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
    const [primary, standby] = (await freePorts(2)) as [number, number];
    const postgres = new Postgres(installed, folder, primary);
    try {
      await postgres.#begin(primary, standby);
      return postgres;
    } catch (error) {
      await postgres[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Upserts of 256 bytes by as many clients, each one at a time. */
  load(clients: number, seconds: number): LoadSamples {
    const script = join(this.#folder, 'put.sql');
    const log = join(this.#folder, `log-${clients}`);
    const to = this.#to(this.#port);
    const how = `-n -M prepared -c ${clients} -j 1 -T ${seconds} -l`.split(' ');
    const out = this.#run('pgbench', [...to, ...how, '-f', script, '--log-prefix', log, 'postgres']);
    const perSecond = Number(/tps = ([\d.]+)/.exec(out)?.[1]);
    const latencies: number[] = [];
    for (const name of readdirSync(this.#folder)) {
      if (!join(this.#folder, name).startsWith(`${log}.`)) continue;
      // client, number, latency in µs, …
      for (const line of readFileSync(join(this.#folder, name), 'utf8').split('\n'))
        if (line !== '') latencies.push(Number(line.split(' ')[2]) / 1_000);
      rmSync(join(this.#folder, name));
    }
    return {
      throughput: [perSecond],
      p50: [percentile(latencies, 0.5)],
      p99: [percentile(latencies, 0.99)],
      operations: latencies.length,
      total: latencies.length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGINT is its fast shutdown: SIGTERM waits for clients.
    for (const child of this.#children.toReversed()) {
      child.kill('SIGINT');
      await stopProcess(child);
    }
    process.removeListener('exit', this.#onExit);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #begin(primary: number, standby: number): Promise<void> {
    const data = join(this.#folder, 'primary');
    this.#run('initdb', ['-D', data, '-U', 'bench', '-A', 'trust', '--no-sync']);
    const common = `listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 300\n`;
    appendFileSync(join(data, 'postgresql.conf'), `${common}fsync = on\nsynchronous_commit = on\n`);
    this.#serve(data, primary);
    await this.#answers(primary);
    const copy = join(this.#folder, 'standby');
    const how = ['-D', copy, '-R', '-X', 'stream', '-c', 'fast'];
    this.#run('pg_basebackup', [...this.#to(primary), ...how]);
    this.#serve(copy, standby);
    await this.#answers(standby);
    this.#sql("alter system set synchronous_standby_names = '*'");
    this.#sql('select pg_reload_conf()');
    this.#sql('create table kv (k int primary key, v text not null)');
    const script = `\\set k random(1, ${KEYS})\ninsert into kv values (:k, repeat('x', 256)) on conflict (k) do update set v = excluded.v;\n`;
    writeFileSync(join(this.#folder, 'put.sql'), script, { mode: 0o644 });
  }

  #serve(data: string, port: number): void {
    const log = openSync(`${data}.log`, 'a');
    const child = spawn(join(this.#installed.folder, 'postgres'), ['-D', data, '-p', String(port)], {
      stdio: ['ignore', log, log],
      ...this.#installed.owner,
    });
    closeSync(log);
    this.#children.push(child);
  }

  async #answers(port: number): Promise<void> {
    const deadline = performance.now() + READY_MS;
    while (performance.now() < deadline) {
      const { folder } = this.#installed;
      const { status } = spawnSync(join(folder, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port), '-q']);
      if (status === 0) return;
      await sleep(100);
    }
    throw new Error(`PostgreSQL did not come up on port ${port}`);
  }

  #sql(statement: string): void {
    this.#run('psql', [...this.#to(this.#port), '-q', '-c', statement, 'postgres']);
  }

  #to(port: number): readonly string[] {
    return ['-h', '127.0.0.1', '-p', String(port), '-U', 'bench'];
  }

  #run(program: string, args: readonly string[]): string {
    const { folder, owner } = this.#installed;
    const { status, stdout, stderr } = spawnSync(join(folder, program), args, {
      encoding: 'utf8',
      cwd: this.#folder,
      ...owner,
    });
    if (status !== 0) throw new Error(`${program} ended with ${status}:\n${stderr.slice(-1_000)}`);
    return stdout;
  }
}
