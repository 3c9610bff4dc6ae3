import { test } from 'node:test';
import assert from 'node:assert/strict';
import { installNativeSha256 } from '../testing/keys.ts';
import { drive, driveMachine, type Engine } from '../testing/light-drive.ts';
import { enginesMissing, quickJsEngine, storedVectors, wasmEngine } from '../testing/light-engines.ts';
import { lightVectors, type LightVector } from '../testing/light-vectors.ts';

installNativeSha256();

const vectors = JSON.parse(storedVectors()) as LightVector[];
const missing = enginesMissing();

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
  'LIGHT-9.11: in an engine for small machines it comes to the same, in a bounded heap',
  { skip: missing ?? false },
  async () => {
    const engine = await quickJsEngine(131_072);
    agree(engine);
    assert.ok(engine.peakBytes() <= 131_072, `${engine.peakBytes()} bytes`);
  },
);
