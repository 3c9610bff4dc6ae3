/** Sizes are printed by the bench; that they stay below what was asked for is tested. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LightReader } from '@itc/core/light/light-reader.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { sizeSubjects, SleptChain } from './light-subjects.ts';

installNativeCrypto();

test('LIGHT-9.12: with 16 validators a reading of any age is proved in 3 072 bytes, and a changed set adds 1 700 at most', () => {
  const readings = sizeSubjects(16).filter(({ name }) => name.startsWith('reading'));
  assert.equal(readings.length, 4);
  for (const { name, trust, stream } of readings) {
    const events = new LightReader({ trust, verify: verifyNative }).push(stream);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['believed', 'applied', 'done'],
    );
    assert.ok(stream.length <= 3_072, `${name}: ${stream.length} bytes`);
  }
  const slept = new SleptChain(5);
  const [none, some] = [slept.subject(0, 2), slept.subject(5, 2)];
  assert.equal(some.hops, 1);
  assert.ok(some.stream.length - none.stream.length <= 1_700);
});
