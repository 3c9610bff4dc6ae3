import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { verifyStateProof } from '@itc/core/crypto/state-tree.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount } from '@itc/core/ledger/ids.js';
import { accountKey, stateKeyHash } from '@itc/core/state/keys.js';
import { MemoryRecords } from '@itc/core/state/memory-records.js';
import { PagedRecords } from '@itc/core/state/paged-records.js';
import { idBytes, idText } from '@itc/core/state/record-map.js';
import { NO_DEPOSIT } from '@itc/core/state/record-deposit.js';
import { noChanges, type ChangedRecords } from '@itc/core/state/record-store.js';
import { installNativeCrypto } from '../crypto/native.ts';
import type { Change, Table, Tables } from '../ports.ts';
import { LmdbTables } from './lmdb-tables.ts';
import { MemoryTables } from './memory-tables.ts';
import { StatePages, stateTables, type SealedPages, type StatePagesOptions } from './state-pages.ts';

installNativeCrypto();

/** Tables of a process that dies in the middle of a commit: nothing of it is there afterwards, or everything. */
class MortalTables implements Tables {
  readonly inner: MemoryTables = new MemoryTables();
  dies: 'before' | 'after' | undefined;

  table(name: string): Table {
    return this.inner.table(name);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (this.dies !== 'before') await this.inner.commit(changes);
    if (this.dies !== undefined) throw new LedgerError('storage.failed', 'the process died here');
  }

  async flush(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

const SMALL: StatePagesOptions = { slackBytes: 0, cacheBytes: 50_000 };

/** A state that is written block by block, and the one in memory that it must agree with. */
class Ledger {
  readonly tables: Tables;
  pages: StatePages;
  paged: PagedRecords;
  plain: MemoryRecords = MemoryRecords.empty;
  /** Of the heights written, what the tables should hold. */
  written: MemoryRecords = MemoryRecords.empty;
  height = 0;
  #waiting: { readonly sealed: SealedPages; readonly plain: MemoryRecords }[] = [];
  readonly #options: StatePagesOptions;

  constructor(tables: Tables = new MemoryTables(), options: StatePagesOptions = SMALL) {
    this.tables = tables;
    this.#options = options;
    this.pages = StatePages.open(tables, 'state', options);
    this.paged = PagedRecords.open(this.pages);
  }

  /** A block whose pages wait for those of another. */
  passed(changed: ChangedRecords): void {
    this.height += 1;
    this.plain = this.plain.advance(changed).records;
    this.paged = this.pages.tidy(this.paged.advance(changed).records);
    this.pages.pass(this.height);
    assert.equal(toHex(this.paged.tree.root), toHex(this.plain.tree.root));
  }

  block(changed: ChangedRecords): void {
    this.height += 1;
    this.plain = this.plain.advance(changed).records;
    this.paged = this.pages.tidy(this.paged.advance(changed).records);
    this.#waiting.push({ sealed: this.pages.seal(this.paged.top, this.height), plain: this.plain });
    assert.equal(toHex(this.paged.tree.root), toHex(this.plain.tree.root));
  }

  /** All but the newest `lag` heights; states below `keepFrom` are looked at no more. */
  async write(lag = 0, keepFrom: number = this.height): Promise<void> {
    const due = this.#waiting.slice(0, this.#waiting.length - lag);
    const sealed = due.map((each) => each.sealed);
    await this.tables.commit(this.pages.changes(sealed, keepFrom));
    this.pages.written(sealed, keepFrom);
    this.#waiting = this.#waiting.slice(due.length);
    this.written = due.at(-1)?.plain ?? this.written;
  }

  /** What a process finds that starts now; it goes on from there. */
  reopen(): void {
    this.pages = StatePages.open(this.tables, 'state', this.#options);
    this.paged = PagedRecords.open(this.pages, this.pages.stored?.top);
    this.height = this.pages.stored?.at ?? 0;
    this.plain = this.written;
    this.#waiting = [];
    assert.ok(this.paged.tree.isWhole);
    this.agree();
  }

  agree(): void {
    assert.equal(toHex(this.paged.tree.root), toHex(this.plain.tree.root));
    const bytes = (records: PagedRecords | MemoryRecords): string[] =>
      [...records.entries()].map(({ key, value }) => `${toHex(key)} ${toHex(value)}`).sort();
    assert.deepEqual(bytes(this.paged), bytes(this.plain));
    assert.deepEqual([...this.paged.walk('deposit')], [...this.plain.walk('deposit')]);
    assert.equal(this.paged.count('deposit'), this.plain.count('deposit'));
  }
}

const addressOf = (n: number): Uint8Array => sha256(Uint8Array.of(n >> 8, n & 255));

/** Account `n` to balance `to`, or gone; every tenth also as a deposit, which are walked in order. */
function changesOf(list: readonly (readonly [n: number, to: number | undefined])[]): ChangedRecords {
  const changed = noChanges();
  for (const [n, to] of list) {
    const id = idText(addressOf(n));
    changed.account.set(
      id,
      to === undefined ? undefined : { balance: amount(BigInt(to) + 1n), nonces: [to] },
    );
    if (n % 10 === 0)
      changed.deposit.set(
        `${id}12345678`,
        to === undefined
          ? undefined
          : { to: asAddress(addressOf(n)), amount: amount(BigInt(to)), deposit: NO_DEPOSIT },
      );
  }
  return changed;
}

const many = (from: number, to: number, value: number): ChangedRecords =>
  changesOf(Array.from({ length: to - from }, (_, i) => [from + i, value] as const));

const block = fc.array(
  fc.tuple(fc.nat(300), fc.option(fc.integer({ min: 1, max: 9 }), { freq: 4, nil: undefined })),
  { maxLength: 25 },
);

test('PAGES-7: whatever is written, crashed and reopened, the state is that of the last batch that was whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.tuple(block, fc.constantFrom('write', 'lag', 'before', 'after', 'reopen', 'none', 'pass')),
        {
          maxLength: 14,
        },
      ),
      async (steps) => {
        const tables = new MortalTables();
        const ledger = new Ledger(tables);
        ledger.block(many(0, 200, 1));
        await ledger.write();
        for (const [changes, then] of steps) {
          if (then === 'pass') {
            ledger.passed(changesOf(changes));
            continue;
          }
          ledger.block(changesOf(changes));
          if (then === 'write') await ledger.write();
          else if (then === 'lag') await ledger.write(1);
          else if (then === 'reopen') ledger.reopen();
          else if (then !== 'none') {
            const { plain } = ledger;
            tables.dies = then;
            await assert.rejects(ledger.write());
            tables.dies = undefined;
            if (then === 'after') ledger.written = plain;
            ledger.reopen();
          }
        }
        ledger.agree();
      },
    ),
    { numRuns: 40 },
  );
});

test('PAGES-7: a batch that was refused can be written again, and the process goes on', async () => {
  const tables = new MortalTables();
  const ledger = new Ledger(tables);
  ledger.block(many(0, 300, 1));
  tables.dies = 'before';
  await assert.rejects(ledger.write());
  tables.dies = undefined;
  ledger.block(many(100, 200, 2));
  await ledger.write();
  ledger.reopen();
});

test('PAGES-8: states of earlier heights answer and prove for as long as they are kept, whether they were stored or not', async () => {
  const ledger = new Ledger();
  const earlier: (readonly [number, PagedRecords, MemoryRecords])[] = [];
  const seen = (): void => void earlier.push([ledger.height, ledger.paged, ledger.plain]);
  for (let i = 0; i < 30; i += 1) {
    const changed = many((i * 37) % 200, ((i * 37) % 200) + 60, i + 1);
    if (i % 3 === 0) ledger.passed(changed);
    else ledger.block(changed);
    seen();
    if (i % 7 === 3) {
      ledger.block(changesOf(Array.from({ length: 90 }, (_, k) => [k, undefined] as const)));
      seen();
    }
    if (i % 3 > 0) await ledger.write(1, Math.max(0, ledger.height - 12));
  }
  for (const [at, paged, plain] of earlier) {
    if (at < ledger.height - 10) continue;
    for (let n = 0; n < 260; n += 9) {
      const key = accountKey(asAddress(addressOf(n)));
      const hash = stateKeyHash(key);
      const proof = paged.tree.prove(hash);
      assert.ok(verifyStateProof(plain.tree.root, hash, plain.tree.get(hash), proof));
      assert.deepEqual(
        paged.record('account', idText(addressOf(n))),
        plain.record('account', idText(addressOf(n))),
      );
    }
    assert.deepEqual([...paged.walk('deposit')], [...plain.walk('deposit')]);
  }
});

test('PAGES-7: pages of blocks that change much wait for each other, bounded in heights and bytes; what they overwrite is stored once', async () => {
  const ledger = new Ledger(new MemoryTables(), { heights: 5, freshBytes: 300_000, lightBytes: 40_000 });
  ledger.block(many(0, 2_000, 1));
  await ledger.write();
  const { total } = ledger.pages.bytes;
  const due: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    // The same records each time, more than a light block has.
    ledger.passed(many(0, 60, 2 + (i % 5)));
    if (!ledger.pages.isDue(ledger.height)) continue;
    due.push(ledger.height);
    ledger.block(many(0, 1, i));
    await ledger.write();
  }
  assert.deepEqual(due, [6, 12], 'five heights behind the one stored before');
  const each = (ledger.pages.bytes.total - total) / 2;
  assert.ok(each < 150_000, `${each} bytes`);
  // Those that change little do not wait, and what waits is never more than its bound and a block.
  ledger.passed(many(0, 3, 9));
  assert.ok(ledger.pages.isDue(ledger.height));
  ledger.block(many(0, 3, 8));
  await ledger.write();
  ledger.passed(many(0, 2_000, 3));
  assert.ok(ledger.pages.memory.fresh > 300_000);
  assert.ok(ledger.pages.isDue(ledger.height));
  ledger.block(many(0, 9, 1));
  await ledger.write();
  assert.equal(ledger.pages.memory.fresh, 0);
  ledger.reopen();
});

test('PAGES-9: pages that no kept state refers to go: what is stored is bounded by the state, not by its history', async () => {
  const ledger = new Ledger();
  ledger.block(many(0, 2_000, 1));
  await ledger.write();
  const { live } = ledger.pages.bytes;
  let most = 0;
  // Each block writes some tenth of the state.
  for (let i = 0; i < 400; i += 1) {
    const from = (i * 331) % 1_900;
    ledger.block(many(from, from + 40, i + 2));
    await ledger.write(0, ledger.height);
    if (i % 50 === 0) most = Math.max(most, ledger.pages.bytes.total);
  }
  ledger.agree();
  assert.ok(ledger.pages.bytes.live < 1.2 * live);
  // Segments are as long as that many blocks here; without tidying all of history would be there.
  const table = ledger.tables.table(stateTables('state')[0] as string);
  assert.ok(table.count() < 2_600, `${table.count()} values`);
  ledger.reopen();
});

test('PAGES-9: a segment that is mostly left over is emptied by moving the rest, and then dropped', async () => {
  const ledger = new Ledger();
  ledger.block(many(0, 3_000, 1));
  await ledger.write();
  const first = stateTables('state')[0] as string;
  const has = (extent: number): boolean => {
    const key = new Uint8Array(8);
    new DataView(key.buffer).setUint32(4, extent);
    return ledger.tables.table(first).has(key);
  };
  assert.ok(has(0));
  // Always the same few records: the others stay where they were written first, until they are moved.
  for (let i = 0; i < 1_200; i += 1) {
    ledger.block(many(0, 8, i + 2));
    await ledger.write(0, ledger.height);
    if (i % 300 === 0) ledger.reopen();
  }
  assert.ok(!has(0));
  ledger.agree();
  ledger.reopen();
});

test('PAGES-11: the cache of pages is bounded however much is read', async () => {
  const ledger = new Ledger();
  ledger.block(many(0, 4_000, 1));
  await ledger.write();
  ledger.reopen();
  let read = 0;
  for (let n = 0; n < 4_000; n += 1) {
    if (ledger.paged.record('account', idText(addressOf(n))) !== undefined) read += 1;
    assert.ok(ledger.pages.memory.cached < 56_000, `${ledger.pages.memory.cached} bytes`);
  }
  assert.equal(read, 4_000);
});

test('PAGES-11: opening reads the top, whatever the size of the state', async () => {
  const ledger = new Ledger();
  ledger.block(many(0, 4_000, 1));
  await ledger.write();
  const pages = StatePages.open(ledger.tables, 'state');
  const records = PagedRecords.open(pages, pages.stored?.top);
  assert.ok(records.tree.isWhole);
  assert.equal(records.tree.size, 4_400);
  assert.ok(pages.memory.cached < 8_000);
});

test('PAGES-11: a page that is not there, or is none, is damage and no answer', async () => {
  const ledger = new Ledger();
  ledger.block(many(0, 600, 1));
  await ledger.write();
  const [table] = stateTables('state') as [string];
  for (const value of [undefined, new Uint8Array(9)]) {
    const changes = [...ledger.tables.table(table).range()].map(({ key }) => ({ table, key, value }));
    await ledger.tables.commit(changes);
    const pages = StatePages.open(ledger.tables, 'state', SMALL);
    const records = PagedRecords.open(pages, pages.stored?.top);
    assert.throws(() => records.record('account', idText(addressOf(5))), { code: 'storage.corrupt' });
  }
});

test('PAGES-7: on real tables: written, closed, opened, the same state', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'itc-pages-'));
  try {
    let root = '';
    {
      await using tables = await LmdbTables.open({ folder });
      const ledger = new Ledger(tables);
      for (let i = 0; i < 40; i += 1) {
        ledger.block(many(i * 20, i * 20 + 60, i + 1));
        await ledger.write(0, ledger.height);
      }
      ledger.reopen();
      root = toHex(ledger.paged.tree.root);
    }
    await using tables = await LmdbTables.open({ folder });
    const pages = StatePages.open(tables, 'state');
    const records = PagedRecords.open(pages, pages.stored?.top);
    assert.ok(records.tree.isWhole);
    assert.equal(toHex(records.tree.root), root);
    assert.equal([...records.walk('deposit')].length, 84);
    assert.ok(records.record('account', idText(idBytes(idText(addressOf(700))))));
  } finally {
    await rm(folder, { recursive: true });
  }
});
