import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameDecoder } from './frame-decoder.ts';

const LIMITS = new Map([
  [0, 10],
  [1, 1000],
  [2, 1 << 30],
]);

function frame(channel: number, body: Uint8Array, announced: number = body.length): Uint8Array {
  const bytes = new Uint8Array(5 + body.length);
  new DataView(bytes.buffer).setUint32(0, announced);
  bytes[4] = channel;
  bytes.set(body, 5);
  return bytes;
}

function decoder(): { decoder: FrameDecoder; got: [number, number[]][] } {
  const got: [number, number[]][] = [];
  return {
    decoder: new FrameDecoder(
      (channel) => LIMITS.get(channel),
      (channel, body) => got.push([channel, [...body]]),
    ),
    got,
  };
}

test('frames come out whole and in order, however the stream is cut', () => {
  const message = fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 12 }),
      fc.array(fc.nat({ max: 400 }), { maxLength: 30 }),
      (messages, cuts) => {
        const stream = Buffer.concat(messages.map(([channel, body]) => frame(channel, body)));
        const { decoder: under, got } = decoder();
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          assert.equal(under.push(new Uint8Array(stream.subarray(at, at + cut))), undefined);
          at = Math.min(stream.length, at + cut);
        }
        assert.deepEqual(
          got,
          messages.map(([channel, body]) => [channel, [...body]]),
        );
        assert.equal(under.held, 0);
      },
    ),
  );
});

test('NODE-2.5: an unknown channel and a length above the limit are faults as soon as the head is there', () => {
  for (const [bytes, fault] of [
    [frame(9, new Uint8Array(0)), 'malformed'],
    [frame(1, new Uint8Array(0), 1001), 'too-long'],
    [frame(0, new Uint8Array(0), 0xffff_ffff), 'too-long'],
  ] as const) {
    for (const size of [1, 3, 5]) {
      const { decoder: under, got } = decoder();
      let seen: string | undefined;
      for (let at = 0; at < bytes.length; at += size) seen = under.push(bytes.subarray(at, at + size));
      assert.equal(seen, fault);
      assert.equal(under.push(frame(1, new Uint8Array(3))), fault);
      assert.equal(got.length, 0);
    }
  }
});

test('NODE-2.5: an announced gigabyte costs what has arrived, also byte by byte', () => {
  const { decoder: under } = decoder();
  under.push(frame(2, new Uint8Array(0), 1 << 30));
  const before = process.memoryUsage();
  for (let i = 0; i < 20_000; i += 1) under.push(Uint8Array.of(i));
  const after = process.memoryUsage();
  assert.equal(under.held, 20_005);
  assert.ok(after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed < 16 << 20);
});

test('NODE-2.3: random bytes never make it throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
      const { decoder: under } = decoder();
      for (const chunk of chunks) under.push(chunk);
    }),
  );
});
