import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import {
  attestationKeySigningBytes,
  attestationSigningBytes,
  ownershipLink,
  recoverySigningBytes,
} from '@itc/core/ledger/bodies/device-life.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import {
  attestBatch,
  confirmPresence,
  isHistoryOf,
  ownersIn,
  recoverDevice,
  setAttestation,
  type DeviceLogEntry,
  type OwnerEntry,
} from './devices.ts';
import { deviceScope, groupId, groupScope, setGroup } from './grants.ts';
import { seedSigner, type SeedSigner } from './keys.ts';
import { buildBatch, type Voucher } from './voucher.ts';

const signer = (fill: number): SeedSigner => seedSigner(new Uint8Array(32).fill(fill));
const [maker, alice, bob, lamp, factory] = [1, 2, 3, 4, 5].map(signer) as [
  SeedSigner,
  SeedSigner,
  SeedSigner,
  SeedSigner,
  SeedSigner,
];
const chain = asHash(new Uint8Array(32).fill(7));

const owners: readonly OwnerEntry[] = [
  { owner: alice.address, how: 'claimed', at: millis(10) },
  { owner: bob.address, how: 'transferred', at: millis(20) },
  { owner: alice.address, how: 'recovered', at: millis(30) },
];

function linkOf(list: readonly OwnerEntry[]): Hash {
  return list.reduce<Hash>(
    (before, entry, transfers) => ownershipLink(before, { transfers, ...entry }),
    ZERO_HASH,
  );
}

test('STATE-16.4: a list of owners is held against the record: whole, in order, and of nobody else', () => {
  const record = { history: linkOf(owners), transfers: 2 };
  assert.ok(isHistoryOf(record, owners));
  assert.equal(isHistoryOf(record, owners.slice(1)), false);
  assert.equal(isHistoryOf(record, owners.toReversed()), false);
  assert.equal(isHistoryOf({ ...record, transfers: 1 }, owners), false);
});

test('STATE-16.4: owners are read from a log of events, newest first', () => {
  const entry = (time: number, event: DeviceLogEntry['event']): DeviceLogEntry => ({
    cursor: `${time}.0`,
    height: time,
    time,
    ...(event && { event }),
  });
  const log = [
    entry(30, {
      kind: 'device-recovered',
      from: formatAddress(bob.address),
      to: formatAddress(alice.address),
    }),
    entry(25, { kind: 'device-stolen', owner: formatAddress(bob.address) }),
    entry(20, {
      kind: 'device-transferred',
      from: formatAddress(alice.address),
      to: formatAddress(bob.address),
    }),
    entry(15, undefined),
    entry(10, { kind: 'device-claimed', owner: formatAddress(alice.address) }),
  ];
  assert.deepEqual(ownersIn(log), owners);
});

test('STATE-16.1, STATE-16.2: an attestation key signs batches and the key after it', async () => {
  const form = { root: ZERO_HASH, count: 3, model: ZERO_HASH, depositPerDevice: amount(1n) };
  const { attestation } = await attestBatch(form, { chain, maker: maker.address, attestation: factory });
  const bytes = attestationSigningBytes(chain, maker.address, form);
  assert.ok(attestation && verifySignature(factory.publicKey, bytes, attestation));
  const key = lamp.publicKey;
  const body = await setAttestation({ chain, maker: maker.address, key, signer: factory });
  assert.ok(body.kind === 'set-attestation');
  assert.ok(
    verifySignature(factory.publicKey, attestationKeySigningBytes(chain, maker.address, key), body.proof),
  );
});

test('STATE-16.11: a recovery carries the words of voucher and device, for one claimant', async () => {
  const { vouchers } = await buildBatch({
    maker: maker.address,
    devices: [{ key: lamp.publicKey, endorse: (bytes) => lamp.sign(bytes) }],
    model: ZERO_HASH,
    depositPerDevice: amount(1n),
    random: (length) => new Uint8Array(length).fill(9),
  });
  const voucher = vouchers[0] as Voucher;
  const device = addressOf(voucher.device);
  const who = { device, claimant: bob.address, transfers: 4 };
  const presence = await confirmPresence(lamp, { chain, ...who });
  const body = recoverDevice({ chain, voucher, presence, ...who });
  assert.ok(body.kind === 'recover-device');
  const bytes = recoverySigningBytes(chain, who);
  assert.ok(verifySignature(lamp.publicKey, bytes, body.recovery.presence));
  assert.ok(verifySignature(body.recovery.claimKey, bytes, body.recovery.voucher));
  assert.equal(
    verifySignature(lamp.publicKey, recoverySigningBytes(chain, { ...who, transfers: 5 }), presence),
    false,
  );
});

test('STATE-17.4: devices of a group may be given in any order; a scope names device or group', () => {
  const devices = [alice, bob, lamp, maker].map(({ address }) => address);
  const body = setGroup({ name: 'kitchen', place: true, devices });
  assert.ok(body.kind === 'set-group' && body.group);
  assert.deepEqual(setGroup({ name: 'kitchen', place: true, devices: devices.toReversed() }), body);
  assert.deepEqual(groupScope(alice.address, 'kitchen'), {
    kind: 'group',
    owner: alice.address,
    group: groupId(alice.address, 'kitchen'),
  });
  assert.deepEqual(deviceScope(lamp.address), { kind: 'device', device: lamp.address });
});
