import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashTagged } from '@itc/core/crypto/hash.js';
import { millis } from '@itc/core/ledger/ids.js';
import { decodeLightState, encodeLightState, newLightState, type LightState } from './light-state.ts';

const rental = {
  id: hashTagged('rental'),
  startedAt: millis(5),
  until: millis(9),
  uses: 3,
  endedAt: millis(8),
};

test('EDGE-13.4: what a lamp keeps of its own comes back as it was; a torn record is none', () => {
  const states: LightState[] = [
    newLightState(),
    newLightState(6_500),
    { lamp: { on: true, level: 7 }, rental },
    { lamp: { on: true, level: 7, kelvin: 2_200 }, rental: { ...rental, endedAt: undefined } },
  ];
  for (const state of states) {
    const bytes = encodeLightState(state);
    assert.deepEqual(decodeLightState(bytes), state);
    for (let length = 0; length < bytes.length; length += 1)
      assert.equal(decodeLightState(bytes.slice(0, length)), undefined);
  }
});
