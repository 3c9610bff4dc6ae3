import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { unlessVectors, vectorJson } from '../testing/vectors.ts';
import { CBOR_DEPTH_MAX, decodeCbor, encodeCbor, type Cbor } from './cbor.ts';
import { equalBytes, toHex } from './hex.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

function codeOf(text: string): string {
  const result = decodeCbor(bytesOf(text));
  return result.ok ? 'ok' : result.code;
}

interface Vector {
  readonly hex: string;
  readonly roundtrip: boolean;
  readonly decoded?: unknown;
}

/** Whether a vector lies in the subset: no float, no simple value, no indefinite length, no integer beyond 2^53 − 1. */
const OUTSIDE =
  /^(f|[5-9b]f|1b(00[2-9a-f]|0[1-9a-f]|[1-9a-f])|3b(00[2-9a-f]|0[1-9a-f]|[1-9a-f])|c1fb|c249|c349)/;

function toCbor(value: unknown): Cbor {
  if (Array.isArray(value)) return value.map(toCbor);
  if (typeof value !== 'object' || value === null) return value as Cbor;
  return { kind: 'map', entries: Object.entries(value).map(([key, each]) => [key, toCbor(each)] as const) };
}

test(
  'WIRE-7.1: the examples of RFC 8949 appendix A inside the subset decode and encode as given',
  { skip: unlessVectors('cbor') },
  () => {
    let inside = 0;
    for (const vector of vectorJson('cbor/appendix_a.json') as Vector[]) {
      if (
        vector.hex.startsWith('bf') ||
        OUTSIDE.test(vector.hex) ||
        /f[4-7]/.test(vector.hex) ||
        !vector.roundtrip
      )
        continue;
      const decoded = decodeCbor(bytesOf(vector.hex));
      assert.ok(decoded.ok, `${vector.hex}: ${decoded.ok ? '' : decoded.message}`);
      assert.equal(toHex(encodeCbor(decoded.value)), vector.hex);
      // Byte strings, tags and maps with other keys have no JSON form in the vectors.
      if ('decoded' in vector && !/^(4|c|d|a201020304)/.test(vector.hex))
        assert.deepEqual(decoded.value, toCbor(vector.decoded), vector.hex);
      inside += 1;
    }
    assert.ok(inside >= 35, `${inside} examples`);
  },
);

test(
  'WIRE-7.2: examples of RFC 8949 appendix A outside the subset are refused',
  { skip: unlessVectors('cbor') },
  () => {
    let outside = 0;
    for (const vector of vectorJson('cbor/appendix_a.json') as Vector[]) {
      if (!OUTSIDE.test(vector.hex) && vector.roundtrip) continue;
      if (vector.hex === 'c249010000000000000000' || vector.hex === 'c349010000000000000000') continue; // a tag on a byte string
      assert.ok(!decodeCbor(bytesOf(vector.hex)).ok, vector.hex);
      outside += 1;
    }
    assert.ok(outside >= 25, `${outside} examples`);
  },
);

test('WIRE-7.2: floats, simple values, indefinite lengths and large integers are refused by their code', () => {
  for (const text of ['f90000', 'fa00000000', 'fb0000000000000000', 'f4', 'f5', 'f6', 'f7', 'ff', 'f800']) {
    assert.equal(codeOf(text), 'decode.unknown-kind', text);
  }
  for (const text of ['5f4100ff', '7f6100ff', '9fff', 'bfff', '1c', '1d', '1e', '1f'])
    assert.equal(codeOf(text), 'decode.not-canonical', text);
  assert.equal(codeOf('1b001fffffffffffff'), 'ok');
  assert.equal(codeOf('1b0020000000000000'), 'decode.out-of-range');
  assert.equal(codeOf('3b001ffffffffffffe'), 'ok');
  assert.equal(codeOf('3b001fffffffffffff'), 'decode.out-of-range');
});

test('WIRE-7.3: heads longer than needed are refused', () => {
  for (const text of [
    '1817',
    '190017',
    '1900ff',
    '1a0000ffff',
    '1b00000000ffffffff',
    '580100',
    '7800',
    '980100',
    'b8010100',
    'd80141',
  ]) {
    assert.equal(codeOf(text), 'decode.not-canonical', text);
  }
});

test('WIRE-7.3: map keys ascend by their encodings, each once', () => {
  assert.equal(codeOf('a201000200'), 'ok');
  assert.equal(codeOf('a202000100'), 'decode.not-canonical');
  assert.equal(codeOf('a201000100'), 'decode.not-canonical');
  // 100 (two bytes) comes after −1 (0x20) in bytewise order.
  assert.equal(codeOf('a22000186400'), 'decode.not-canonical');
  assert.equal(codeOf('a21864002000'), 'ok');
  const entries: [Cbor, Cbor][] = [
    [-70001, 1],
    [4, 2],
    ['a', 3],
    [1, 4],
  ];
  assert.equal(toHex(encodeCbor({ kind: 'map', entries })), 'a4010404023a0001117001616103');
  assert.throws(
    () =>
      encodeCbor({
        kind: 'map',
        entries: [
          [1, 1],
          [1, 2],
        ],
      }),
    RangeError,
  );
});

test('WIRE-7.4: lengths beyond the input are refused before anything is allocated', () => {
  for (const text of [
    '5b001fffffffffffff00',
    '9b001fffffffffffff00',
    'bb001fffffffffffff00',
    '9affffffff',
    'ba7fffffff00',
  ]) {
    assert.equal(codeOf(text), 'decode.truncated', text);
  }
});

test('WIRE-7.5: nesting ends at the limit', () => {
  assert.equal(codeOf('81'.repeat(CBOR_DEPTH_MAX - 1) + '00'), 'ok');
  assert.equal(codeOf('81'.repeat(CBOR_DEPTH_MAX) + '00'), 'decode.too-long');
  assert.equal(codeOf('c1'.repeat(CBOR_DEPTH_MAX) + '00'), 'decode.too-long');
});

const { value: anyCbor } = fc.letrec<{ value: Cbor; leaf: Cbor }>((tie) => ({
  leaf: fc.oneof(
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.string({ maxLength: 6 }).filter((text) => !/\p{Cs}/u.test(text)),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => new Uint8Array(bytes)),
  ),
  value: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(tie('leaf'), tie('value')), {
        maxLength: 4,
        selector: ([key]) => toHex(encodeCbor(key)),
      })
      .map((entries) => ({
        kind: 'map' as const,
        entries: entries.toSorted((a, b) => Buffer.compare(encodeCbor(a[0]), encodeCbor(b[0]))),
      })),
    fc.tuple(fc.maxSafeNat(), tie('value')).map(([tag, value]) => ({ kind: 'tag' as const, tag, value })),
  ),
}));

test('WIRE-7.1, WIRE-7.3: what is accepted has no other encoding', () => {
  fc.assert(
    fc.property(anyCbor, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, mask) => {
      const bytes = encodeCbor(value);
      const back = decodeCbor(bytes);
      assert.ok(back.ok);
      assert.deepEqual(back.value, value);
      const changed = bytes.with(at % bytes.length, (bytes[at % bytes.length] as number) ^ mask);
      const read = decodeCbor(changed);
      if (read.ok) assert.ok(equalBytes(encodeCbor(read.value), changed));
      assert.ok(!decodeCbor(bytes.slice(0, at % bytes.length)).ok);
      assert.ok(!decodeCbor(Uint8Array.of(...bytes, 0)).ok);
    }),
    { numRuns: 400 },
  );
});

test('WIRE-7.2: random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const read = decodeCbor(bytes);
      if (read.ok) assert.ok(equalBytes(encodeCbor(read.value), bytes));
    }),
    { numRuns: 2000 },
  );
});
