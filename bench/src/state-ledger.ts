/**
 * A state of some size in a process of its own: transfers between accounts drawn at random, each block applied, hashed and
 * committed before the next one. Nothing is signed or verified; that is measured elsewhere.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { writeStateProof } from '@itc/core/crypto/state-tree.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import { applyBlock, type AppliedBlock } from '@itc/core/state/apply.js';
import { accountKey, stateKeyHash } from '@itc/core/state/keys.js';
import { LedgerState } from '@itc/core/state/ledger-state.js';
import { PagedRecords } from '@itc/core/state/paged-records.js';
import { idText } from '@itc/core/state/record-map.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { settleEngine } from '@itc/node/engine.js';
import { systemRandom } from '@itc/node/random.js';
import { BlockLog } from '@itc/node/storage/block-log.js';
import { LmdbTables } from '@itc/node/storage/lmdb-tables.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { StatePages } from '@itc/node/storage/state-pages.js';
import { chainId, genesis } from '@itc/node/testing/grown-chain.js';
import { rates, seededRandom, type Rate } from './result.ts';
import { accountsInTreeOrder, addressAt, FIRST_NONCE } from './state-accounts.ts';

/** States that stay readable below the newest one. */
const KEPT = 32;
const CACHE_BYTES = 256 << 20;
const PROOFS = 500;

export interface StateTask {
  readonly accounts: number;
  readonly rounds: number;
  /** Of one round. */
  readonly blocks: number;
  readonly transfers: number;
  readonly seed: number;
  /** Beside the state in pages: the records in memory and their changes in a table, and the table alone. */
  readonly peers: readonly ('memory' | 'puts')[];
}

export interface StateFigures {
  readonly pages: Rate;
  /** After the last transfer. */
  readonly root: string;
  readonly memory: Rate | undefined;
  readonly puts: Rate | undefined;
  readonly proofUs: { readonly present: readonly number[]; readonly absent: readonly number[] };
  readonly proofBytes: { readonly present: readonly number[]; readonly absent: readonly number[] };
  readonly liveBytes: number;
  readonly totalBytes: number;
  readonly fileBytes: number;
  /** Of the process but for files mapped into it; NaN where there is no /proc. */
  readonly residentBytes: number;
  readonly openMs: readonly number[];
  readonly buildSeconds: number;
}

/** A signed transfer with one receiver, as it stands in a block. */
const TRANSFER_BYTES = 190;

type Commit = (applied: AppliedBlock, at: number) => Promise<LedgerState>;

/** Accounts that send to each other, and the next nonce of each. */
class Load {
  readonly #task: StateTask;
  readonly #random: () => number;
  readonly #nonces: Uint32Array;
  #height = 0;

  constructor(task: StateTask) {
    this.#task = task;
    this.#random = seededRandom(task.seed);
    this.#nonces = new Uint32Array(task.accounts).fill(FIRST_NONCE);
  }

  /** As a pool hands them over: decoded and verified. */
  #block(): VerifiedTransaction[] {
    const { accounts, transfers } = this.#task;
    const pick = (): number => Math.floor(this.#random() * accounts);
    return Array.from({ length: transfers }, (_, i) => {
      const from = pick();
      const sender = addressAt(from);
      const nonce = this.#nonces[from] as number;
      this.#nonces[from] = nonce + 1;
      const body = { kind: 'transfer', to: addressAt(pick()), amount: amount(1n) } as const;
      const tx = {
        key: { algorithm: ED25519, bytes: sender },
        lane: 0,
        nonce,
        fee: amount(0n),
        validUntil: height(1_000_000),
        body,
        signature: NO_SIGNATURE,
      };
      const account = idText(sender);
      // The id is that of the transaction's bytes, which nobody has; it ends up in receipts and events.
      return { tx, id: sender, encoded: NO_SIGNATURE, sender, name: `${i} ${account}`, account };
    }) as unknown as VerifiedTransaction[];
  }

  /** Rounds of blocks; drawing the transfers is not timed. */
  async run(
    state: LedgerState,
    commit: Commit,
  ): Promise<{ readonly rate: Rate; readonly state: LedgerState }> {
    const { rounds, blocks, transfers } = this.#task;
    let now = state;
    const samples: { perSecond: number[]; processorUs: number[] } = { perSecond: [], processorUs: [] };
    for (let round = 0; round <= rounds; round += 1) {
      let [elapsed, used] = [0, 0];
      for (let i = 0; i < blocks; i += 1) {
        const block = this.#block();
        const before = process.cpuUsage();
        const start = performance.now();
        this.#height += 1;
        const context = { chain: chainId, height: height(this.#height), time: millis(TIME + this.#height) };
        const applied = applyBlock(now, { ...context, verify: () => true }, block);
        const failed = applied.receipts.find(({ outcome }) => !outcome.ok);
        if (failed !== undefined) throw new Error(`a transfer failed: ${JSON.stringify(failed.outcome)}`);
        now = await commit(applied, this.#height);
        elapsed += performance.now() - start;
        const { user, system } = process.cpuUsage(before);
        used += user + system;
      }
      const count = blocks * transfers;
      // The first round lets the compiler settle.
      if (round === 0) continue;
      samples.perSecond.push((1_000 * count) / elapsed);
      samples.processorUs.push(used / count);
    }
    return { rate: samples, state: now };
  }
}

const NO_SIGNATURE = new Uint8Array(64);
const TIME = 1_800_000_000_000;

export async function measureState(
  task: StateTask,
  folder: string,
  log: (line: string) => void,
): Promise<StateFigures> {
  installNativeCrypto();
  await using tables = await LmdbTables.open({ folder });
  let pages = StatePages.open(tables, 'state', { cacheBytes: CACHE_BYTES });
  const started = performance.now();
  let records = LedgerState.fromGenesis(genesis, PagedRecords.open(pages)).records as PagedRecords;
  const write = async (at: number, keepFrom: number): Promise<void> => {
    const sealed = [pages.seal(records.top, at)];
    await tables.commit(pages.changes(sealed, keepFrom));
    pages.written(sealed, keepFrom);
  };
  for (const entries of accountsInTreeOrder(task.accounts)) {
    records = records.load(entries);
    await write(0, 0);
  }
  await tables.flush();
  const buildSeconds = (performance.now() - started) / 1_000;
  log(`${task.accounts} accounts built in ${buildSeconds.toFixed(1)} s, ${pages.bytes.live} bytes`);

  const openMs: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    const start = performance.now();
    pages = StatePages.open(tables, 'state', { cacheBytes: CACHE_BYTES });
    records = PagedRecords.open(pages, pages.stored?.top);
    if (!LedgerState.of(records).ok || !records.tree.isWhole) throw new Error('the state does not open');
    openMs.push(performance.now() - start);
  }
  const opened = LedgerState.of(records);
  if (!opened.ok) throw new Error(opened.message);
  await using blocks = await BlockLog.open({
    disk: nodeDisk,
    folder: join(folder, 'blocks'),
    random: systemRandom,
  });
  const block = new Uint8Array(TRANSFER_BYTES * task.transfers).fill(0x5a);
  const own = await new Load(task).run(opened.value, async ({ state }, at) => {
    // What a crash is come back from, until pages are stored.
    blocks.append(at, block, NO_SIGNATURE);
    await blocks.sync();
    records = pages.tidy(state.records as PagedRecords);
    if (pages.isDue(at)) await write(at, at - KEPT);
    else pages.pass(at);
    const moved = LedgerState.of(records);
    if (!moved.ok) throw new Error(moved.message);
    return moved.value;
  });
  log(`${task.accounts} accounts, pages: ${describe(own.rate)}`);
  // What still waits to be stored belongs to the state, too.
  records = own.state.records as PagedRecords;
  await write(blocks.last, blocks.last - KEPT);
  const { live, total } = pages.bytes;
  const proofs = proofsOf(own.state, task);
  const figures = {
    pages: own.rate,
    root: toHex(own.state.root),
    ...proofs,
    liveBytes: live,
    totalBytes: total,
    fileBytes: statSync(join(folder, 'tables.mdb')).size,
    residentBytes: residentBytes(),
    openMs,
    buildSeconds,
  };
  return {
    ...figures,
    memory: task.peers.includes('memory') ? await memoryPeer(task, own.state, log) : undefined,
    puts: task.peers.includes('puts') ? await putsPeer(task, log) : undefined,
  };
}

const describe = ({ processorUs, perSecond }: Rate): string =>
  `${processorUs.map((us) => us.toFixed(1)).join(' ')} µs of processor time, ${perSecond.map((each) => each.toFixed(0)).join(' ')} per second`;

/** All records decoded in memory and each change in a table, as it was before there were pages. */
async function memoryPeer(task: StateTask, from: LedgerState, log: (line: string) => void): Promise<Rate> {
  const folder = mkdtempSync(join(tmpdir(), 'itc-bench-state-'));
  try {
    await using tables = await LmdbTables.open({ folder });
    // The same state, before the first transfer: nonces have to begin anew.
    const entries = [...LedgerState.fromGenesis(genesis).entries()];
    for (const piece of accountsInTreeOrder(task.accounts)) entries.push(...piece);
    const loaded = LedgerState.fromRecords(entries);
    if (!loaded.ok) throw new Error(loaded.message);
    for (let at = 0; at < entries.length; at += 50_000)
      await tables.commit(entries.slice(at, at + 50_000).map((entry) => ({ table: 'state', ...entry })));
    const kept: LedgerState[] = [];
    const { rate, state } = await new Load(task).run(loaded.value, async ({ state: next, changes }) => {
      kept.push(next);
      if (kept.length > KEPT) kept.shift();
      await tables.commit(changes.map((change) => ({ table: 'state', ...change })));
      return next;
    });
    if (state.root.join() !== from.root.join()) throw new Error('pages and memory have different roots');
    log(`${task.accounts} accounts, memory: ${describe(rate)}`);
    return rate;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two records for each transfer, put into a table that has all of them: what such a commit costs by itself. */
async function putsPeer(task: StateTask, log: (line: string) => void): Promise<Rate> {
  const { accounts, rounds, blocks, transfers } = task;
  const folder = mkdtempSync(join(tmpdir(), 'itc-bench-state-'));
  try {
    await using tables = await LmdbTables.open({ folder });
    const [entry] = [...accountsInTreeOrder(1)].flat();
    if (entry === undefined) throw new Error('one account has one record');
    const change = (n: number): { table: string; key: Uint8Array; value: Uint8Array } => {
      const key = new Uint8Array(entry.key);
      new DataView(key.buffer).setUint32(1, n);
      return { table: 'state', key, value: entry.value };
    };
    for (let at = 0; at < accounts; at += 50_000) {
      const length = Math.min(50_000, accounts - at);
      await tables.commit(Array.from({ length }, (_, i) => change(at + i)));
    }
    const random = seededRandom(task.seed);
    const [rate] = await rates(rounds, async () => {
      for (let i = 0; i < blocks; i += 1)
        await tables.commit(
          Array.from({ length: 2 * transfers }, () => change(Math.floor(random() * accounts))),
        );
      return blocks * transfers;
    });
    log(`${accounts} accounts, puts alone: ${describe(rate)}`);
    return rate;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function proofsOf(
  state: LedgerState,
  { accounts, seed }: StateTask,
): Pick<StateFigures, 'proofUs' | 'proofBytes'> {
  const random = seededRandom(seed + 1);
  const one = (isPresent: boolean): { us: number; bytes: number } => {
    const n = isPresent ? Math.floor(random() * accounts) : accounts + Math.floor(random() * 1e6);
    const key = accountKey(addressAt(n));
    const start = performance.now();
    const proof = state.prove(key);
    const us = 1_000 * (performance.now() - start);
    const writer = new Writer();
    writeStateProof(writer, proof);
    if ((state.tree.get(stateKeyHash(key)) !== undefined) !== isPresent)
      throw new Error('not the state that was built');
    return { us, bytes: writer.finish().length };
  };
  const present = Array.from({ length: PROOFS }, () => one(true));
  const absent = Array.from({ length: PROOFS }, () => one(false));
  return {
    proofUs: { present: present.map(({ us }) => us), absent: absent.map(({ us }) => us) },
    proofBytes: { present: present.map(({ bytes }) => bytes), absent: absent.map(({ bytes }) => bytes) },
  };
}

function residentBytes(): number {
  try {
    const anonymous = /RssAnon:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return 1_024 * Number(anonymous);
  } catch {
    return Number.NaN;
  }
}

/** In a process of its own: `process.send` gives the figures. */
if (process.argv[2] === 'measure') {
  // As a node does.
  settleEngine();
  const folder = mkdtempSync(join(tmpdir(), 'itc-bench-state-'));
  try {
    const task = JSON.parse(process.argv[3] as string) as StateTask;
    const figures = await measureState(task, folder, (line) => void process.stderr.write(`${line}\n`));
    process.send?.(figures);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
