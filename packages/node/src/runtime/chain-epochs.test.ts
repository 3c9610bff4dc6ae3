import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { closesEpoch } from '@itc/core/ledger/block.js';
import { amount, epoch, height, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { validatorsHash } from '@itc/core/ledger/validators.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { SoloChain } from '../testing/solo-chain.ts';
import { assembleBlock } from './prepared-block.ts';

installNativeCrypto();

const K = LIMITS.checkpointInterval;

async function withJoiner(solo: SoloChain, seed = 99): Promise<KeyPair> {
  const joiner = KeyPair.fromSeed(new Uint8Array(32).fill(seed));
  const { treasury, validators, chain } = solo;
  await solo.block([
    solo.sign(treasury, {
      kind: 'bond',
      key: joiner.publicKey,
      amount: amount(1_000n * UNITS_PER_ITC),
      possession: joiner.sign(possessionSigningBytes(chain.id, treasury.address)),
    }),
  ]);
  await solo.block(
    validators
      .slice(0, 3)
      .map((keys) => solo.sign(keys, { kind: 'weight-vote', validator: treasury.address, weight: 1 })),
  );
  return joiner;
}

test('NODE-9.4: headers carry the epoch, its set and the next one; the closing block is flagged, and only that', async () => {
  const solo = await SoloChain.open();
  await withJoiner(solo);
  const before = solo.chain.epoch.validators;
  const headers = [];
  while (solo.chain.height < K + 8) headers.push(await solo.block());
  const after = solo.chain.epoch.validators;
  assert.deepEqual([before.length, after.length], [4, 5]);
  for (const header of headers) {
    const isNew = header.height > K;
    assert.equal(header.epoch, isNew ? 1 : 0);
    assert.equal(closesEpoch(header), header.height === K);
    assert.deepEqual(header.validatorsHash, validatorsHash(isNew ? after : before));
    assert.deepEqual(header.nextValidatorsHash, validatorsHash(header.height >= K ? after : before));
  }
});

test('NODE-9.4: a header that says anything else about its epoch is not voted for', async () => {
  const solo = await SoloChain.open();
  await withJoiner(solo);
  await solo.to(K - 1);
  const { chain } = solo;
  const closing = solo.propose();
  const now = closing.header.time;
  assert.equal(chain.check(closing, true, now), 'valid');
  const { txRoot: _txRoot, ...header } = closing.header;
  const lies = [
    { flags: 0 },
    { nextValidatorsHash: header.validatorsHash },
    { epoch: epoch(1) },
    { flags: 0, nextValidatorsHash: header.validatorsHash },
  ];
  for (const lie of lies)
    assert.equal(chain.check(assembleBlock({ ...header, ...lie }, []), true, now), 'invalid');
});

test('NODE-9.4: who certified a height is known for every height of every epoch, also after a restart anywhere', async () => {
  const solo = await SoloChain.open();
  const sets: string[] = [];
  for (const [round, keys] of solo.validators.slice(0, 3).entries()) {
    await solo.block([solo.sign(keys, { kind: 'restart' })]);
    if (round === 1) await withJoiner(solo);
    const end = (round + 1) * K;
    for (const stop of [end - 1, end, end + 1, end + LIMITS.pipelineDepth, end + LIMITS.pipelineDepth + 1]) {
      while (solo.chain.height < stop) {
        const context = solo.chain.contextAt(height(solo.chain.height + 1));
        const header = await solo.block();
        assert.equal(context.epoch, header.epoch);
        sets[header.height] = toHex(header.validatorsHash);
      }
      await solo.reopen();
      assert.equal(solo.chain.epoch.epoch, stop < end ? round : round + 1);
    }
  }
  for (let at = 3 * K; at > 0; at -= 1) {
    const { epoch: its, validators } = solo.chain.contextAt(height(at));
    assert.equal(its, Math.floor((at - 1) / K));
    if (sets[at] !== undefined) assert.equal(toHex(validatorsHash(validators)), sets[at]);
  }
  assert.equal(solo.chain.closingHeight(epoch(1)), 2 * K);
  assert.equal(solo.chain.closingHeight(epoch(3)), undefined);
  for (const of of [1, 2, 3]) {
    const start = solo.chain.epochStart(epoch(of));
    assert.equal(start?.since, of * K + 1);
  }
});
