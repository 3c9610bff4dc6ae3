import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ZERO_HASH } from '../crypto/hash.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import { ownershipLink, type OwnershipChange } from '../ledger/bodies/device-life.ts';
import { alice, BUILT_IN, bob, carol, DeviceWorld, mallory } from '../testing/device-world.ts';
import { lamp, mallory as stranger, Market, owner } from '../testing/market.ts';
import { fakeSign, makeBatch, person, type Person } from '../testing/state-world.ts';
import { STATE_LIMITS } from './limits.ts';

const DAY = 86_400_000;
const PRICE = 5_000_000_000n;

test('STATE-16.4: a record names state, number of owners before, and since when its owner has it', () => {
  const w = new DeviceWorld();
  assert.deepEqual([w.record().state, w.record().transfers], ['owned', 0]);
  assert.equal(w.record().ownedSince, w.record().claimedAt);
  w.sell(alice, bob);
  assert.deepEqual([w.record().state, w.record().transfers, w.record().ownedSince], ['owned', 1, w.now]);
  assert.ok(w.record().ownedSince > w.record().claimedAt);
});

test('STATE-16.4: provenance: the history in the record is that of these owners, and of no other list', () => {
  const w = new DeviceWorld();
  const owners: { owner: Person; how: OwnershipChange; at: number }[] = [
    { owner: alice, how: 'claimed', at: w.record().claimedAt },
  ];
  const note = (owner: Person, how: OwnershipChange): void => void owners.push({ owner, how, at: w.now });
  w.sell(alice, bob);
  note(bob, 'transferred');
  w.accept(bob, w.setRecovery(10_000));
  w.accept(carol, w.recovery(carol));
  w.wait(10_000);
  w.accept(carol, w.mark('recovered'));
  note(carol, 'recovered');
  w.sell(carol, bob);
  note(bob, 'transferred');
  const linkOf = (list: typeof owners): Uint8Array =>
    list.reduce(
      (before, { owner, how, at }, transfers) =>
        ownershipLink(before, { transfers, how, owner: owner.address, at: millis(at) }),
      ZERO_HASH,
    );
  assert.deepEqual(w.record().history, linkOf(owners));
  const lies: (typeof owners)[] = [
    owners.slice(0, -1),
    owners.slice(1),
    owners.with(2, { ...(owners[2] as (typeof owners)[0]), owner: mallory }),
    owners.with(2, { ...(owners[2] as (typeof owners)[0]), how: 'transferred' }),
    owners.with(1, { ...(owners[1] as (typeof owners)[0]), at: 1 }),
    [...owners, owners[0] as (typeof owners)[0]],
  ];
  for (const lie of lies) assert.notDeepEqual(w.record().history, linkOf(lie));
});

test('STATE-16.5: an owner offers to one account, for a time, at a price; a later offer takes the place of an earlier one', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(mallory, w.offer(bob)), 'device.not-owner');
  assert.equal(w.send(alice, w.offer(alice)), 'offer.malformed');
  assert.equal(w.send(alice, w.offer(bob, { ms: 0 })), 'offer.malformed');
  assert.equal(w.send(alice, w.offer(bob, { ms: STATE_LIMITS.offerMsMax + 1001 })), 'offer.malformed');
  assert.equal(w.send(alice, w.offer(bob, { ms: STATE_LIMITS.offerMsMax })), 'ok');
  assert.equal(w.send(alice, w.offer(carol, { price: 7n })), 'ok');
  assert.equal(w.send(bob, w.acceptance()), 'offer.not-yours');
  assert.equal(w.send(carol, w.acceptance({ price: 7n })), 'ok');
  assert.ok(w.isOwnedBy(carol));
});

test('STATE-16.6: acceptance moves price and device at once, or neither', () => {
  const w = new DeviceWorld({ balance: PRICE + 1_000_000_000n });
  w.accept(alice, w.offer(bob, { price: PRICE }));
  const [seller, buyer] = [w.balance(alice), w.balance(bob)];
  const { receipts, events } = w.block(w.transaction(bob, w.acceptance({ price: PRICE })));
  assert.equal(w.balance(alice), seller + PRICE);
  assert.equal(w.balance(bob), buyer - PRICE - (receipts[0]?.fee ?? 0n));
  assert.ok(w.isOwnedBy(bob));
  assert.equal(events[0]?.kind, 'device-transferred');
  assert.equal(w.state.supply(), SUPPLY);
  // The rest of bob's balance does not pay this.
  w.accept(alice, w.offer(bob, { index: 1, price: PRICE }));
  const before = w.record(1);
  assert.equal(w.send(bob, w.acceptance({ index: 1, price: PRICE })), 'transaction.balance');
  assert.deepEqual(w.record(1), before);
});

test('STATE-16.6: attack: acceptance by a third party, at another price, or of nothing', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(bob, w.acceptance()), 'offer.unknown');
  w.accept(alice, w.offer(bob, { price: PRICE }));
  assert.equal(w.send(mallory, w.acceptance({ price: PRICE })), 'offer.not-yours');
  assert.equal(w.send(bob, w.acceptance({ price: 0n })), 'offer.terms');
  // The owner asks for more while the acceptance is on its way: bob does not pay it.
  w.accept(alice, w.offer(bob, { price: 2n * PRICE }));
  assert.equal(w.send(bob, w.acceptance({ price: PRICE })), 'offer.terms');
  assert.ok(w.isOwnedBy(alice));
});

test('STATE-16.6: attack: a replayed acceptance takes nothing a second time', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.offer(bob));
  const acceptance = w.acceptance();
  const signed = w.transaction(bob, acceptance);
  assert.ok(w.block(signed).receipts[0]?.outcome.ok);
  w.sell(bob, carol);
  assert.equal(w.block(signed).receipts[0]?.outcome.ok, false);
  // The same words under a new nonce, while a later owner offers to bob again: another number of transfers.
  w.accept(carol, w.offer(bob));
  assert.equal(w.send(bob, acceptance), 'offer.terms');
  assert.ok(w.isOwnedBy(carol));
});

test('STATE-16.6: an offer ends at its time, and then by itself', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.offer(bob, { ms: 3000 }));
  w.accept(alice, w.offer(bob, { index: 1, ms: 2000 }));
  // The first block that is not before its end still has it, and lets it go.
  assert.equal(w.send(bob, w.acceptance()), 'offer.expired');
  assert.equal(w.send(bob, w.acceptance({ index: 1 })), 'offer.unknown');
  assert.equal(w.state.count('sale'), 0);
});

test('STATE-16.6: the deposit of the record goes back to the seller and comes from the buyer', () => {
  const w = new DeviceWorld({ depositPerByte: 1000n });
  const held = w.record().deposit;
  assert.ok(held.amount > 0n);
  assert.deepEqual(held.payer, alice.address);
  w.accept(alice, w.offer(bob));
  const before = w.balance(alice);
  w.accept(bob, w.acceptance());
  assert.deepEqual(w.record().deposit, { payer: bob.address, amount: held.amount });
  assert.ok(w.balance(alice) >= before + held.amount, 'and the deposit of the offer');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-16.7: a grant made by the old owner, also between offer and acceptance, counts under no later owner', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.offer(bob));
  w.accept(alice, w.grant(carol));
  w.accept(bob, w.acceptance());
  const grant = w.state.grant(w.lamp().address, carol.address);
  assert.notDeepEqual(grant?.granter, w.record().owner);
  assert.equal(w.send(alice, w.grant(carol)), 'device.not-owner');
  // Alice buys it back: what she granted before is not hers to have granted now.
  w.sell(bob, alice);
  assert.deepEqual(w.state.grant(w.lamp().address, carol.address)?.granter, w.record().owner);
  assert.notEqual(w.state.grant(w.lamp().address, carol.address)?.basis, w.record().transfers);
});

test('STATE-16.8: the owner takes an offer back, or the other one declines; nobody else does', () => {
  const w = new DeviceWorld();
  const withdraw = { kind: 'withdraw-device', device: w.lamp().address } as const;
  assert.equal(w.send(alice, withdraw), 'offer.unknown');
  for (const who of [alice, bob]) {
    w.accept(alice, w.offer(bob));
    assert.equal(w.send(mallory, withdraw), 'offer.not-yours');
    assert.equal(w.send(who, withdraw), 'ok');
    assert.equal(w.send(bob, w.acceptance()), 'offer.unknown');
  }
});

test('STATE-16.9: attack: a stranger reports a theft, or finds what the owner reported stolen', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(mallory, w.mark('stolen')), 'device.not-owner');
  w.accept(alice, w.mark('stolen'));
  assert.equal(w.send(mallory, w.mark('found')), 'device.not-owner');
  assert.equal(w.record().state, 'stolen');
  w.accept(alice, w.mark('found'));
  assert.equal(w.record().state, 'owned');
  assert.equal(w.send(alice, w.mark('found')), 'device.not-stolen');
});

test('STATE-16.9: a stolen device changes no owner: what was offered or asked for ends, and nothing new begins', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.setRecovery(10_000));
  w.accept(alice, w.offer(bob));
  w.accept(carol, w.recovery(carol));
  w.accept(alice, w.mark('stolen'));
  assert.equal(w.send(bob, w.acceptance()), 'offer.unknown');
  assert.equal(w.send(carol, w.mark('recovered')), 'device-recovery.unknown');
  assert.equal(w.send(alice, w.offer(bob)), 'device.stolen');
  assert.equal(w.send(alice, w.mark('stolen')), 'device.stolen');
  w.accept(alice, w.mark('found'));
  w.sell(alice, bob);
});

test('STATE-16.10: retired is for good: deposit and built-in ITC come back, and nothing happens any more', () => {
  const w = new DeviceWorld({ depositPerByte: 1000n });
  w.accept(alice, w.offer(bob));
  const held = w.record().deposit.amount;
  const sale = w.state.record('sale', [...w.lamp().address].map((b) => String.fromCharCode(b)).join(''));
  assert.ok(sale);
  const before = w.balance(alice);
  const { receipts, events } = w.block(w.transaction(alice, w.mark('retired')));
  const fee = receipts[0]?.fee ?? 0n;
  assert.equal(w.balance(alice), before - fee + held + sale.deposit.amount + BUILT_IN);
  assert.equal(w.balance(w.lamp()), 0n);
  assert.deepEqual([w.record().state, w.record().deposit.amount], ['retired', 0n]);
  assert.ok(events[0]?.kind === 'device-retired' && events[0].returned === BUILT_IN);
  assert.equal(w.state.supply(), SUPPLY);
  const all = [
    w.offer(bob),
    w.mark('stolen'),
    w.mark('found'),
    w.mark('retired'),
    w.setRecovery(0),
    w.grant(bob),
    { kind: 'set-group', name: 'home', group: { place: true, devices: w.lampsOf(0) } } as const,
  ];
  for (const body of all) assert.equal(w.send(alice, body), 'device.retired');
  assert.equal(w.send(bob, w.acceptance()), 'offer.unknown');
  assert.equal(w.send(bob, w.recovery(bob)), 'device.retired');
});

test('STATE-16.10: attack: a retired device is claimed again, with its voucher or from a batch of its copied key', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.mark('retired'));
  for (const who of [alice, mallory]) assert.equal(w.send(who, w.claimOf(0, who)), 'device.retired');
  const copy = makeBatch(mallory, 'lamp', 3);
  w.accept(mallory, { kind: 'register-maker', name: 'Copy' });
  w.accept(mallory, w.registerBatch(mallory, copy, 0n));
  assert.equal(w.send(mallory, { kind: 'claim', claim: w.claim(copy, 0, mallory) }), 'device.retired');
  assert.equal(w.record().state, 'retired');
});

test('STATE-16.10: a stolen device is retired by its owner alone, whoever has it', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.mark('stolen'));
  assert.equal(w.send(mallory, w.mark('retired')), 'device.not-owner');
  w.accept(alice, w.mark('retired'));
  assert.equal(w.send(alice, w.mark('found')), 'device.retired');
});

test('STATE-16.11: whoever has voucher and device asks for it; for the delay it stays with its owner', () => {
  const w = new DeviceWorld();
  const { events } = w.block(w.transaction(bob, w.recovery(bob)));
  assert.ok(events[0]?.kind === 'device-recovery-opened');
  assert.equal(events[0].readyAt, w.now + STATE_LIMITS.deviceRecoveryMs);
  assert.ok(w.isOwnedBy(alice));
  assert.equal(w.send(bob, w.mark('recovered')), 'device-recovery.early');
  w.wait(STATE_LIMITS.deviceRecoveryMs - 10_000);
  assert.equal(w.send(bob, w.mark('recovered')), 'device-recovery.early');
  w.wait(10_000);
  assert.equal(w.send(mallory, w.mark('recovered')), 'device-recovery.unknown');
  assert.equal(w.send(bob, w.mark('recovered')), 'ok');
  assert.ok(w.isOwnedBy(bob));
  assert.equal(w.record().transfers, 1);
});

test('STATE-16.11: attack: an old owner with a copy of the voucher, a thief without it, and words of another time or chain', () => {
  const w = new DeviceWorld();
  const entry = w.batch.devices[0] as (typeof w.batch.devices)[number];
  const other = w.batch.devices[1] as (typeof w.batch.devices)[number];
  const signature = fakeSign(mallory.key, new Uint8Array(4));
  const wrong = [
    // Copied the voucher before the sale, but the lamp is not with him; has the lamp, but not the voucher.
    w.recovery(mallory, 0, { presence: signature }),
    w.recovery(mallory, 0, { voucher: signature }),
    // The words of somebody else's recovery.
    w.recovery(bob),
    // A voucher of another device of the batch, or at another place in it.
    w.recovery(mallory, 0, { claimKey: other.claimKey.key }),
    w.recovery(mallory, 0, { index: 1 }),
    w.recovery(mallory, 0, { path: entry.path.slice(1) }),
  ];
  for (const body of wrong) assert.equal(w.send(mallory, body), 'device-recovery.proof');
  const elsewhere = new DeviceWorld({ bondPerWeight: 1n, validatorBond: 1n });
  assert.equal(w.send(mallory, elsewhere.recovery(mallory)), 'device-recovery.proof');
  // Signed while alice owned it, kept until bob does.
  const kept = w.recovery(mallory);
  w.sell(alice, bob);
  assert.equal(w.send(mallory, kept), 'device-recovery.proof');
  assert.equal(w.state.count('device-recovery'), 0);
});

test('STATE-16.11: one recovery at a time, none of an own device, none where the owner wants none', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(alice, w.recovery(alice)), 'device-recovery.malformed');
  w.accept(bob, w.recovery(bob));
  assert.equal(w.send(carol, w.recovery(carol)), 'device-recovery.pending');
  w.accept(alice, w.setRecovery(0));
  assert.equal(w.send(carol, w.recovery(carol)), 'device-recovery.off');
});

test('STATE-16.12: the owner’s veto ends a recovery, and the owner’s choice of delay stands for the next', () => {
  const w = new DeviceWorld();
  w.accept(bob, w.recovery(bob));
  assert.equal(w.send(mallory, w.setRecovery(0)), 'device.not-owner');
  assert.equal(w.send(bob, w.setRecovery(0)), 'device.not-owner');
  for (const delay of [1, STATE_LIMITS.recoveryDelayMinMs - 1, STATE_LIMITS.recoveryDelayMaxMs + 1])
    assert.equal(w.send(alice, w.setRecovery(delay)), 'device-recovery.malformed');
  const { events } = w.block(w.transaction(alice, w.setRecovery(30 * DAY)));
  assert.ok(events[0]?.kind === 'device-recovery-set');
  assert.deepEqual(events[0].subject, bob.address);
  w.wait(31 * DAY);
  assert.equal(w.send(bob, w.mark('recovered')), 'device-recovery.unknown');
  w.accept(bob, w.recovery(bob));
  w.wait(29 * DAY);
  assert.equal(w.send(bob, w.mark('recovered')), 'device-recovery.early');
});

test('STATE-16.12: a sale ends a recovery and the old owner’s choice of delay', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.setRecovery(10_000));
  w.accept(alice, w.offer(bob));
  w.accept(mallory, w.recovery(mallory));
  w.accept(bob, w.acceptance());
  w.wait(20_000);
  assert.equal(w.send(mallory, w.mark('recovered')), 'device-recovery.unknown');
  assert.equal(w.record().recoveryDelay, STATE_LIMITS.deviceRecoveryMs);
});

test('STATE-16.13: a finished recovery lifts a report of theft; one that nobody finishes lapses', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.setRecovery(10_000));
  w.accept(alice, w.mark('stolen'));
  w.accept(bob, w.recovery(bob));
  w.wait(10_000);
  w.accept(bob, w.mark('recovered'));
  assert.deepEqual([w.record().state, w.isOwnedBy(bob)], ['owned', true]);
  w.accept(carol, w.recovery(carol));
  w.wait(STATE_LIMITS.deviceRecoveryMs + STATE_LIMITS.deviceRecoveryOpenMs);
  w.block();
  assert.equal(w.send(carol, w.mark('recovered')), 'device-recovery.unknown');
  assert.equal(w.state.count('device-recovery'), 0);
});

test('STATE-16.12: property: while the owner answers within the delay, no recovery ever takes the device', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }), (pauses) => {
      const w = new DeviceWorld({ lamps: 1 });
      w.accept(alice, w.setRecovery(50_000));
      for (const seconds of pauses) {
        w.send(mallory, w.recovery(mallory));
        w.wait(1000 * seconds);
        w.send(mallory, w.mark('recovered'));
        w.accept(alice, w.setRecovery(50_000));
      }
      assert.ok(w.isOwnedBy(alice));
    }),
    { numRuns: 25 },
  );
});

test('STATE-16.5: a device that nobody claimed is neither offered nor marked nor recovered', () => {
  const w = new DeviceWorld({ owned: 0 });
  for (const body of [w.offer(bob), w.mark('stolen'), w.setRecovery(0), w.recovery(bob)])
    assert.equal(w.send(person('alice'), body), 'device.unknown');
  assert.equal(w.send(alice, w.acceptance({ transfers: 0 })), 'device.unknown');
});

test('STATE-16.14: a device that is rented is neither sold nor frozen nor retired under the renter', () => {
  const w = new Market();
  w.rented();
  const device = lamp.address;
  const transfers = w.state.device(device)?.transfers ?? 0;
  const price = amount(0n);
  const expiresAt = millis(w.now + 60_000);
  for (const mark of ['stolen', 'retired'] as const)
    assert.equal(w.send(owner, { kind: 'mark-device', device, mark }), 'rental.taken');
  w.accept(owner, { kind: 'offer-device', device, to: stranger.address, price, expiresAt });
  assert.equal(w.send(stranger, { kind: 'accept-device', device, price, transfers }), 'rental.taken');
  assert.equal(w.state.device(device)?.state, 'owned');
});
