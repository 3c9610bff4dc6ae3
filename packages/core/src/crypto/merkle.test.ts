import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { unlessVectors, vectorJson, vectorPaths } from '../testing/vectors.ts';
import { asHash, sha256, type Hash } from './hash.ts';
import {
  MerkleTree,
  merkleLeaf,
  merkleNode,
  merklePath,
  merkleRoot,
  merkleRootFromPath,
  verifyMerklePath,
} from './merkle.ts';

installNativeSha256();

const leaf = (i: number): Hash => sha256(Uint8Array.of(i >> 8, i & 255));
const leaves = (n: number): Hash[] => Array.from({ length: n }, (_, i) => leaf(i));

/** RFC 6962 §2.1 word by word. */
function rootByDefinition(list: readonly Hash[]): Hash {
  if (list.length === 0) return sha256(new Uint8Array(0));
  if (list.length === 1) return merkleLeaf(list[0] as Hash);
  let k = 1;
  while (k * 2 < list.length) k *= 2;
  return merkleNode(rootByDefinition(list.slice(0, k)), rootByDefinition(list.slice(k)));
}

test('CRYPTO-5.1: the root is that of RFC 6962 for every number of leaves up to 70', () => {
  for (let n = 0; n <= 70; n += 1)
    assert.deepEqual(toHex(merkleRoot(leaves(n))), toHex(rootByDefinition(leaves(n))));
  assert.equal(toHex(merkleRoot([])), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

test('CRYPTO-5.2: every leaf of every tree up to 40 leaves is proven, and at no other position', () => {
  for (let count = 1; count <= 40; count += 1) {
    const list = leaves(count);
    const tree = new MerkleTree(list);
    const root = tree.root;
    assert.ok(equalBytes(root, merkleRoot(list)));
    for (let index = 0; index < count; index += 1) {
      const path = tree.path(index);
      assert.deepEqual(path, merklePath(list, index));
      for (let at = 0; at < count; at += 1) {
        assert.equal(
          verifyMerklePath({ root, leaf: list[index] as Hash, index: at, count, path }),
          at === index,
        );
      }
    }
  }
});

test('CRYPTO-5.2: a changed, shortened or lengthened path, another leaf and another root are refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.nat(), fc.nat(), (count, at, bit) => {
      const list = leaves(count);
      const index = at % count;
      const good = { root: merkleRoot(list), leaf: leaf(index), index, count, path: merklePath(list, index) };
      assert.ok(verifyMerklePath(good));
      const flip = (hash: Hash): Hash => {
        const copy = hash.slice();
        const byte = (bit >> 3) % 32;
        copy[byte] = (copy[byte] as number) ^ (1 << (bit & 7));
        return asHash(copy);
      };
      good.path.forEach((sibling, i) =>
        assert.ok(!verifyMerklePath({ ...good, path: good.path.with(i, flip(sibling)) })),
      );
      assert.ok(!verifyMerklePath({ ...good, leaf: flip(good.leaf) }));
      assert.ok(!verifyMerklePath({ ...good, root: flip(good.root) }));
      assert.ok(!verifyMerklePath({ ...good, path: [...good.path, leaf(0)] }));
      if (good.path.length > 0) assert.ok(!verifyMerklePath({ ...good, path: good.path.slice(0, -1) }));
      assert.ok(!verifyMerklePath({ ...good, index: count }));
      assert.ok(!verifyMerklePath({ ...good, index: -1 }));
      assert.ok(!verifyMerklePath({ ...good, index: index + 0.5 }));
    }),
  );
});

test('CRYPTO-5.3: attack leaf-as-node: an inner node does not pass as a leaf, nor a leaf as an inner node', () => {
  const list = leaves(4);
  const root = merkleRoot(list);
  const inner = merkleNode(merkleLeaf(leaf(0)), merkleLeaf(leaf(1)));
  const right = merkleNode(merkleLeaf(leaf(2)), merkleLeaf(leaf(3)));
  // The inner node claimed as leaf 0 of a tree of two: its hash gets the leaf prefix, so the root differs.
  assert.ok(!verifyMerklePath({ root, leaf: inner, index: 0, count: 2, path: [right] }));
  assert.notDeepEqual(merkleRoot([inner, right]), root);
  // Without the prefix the same path would verify: this is the attack the prefix stops.
  assert.deepEqual(merkleRootFromPath({ leafHash: inner, index: 0, count: 2, path: [right] }), root);
});

test('CRYPTO-5.3: attack of CVE-2012-2459: repeating the last leaf gives another root', () => {
  for (let n = 1; n <= 9; n += 1)
    assert.notDeepEqual(merkleRoot([...leaves(n), leaf(n - 1)]), merkleRoot(leaves(n)));
});

interface InclusionVector {
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly root: string;
  readonly leafHash: string;
  readonly proof: readonly string[] | null;
  readonly desc: string;
  readonly wantErr: boolean;
}

test(
  'CRYPTO-5.2: the published inclusion proofs are decided as published',
  { skip: unlessVectors('merkle-rfc6962/inclusion') },
  () => {
    const paths = vectorPaths('merkle-rfc6962/inclusion');
    assert.ok(paths.length >= 5);
    for (const path of paths) {
      const vector = vectorJson(path) as InclusionVector;
      const bytes = (text: string): Hash => Uint8Array.from(Buffer.from(text, 'base64')) as Hash;
      const root = merkleRootFromPath({
        leafHash: bytes(vector.leafHash),
        index: vector.leafIdx,
        count: vector.treeSize,
        path: (vector.proof ?? []).map(bytes),
      });
      assert.equal(
        root !== undefined && equalBytes(root, bytes(vector.root)),
        !vector.wantErr,
        `${path} ${vector.desc}`,
      );
    }
  },
);
