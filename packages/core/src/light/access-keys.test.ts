import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ED25519, type SignatureVerifier } from '../crypto/signature.ts';
import { verifySignature } from '../crypto/verify.ts';
import type { StateChange } from '../crypto/state-tree.ts';
import { keySetOf, type KeySet } from '../ledger/account-keys.ts';
import type { Address } from '../ledger/address.ts';
import { encodeCommand } from '../ledger/command.ts';
import { millis } from '../ledger/ids.ts';
import { encodePayload, payloadSigningBytes } from '../ledger/payload.ts';
import { deviceKey, keysKey, stateKeyHash } from '../state/keys.ts';
import { NO_DEPOSIT } from '../state/record-deposit.ts';
import { encodeRecord } from '../state/records.ts';
import { accessUnder } from '../testing/access.ts';
import { GENESIS_TIME, world } from '../testing/chain.ts';
import { ownedDevice } from '../testing/devices.ts';
import { installNativeSha256, keyPair, type KeyPair } from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { judgeAccess } from './access.ts';
import { verifyCommand } from './command.ts';
import { ReplayWindows } from './replay.ts';
import { trustGenesis } from './trust.ts';
import { decodeAccessProof, encodeAccessProof, type AccessProof } from './access-proof.ts';

installNativeSha256();

const home = world();
const [lamp, owner, next] = [keyPair(60), keyPair(61), keyPair(62)];

/** What a gateway proves of the owner's access when these keys act for the owner's account. */
function accessOf(set: KeySet | undefined): AccessProof {
  const device = ownedDevice({ key: lamp.key, owner: owner.address, at: home.genesis.time });
  const changes: StateChange[] = [
    { key: stateKeyHash(deviceKey(lamp.address)), value: encodeRecord('device', device) },
  ];
  if (set !== undefined) {
    const value = encodeRecord('keys', { ...set, deposit: NO_DEPOSIT });
    changes.push({ key: stateKeyHash(keysKey(owner.address)), value });
  }
  return accessUnder(home, changes, { device: lamp.address, subject: owner.address });
}

function judge(access: AccessProof): string {
  const decoded = decodeAccessProof(encodeAccessProof(access));
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value, access);
  const question = { device: lamp.address, signer: owner.address, now: millis(GENESIS_TIME + 10_000) };
  const judged = judgeAccess({ ...question, access, action: { kind: 'on' } });
  return judged.ok ? 'ok' : judged.code;
}

test('LIGHT-5.20: a key that was rotated away commands nothing, although the device’s owner is still called by its hash', () => {
  assert.equal(judge(accessOf(undefined)), 'ok');
  assert.equal(judge(accessOf(keySetOf([next.key]))), 'not-granted');
  assert.equal(judge(accessOf(keySetOf([schemeKeyPair(3, 1).key]))), 'not-granted', 'a long record, too');
  assert.equal(
    judge(accessOf(keySetOf([owner.key, next.key], 2))),
    'below-threshold',
    'nor one that is not enough alone',
  );
  assert.equal(judge(accessOf(keySetOf([owner.key, next.key], 1))), 'ok');
});

test('LIGHT-5.20: a record of keys that is kept back is missed', () => {
  const rotated = accessOf(keySetOf([next.key]));
  const before = accessOf(undefined);
  assert.equal(judge({ ...rotated, keys: { ...rotated.keys, record: undefined } }), 'proof');
  assert.equal(judge({ ...rotated, keys: before.keys }), 'proof');
});

const schemes = [1, 2, 3, 4] as const;

/** A command of the owner's account, by a key that may be another than the first one. */
function commanded(by: KeyPair, set: KeySet | undefined, account?: Address): string {
  const content = encodeCommand({
    device: lamp.address,
    action: { kind: 'on' },
    notAfter: millis(GENESIS_TIME + 20_000),
  });
  const unsigned = {
    signer: by.key,
    ...(account && { account }),
    device: lamp.address,
    sequence: 1,
    contentType: 'command' as const,
    content,
  };
  const command = encodePayload(unsigned, by.sign(payloadSigningBytes(home.chain, unsigned)));
  const verdict = verifyCommand({
    trust: trustGenesis(home.genesis),
    device: lamp.address,
    command,
    access: accessOf(set),
    now: millis(GENESIS_TIME + 10_000),
    replay: new ReplayWindows(),
    verify: verifySignature,
  });
  return verdict.kind === 'accepted' ? 'ok' : verdict.reason;
}

test('LIGHT-5.22: a key of any scheme that acts for the owner’s account commands the device, named with the account', () => {
  for (const algorithm of schemes) {
    const key = schemeKeyPair(algorithm, 2);
    assert.equal(commanded(key, keySetOf([key.key]), owner.address), 'ok', `scheme ${algorithm}`);
    const other = schemeKeyPair(algorithm, 3);
    assert.equal(commanded(other, keySetOf([key.key]), owner.address), 'not-granted');
    assert.equal(commanded(key, undefined, owner.address), 'not-granted', 'the ledger knows no such key');
    assert.equal(commanded(key, keySetOf([key.key, next.key], 2), owner.address), 'below-threshold');
    assert.equal(commanded(key, keySetOf([{ key: key.key, weight: 2 }, next.key], 2), owner.address), 'ok');
  }
  assert.equal(commanded(owner, keySetOf([owner.key, next.key], 1)), 'ok');
});

test('LIGHT-5.22: what a device cannot check is a wrong signature to it', () => {
  const key = schemeKeyPair(3, 2);
  const onlyEd25519: SignatureVerifier = (by, message, signature) =>
    by.algorithm === ED25519 && verifySignature(by, message, signature);
  const content = encodeCommand({
    device: lamp.address,
    action: { kind: 'on' },
    notAfter: millis(GENESIS_TIME + 20_000),
  });
  const unsigned = {
    signer: key.key,
    account: owner.address,
    device: lamp.address,
    sequence: 1,
    contentType: 'command' as const,
    content,
  };
  const verdict = verifyCommand({
    trust: trustGenesis(home.genesis),
    device: lamp.address,
    command: encodePayload(unsigned, key.sign(payloadSigningBytes(home.chain, unsigned))),
    access: accessOf(keySetOf([key.key])),
    now: millis(GENESIS_TIME + 10_000),
    replay: new ReplayWindows(),
    verify: onlyEd25519,
  });
  assert.ok(verdict.kind === 'refused' && verdict.reason === 'signature');
});
