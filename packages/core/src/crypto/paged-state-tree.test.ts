import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { MemoryPages } from '../testing/memory-pages.ts';
import { asHash, sha256, type Hash } from './hash.ts';
import { PagedStateTree, type TreeShape } from './paged-state-tree.ts';
import { OUTCOME, PageChanges } from './page-changes.ts';
import { serialHasher } from './state-hasher.ts';
import { kindAt, lowestKey, NODE, pageBytesAt, topAt, valueAt, type Chunk, type Page } from './state-page.ts';
import { halvesOf, WHOLE_TREE } from './state-subtree.ts';
import { StateTree, verifyStateProof, type KeyPrefix } from './state-tree.ts';

installNativeSha256();

/** Labels of two bytes; keys crowd in few prefixes, some of them long, so that chains and splits are common. */
function keyOf(label: Uint8Array): Hash {
  const key = sha256(label).slice();
  if ((key[31] as number) % 3 === 0) key.fill(0x5a, 0, 4);
  if ((key[31] as number) % 5 === 0) key.fill(0xff, 0, 20);
  return asHash(key);
}

const labelOf = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255);
const shapeOf = ({ pool }: MemoryPages): TreeShape => ({ pool, hasher: serialHasher, keyOf });

/** A paged tree and the plain one that it must agree with. */
class Pair {
  pages = new MemoryPages();
  paged: PagedStateTree = new PagedStateTree(shapeOf(this.pages), undefined);
  plain: StateTree = StateTree.empty;

  /** Gives what became of each key. */
  update(changes: readonly (readonly [n: number, value: Uint8Array | undefined])[]): readonly number[] {
    const paged = new PageChanges();
    for (const [n, value] of changes) paged.add(keyOf(labelOf(n)), labelOf(n), value);
    this.paged = this.paged.update(paged);
    this.plain = this.plain.update(
      changes.map(([n, value]) => ({ key: keyOf(labelOf(n)), value, label: idText(labelOf(n)) })),
    );
    return [...paged.outcomes.subarray(0, paged.count)];
  }

  /** From the bytes of the stored pages alone. */
  reopen(): void {
    this.pages.seal();
    const { top } = this.paged;
    const stored = top && { ...top, location: this.pages.pool.located(top.location) };
    this.pages = new MemoryPages(10_000, this.pages);
    this.paged = new PagedStateTree(shapeOf(this.pages), stored);
  }

  agree(): void {
    assert.equal(toHex(this.paged.root), toHex(this.plain.root));
    assert.equal(this.paged.size, this.plain.size);
  }
}

const value = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 6 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 300, maxLength: 900 }) },
);
const changesUpTo = (
  keys: number,
  maxLength: number,
): fc.Arbitrary<(readonly [number, Uint8Array | undefined])[]> =>
  fc.array(fc.tuple(fc.nat(keys - 1), value), { maxLength });

const many = (count: number, from = 0): (readonly [number, Uint8Array])[] =>
  Array.from({ length: count }, (_, i) => [from + i, Uint8Array.of(i & 255, i >> 8)] as const);

test('PAGES-1: after any updates, reopened or not, the paged tree has the root, size, entries and values of the plain one', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(changesUpTo(400, 60), fc.constantFrom('seal', 'reopen', 'none')), { maxLength: 8 }),
      fc.nat(600),
      (steps, before) => {
        const pair = new Pair();
        pair.update(many(before));
        for (const [changes, reopens] of steps) {
          pair.update(changes);
          // What earlier trees alone refer to may go at any time.
          pair.pages.pool.keep(pair.pages.pool.version);
          pair.pages.drop();
          if (reopens === 'seal') pair.pages.seal();
          if (reopens === 'reopen') pair.reopen();
          pair.agree();
        }
        assert.deepEqual([...pair.paged.entries()], [...pair.plain.entries()]);
        for (let n = 0; n < 400; n += 7) {
          const key = keyOf(labelOf(n));
          assert.deepEqual(pair.paged.get(key), pair.plain.get(key));
          const [first, rest] = [n >> 8, String.fromCharCode(n & 255)];
          const place = pair.paged.find(key, 0, first, rest);
          assert.deepEqual(place && valueAt(place).slice(), pair.plain.get(key));
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('PAGES-1: many keys are found one after another as each would be by itself, in the order of the tree or in another', () => {
  fc.assert(
    fc.property(changesUpTo(400, 200), fc.boolean(), (changes, inOrder) => {
      const pair = new Pair();
      pair.update(many(300));
      pair.reopen();
      pair.update(changes);
      const labels = Array.from({ length: 450 }, (_, n) => labelOf(n));
      if (inOrder) labels.sort((a, b) => compareBytes(keyOf(a), keyOf(b)));
      const search = pair.paged.search();
      for (const label of labels) {
        const key = keyOf(label);
        const place = search.find(key, 0, label[0] as number, String.fromCharCode(label[1] as number));
        assert.deepEqual(place && valueAt(place).slice(), pair.plain.get(key));
      }
    }),
    { numRuns: 30 },
  );
});

test('PAGES-1: proofs of presence and of absence are those of the plain tree', () => {
  fc.assert(
    fc.property(fc.nat(900), changesUpTo(900, 80), (before, changes) => {
      const pair = new Pair();
      pair.update(many(before));
      pair.update(changes);
      for (let n = 0; n < 900; n += 13) {
        const key = keyOf(labelOf(n));
        const proof = pair.paged.prove(key);
        assert.deepEqual(proof, pair.plain.prove(key));
        assert.ok(verifyStateProof(pair.plain.root, key, pair.plain.get(key), proof));
      }
    }),
    { numRuns: 30 },
  );
});

test('PAGES-1: what lies under a prefix is what the plain tree has there', () => {
  const pair = new Pair();
  pair.update(many(1500));
  let level: readonly KeyPrefix[] = [WHOLE_TREE];
  for (let depth = 0; depth < 8; depth += 1) {
    for (const prefix of level) {
      const paged = pair.paged.subtree(prefix);
      const plain = pair.plain.subtree(prefix);
      assert.deepEqual(
        paged && { ...paged, entries: [...paged.entries] },
        plain && { ...plain, entries: [...plain.entries] },
      );
    }
    level = level.flatMap(halvesOf);
  }
});

test('PAGES-1: an update tells what became of each key', () => {
  const pair = new Pair();
  pair.update(many(100));
  const outcomes = pair.update([
    [3, Uint8Array.of(3, 0)],
    [4, Uint8Array.of(9)],
    [5, undefined],
    [500, Uint8Array.of(1)],
    [501, undefined],
    [6, Uint8Array.of(6, 1)],
  ]);
  const { none, added, changed, removed } = OUTCOME;
  assert.deepEqual(outcomes, [none, changed, removed, added, none, changed]);
});

test('PAGES-3: an earlier tree answers and proves as it did for as long as its version is kept', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(changesUpTo(500, 30), fc.boolean(), fc.boolean()), { maxLength: 9 }),
      fc.nat(500),
      (steps, before) => {
        const pair = new Pair();
        pair.update(many(before));
        const earlier = [{ paged: pair.paged, plain: pair.plain, entries: pair.paged.entries() }];
        for (const [changes, seals, sameSize] of steps) {
          // What keeps its size is written in place, and what does not is built anew.
          pair.update(sameSize ? changes.map(([n], i) => [n, Uint8Array.of(i, 1)] as const) : changes);
          if (seals) pair.pages.seal();
          earlier.push({ paged: pair.paged, plain: pair.plain, entries: pair.paged.entries() });
        }
        for (const { paged, plain, entries } of earlier) {
          assert.deepEqual([...entries], [...plain.entries()]);
          for (let n = 0; n < 500; n += 31) {
            const key = keyOf(labelOf(n));
            assert.deepEqual(paged.prove(key), plain.prove(key));
            assert.deepEqual(paged.get(key), plain.get(key));
          }
          assert.ok(paged.isWhole);
        }
      },
    ),
    { numRuns: 20 },
  );
});

test('PAGES-3: one who walks an earlier tree is not disturbed by updates meanwhile', () => {
  const pair = new Pair();
  pair.update(many(800));
  const { paged, plain } = pair;
  const walk = paged.entries()[Symbol.iterator]();
  const walked = [];
  for (let next = walk.next(), i = 0; next.done !== true; next = walk.next(), i += 1) {
    walked.push(next.value);
    if (i % 50 === 0) pair.update(many(300, i % 400).map(([n]) => [n, Uint8Array.of(i & 255, i >> 8)]));
    if (i % 200 === 0) pair.pages.seal();
  }
  assert.deepEqual(walked, [...plain.entries()]);
});

test('PAGES-3: only the newest tree is changed, and none that is not kept any more is read', () => {
  const pair = new Pair();
  pair.update(many(50));
  const { paged } = pair;
  pair.update(many(10, 45));
  assert.throws(() => paged.update(new PageChanges()), RangeError);
  paged.prove(keyOf(labelOf(3)));
  pair.pages.pool.keep(pair.pages.pool.version);
  assert.throws(() => paged.prove(keyOf(labelOf(3))), RangeError);
});

test('PAGES-3: what is stored and not released is exactly what the newest tree refers to', () => {
  fc.assert(
    fc.property(
      fc.nat(900),
      fc.array(fc.tuple(changesUpTo(900, 40), fc.boolean()), { maxLength: 5 }),
      (before, steps) => {
        const pair = new Pair();
        pair.update(many(before));
        for (const [changes, seals] of steps) {
          pair.update(changes);
          if (seals) pair.pages.seal();
        }
        pair.reopen();
        pair.pages.drop();
        pair.pages.loads = 0;
        const entries = [...pair.paged.entries()];
        assert.equal(entries.length, pair.plain.size);
        // A walk over everything reads each page once, so none is missing and none is left over.
        assert.equal(pair.pages.loads, pair.pages.pages.size);
      },
    ),
    { numRuns: 30 },
  );
});

test('PAGES-3: a page that changes with every update is stored once, and what changed in it is all that is kept of each', () => {
  const pair = new Pair();
  pair.update(many(3_000));
  pair.pages.seal();
  const { pool, pages } = pair.pages;
  const stored = pages.size;
  const before = pool.memory;
  for (let i = 0; i < 40; i += 1) pair.update([[7, Uint8Array.of(i, 1)]]);
  const after = pool.memory;
  // The pages on one way, and for each update the words on it.
  assert.ok(after.fresh - before.fresh < 16_000, `${after.fresh} bytes`);
  assert.ok(after.undo - before.undo < 40 * 400, `${after.undo} bytes`);
  pair.pages.seal();
  assert.ok(pages.size - stored <= 4);
  pair.agree();
});

const pageIn = (bytes: Uint8Array): Page => {
  const words = new Int32Array(bytes.slice().buffer);
  return { chunk: { words, bytes: new Uint8Array(words.buffer) } as Chunk, at: 0 };
};

class NotedPages extends MemoryPages {
  readonly way = new Set<number>();

  override load(location: number, take: (bytes: Uint8Array, from: number, to: number) => void): void {
    this.way.add(location);
    super.load(location, take);
  }
}

test('PAGES-2: pages are as large as some tens of records, whatever the size of the tree, and name the keys below them', () => {
  for (const count of [16, 300, 5_000, 40_000]) {
    const store = new MemoryPages();
    const changes = new PageChanges();
    for (let i = 0; i < count; i += 1) {
      const label = Uint8Array.of(i >> 16, i >> 8, i);
      changes.add(sha256(label), label, new Uint8Array(20));
    }
    const tree = new PagedStateTree({ ...shapeOf(store), keyOf: sha256 }, undefined).update(changes);
    assert.equal(tree.size, count);
    store.seal();
    const lengths = [...store.pages.values()].map((page) => page.length);
    assert.ok(Math.max(...lengths) < 4_500, `${count}: ${Math.max(...lengths)}`);
    const perRecord = lengths.reduce((sum, length) => sum + length, 0) / count;
    assert.ok(perRecord < 160, `${count}: ${perRecord} bytes for a record`);
    const { top } = tree;
    assert.ok(top);
    const stored = { ...top, location: store.pool.located(top.location) };
    for (const [location, bytes] of [...store.pages].slice(-6)) {
      assert.equal(pageBytesAt(bytes, 0), bytes.length);
      const others = new NotedPages(1, store);
      new PagedStateTree({ ...shapeOf(others), keyOf: sha256 }, stored).prove(lowestKey(pageIn(bytes)));
      assert.ok(others.way.has(location));
    }
  }
});

test('PAGES-4: pages that are to move lie elsewhere after an update that meets them, and nothing else changes', () => {
  const pair = new Pair();
  pair.update(many(2_000));
  pair.reopen();
  const { pages } = pair;
  const moving = new Set([...pages.pages.keys()].filter((_, i) => i % 3 === 0));
  const looks = new PageChanges();
  for (const location of moving) looks.addLook(pageIn(pages.pages.get(location) as Uint8Array));
  pages.moving = moving;
  const { size } = pages.pages;
  let hashed = 0;
  const hasher = {
    ...serialHasher,
    pairs: (...args: Parameters<typeof serialHasher.pairs>): void => {
      hashed += 1;
      serialHasher.pairs(...args);
    },
  };
  pair.paged = new PagedStateTree({ ...shapeOf(pages), hasher }, pair.paged.top).update(looks);
  assert.equal(hashed, 0, 'what only moves keeps its hashes');
  pages.moving = new Set();
  pair.reopen();
  pair.pages.drop();
  for (const location of moving) assert.ok(!pages.pages.has(location));
  assert.equal(pages.pages.size, size);
  pair.agree();
  assert.deepEqual([...pair.paged.entries()], [...pair.plain.entries()]);
});

test('PAGES-11: updates that change little, each stored by itself, take the memory of their pages and no buffer each', () => {
  const pair = new Pair();
  pair.update(many(800));
  pair.pages.seal();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 200; i += 1) {
    pair.update([[i, Uint8Array.of(i, 1)]]);
    pair.pages.seal();
    pair.pages.pool.keep(pair.pages.pool.version);
    pair.pages.drop();
  }
  const taken = process.memoryUsage().arrayBuffers - before;
  assert.ok(taken < 32 << 20, `${taken} bytes`);
  pair.agree();
});

test('PAGES-5: a top page that is not that of the root is noticed when a tree is opened', () => {
  const pair = new Pair();
  assert.ok(pair.paged.isWhole);
  for (const count of [1, 12, 500]) {
    pair.update(many(count));
    pair.reopen();
    assert.ok(pair.paged.isWhole);
    const { top } = pair.paged;
    assert.ok(top);
    const bytes = pair.pages.pages.get(top.location) as Uint8Array;
    const page = pageIn(bytes);
    const at = topAt(page.chunk.words, 0);
    // The value of a leaf, or the hash of what is left.
    const byte =
      kindAt(page.chunk.words, at) === NODE.leaf ? valueAt({ ...page, at }).byteOffset : 4 * (at + 10);
    pair.pages.pages.set(top.location, bytes.with(byte, (bytes[byte] as number) ^ 1));
    const damaged = new MemoryPages(1 << 20, pair.pages);
    assert.ok(!new PagedStateTree(shapeOf(damaged), top).isWhole, String(count));
    pair.pages.pages.set(top.location, bytes);
  }
});

test('PAGES-1: two thousand changes at once give what they give one by one', () => {
  const atOnce = new Pair();
  atOnce.update(many(2_000));
  const steps = new Pair();
  for (const change of many(2_000)) steps.update([change]);
  assert.ok(equalBytes(atOnce.paged.root, steps.paged.root));
  steps.reopen();
  steps.pages.drop();
  assert.deepEqual([...steps.paged.entries()], [...atOnce.paged.entries()]);
});
