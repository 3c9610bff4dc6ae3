import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes, equalBytes, toHex } from '../bytes/hex.ts';
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { installNativeSha256, nativeSha256 } from '../testing/keys.ts';
import { asHash, installSha256, sha256, ZERO_HASH, type Hash } from './hash.ts';
import { merkleNode } from './merkle.ts';
import {
  readStateProof,
  StateTree,
  verifyStateProof,
  writeStateProof,
  type StateChange,
  type StateProof,
} from './state-tree.ts';

installNativeSha256();

/** Keys from few bits, so that long shared prefixes and neighbours are common. */
const keyOf = (n: number): Hash => {
  const key = new Uint8Array(32);
  key[0] = n & 0xf0;
  key[1] = (n & 1) << 7;
  key[31] = n & 15;
  return asHash(key);
};
const change = fc.record({
  key: fc.integer({ min: 0, max: 255 }).map(keyOf),
  value: fc.option(fc.uint8Array({ maxLength: 6 }), { nil: undefined, freq: 3 }),
});
const batches = fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 8 });

function bit(key: Uint8Array, depth: number): number {
  return ((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1;
}

/** The definition of CRYPTO-7, computed anew from all entries. */
function rootByDefinition(entries: readonly (readonly [Hash, Uint8Array])[], depth = 0): Hash {
  const [first] = entries;
  if (first === undefined) return ZERO_HASH;
  if (entries.length === 1) return sha256(Uint8Array.of(0, ...first[0], ...sha256(first[1])));
  const side = (wanted: number): Hash =>
    rootByDefinition(
      entries.filter(([key]) => bit(key, depth) === wanted),
      depth + 1,
    );
  return sha256(Uint8Array.of(1, ...side(0), ...side(1)));
}

class Model {
  readonly entries = new Map<string, readonly [Hash, Uint8Array]>();

  apply(changes: readonly StateChange[]): void {
    for (const { key, value } of changes) {
      if (value === undefined) this.entries.delete(toHex(key));
      else this.entries.set(toHex(key), [key, value]);
    }
  }

  get root(): Hash {
    return rootByDefinition([...this.entries.values()]);
  }
}

test('CRYPTO-7.1: root, values, size and order agree with the naive model after any batches of changes', () => {
  fc.assert(
    fc.property(batches, (steps) => {
      const model = new Model();
      let tree = StateTree.empty;
      for (const changes of steps) {
        tree = tree.update(changes);
        model.apply(changes);
        assert.equal(toHex(tree.root), toHex(model.root));
        assert.equal(tree.size, model.entries.size);
      }
      for (let n = 0; n < 256; n += 1)
        assert.deepEqual(tree.get(keyOf(n)), model.entries.get(toHex(keyOf(n)))?.[1]);
      const listed = [...tree.entries()];
      const expected = [...model.entries.values()].sort((a, b) => compareBytes(a[0], b[0]));
      assert.deepEqual(
        listed.map(({ key, value }) => [key, value]),
        expected,
      );
    }),
    { numRuns: 60 },
  );
});

test('CRYPTO-7.1: the root depends on the entries only, not on the order or grouping of updates', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
      fc.integer(),
      (numbers, seed) => {
        const changes = numbers.map((n) => ({ key: keyOf(n), value: Uint8Array.of(n) }));
        const shuffled = changes.toSorted(
          (a, b) => (((a.value[0] as number) * 31 + seed) % 7) - (((b.value[0] as number) * 31 + seed) % 7),
        );
        const atOnce = StateTree.empty.update(changes);
        const oneByOne = shuffled.reduce((tree, each) => tree.update([each]), StateTree.empty);
        const detour = StateTree.empty
          .update([{ key: keyOf(77), value: Uint8Array.of(1, 2) }])
          .update([{ key: keyOf(77), value: undefined }, ...shuffled]);
        assert.equal(toHex(oneByOne.root), toHex(atOnce.root));
        assert.equal(toHex(detour.root), toHex(atOnce.root));
      },
    ),
    { numRuns: 60 },
  );
});

test('CRYPTO-7.2: of several changes to one key in one update the last counts', () => {
  const key = keyOf(3);
  const values = [Uint8Array.of(1), undefined, Uint8Array.of(2)];
  const tree = StateTree.empty.update(values.map((value) => ({ key, value })));
  assert.deepEqual(tree.get(key), Uint8Array.of(2));
  assert.equal(tree.size, 1);
});

test('CRYPTO-7.2: an earlier tree keeps its root, values and proofs after updates; nothing changed means the same tree', () => {
  const first = StateTree.empty.update(
    Array.from({ length: 50 }, (_, n) => ({ key: keyOf(n), value: Uint8Array.of(n) })),
  );
  const root = toHex(first.root);
  const second = first.update([
    { key: keyOf(7), value: undefined },
    { key: keyOf(8), value: Uint8Array.of(99) },
  ]);
  assert.notEqual(toHex(second.root), root);
  assert.equal(toHex(first.root), root);
  assert.deepEqual(first.get(keyOf(7)), Uint8Array.of(7));
  assert.ok(verifyStateProof(first.root, keyOf(7), Uint8Array.of(7), first.prove(keyOf(7))));
  assert.ok(verifyStateProof(second.root, keyOf(7), undefined, second.prove(keyOf(7))));
  assert.equal(
    first.update([
      { key: keyOf(7), value: Uint8Array.of(7) },
      { key: keyOf(200), value: undefined },
    ]),
    first,
  );
});

test('CRYPTO-7.3: membership and absence are proven for every key, and the opposite never is', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.integer({ min: 0, max: 255 }), (changes, n) => {
      const tree = StateTree.empty.update(changes);
      const key = keyOf(n);
      const value = tree.get(key);
      const proof = tree.prove(key);
      assert.ok(verifyStateProof(tree.root, key, value, proof));
      assert.ok(!verifyStateProof(tree.root, key, value === undefined ? Uint8Array.of(1) : undefined, proof));
      assert.ok(!verifyStateProof(tree.root, key, Uint8Array.of(...(value ?? []), 0), proof));
    }),
  );
});

test('CRYPTO-7.3: attack: the proof of one key does not prove absence of another that is there', () => {
  const tree = StateTree.empty.update(
    Array.from({ length: 64 }, (_, n) => ({ key: keyOf(n * 4), value: Uint8Array.of(n) })),
  );
  const present = [...tree.entries()];
  for (const { key } of present) {
    for (let n = 0; n < 256; n += 17) {
      const borrowed = tree.prove(keyOf(n));
      assert.ok(!verifyStateProof(tree.root, key, undefined, borrowed));
      const own = tree.prove(key);
      // The key's own leaf offered as "another leaf", and a leaf from elsewhere grafted on the key's path.
      const valueHash = sha256(tree.get(key) as Uint8Array);
      assert.ok(
        !verifyStateProof(tree.root, key, undefined, {
          siblings: own.siblings,
          terminal: { key, valueHash },
        }),
      );
      assert.ok(
        !verifyStateProof(tree.root, key, undefined, { siblings: own.siblings, terminal: borrowed.terminal }),
      );
    }
  }
});

test('CRYPTO-7.3: attack: a proof cut short at a branch proves neither absence nor a value', () => {
  const tree = StateTree.empty.update(
    Array.from({ length: 16 }, (_, n) => ({ key: keyOf(n * 16), value: Uint8Array.of(n) })),
  );
  const key = keyOf(0);
  const { siblings } = tree.prove(key);
  for (let length = 0; length < siblings.length; length += 1) {
    const cut: StateProof = { siblings: siblings.slice(0, length), terminal: undefined };
    assert.ok(!verifyStateProof(tree.root, key, undefined, cut));
    assert.ok(!verifyStateProof(tree.root, key, Uint8Array.of(0), cut));
  }
  assert.ok(
    !verifyStateProof(tree.root, key, Uint8Array.of(0), {
      siblings: Array.from({ length: 257 }, () => ZERO_HASH),
      terminal: undefined,
    }),
  );
});

test('CRYPTO-7.3: attack: a leaf that is not on the key’s way proves nothing, even in a tree that has it misplaced', () => {
  const low = keyOf(0);
  const high = keyOf(0x80);
  const valueHash = sha256(Uint8Array.of(5));
  const leaf = sha256(Uint8Array.of(0, ...high, ...valueHash));
  const misplaced = merkleNode(leaf, ZERO_HASH);
  const proof: StateProof = { siblings: [ZERO_HASH], terminal: { key: high, valueHash } };
  assert.ok(!verifyStateProof(misplaced, low, undefined, proof));
  assert.ok(
    verifyStateProof(merkleNode(ZERO_HASH, leaf), keyOf(0x90), undefined, proof),
    'on its way it does',
  );
});

test('CRYPTO-7.3: a value is proven without another leaf: there is one form of a proof', () => {
  const key = keyOf(1);
  const tree = StateTree.empty.update([
    { key, value: Uint8Array.of(1) },
    { key: keyOf(2), value: Uint8Array.of(2) },
  ]);
  const proof = tree.prove(key);
  assert.ok(verifyStateProof(tree.root, key, Uint8Array.of(1), proof));
  const terminal = { key: keyOf(2), valueHash: ZERO_HASH };
  assert.ok(!verifyStateProof(tree.root, key, Uint8Array.of(1), { ...proof, terminal }));
});

test('CRYPTO-7.4: an empty sibling written out and a bit beyond the depth are refused', () => {
  const none = new Uint8Array(32);
  const codeOf = (...bytes: readonly number[]): string => {
    const read = decode(readStateProof, Uint8Array.from(bytes));
    return read.ok ? 'ok' : read.code;
  };
  assert.equal(codeOf(0, 1, 0, 0), 'ok');
  assert.equal(codeOf(0, 1, 1, ...none.with(0, 7), 0), 'ok');
  assert.equal(codeOf(0, 1, 1, ...none, 0), 'decode.not-canonical');
  assert.equal(codeOf(0, 1, 2, 0), 'decode.not-canonical');
  assert.equal(codeOf(1, 1, ...new Uint8Array(33), 0), 'decode.too-long');
});

test('CRYPTO-7.4: proofs have one encoding; any changed byte is refused or is another proof that does not verify', () => {
  const tree = StateTree.empty.update(
    Array.from({ length: 40 }, (_, n) => ({ key: keyOf(n * 3), value: Uint8Array.of(n) })),
  );
  for (const n of [0, 1, 3, 120]) {
    const key = keyOf(n);
    const writer = new Writer();
    writeStateProof(writer, tree.prove(key));
    const bytes = writer.finish();
    const back = decode(readStateProof, bytes);
    assert.ok(back.ok);
    assert.deepEqual(back.value, tree.prove(key));
    for (let at = 0; at < bytes.length; at += 1) {
      for (const mask of [1, 0x80]) {
        const flipped = bytes.with(at, (bytes[at] as number) ^ mask);
        const read = decode(readStateProof, flipped);
        if (!read.ok) continue;
        const again = new Writer();
        writeStateProof(again, read.value);
        assert.ok(equalBytes(again.finish(), flipped));
        assert.ok(!verifyStateProof(tree.root, key, tree.get(key), read.value));
      }
    }
  }
});

test('CRYPTO-7.5: a thousand changes among twenty thousand entries hash the touched paths, each node once', () => {
  const entry = (n: number): StateChange => ({
    key: sha256(new Writer().u32(n).finish()),
    value: new Uint8Array(8),
  });
  const bulk = Array.from({ length: 20_000 }, (_, n) => entry(n));
  const tree = StateTree.empty.update(bulk);
  const changes = bulk.slice(0, 1000).map(({ key }, n) => ({ key, value: Uint8Array.of(n & 255, 1) }));
  let hashed = 0;
  installSha256((bytes) => {
    hashed += 1;
    return nativeSha256(bytes);
  });
  const updated = tree.update(changes);
  installNativeSha256();
  assert.equal(updated.size, tree.size);
  // Two per leaf, about a thousand shared branches near the top, five or six unshared ones per leaf below.
  assert.ok(hashed > 2000 && hashed < 10_000, `${hashed} hashes`);
});
