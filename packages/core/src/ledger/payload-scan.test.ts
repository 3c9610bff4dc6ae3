import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeCbor, type Cbor, type CborMap, type CborTag } from '../bytes/cbor.ts';
import { anyAddress } from '../testing/arbitraries.ts';
import { keyPair } from '../testing/keys.ts';
import { encodePayload, type ContentType, type UnsignedPayload } from './payload.ts';
import { payloadScan } from './payload-scan.ts';

const TYPES: Readonly<Record<ContentType, number | string>> = {
  'senml+json': 110,
  'senml+cbor': 112,
  command: 'application/vnd.itc.command',
  ack: 'application/vnd.itc.ack',
  value: 'application/vnd.itc.value',
  accusation: 'application/vnd.itc.accusation',
  rental: 'application/vnd.itc.rental',
  attestation: 'application/vnd.itc.attestation',
};
const scan = payloadScan(TYPES);
const device = keyPair(40);

const anyPayload: fc.Arbitrary<Uint8Array> = fc
  .record({
    contentType: fc.constantFrom(...(Object.keys(TYPES) as ContentType[])),
    sequence: fc.oneof(
      fc.integer({ min: 1, max: 70_000 }),
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    ),
    content: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 300 })),
    other: fc.option(anyAddress, { nil: undefined }),
    signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  })
  .map(({ contentType, sequence, content, other, signature }) => {
    const unsigned: UnsignedPayload = {
      signer: device.key,
      device: other ?? device.address,
      sequence,
      contentType,
      content,
    };
    return encodePayload(unsigned, signature);
  });

/** What the general decoder finds; throws when it is no payload of the form the scan claims it to be. */
function found(bytes: Uint8Array): readonly unknown[] {
  const outer = decodeCbor(bytes);
  assert.ok(outer.ok, 'the scan took what is no CBOR');
  const value = bytes[0] === 0xd2 ? (outer.value as CborTag).value : outer.value;
  const [header, unprotected, content, signature] = value as [Uint8Array, CborMap, Uint8Array, Uint8Array];
  assert.equal(unprotected.entries.length, 0);
  assert.equal(signature.length, 64);
  const map = decodeCbor(header);
  assert.ok(map.ok);
  const labels = new Map<Cbor, Cbor>((map.value as CborMap).entries);
  assert.equal(labels.get(1), -8);
  const type = Object.entries(TYPES).find(([, label]) => label === labels.get(3))?.[0];
  const known = [1, 3, 4, -70001, -70002].filter((label) => labels.has(label)).length;
  assert.equal(known, labels.size, 'no unknown label');
  const bytesOf = (label: number): string => {
    const bytes = labels.get(label);
    return bytes instanceof Uint8Array ? String(bytes) : '';
  };
  return [type, labels.get(-70001), bytesOf(4), bytesOf(-70002), String(content)];
}

function scanned(bytes: Uint8Array): readonly unknown[] | undefined {
  const parts = scan(bytes);
  if (parts === undefined) return undefined;
  const { contentType, sequence, keyAt, deviceAt, contentAt, contentEnd } = parts;
  const run = (from: number, to: number): string => String(bytes.slice(from, to));
  return [
    contentType,
    sequence,
    run(keyAt, keyAt + 32),
    deviceAt < 0 ? '' : run(deviceAt, deviceAt + 32),
    run(contentAt, contentEnd),
  ];
}

test('WIRE-5.9: the quick way finds in every encoded payload what the general decoder finds', () => {
  fc.assert(
    fc.property(anyPayload, (bytes) => {
      assert.deepEqual(scanned(bytes), found(bytes));
      const untagged = bytes.slice(1);
      assert.deepEqual(scanned(untagged), found(untagged));
    }),
    { numRuns: 200 },
  );
});

test('WIRE-5.9: of bytes that were changed, cut or added to it takes none that the general decoder would not', () => {
  const anyChange = fc.record({
    bytes: anyPayload,
    at: fc.nat({ max: 400 }),
    byte: fc.nat({ max: 255 }),
    cut: fc.constantFrom(0, 0, 0, 1, 30, -1),
  });
  fc.assert(
    fc.property(anyChange, ({ bytes, at, byte, cut }) => {
      const changed = cut < 0 ? Uint8Array.of(...bytes, byte) : bytes.slice(0, bytes.length - cut);
      changed[at % changed.length] = byte;
      const quick = scanned(changed);
      if (quick !== undefined) assert.deepEqual(quick, found(changed));
    }),
    { numRuns: 2_000 },
  );
});
