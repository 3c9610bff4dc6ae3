import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '../bytes/hex.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { asHash, sha256, type Hash } from './hash.ts';
import { halvesOf, isUnder, verifySubtree, WHOLE_TREE } from './state-subtree.ts';
import { bitAt, StateTree, type KeyPrefix, type StateLeaf, type Subtree } from './state-tree.ts';

installNativeSha256();

const treeOf = (numbers: readonly number[]): StateTree =>
  StateTree.empty.update(
    numbers.map((n) => ({ key: sha256(Uint8Array.of(n >> 8, n & 255)), value: Uint8Array.of(n & 255) })),
  );

/** Every prefix down to `depth` that has a node, with what lies under it. */
function* pieces(tree: StateTree, depth: number): Iterable<{ prefix: KeyPrefix; subtree: Subtree }> {
  let level: readonly KeyPrefix[] = [WHOLE_TREE];
  for (let at = 0; at <= depth; at += 1) {
    for (const prefix of level) {
      const subtree = tree.subtree(prefix);
      if (subtree !== undefined) yield { prefix, subtree };
    }
    level = level.flatMap(halvesOf);
  }
}

const checks = (
  tree: StateTree,
  prefix: KeyPrefix,
  entries: readonly Pick<StateLeaf, 'key' | 'value'>[],
  siblings: readonly Hash[],
): boolean => verifySubtree({ root: tree.root, prefix, entries, siblings });

test('CRYPTO-7.6: every piece of a tree verifies alone against the root, and pieces of one depth hold every entry once', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(2_000), { maxLength: 60 }), fc.nat(6), (numbers, depth) => {
      const tree = treeOf(numbers);
      const all = [...tree.entries()];
      for (const { prefix, subtree } of pieces(tree, depth)) {
        const entries = [...subtree.entries];
        assert.equal(entries.length, subtree.count);
        assert.deepEqual(
          entries,
          all.filter(({ key }) => isUnder(prefix, key)),
        );
        assert.ok(checks(tree, prefix, entries, subtree.siblings));
      }
    }),
    { numRuns: 40 },
  );
});

test('CRYPTO-7.6: a piece with an entry left out, added, changed, moved or repeated is refused', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(2_000), { minLength: 12, maxLength: 60 }),
      fc.nat(3),
      fc.nat(),
      (numbers, depth, pick) => {
        const tree = treeOf(numbers);
        for (const { prefix, subtree } of pieces(tree, depth)) {
          const entries = [...subtree.entries];
          const at = entries.length === 0 ? 0 : pick % entries.length;
          const entry = entries[at];
          if (entry === undefined) continue;
          const { siblings } = subtree;
          const stranger = { ...entry, key: sha256(Uint8Array.of(9, 9, 9)), value: Uint8Array.of(1) };
          const changed = { ...entry, value: Uint8Array.of(0, 1, 2) };
          assert.ok(!checks(tree, prefix, entries.toSpliced(at, 1), siblings));
          assert.ok(!checks(tree, prefix, entries.with(at, changed), siblings));
          assert.ok(!checks(tree, prefix, entries.toSpliced(at, 0, entry), siblings));
          assert.ok(!checks(tree, prefix, [...entries, stranger], siblings));
          assert.ok(entries.length < 2 || !checks(tree, prefix, entries.toReversed(), siblings));
          assert.ok(!checks(tree, prefix, entries, [...siblings, tree.root]));
          if (prefix.depth === 0) continue;
          assert.ok(!checks(tree, prefix, entries, siblings.slice(1)));
          // The same entries shown as those of the neighbour.
          const other = prefix.bits.slice();
          const bit = prefix.depth - 1;
          other[bit >> 3] = (other[bit >> 3] as number) ^ (0x80 >> (bit & 7));
          assert.ok(!checks(tree, { depth: prefix.depth, bits: other }, entries, siblings));
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('CRYPTO-7.6: an empty piece is proved empty, and a full one does not pass as empty', () => {
  // Two keys that differ in the last of eight common bits: both sides above are empty.
  const key = (first: number): Hash =>
    asHash(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? first : 7)));
  const tree = StateTree.empty.update([
    { key: key(0b0000_0000), value: Uint8Array.of(1) },
    { key: key(0b0000_0001), value: Uint8Array.of(2) },
  ]);
  const [lower, upper] = halvesOf(WHOLE_TREE);
  const empty = tree.subtree(upper) as Subtree;
  assert.equal(empty.count, 0);
  assert.ok(checks(tree, upper, [], empty.siblings));
  assert.ok(!checks(tree, lower, [], (tree.subtree(lower) as Subtree).siblings));
});

test('CRYPTO-7.6: below a single leaf there is no piece', () => {
  const tree = treeOf([1]);
  assert.ok(checks(tree, WHOLE_TREE, [...tree.entries()], []));
  for (const half of halvesOf(WHOLE_TREE)) assert.equal(tree.subtree(half), undefined);
});

test('CRYPTO-7.6: halves of a prefix extend it by one bit, and no key is under both', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(40), (key, depth) => {
      let prefix = WHOLE_TREE;
      for (let at = 0; at < depth; at += 1) {
        const [lower, upper] = halvesOf(prefix);
        assert.equal(isUnder(lower, key), bitAt(key, at) === 0);
        assert.equal(isUnder(upper, key), bitAt(key, at) === 1);
        prefix = bitAt(key, at) === 1 ? upper : lower;
      }
      assert.equal(prefix.depth, depth);
      assert.equal(prefix.bits.length, Math.ceil(depth / 8));
      assert.ok(isUnder(prefix, key));
      assert.ok(equalBytes(prefix.bits.subarray(0, depth >> 3), key.subarray(0, depth >> 3)));
    }),
  );
});
