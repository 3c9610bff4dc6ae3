import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8Encode } from '../bytes/writer.ts';
import { sha256 } from '../crypto/hash.ts';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { millis } from '../ledger/ids.ts';
import type { Body } from '../ledger/body.ts';
import type { Action } from '../ledger/command.ts';
import { ACTIONS, ACTIONS_ALL, groupId, type Grant } from '../ledger/bodies/access.ts';
import { beyondModel, canDo, termsOf, termsRefusal, type ModelLimits } from '../ledger/terms.ts';
import { anyTerms } from '../testing/device-arbitraries.ts';
import { TERMS } from '../testing/market.ts';
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

const model = sha256(utf8Encode('maker'));
const registerModel = (limits: Partial<ModelLimits> = {}): Body => ({
  kind: 'register-model',
  model: { hash: model, name: 'dim', actions: ACTIONS.onOff | ACTIONS.level, levelMax: 150, ...limits },
});

test('STATE-17.10: a grant states no more than the registered model of its device has; the refusal says what it has', () => {
  const { w, lamp } = owned();
  const send = (changes: Partial<Grant>): string =>
    w.send(alice, { kind: 'grant', grant: grantOf(lamp, changes) });
  // Nothing is registered yet: the hash of a model says nothing of its limits.
  assert.equal(send({ levelMax: 254, actions: ACTIONS_ALL }), 'ok');
  assert.equal(w.send(person('maker'), registerModel()), 'ok');
  const [receipt] = w.block(
    w.transaction(alice, { kind: 'grant', grant: grantOf(lamp, { levelMax: 151 }) }),
  ).receipts;
  assert.deepEqual(receipt?.outcome, {
    ok: false,
    code: 'grant.beyond-model',
    message: 'the model: expected a level up to 150, got 151',
  });
  assert.equal(send({ actions: ACTIONS.onOff | ACTIONS.colour }), 'grant.beyond-model');
  assert.equal(send({ levelMax: 150 }), 'ok');
  // Whoever may not set levels at all has no greatest one; reading is no matter of the model.
  assert.equal(send({ actions: ACTIONS.onOff | ACTIONS.read, levelMax: 254 }), 'ok');
});

test('STATE-17.10: a range of colour temperatures lies within that of the model; left open it is that of the model', () => {
  const { w, lamp } = owned();
  const colour = { min: 2200, max: 6500 };
  assert.equal(w.send(person('maker'), registerModel({ actions: ACTIONS_ALL, colour })), 'ok');
  const send = (range?: Grant['colour']): string =>
    w.send(alice, {
      kind: 'grant',
      grant: grantOf(lamp, { actions: ACTIONS.colour, ...(range && { colour: range }) }),
    });
  assert.equal(send(), 'ok');
  assert.equal(send(colour), 'ok');
  assert.equal(send({ min: 2100, max: 3000 }), 'grant.beyond-model');
  assert.equal(send({ min: 3000, max: 6600 }), 'grant.beyond-model');
});

test('STATE-17.10: the same for what a device is rented out for; a group is of many models and is not judged by them', () => {
  const { w, lamp } = owned();
  assert.equal(w.send(person('maker'), registerModel()), 'ok');
  const offer = (levelMax: number): string =>
    w.send(alice, {
      kind: 'offer-rental',
      device: lamp.address,
      terms: { ...TERMS, arbiter: undefined, levelMax },
      expiresAt: millis(10_000_000),
    });
  assert.equal(offer(200), 'grant.beyond-model');
  assert.equal(offer(150), 'ok');
  const group = { place: true, devices: [lamp.address] };
  assert.equal(w.send(alice, { kind: 'set-group', name: 'all', group }), 'ok');
  const { device: _, ...terms } = grantOf(lamp, { levelMax: 254 });
  assert.equal(w.send(alice, { kind: 'grant-group', group: groupId(alice.address, 'all'), ...terms }), 'ok');
});

test('STATE-17.10: whatever is granted within a model covers nothing that its devices cannot do', () => {
  fc.assert(
    fc.property(
      anyTerms,
      anyTerms,
      fc.nat(254),
      fc.integer({ min: 1000, max: 20_000 }),
      (of, terms, level, kelvin) => {
        const limits: ModelLimits = of;
        if (beyondModel(terms, limits) !== undefined) return;
        const always = { ...terms, notBefore: millis(0), expiresAt: millis(9), levelMax: terms.levelMax };
        const { schedule: _, ...unscheduled } = always;
        const actions: readonly Action[] = [{ kind: 'on' }, { kind: 'level', level }];
        for (const action of actions)
          if (termsRefusal(unscheduled, action, millis(1)) === undefined) assert.ok(canDo(limits, action));
        // What is left open is what the model has, so a colour temperature is asked for only where one is stated.
        const colour: Action = { kind: 'colour-temperature', kelvin };
        if (terms.colour !== undefined && termsRefusal(unscheduled, colour, millis(1)) === undefined)
          assert.ok(canDo(limits, colour));
      },
    ),
    { numRuns: 300 },
  );
});
