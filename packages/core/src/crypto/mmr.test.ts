import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { hashTagged, sha256, type Hash } from './hash.ts';
import { merkleRoot } from './merkle.ts';
import {
  EMPTY_MMR,
  mmrAppend,
  MmrLog,
  nodesOfLeaf,
  nodesOfPeaks,
  pathOfNodes,
  mmrPath,
  mmrRoot,
  verifyMmrPath,
  verifyMmrRange,
  type Mmr,
} from './mmr.ts';

installNativeSha256();

const leaf = (i: number): Hash => sha256(Uint8Array.of(1, i >> 8, i & 255));
const leaves = (n: number): Hash[] => Array.from({ length: n }, (_, i) => leaf(i));
const grown = (n: number): Mmr => leaves(n).reduce(mmrAppend, EMPTY_MMR);

test('CRYPTO-6.1: the root commits the count and the Merkle root of all leaves, for every count up to 130', () => {
  const log = new MmrLog();
  let mmr = EMPTY_MMR;
  for (let n = 0; n <= 130; n += 1) {
    const expected = hashTagged('mmr', new Writer().u53(n).finish(), merkleRoot(leaves(n)));
    assert.equal(toHex(mmrRoot(mmr)), toHex(expected));
    assert.equal(toHex(log.root()), toHex(expected));
    assert.equal(mmr.peaks.length, n.toString(2).replaceAll('0', '').length);
    mmr = mmrAppend(mmr, leaf(n));
    log.append(leaf(n));
  }
});

test('CRYPTO-6.1: appending leaves the earlier range as it was', () => {
  const seven = grown(7);
  const before = toHex(mmrRoot(seven));
  mmrAppend(seven, leaf(7));
  assert.equal(toHex(mmrRoot(seven)), before);
});

test('CRYPTO-6.2: the log gives the same path as brute force, against every earlier count', () => {
  const log = new MmrLog();
  for (const hash of leaves(45)) log.append(hash);
  for (let count = 1; count <= 45; count += 1) {
    assert.equal(toHex(log.root(count)), toHex(mmrRoot(grown(count))));
    for (let index = 0; index < count; index += 1) {
      const path = log.path(index, count);
      assert.deepEqual(path, mmrPath(leaves(count), index));
      assert.ok(verifyMmrPath({ root: log.root(count), leaf: leaf(index), path }));
    }
  }
});

test('CRYPTO-6.2: attack wrong MMR path: another index, count, leaf, sibling or root is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 200 }), fc.nat(), (count, at) => {
      const index = at % count;
      const root = mmrRoot(grown(count));
      const path = mmrPath(leaves(count), index);
      assert.ok(verifyMmrPath({ root, leaf: leaf(index), path }));
      const other = (index + 1) % count;
      assert.ok(!verifyMmrPath({ root, leaf: leaf(other), path }));
      assert.ok(!verifyMmrPath({ root, leaf: leaf(index), path: { ...path, index: other } }));
      assert.ok(!verifyMmrPath({ root, leaf: leaf(index), path: { ...path, count: count + 1 } }));
      assert.ok(!verifyMmrPath({ root, leaf: leaf(index), path: { ...path, count: count - 1 } }));
      assert.ok(!verifyMmrPath({ root: mmrRoot(grown(count - 1)), leaf: leaf(index), path }));
      assert.ok(
        !verifyMmrPath({ root, leaf: leaf(index), path: { ...path, siblings: path.siblings.slice(1) } }),
      );
      const siblings = path.siblings.with(0, leaf(999));
      assert.ok(!verifyMmrPath({ root, leaf: leaf(index), path: { ...path, siblings } }));
    }),
    { numRuns: 40 },
  );
});

test('CRYPTO-6.3: stretches of a power of two verify alone against the root, the last one as short as it is', () => {
  const log = new MmrLog();
  for (const hash of leaves(90)) log.append(hash);
  for (const count of [1, 2, 7, 8, 9, 45, 64, 65, 90]) {
    for (const size of [1, 4, 16, 128]) {
      for (let start = 0; start < count; start += size) {
        const end = Math.min(start + size, count);
        const range = {
          start,
          count,
          leaves: leaves(90).slice(start, end),
          siblings: log.rangePath(start, end, count),
        };
        assert.ok(verifyMmrRange(log.root(count), range));
        const [first, ...others] = range.leaves;
        assert.ok(!verifyMmrRange(log.root(count), { ...range, leaves: [leaf(200), ...others] }));
        assert.ok(!verifyMmrRange(log.root(count), { ...range, leaves: others }));
        assert.ok(!verifyMmrRange(log.root(count), { ...range, leaves: [first as Hash, ...range.leaves] }));
        assert.ok(!verifyMmrRange(log.root(count), { ...range, start: start + size }));
        assert.ok(!verifyMmrRange(log.root(count), { ...range, count: count + 1 }));
        assert.ok(!verifyMmrRange(log.root(count), { ...range, siblings: [...range.siblings, leaf(0)] }));
        assert.ok(!verifyMmrRange(log.root(), { ...range, count: 1e15 }));
      }
    }
  }
});

test('CRYPTO-6.3: a stretch that no node is over cannot be shown', () => {
  const log = new MmrLog();
  for (const hash of leaves(9)) log.append(hash);
  assert.throws(() => log.rangePath(1, 3), RangeError);
  assert.throws(() => log.rangePath(4, 9), RangeError);
  assert.throws(() => log.rangePath(3, 3), RangeError);
  const empty = { start: 0, count: 0, leaves: [], siblings: [] };
  assert.ok(!verifyMmrRange(new MmrLog().root(), empty));
});

test('CRYPTO-6.4: who begins with the peaks of a range has the path of every leaf that comes after, and of no earlier one but by chance', () => {
  const whole = new MmrLog();
  for (const hash of leaves(70)) whole.append(hash);
  for (const begun of [1, 2, 5, 8, 31, 33, 64]) {
    const kept = new Map<string, Hash>();
    const nodeAt = (level: number, index: number): Hash | undefined => kept.get(`${level} ${index}`);
    for (const { level, index, hash } of nodesOfPeaks(grown(begun))) kept.set(`${level} ${index}`, hash);
    for (let count = begun; count < 70; count += 1) {
      const nodes = nodesOfLeaf(leaf(count), count, nodeAt);
      assert.ok(nodes);
      for (const { level, index, hash } of nodes) kept.set(`${level} ${index}`, hash);
    }
    for (let count = begun + 1; count <= 70; count += 1) {
      for (let index = begun; index < count; index += 1)
        assert.deepEqual(pathOfNodes(nodeAt, index, count), whole.path(index, count));
      for (let index = 0; index < begun; index += 1) {
        const path = pathOfNodes(nodeAt, index, count);
        if (path !== undefined) assert.deepEqual(path, whole.path(index, count));
      }
    }
    if (begun > 2) assert.equal(pathOfNodes(nodeAt, 0, 70), undefined);
  }
});
