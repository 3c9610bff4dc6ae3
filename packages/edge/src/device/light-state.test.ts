import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '@itc/core/ledger/ids.js';
import { decodeLinkedHeader, encodeLinkedHeader, followChain } from '@itc/core/light/certified.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import { world, type CertifiedBlock } from '@itc/core/testing/chain.js';
import { EpochChain, groupOf } from '@itc/core/testing/epochs.js';
import { installNativeSha256, keyPair, verifyQuickly } from '@itc/core/testing/keys.js';
import { decodeLightState, encodeLightState, newLightState, type LightState } from './light-state.ts';

installNativeSha256();

const home = world();
const sliding = (from: number): ReturnType<typeof groupOf> =>
  groupOf([0, 1, 2, 3].map((i) => [1000 + from + i, 1]));
const chain = new EpochChain(home, [1, 2].map(sliding));

/** As the gateway publishes it and the lamp takes it. */
function follow(state: LightState, block: CertifiedBlock): LightState {
  const { header } = block.block;
  const update = encodeLinkedHeader({
    hops: chain.hopsTo(block),
    header,
    certificate: block.certificate,
  });
  const read = decodeLinkedHeader(update);
  assert.ok(read.ok);
  const followed = followChain(state.trust, {
    ...read.value,
    genesis: home.genesis,
    verify: verifyQuickly,
  });
  assert.ok(followed.ok, followed.ok ? '' : followed.message);
  return { ...state, trust: followed.value };
}

test('EDGE-11.9: a lamp that followed the validators goes on after a restart where it was', () => {
  const replay = new ReplayWindows();
  replay.mark(keyPair(1).address, 7, millis(9), millis(1));
  const state = { ...follow(newLightState(home.genesis), chain.append()), replay };
  assert.equal(state.trust.epoch, 2);
  const back = decodeLightState(encodeLightState(state), home.genesis);
  assert.ok(back);
  assert.deepEqual(back, { ...state, trust: { ...state.trust, certificate: undefined } });
  const next = follow(back, chain.append());
  assert.equal(next.trust.last.height, state.trust.last.height + 1);
});

test('EDGE-11.9: what another chain wrote, or a torn record, is not taken over', () => {
  const bytes = encodeLightState(follow(newLightState(home.genesis), chain.append()));
  assert.equal(decodeLightState(bytes, world({ name: 'elsewhere' }).genesis), undefined);
  for (let length = 0; length < bytes.length; length += 7)
    assert.equal(decodeLightState(bytes.slice(0, length), home.genesis), undefined);
  // The set that follows the trusted hash must be the one it names.
  const other = encodeLightState(newLightState(home.genesis));
  const mixed = Uint8Array.of(...bytes.slice(0, 4 + 149), ...other.slice(4 + 149));
  assert.equal(decodeLightState(mixed, home.genesis), undefined);
});
