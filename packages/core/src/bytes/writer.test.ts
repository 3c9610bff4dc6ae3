import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Writer } from './writer.ts';

test('WIRE-1.1: writers that are open at the same time do not write into each other', () => {
  const writers = Array.from({ length: 20 }, () => new Writer());
  for (let round = 0; round < 3; round += 1) for (const [i, writer] of writers.entries()) writer.u8(i);
  for (const [i, writer] of writers.entries()) assert.deepEqual(writer.finish(), new Uint8Array(3).fill(i));
});

test('WIRE-1.1: what was finished stays as it is, whoever writes afterwards', () => {
  const first = new Writer().u32(1);
  const early = first.finish();
  const second = new Writer().u32(2);
  const late = first.u32(3).finish();
  assert.deepEqual(early, Uint8Array.of(0, 0, 0, 1));
  assert.deepEqual(late, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 3));
  assert.deepEqual(second.finish(), Uint8Array.of(0, 0, 0, 2));
});

test('WIRE-1.1: a writer grows over any capacity it was given', () => {
  const writer = new Writer(1);
  for (let i = 0; i < 5000; i += 1) writer.u8(i & 0xff);
  const bytes = writer.finish();
  assert.equal(bytes.length, 5000);
  assert.ok(bytes.every((byte, i) => byte === (i & 0xff)));
});
