import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { evidenceOf } from '@itc/core/ledger/evidence.js';
import { epoch, height, view } from '@itc/core/ledger/ids.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import type { Evidence } from '@itc/core/pbft/effects.js';
import type { Vote } from '@itc/core/pbft/messages.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { Accuser } from './accuser.ts';
import { createLogger } from './logger.ts';

installNativeCrypto();

function doubleVote(solo: SoloChain, keys: KeyPair, culprit: number): Evidence {
  const of = { epoch: epoch(0), view: view(0), height: height(5) };
  const [first, second] = [1, 2].map((seed): Vote => {
    const hash = sha256(Uint8Array.of(seed));
    const signature = keys.sign(voteSigningBytes('commit', { chain: solo.chain.id, ...of, hash }));
    return { kind: 'commit', sender: culprit, ...of, hash, signature };
  }) as [Vote, Vote];
  return { kind: 'vote', culprit, first, second };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
};

function accuser(
  solo: SoloChain,
  keys: KeyPair,
  submit: (encoded: Uint8Array) => void,
): { readonly accuser: Accuser; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const logger = createLogger('test', 'error');
  return {
    clock,
    accuser: new Accuser({
      chain: solo.chain,
      keys,
      clock,
      logger,
      submit: async (encoded) => {
        await Promise.resolve();
        submit(encoded);
        return transactionId(encoded);
      },
    }),
  };
}

test('NODE-9.7: evidence is brought once per culprit, in turn, and not when somebody else was faster', async () => {
  const solo = await SoloChain.open();
  const [first, second, culprit] = solo.validators as [KeyPair, KeyPair, KeyPair];
  const sent: Uint8Array[] = [];
  const one = accuser(solo, first, (encoded) => sent.push(encoded));
  const two = accuser(solo, second, () => assert.fail('the first has brought it'));
  for (let i = 0; i < 3; i += 1) {
    one.accuser.accuse(culprit.publicKey, doubleVote(solo, culprit, 2), 0);
    two.accuser.accuse(culprit.publicKey, doubleVote(solo, culprit, 2), 1);
  }
  one.clock.advance(0);
  await settled();
  assert.equal(sent.length, 1);
  await solo.block(sent);
  assert.equal(solo.chain.state.validator(culprit.address)?.jailed, true);
  two.clock.advance(60_000);
  await settled();
});

test('NODE-9.7: two culprits at once are both accused; an account that cannot pay accuses nobody', async () => {
  const solo = await SoloChain.open();
  const [witness, ...culprits] = solo.validators as [KeyPair, KeyPair, KeyPair, KeyPair];
  const pool: Uint8Array[] = [];
  const { accuser: busy, clock } = accuser(solo, witness, (encoded) => {
    // As the pool does: one waits in the lane already.
    if (pool.length > 0) throw new LedgerError('transaction.nonce', 'another transaction waits');
    pool.push(encoded);
  });
  for (const keys of culprits.slice(0, 2)) busy.accuse(keys.publicKey, doubleVote(solo, keys, 1), 0);
  for (let second = 0; second < 6; second += 1) {
    clock.advance(1_000);
    await settled();
    await solo.block(pool.splice(0));
  }
  for (const keys of culprits.slice(0, 2))
    assert.equal(solo.chain.state.validator(keys.address)?.jailed, true);

  let asked = 0;
  const poor = accuser(solo, witness, () => {
    asked += 1;
    throw new LedgerError('transaction.balance', 'the account is empty');
  });
  poor.accuser.accuse((culprits[2] as KeyPair).publicKey, doubleVote(solo, culprits[2] as KeyPair, 3), 0);
  for (let second = 0; second < 6; second += 1) {
    poor.clock.advance(1_000);
    await settled();
  }
  assert.equal(asked, 1);
});

test('NODE-9.7: a full pool, or one that drops what it took, delays an accusation and does not end it', async () => {
  const solo = await SoloChain.open();
  const [witness, culprit] = solo.validators as [KeyPair, KeyPair];
  const asked: Uint8Array[] = [];
  const { accuser: one, clock } = accuser(solo, witness, (encoded) => {
    asked.push(encoded);
    if (asked.length < 3) throw new LedgerError('pool.full', 'no room');
    if (asked.length === 4) throw new LedgerError('transaction.duplicate', 'it waits still');
  });
  one.accuse(culprit.publicKey, doubleVote(solo, culprit, 1), 0);
  for (let second = 0; second < 40; second += 1) {
    clock.advance(1_000);
    await settled();
  }
  assert.ok(asked.length >= 5, `${asked.length} times`);
  // The same one, not several that compete for a nonce.
  assert.equal(new Set(asked.slice(2).map((encoded) => transactionId(encoded).join())).size, 1);
  await solo.block(asked.slice(-1));
  const before = asked.length;
  for (let second = 0; second < 40; second += 1) {
    clock.advance(1_000);
    await settled();
  }
  assert.equal(asked.length, before, 'the culprit is punished');
});

test('NODE-9.7: who has stopped asks nobody any more, not even its own chain', async () => {
  const solo = await SoloChain.open();
  const [witness, culprit] = solo.validators as [KeyPair, KeyPair];
  const { accuser: one, clock } = accuser(solo, witness, () => assert.fail('it has stopped'));
  let asked = 0;
  const charge = { culprit: 'somebody', kind: 'vote', isPunished: () => (asked += 1) > 0 };
  const evidence = doubleVote(solo, culprit, 1);
  one.bring({ ...charge, body: { kind: 'evidence', evidence: evidenceOf(culprit.publicKey, evidence) } }, 1);
  one.stop();
  clock.advance(60_000);
  await settled();
  assert.equal(asked, 0);
});
