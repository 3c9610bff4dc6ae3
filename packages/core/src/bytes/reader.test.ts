import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes, concatBytes, equalBytes, fromHex, toHex } from './hex.ts';
import { decode, type DecodeCode, type Reader, utf8Decode } from './reader.ts';
import { utf8Encode, Writer } from './writer.ts';

function codeOf(read: (reader: Reader) => unknown, ...bytes: readonly number[]): DecodeCode | 'ok' {
  const result = decode(read, Uint8Array.from(bytes));
  return result.ok ? 'ok' : result.code;
}

test('WIRE-1.1: integers are big-endian of fixed width', () => {
  const bytes = new Writer(1)
    .u8(1)
    .u16(0x0203)
    .u32(0x04050607)
    .u53(0x08090a0b0c0d)
    .u64(0xff00_0000_0000_0001n)
    .finish();
  assert.equal(toHex(bytes), '01020304050607000008090a0b0c0dff00000000000001');
  const read = decode((r) => [r.u8(), r.u16(), r.u32(), r.u53(), r.u64()], bytes);
  assert.deepEqual(read, {
    ok: true,
    value: [1, 0x0203, 0x04050607, 0x08090a0b0c0d, 0xff00_0000_0000_0001n],
  });
});

test('WIRE-1.1: a counter beyond 2^53 − 1 is refused when read and asserted when written', () => {
  assert.equal(
    codeOf((r) => r.u53(), 0, 0x1f, 255, 255, 255, 255, 255, 255),
    'ok',
  );
  assert.equal(
    codeOf((r) => r.u53(), 0, 0x20, 0, 0, 0, 0, 0, 0),
    'decode.out-of-range',
  );
  assert.throws(() => new Writer().u53(2 ** 53), RangeError);
  assert.throws(() => new Writer().u53(-1), RangeError);
  assert.throws(() => new Writer().u8(256), RangeError);
  assert.throws(() => new Writer().u16(1.5), RangeError);
  assert.throws(() => new Writer().u64(1n << 64n), RangeError);
  assert.throws(() => new Writer().fixed(new Uint8Array(3), 4), RangeError);
});

test('WIRE-1.1: a boolean is 0 or 1', () => {
  assert.equal(
    codeOf((r) => r.bool(), 0),
    'ok',
  );
  assert.equal(
    codeOf((r) => r.bool(), 1),
    'ok',
  );
  assert.equal(
    codeOf((r) => r.bool(), 2),
    'decode.not-canonical',
  );
});

test('WIRE-1.2: lengths and counts are judged before anything is read or allocated', () => {
  assert.equal(
    codeOf((r) => r.bytes(4), 0, 0, 0, 5, 1, 2, 3, 4, 5),
    'decode.too-long',
  );
  assert.equal(
    codeOf((r) => r.bytes(0xffff_ffff), 0xff, 0xff, 0xff, 0xff),
    'decode.truncated',
  );
  assert.equal(
    codeOf((r) => r.list(2, (each) => each.u8()), 0, 3, 1, 2, 3),
    'decode.too-long',
  );
  assert.equal(
    codeOf((r) => r.list(2, (each) => each.u8()), 0, 2, 1),
    'decode.truncated',
  );
  assert.equal(
    codeOf((r) => r.bytes(4), 0, 0, 0, 4, 1, 2, 3, 4),
    'ok',
  );
});

test('WIRE-1.2: what is kept is a copy also when a Node Buffer came in', () => {
  const buffer = Buffer.from([1, 2, 3]);
  const kept = decode((r) => r.fixed(3).slice(), buffer);
  buffer.fill(9);
  assert.deepEqual(kept, { ok: true, value: Uint8Array.of(1, 2, 3) });
});

test('WIRE-1.3: text is UTF-8 in its shortest form, as the platform decodes it strictly', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const platform = (bytes: Uint8Array): string | undefined => {
    try {
      return strict.decode(bytes);
    } catch {
      return undefined;
    }
  };
  const pieces = fc.array(
    fc.constantFrom(
      0x41,
      0x7f,
      0x80,
      0xbf,
      0xc0,
      0xc2,
      0xdf,
      0xe0,
      0xa0,
      0xed,
      0x9f,
      0xef,
      0xf0,
      0x90,
      0xf4,
      0x8f,
      0xf5,
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        pieces.map((list) => Uint8Array.from(list)),
        fc.uint8Array({ maxLength: 12 }),
      ),
      (bytes) => {
        assert.equal(utf8Decode(bytes), platform(bytes));
      },
    ),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter((text) => !/\p{Cs}/u.test(text)),
      (text) => {
        assert.equal(toHex(utf8Encode(text)), Buffer.from(text).toString('hex'));
        assert.equal(utf8Decode(utf8Encode(text)), text);
      },
    ),
  );
  assert.throws(() => utf8Encode('\ud800'), RangeError);
  assert.equal(
    codeOf((r) => r.text(4), 0, 0, 0, 2, 0xc0, 0x80),
    'decode.not-canonical',
  );
});

test('WIRE-1.4: bytes that follow the end are refused, and so is a structure that ends early', () => {
  assert.equal(
    codeOf((r) => r.u8(), 1, 2),
    'decode.trailing',
  );
  assert.equal(
    codeOf((r) => r.u16(), 1),
    'decode.truncated',
  );
  assert.equal(
    codeOf((r) => r.u8()),
    'decode.truncated',
  );
});

test('WIRE-1.5: our own errors pass through a decoder as they are', () => {
  assert.throws(
    () =>
      decode(() => {
        throw new TypeError('a bug');
      }, new Uint8Array(0)),
    TypeError,
  );
});

test('WIRE-1.6: hex reads both cases, writes lower case and refuses all else', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.equal(toHex(bytes), Buffer.from(bytes).toString('hex'));
      const back = fromHex(toHex(bytes).toUpperCase());
      assert.ok(back.ok && equalBytes(back.value, bytes));
    }),
  );
  for (const text of ['0', 'zz', '0x', ' 00', '0g', '٠٠']) assert.ok(!fromHex(text).ok, text);
});

test('WIRE-1.6: order of bytes is that of unsigned lexicographic comparison', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
      assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(a, b));
      assert.equal(toHex(concatBytes(a, b)), toHex(a) + toHex(b));
    }),
  );
});

test('what is kept of bytes that are not owned is a copy, of owned ones a view', () => {
  for (const isOwned of [false, true]) {
    const bytes = Uint8Array.of(1, 2, 3);
    const read = decode((reader) => reader.kept(3), bytes, isOwned);
    assert.ok(read.ok);
    assert.equal(read.value.buffer === bytes.buffer, isOwned);
    assert.deepEqual([...read.value], [1, 2, 3]);
  }
});
