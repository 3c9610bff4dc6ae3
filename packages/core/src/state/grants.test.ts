import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { millis } from '../ledger/ids.ts';
import { ACTIONS, ACTIONS_ALL, type Grant } from '../ledger/bodies/access.ts';
import { termsOf } from '../ledger/terms.ts';
import { makeBatch, person, World, type Person } from '../testing/state-world.ts';
import { grantKey, stateKeyHash } from './keys.ts';
import { encodeRecord } from './records.ts';

const alice = person('alice');
const guest = person('guest');
const mallory = person('mallory');

function owned(): { readonly w: World; readonly lamp: Person; readonly other: Person } {
  const w = new World(['maker', 'alice', 'mallory', 'guest']);
  const maker = person('maker');
  const batch = makeBatch(maker, 'lamp', 2);
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'Lumen' }), 'ok');
  assert.equal(w.send(maker, w.registerBatch(maker, batch, 0n)), 'ok');
  for (const index of [0, 1])
    assert.equal(w.send(alice, { kind: 'claim', claim: w.claim(batch, index, alice) }), 'ok');
  return { w, lamp: person('lamp-0'), other: person('lamp-1') };
}

const grantOf = (device: Person, changes: Partial<Grant> = {}): Grant => ({
  device: device.address,
  subject: guest.address,
  actions: ACTIONS.onOff | ACTIONS.level,
  levelMax: 100,
  notBefore: millis(1_000_000),
  expiresAt: millis(2_000_000),
  ...changes,
});

test('STATE-6.1: the owner grants, and the record says what, until when and by whom', () => {
  const { w, lamp } = owned();
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(lamp) }), 'ok');
  const { actions, levelMax, notBefore, expiresAt } = grantOf(lamp);
  const record = w.state.grant(lamp.address, guest.address);
  assert.ok(record);
  assert.deepEqual(record.granter, alice.address);
  assert.deepEqual(termsOf(record), { actions, levelMax, notBefore, expiresAt });
});

test('STATE-6.1: nobody else grants or revokes: not a stranger, not the guest, not the device itself', () => {
  const { w, lamp } = owned();
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(lamp) }), 'ok');
  const root = w.state.grant(lamp.address, guest.address);
  const wider = grantOf(lamp, { actions: ACTIONS_ALL, levelMax: 254, expiresAt: millis(9_000_000) });
  assert.equal(
    w.send(mallory, { kind: 'grant', grant: { ...wider, subject: person('crony').address } }),
    'device.not-owner',
  );
  assert.equal(
    w.send(guest, { kind: 'grant', grant: { ...wider, subject: person('crony').address } }),
    'device.not-owner',
  );
  assert.equal(w.send(mallory, { kind: 'grant', grant: wider }), 'device.not-owner');
  assert.equal(
    w.send(mallory, { kind: 'revoke', device: lamp.address, subject: guest.address }),
    'device.not-owner',
  );
  assert.equal(
    w.send(guest, { kind: 'revoke', device: lamp.address, subject: guest.address }),
    'device.not-owner',
  );
  assert.deepEqual(w.state.grant(lamp.address, guest.address), root);
  assert.equal(w.state.count('grant'), 1);
});

test('STATE-6.1: a device that nobody has claimed can be granted to nobody', () => {
  const { w } = owned();
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(person('unclaimed')) }), 'device.unknown');
  assert.equal(
    w.send(alice, { kind: 'revoke', device: person('unclaimed').address, subject: guest.address }),
    'device.unknown',
  );
});

test('STATE-6.2: a grant that contradicts itself is refused', () => {
  const { w, lamp } = owned();
  const wrong: Partial<Grant>[] = [
    { subject: alice.address },
    { actions: 0 },
    { actions: ACTIONS_ALL + 1 },
    { actions: 0xffff },
    { levelMax: 255 },
    { notBefore: millis(2_000_000) },
    { notBefore: millis(3_000_000) },
  ];
  for (const changes of wrong)
    assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(lamp, changes) }), 'grant.malformed');
  assert.equal(w.state.count('grant'), 0);
});

test('STATE-6.3: granting again replaces: a narrower grant narrows', () => {
  const { w, lamp } = owned();
  assert.equal(
    w.send(alice, { kind: 'grant', grant: grantOf(lamp, { actions: ACTIONS_ALL, levelMax: 254 }) }),
    'ok',
  );
  assert.equal(
    w.send(alice, { kind: 'grant', grant: grantOf(lamp, { actions: ACTIONS.read, levelMax: 0 }) }),
    'ok',
  );
  const record = w.state.grant(lamp.address, guest.address);
  assert.deepEqual([record?.actions, record?.levelMax], [ACTIONS.read, 0]);
});

test('STATE-6.4: a revoked grant is provably gone, and was provably there below', () => {
  const { w, lamp, other } = owned();
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(lamp) }), 'ok');
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(other) }), 'ok');
  const key = grantKey(lamp.address, guest.address);
  const before = w.state;
  assert.equal(w.send(alice, { kind: 'revoke', device: lamp.address, subject: guest.address }), 'ok');
  assert.equal(w.state.grant(lamp.address, guest.address), undefined);
  assert.equal(verifyStateProof(w.state.root, stateKeyHash(key), undefined, w.state.prove(key)), true);

  const record = before.grant(lamp.address, guest.address);
  assert.ok(record);
  const value = encodeRecord('grant', record);
  assert.deepEqual(before.get(key), value);
  assert.equal(verifyStateProof(before.root, stateKeyHash(key), value, before.prove(key)), true);
  assert.equal(verifyStateProof(w.state.root, stateKeyHash(key), value, before.prove(key)), false);
});

test('STATE-6.5: revoking what was not granted is refused', () => {
  const { w, lamp } = owned();
  assert.equal(
    w.send(alice, { kind: 'revoke', device: lamp.address, subject: guest.address }),
    'grant.unknown',
  );
});

test('STATE-6.3: one device’s grants are listed without those of its neighbour', () => {
  const { w, lamp, other } = owned();
  for (const subject of [guest, mallory, person('crony')]) {
    assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(lamp, { subject: subject.address }) }), 'ok');
  }
  assert.equal(w.send(alice, { kind: 'grant', grant: grantOf(other) }), 'ok');
  const listed = [...w.state.grants(lamp.address)];
  assert.equal(listed.length, 3);
  for (const { device, subject, grant } of listed) {
    assert.deepEqual(device, lamp.address);
    assert.equal(w.state.grant(device, subject), grant);
  }
  assert.equal([...w.state.grants()].length, 4);
});
