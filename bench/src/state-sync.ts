/**
 * A validator 100 000 blocks behind becomes current: a process of its own takes the state of an anchor over from three
 * others on loopback, through TLS, onto real files. Signatures are cheap stand-ins, so what is measured is the protocol,
 * the hashing and the disks; the blocks it does not execute are executed here once, to have a chain to be behind of.
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemClock } from '@itc/node/clock.js';
import { PeerTransport } from '@itc/node/network/peer-transport.js';
import { SeededRandom } from '@itc/node/random.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import { SnapshotServer } from '@itc/node/runtime/snapshot-server.js';
import type { Disk } from '@itc/node/ports.js';
import { MemoryTables } from '@itc/node/storage/memory-tables.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { chainId, GrownChain } from '@itc/node/testing/grown-chain.js';
import { freePorts } from '@itc/node/testing/ports.js';
import { figure, type BenchOptions, type Result } from './result.ts';

export const name = 'state-sync';

const SERVERS = 3;
const PAYMENTS_PER_BLOCK = 500;

/** Files that nobody waits for: the chain to be behind of is not what is measured. */
const hastyDisk: Disk = {
  ...nodeDisk,
  open: (path) => {
    const file = nodeDisk.open(path);
    return {
      size: () => file.size(),
      write: (bytes, at) => file.write(bytes, at),
      read: (at, length) => file.read(at, length),
      truncate: (size) => file.truncate(size),
      sync: () => Promise.resolve(),
      close: () => file.close(),
    };
  },
  syncFolder: () => Promise.resolve(),
};

/** What the reader is told, and what it tells. */
export interface ReaderTask {
  readonly folder: string;
  readonly seed: number;
  /** Ports of the servers; the last is the reader's own. */
  readonly ports: readonly number[];
}

export interface ReaderReport {
  readonly height: number;
  readonly records: number;
  readonly milliseconds: number;
  readonly processorMs: number;
  readonly bytesReceived: number;
  /** Of the whole process, from its start. */
  readonly memoryBytesMax: number;
  /** Before anything was fetched. */
  readonly memoryBytesBefore: number;
}

/** Keys follow from the index: servers first, then the reader. */
export function keysOf(index: number): KeyPair {
  return KeyPair.fromSeed(new Uint8Array(32).fill(index + 1));
}

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const blocks = options.quick ? 2_000 : 100_000;
  const records = options.quick ? 2_000 : 50_000;
  const folder = await mkdtemp(join(tmpdir(), 'itc-bench-state-sync-'));
  const servers: PeerTransport[] = [];
  try {
    const source = await grow(options, { folder: join(folder, 'source'), blocks, records });
    const ports = await freePorts(SERVERS + 1);
    for (let i = 0; i < SERVERS; i += 1) servers.push(await serve(source, i, ports));
    const report = await read({ folder, seed: options.seed, ports });
    options.log(`at height ${report.height} with ${report.records} records`);
    const mebibytes = (bytes: number): number => bytes / (1 << 20);
    return [
      figure(`current from genesis, ${blocks} blocks and ${records} records behind`, 's', [
        report.milliseconds / 1_000,
      ]),
      figure('the same, processor time of the process', 's', [report.processorMs / 1_000]),
      figure('received from peers', 'MiB', [mebibytes(report.bytesReceived)]),
      figure('peak memory of the process', 'MiB', [mebibytes(report.memoryBytesMax)]),
      figure('its memory before the first piece', 'MiB', [mebibytes(report.memoryBytesBefore)]),
    ];
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

async function grow(
  options: BenchOptions,
  { folder, blocks, records }: { readonly folder: string; readonly blocks: number; readonly records: number },
): Promise<GrownChain> {
  const random = new SeededRandom(options.seed);
  const tables = new MemoryTables();
  const source = await GrownChain.open({ disk: hastyDisk, folder, tables, random });
  const begun = process.cpuUsage();
  for (let made = 0; made < records; made += PAYMENTS_PER_BLOCK)
    await source.grow(1, source.payments(Math.min(PAYMENTS_PER_BLOCK, records - made)));
  while (source.chain.height < blocks) {
    await source.grow(Math.min(10_000, blocks - source.chain.height));
    options.log(`${source.chain.height} blocks made`);
  }
  const { user, system } = process.cpuUsage(begun);
  options.log(`making and executing them took ${Math.round((user + system) / 1e6)} s of processor time`);
  return source;
}

async function serve(source: GrownChain, index: number, ports: readonly number[]): Promise<PeerTransport> {
  const transport = new PeerTransport({
    chain: chainId,
    keys: keysOf(index),
    role: 'validator',
    host: '127.0.0.1',
    port: ports[index] as number,
    peers: [],
    allow: () => true,
    clock: systemClock,
    random: new SeededRandom(index),
  });
  transport.open({ ...CHANNELS.stateReply, receive: () => undefined });
  const server = new SnapshotServer({
    chain: source.chain,
    transport,
    clock: systemClock,
    blame: (peer) => transport.disconnect(peer),
  });
  const { height } = source.chain;
  server.noteStable(source.stable(height - (height % 32) - 32));
  await transport.start();
  return transport;
}

async function read(task: ReaderTask): Promise<ReaderReport> {
  const child = fork(new URL('./state-sync-reader.js', import.meta.url));
  const report = await new Promise<ReaderReport>((resolve, reject) => {
    child.once('message', (message) => resolve(message as ReaderReport));
    child.once('exit', (code) => reject(new Error(`the reader ended with code ${code}`)));
    child.send(task);
  });
  child.kill();
  return report;
}
