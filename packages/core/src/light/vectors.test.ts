import { test } from 'node:test';
import assert from 'node:assert/strict';
import { installNativeSha256 } from '../testing/keys.ts';
import { drive, driveMachine, type Engine } from '../testing/light-drive.ts';
import { enginesMissing, quickJsEngine, storedVectors, wasmEngine } from '../testing/light-engines.ts';
import { limitedHeap } from '../testing/limited-heap.ts';
import { lightVectors, type LightVector } from '../testing/light-vectors.ts';

installNativeSha256();

const vectors = JSON.parse(storedVectors()) as LightVector[];
const missing = enginesMissing();
const heap = await limitedHeap();

/** Of MicroQuickJS: machine, packet, functions of the program, stack. */
const HEAP_BYTES = 38_912;

function agree(engine: Engine): void {
  for (const { name, codes, after, ...vector } of vectors)
    assert.deepEqual({ name, ...drive(engine)(vector) }, { name, codes, after });
}

test('LIGHT-9.11: the vectors in the repository are those the documented command writes', () => {
  assert.deepEqual(lightVectors(driveMachine), vectors);
  assert.ok(
    vectors.some(({ codes }) => codes.at(-1) === 3) && vectors.some(({ codes }) => (codes.at(-1) ?? 0) < 0),
  );
});

test(
  'LIGHT-9.11: in WebAssembly it comes to the same, in 16 kB of program and one page of memory',
  { skip: missing ?? false },
  async () => {
    const engine = await wasmEngine();
    agree(engine);
    assert.ok(engine.programBytes <= 16_384, `${engine.programBytes} bytes`);
    // The compiler was told that there is no more: code that wanted it would have failed.
    assert.equal(engine.peakBytes(), 65_536);
  },
);

test(
  'LIGHT-9.13: in an engine for chips it comes to the same, in a heap of 64 kB with its program, and not in 16 kB less than it needs',
  { skip: 'missing' in heap ? heap.missing : false },
  () => {
    assert.ok(!('missing' in heap));
    const expected = vectors.map(({ codes, after }) => ({ codes, after }));
    assert.deepEqual(heap.judge(65_536, vectors), expected);
    // The words of this machine are twice as wide as a chip's. There the program, too, would fit beside that heap.
    assert.deepEqual(heap.judge(HEAP_BYTES, vectors), expected);
    assert.ok(HEAP_BYTES + heap.programBytes32 <= 65_536, `program of ${heap.programBytes32} bytes`);
    // The bound is real.
    assert.equal(typeof heap.judge(HEAP_BYTES - 16_384, vectors), 'string');
  },
);

test(
  'LIGHT-9.11: in QuickJS it comes to the same, in a bounded heap',
  { skip: missing ?? false },
  async () => {
    const engine = await quickJsEngine(131_072);
    agree(engine);
    assert.ok(engine.peakBytes() <= 131_072, `${engine.peakBytes()} bytes`);
  },
);
