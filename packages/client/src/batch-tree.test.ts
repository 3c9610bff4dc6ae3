import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MerkleTree, verifyMerklePath } from '@itc/core/crypto/merkle.js';
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { batchLeaf } from '@itc/core/ledger/bodies/device.js';
import { batchPath, BatchTreeBuilder, buildBatchTree, MemoryNodes, type LeafKeys } from './batch-tree.ts';

const key = (seed: number, of: number): PublicKey => ({
  algorithm: ED25519,
  bytes: sha256(Uint8Array.of(of, seed & 255, (seed >> 8) & 255)),
});
const leaf = (i: number): LeafKeys => ({ device: key(i, 0), claimKey: key(i, 1) });

test('CLIENT-1.8: leaves that come one by one give the root and the paths of the tree of their list', async () => {
  for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100]) {
    const leaves = Array.from({ length: count }, (_, i) => leaf(i));
    const tree = new MerkleTree(leaves.map(({ device, claimKey }) => batchLeaf(device, claimKey)));
    const store = new MemoryNodes();
    const built = await buildBatchTree(leaves, store);
    assert.deepEqual(built, { root: tree.root, count });
    for (let index = 0; index < count; index += 1) {
      const path = batchPath(store, count, index);
      assert.deepEqual(path, tree.path(index), `${index} of ${count}`);
      const { device, claimKey } = leaf(index);
      assert.ok(
        verifyMerklePath({ root: built.root, leaf: batchLeaf(device, claimKey), index, count, path }),
      );
    }
  }
});

test('CLIENT-1.8: progress is told on the way; an empty batch and a device outside are mistakes', async () => {
  function* many(): Generator<LeafKeys> {
    for (let i = 0; i < 20_001; i += 1) yield leaf(i);
  }
  const told: number[] = [];
  const { count } = await buildBatchTree(many(), new MemoryNodes(), (so) => told.push(so));
  assert.deepEqual([count, told], [20_001, [10_000, 20_000]]);
  assert.throws(() => new BatchTreeBuilder(new MemoryNodes()).finish(), RangeError);
  assert.throws(() => batchPath(new MemoryNodes(), 3, 3), RangeError);
});
