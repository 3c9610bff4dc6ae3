import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCbor, type Cbor } from '../bytes/cbor.ts';
import { toHex } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import { person } from '../testing/state-world.ts';
import { encodeManifest, manifestHash, type ManifestParts } from './suit-manifest.ts';

const parts: ManifestParts = {
  sequence: 7,
  maker: person('maker').address,
  model: sha256(Uint8Array.of(1)),
  board: 'lamp-a1',
  image: sha256(Uint8Array.of(2)),
  size: 4096,
};

function entriesOf(bytes: Uint8Array): Map<Cbor, Cbor> {
  const decoded = decodeCbor(bytes);
  assert.ok(
    decoded.ok &&
      typeof decoded.value === 'object' &&
      'kind' in decoded.value &&
      decoded.value.kind === 'map',
  );
  return new Map(decoded.value.entries);
}

test('STATE-23.4: a manifest says version, counter, and for which board which image is', () => {
  const manifest = entriesOf(encodeManifest(parts));
  assert.equal(manifest.get(1), 1);
  assert.equal(manifest.get(2), 7);
  const common = manifest.get(3);
  assert.ok(common instanceof Uint8Array);
  const shared = entriesOf(common).get(4);
  assert.ok(shared instanceof Uint8Array);
  assert.ok(toHex(shared).includes(toHex(parts.image)));
  assert.ok(toHex(shared).includes(toHex(parts.maker.slice(0, 16))));
});

test('STATE-23.4: two manifests hash the same only when they say the same', () => {
  const changed: Partial<ManifestParts>[] = [
    { sequence: 8 },
    { maker: person('other').address },
    { model: parts.image },
    { board: 'lamp-b1' },
    { image: parts.model },
    { size: 4097 },
  ];
  const hashes = [{}, ...changed].map((change) =>
    toHex(manifestHash(encodeManifest({ ...parts, ...change }))),
  );
  assert.equal(new Set(hashes).size, hashes.length);
});
