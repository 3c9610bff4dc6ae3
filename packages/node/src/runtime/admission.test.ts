import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { amount, epoch, height, UNITS_PER_ITC, view } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { Admission } from './admission.ts';

installNativeCrypto();

const idOf = (keys: KeyPair): string => toHex(keys.publicKey.bytes);

/** Two prepares of one key for one height. */
function doubleVote(solo: SoloChain, keys: KeyPair, at: number): Uint8Array {
  const of = { chain: solo.chain.id, epoch: epoch(0), view: view(0), height: height(at) };
  const [first, second] = [1, 2].map((seed) => {
    const hash = sha256(Uint8Array.of(seed));
    return { hash, signature: keys.sign(voteSigningBytes('prepare', { ...of, hash })) };
  });
  if (first === undefined || second === undefined) throw new Error('there are two');
  return solo.sign(solo.treasury, {
    kind: 'evidence',
    evidence: { kind: 'prepare', culprit: keys.publicKey, ...of, first, second },
  });
}

test('NODE-2.11: let in are those of the configuration, validators, and who has bonded; a culprit no longer than it decides', async () => {
  const solo = await SoloChain.open();
  const [configured, stranger, newcomer] = [50, 51, 52].map((seed) =>
    KeyPair.fromSeed(new Uint8Array(32).fill(seed)),
  ) as [KeyPair, KeyPair, KeyPair];
  const [validator] = solo.validators as [KeyPair];
  const admission = new Admission(solo.chain, [idOf(configured)]);
  let changes = 0;
  admission.watch(() => (changes += 1));
  const allowed = (): boolean[] =>
    [configured, validator, stranger, newcomer].map((keys) => admission.allows(idOf(keys)));
  assert.deepEqual(allowed(), [true, true, false, false]);

  await solo.block();
  assert.equal(changes, 0);
  const { treasury, chain } = solo;
  await solo.block([
    solo.sign(treasury, {
      kind: 'bond',
      key: newcomer.publicKey,
      amount: amount(1_000n * UNITS_PER_ITC),
      possession: newcomer.sign(possessionSigningBytes(chain.id, treasury.address)),
    }),
  ]);
  assert.equal(changes, 1);
  assert.deepEqual(allowed(), [true, true, false, true]);

  // The newcomer does not decide yet, so it goes at once; the validator stays until it decides no longer.
  await solo.block([doubleVote(solo, newcomer, 5), doubleVote(solo, validator, 5)]);
  assert.deepEqual(allowed(), [true, true, false, false]);
  await solo.to(LIMITS.checkpointInterval);
  assert.deepEqual(allowed(), [true, false, false, false]);
});
