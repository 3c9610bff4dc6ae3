import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { MemoryPages } from '../testing/memory-pages.ts';
import { asHash, sha256, type Hash } from './hash.ts';
import { PagedStateTree, type TreeShape } from './paged-state-tree.ts';
import { PageChange, pageMove } from './paged-state-update.ts';
import { serialHasher } from './state-hasher.ts';
import { lowestKey, NODE, pageLength, topAt } from './state-page.ts';
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
const shapeOf = (pages: MemoryPages): TreeShape => ({ pages, hasher: serialHasher, keyOf });

/** A paged tree and the plain one that it must agree with. */
class Pair {
  readonly pages = new MemoryPages();
  paged: PagedStateTree = new PagedStateTree(shapeOf(this.pages), undefined);
  plain: StateTree = StateTree.empty;

  update(changes: readonly (readonly [n: number, value: Uint8Array | undefined])[]): PageChange[] {
    const paged = changes.map(([n, value]) => new PageChange(keyOf(labelOf(n)), labelOf(n), value));
    this.paged = this.paged.update(paged);
    this.plain = this.plain.update(
      changes.map(([n, value]) => ({ key: keyOf(labelOf(n)), value, label: idText(labelOf(n)) })),
    );
    return paged;
  }

  /** From the bytes of the pages alone. */
  reopen(): void {
    this.paged = new PagedStateTree(shapeOf(this.pages), this.paged.top);
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
      fc.array(fc.tuple(changesUpTo(400, 60), fc.boolean()), { maxLength: 8 }),
      fc.nat(600),
      (steps, before) => {
        const pair = new Pair();
        pair.update(many(before));
        for (const [changes, reopens] of steps) {
          pair.update(changes);
          // What earlier trees alone refer to may go at any time.
          pair.pages.drop();
          if (reopens) pair.reopen();
          pair.agree();
        }
        assert.deepEqual([...pair.paged.entries()], [...pair.plain.entries()]);
        for (let n = 0; n < 400; n += 7) {
          const key = keyOf(labelOf(n));
          assert.deepEqual(pair.paged.get(key), pair.plain.get(key));
          assert.deepEqual(pair.paged.view(key, idText(labelOf(n)))?.slice(), pair.plain.get(key));
        }
      },
    ),
    { numRuns: 60 },
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
  const outcomes = pair
    .update([
      [3, Uint8Array.of(3, 0)],
      [4, Uint8Array.of(9)],
      [5, undefined],
      [500, Uint8Array.of(1)],
      [501, undefined],
    ])
    .map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, ['none', 'changed', 'removed', 'added', 'none']);
});

test('PAGES-3: an earlier tree answers and proves as it did for as long as its pages are there', () => {
  const pair = new Pair();
  pair.update(many(700));
  const { paged, plain } = pair;
  pair.update([...many(200, 50).map(([n]) => [n, undefined] as const), ...many(300, 690)]);
  assert.equal(toHex(paged.root), toHex(plain.root));
  assert.deepEqual([...paged.entries()], [...plain.entries()]);
  assert.deepEqual(paged.prove(keyOf(labelOf(60))), plain.prove(keyOf(labelOf(60))));
});

test('PAGES-3: what an update releases is exactly what the new tree does not refer to', () => {
  fc.assert(
    fc.property(fc.nat(900), fc.array(changesUpTo(900, 40), { maxLength: 5 }), (before, steps) => {
      const pair = new Pair();
      pair.update(many(before));
      for (const changes of steps) pair.update(changes);
      pair.pages.drop();
      const { pages } = pair;
      pages.reads = 0;
      const entries = [...pair.paged.entries()];
      assert.equal(entries.length, pair.plain.size);
      // A walk over everything reads each page once, so none is missing and none is left over.
      assert.equal(pages.reads, pages.pages.size);
    }),
    { numRuns: 30 },
  );
});

test('PAGES-2: pages are as large as some tens of records, whatever the size of the tree, and name the keys below them', () => {
  for (const count of [16, 300, 5_000, 40_000]) {
    const pages = new MemoryPages();
    const changes = Array.from({ length: count }, (_, i) => {
      const label = Uint8Array.of(i >> 16, i >> 8, i);
      return new PageChange(sha256(label), label, new Uint8Array(20));
    });
    const tree = new PagedStateTree({ ...shapeOf(pages), keyOf: sha256 }, undefined).update(changes);
    assert.equal(tree.size, count);
    const lengths = [...pages.pages.values()].map((page) => page.length);
    assert.ok(Math.max(...lengths) < 4_500, `${count}: ${Math.max(...lengths)}`);
    const perRecord = lengths.reduce((sum, length) => sum + length, 0) / count;
    assert.ok(perRecord < 160, `${count}: ${perRecord} bytes for a record`);
    for (const page of pages.pages.values()) {
      assert.equal(pageLength(page, 0), page.length);
      const way = new Set<Uint8Array>();
      const noting = new PagedStateTree(
        {
          ...shapeOf(pages),
          keyOf: sha256,
          pages: Object.assign(Object.create(pages) as MemoryPages, {
            read: (location: number): Uint8Array => {
              way.add(pages.pages.get(location) as Uint8Array);
              return pages.read(location);
            },
          }),
        },
        tree.top,
      );
      noting.prove(asHash(lowestKey(page)));
      assert.ok(way.has(page));
      if (way.size > 6) break;
    }
  }
});

test('PAGES-4: pages that are to move lie elsewhere after an update that meets them, and nothing else changes', () => {
  const pair = new Pair();
  pair.update(many(2_000));
  const { pages } = pair;
  const moving = new Set([...pages.pages.keys()].filter((_, i) => i % 3 === 0));
  const looks = [...moving].map((location) => {
    const page = pages.pages.get(location) as Uint8Array;
    return pageMove(page);
  });
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
  pages.drop();
  for (const location of moving) assert.ok(!pages.pages.has(location));
  assert.equal(pages.pages.size, size);
  pair.agree();
  assert.deepEqual([...pair.paged.entries()], [...pair.plain.entries()]);
});

test('PAGES-5: a top page that is not that of the root is noticed when a tree is opened', () => {
  const pair = new Pair();
  assert.ok(pair.paged.isWhole);
  for (const count of [1, 12, 500]) {
    pair.update(many(count));
    assert.ok(pair.paged.isWhole);
    const { top } = pair.paged;
    assert.ok(top);
    const page = pair.pages.pages.get(top.location) as Uint8Array;
    const at = page[topAt(page)] === NODE.leaf ? page.length - 1 : topAt(page) + 41 + 12;
    pair.pages.pages.set(top.location, page.with(at, (page[at] as number) ^ 1));
    assert.ok(!pair.paged.isWhole, String(count));
    pair.pages.pages.set(top.location, page);
  }
});

test('PAGES-1: two thousand changes at once give what they give one by one', () => {
  const atOnce = new Pair();
  atOnce.update(many(2_000));
  const steps = new Pair();
  for (const change of many(2_000)) steps.update([change]);
  assert.ok(equalBytes(atOnce.paged.root, steps.paged.root));
  steps.pages.drop();
  assert.deepEqual([...steps.paged.entries()], [...atOnce.paged.entries()]);
});
