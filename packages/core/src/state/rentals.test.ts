import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMOUNT_MAX, amount, millis, SUPPLY } from '../ledger/ids.ts';
import { termsHash, type RentalTerms } from '../ledger/rental.ts';
import { ACTIONS_ALL } from '../ledger/terms.ts';
import type { Body } from '../ledger/body.ts';
import {
  gateway,
  lamp,
  mallory,
  Market,
  MINUTE,
  otherLamp,
  owner,
  renter,
  arbiter,
  TERMS,
} from '../testing/market.ts';
import { STATE_LIMITS } from './limits.ts';

const ITC = 1_000_000_000n;

test('STATE-22.1: the owner of a device offers it; nobody else does', () => {
  const w = new Market();
  assert.equal(w.send(mallory, w.offer()), 'device.not-owner');
  assert.equal(w.send(owner, { ...w.offer(), device: mallory.address } as Body), 'device.unknown');
  w.accept(owner, w.offer());
  assert.equal(w.state.count('rental-offer'), 1);
  assert.equal(w.send(mallory, { kind: 'withdraw-offer', device: lamp.address }), 'device.not-owner');
  w.accept(owner, { kind: 'withdraw-offer', device: lamp.address });
  assert.equal(w.send(owner, { kind: 'withdraw-offer', device: lamp.address }), 'rental-offer.unknown');
  assert.equal(w.send(renter, w.rent(3)), 'rental-offer.unknown');
});

test('STATE-22.1: an offer goes by itself, and a new one takes its place', () => {
  const w = new Market();
  w.accept(owner, { ...w.offer(), expiresAt: millis(w.now + 5000) } as Body);
  const dearer = { ...TERMS, price: amount(4n * ITC) };
  w.accept(owner, { ...w.offer(dearer), expiresAt: millis(w.now + 5000) } as Body);
  assert.equal(w.send(renter, w.rent(3)), 'rental-offer.changed');
  assert.equal(w.state.count('rental-offer'), 1);
  w.passTo(w.now + 10_000);
  assert.equal(w.state.count('rental-offer'), 0);
  assert.equal(w.send(owner, { ...w.offer(), expiresAt: w.now } as Body), 'rental-offer.malformed');
});

test('STATE-22.2: terms that contradict each other or exceed a limit are refused', () => {
  const w = new Market();
  const { rentalMsMax, rentalWindowMsMax } = STATE_LIMITS;
  const wrong: Partial<RentalTerms>[] = [
    { maximum: 0, minimum: 0 },
    { minimum: 11 },
    { duration: millis(1) },
    { maximum: rentalMsMax / MINUTE + 1 },
    { unit: 'use', duration: millis(0) },
    { unit: 'use', duration: millis(rentalMsMax + 1) },
    { startWithin: millis(0) },
    { startWithin: millis(rentalWindowMsMax + 1) },
    { window: millis(rentalWindowMsMax + 1) },
    { price: amount(AMOUNT_MAX) },
    { carriage: amount(AMOUNT_MAX) },
    { arbiter: owner.address },
    { actions: 0 },
    { actions: ACTIONS_ALL + 1 },
    { levelMax: 255 },
  ];
  for (const changes of wrong)
    assert.equal(
      w.send(owner, w.offer({ ...TERMS, ...changes })),
      'rental-offer.malformed',
      JSON.stringify(Object.keys(changes)),
    );
  assert.equal(w.state.count('rental-offer'), 0);
});

test('STATE-22.3: the renter puts up the price of all minutes, the deposit and two carriages, and has access', () => {
  const w = new Market();
  const before = w.balance(renter);
  w.accept(owner, w.offer());
  const transaction = w.transaction(renter, w.rent(3));
  const { events } = w.block(transaction);
  const up = 3n * 3n * ITC + 50n * ITC + 2n * 1_000_000n;
  assert.equal(before - w.balance(renter), up + transaction.tx.fee);
  assert.equal(w.state.supply(), SUPPLY);
  const grant = w.state.grant(lamp.address, renter.address);
  const rental = w.rental();
  assert.ok(grant && rental);
  assert.deepEqual(
    [grant.granter, grant.actions, grant.levelMax],
    [owner.address, TERMS.actions, TERMS.levelMax],
  );
  assert.equal(grant.expiresAt, rental.rentedAt + 10 * MINUTE + 3 * MINUTE, 'as long as it can last');
  assert.deepEqual(grant.rental, rental.id);
  assert.equal(events[0]?.kind, 'rented');
});

test('STATE-22.3: a renter agrees to the terms he has seen (front-running by the owner)', () => {
  const w = new Market();
  w.accept(owner, w.offer());
  const agreed = w.rent(3);
  const dearer = { ...TERMS, price: amount(30n * ITC) };
  const { receipts } = w.block(w.transaction(owner, w.offer(dearer)), w.transaction(renter, agreed));
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'rental-offer.changed'],
  );
});

test('STATE-22.3: how much, by whom, and with what money is checked', () => {
  const w = new Market();
  w.accept(owner, w.offer({ ...TERMS, minimum: 2 }));
  const rent = (maximum: number): Body => w.rent(maximum, { ...TERMS, minimum: 2 });
  assert.equal(w.send(renter, rent(0)), 'rental.maximum');
  assert.equal(w.send(renter, rent(1)), 'rental.maximum');
  assert.equal(w.send(renter, rent(11)), 'rental.maximum');
  assert.equal(w.send(owner, rent(3)), 'rental.party');
  assert.equal(w.send(arbiter, rent(3)), 'rental.party');
  const poor = new Market({ balance: 40n * ITC });
  poor.accept(owner, poor.offer());
  assert.equal(poor.send(renter, poor.rent(1)), 'transaction.balance');
  assert.equal(w.state.count('rental'), 0);
  assert.equal(w.state.count('grant'), 0);
});

test('STATE-22.3: a device has one renter at a time', () => {
  const w = new Market();
  w.rented();
  assert.equal(w.send(mallory, w.rent(3)), 'rental.taken');
  w.accept(owner, w.offer(TERMS, otherLamp));
  w.accept(mallory, w.rent(3, TERMS, otherLamp));
});

test('STATE-22.4: an owner neither takes back nor narrows what was paid for (owner revoking a paid rental)', () => {
  const w = new Market();
  const rental = w.rented();
  const before = w.state.grant(lamp.address, renter.address);
  const device = lamp.address;
  const subject = renter.address;
  assert.equal(w.send(owner, { kind: 'revoke', device, subject }), 'grant.rented');
  const narrow = {
    device,
    subject,
    actions: 1,
    levelMax: 1,
    notBefore: millis(0),
    expiresAt: millis(w.now + 9000),
  };
  assert.equal(w.send(owner, { kind: 'grant', grant: narrow }), 'grant.rented');
  assert.equal(w.send(owner, { kind: 'mark-device', device, mark: 'stolen' }), 'rental.taken');
  assert.equal(w.send(owner, { kind: 'mark-device', device, mark: 'retired' }), 'rental.taken');
  w.accept(owner, { kind: 'withdraw-offer', device });
  assert.equal(w.state.grant(device, subject), before);
  w.accept(gateway, w.start(rental));
  assert.equal(w.send(owner, { kind: 'revoke', device, subject }), 'grant.rented');
});

test('STATE-22.4: a renter neither widens nor passes on what he has (renter widening access)', () => {
  const w = new Market();
  w.rented();
  const device = lamp.address;
  const terms = { actions: ACTIONS_ALL, levelMax: 254, notBefore: millis(0), expiresAt: millis(w.now + 1e9) };
  assert.equal(
    w.send(renter, { kind: 'grant', grant: { device, subject: mallory.address, ...terms } }),
    'device.not-owner',
  );
  assert.equal(
    w.send(renter, { kind: 'grant', grant: { device, subject: renter.address, ...terms } }),
    'grant.malformed',
  );
  const narrow = { ...terms, actions: 1, levelMax: 0, expiresAt: millis(w.now + 1000) };
  const delegated = w.send(renter, {
    kind: 'delegate',
    scope: { kind: 'device', device },
    subject: mallory.address,
    terms: narrow,
  });
  assert.notEqual(delegated, 'ok');
  assert.equal(w.state.count('delegation'), 0);
  assert.equal(w.state.count('grant'), 1);
});

test('STATE-22.4: who holds a grant already does not rent, and keeps the grant', () => {
  const w = new Market();
  const grant = {
    device: lamp.address,
    subject: renter.address,
    actions: 1,
    levelMax: 1,
    notBefore: millis(0),
    expiresAt: millis(w.now + 1e9),
  };
  w.accept(owner, { kind: 'grant', grant });
  w.accept(owner, w.offer());
  assert.equal(w.send(renter, w.rent(3)), 'rental.granted');
});

test('STATE-22.5: the device’s word starts and stops it, whoever brings it; three minutes cost three minutes', () => {
  const w = new Market();
  const rental = w.rented();
  const [had, got] = [w.balance(renter), w.balance(owner)];
  const startedAt = w.now;
  w.accept(mallory, w.start(rental, startedAt));
  assert.equal(w.state.grant(lamp.address, renter.address)?.expiresAt, startedAt + 10 * MINUTE);
  w.passTo(startedAt + 3 * MINUTE + 5000);
  w.accept(gateway, w.stop(rental, startedAt + 3 * MINUTE));
  assert.equal(w.balance(owner) - got, 9n * ITC);
  assert.equal(w.balance(renter) - had, 21n * ITC, 'what was put up for seven minutes more');
  assert.equal(w.rental(), undefined);
  assert.equal(w.state.grant(lamp.address, renter.address), undefined, 'provably gone');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-22.5: whoever brings the word of the start or of the stop gets a carriage', () => {
  const w = new Market({}, 0n);
  const rental = w.rented();
  const before = w.balance(gateway);
  w.accept(gateway, w.start(rental));
  assert.equal(w.balance(gateway) - before, 1_000_000n);
  w.accept(gateway, w.stop(rental));
  assert.equal(w.balance(gateway) - before, 2_000_000n);
});

test('STATE-22.6: a minute that has begun counts, the minimum is owed, and no more than the maximum', () => {
  const cases: [elapsed: number, minutes: bigint][] = [
    [0, 1n],
    [1, 1n],
    [MINUTE, 1n],
    [MINUTE + 1, 2n],
    [2 * MINUTE, 2n],
    [10 * MINUTE, 10n],
    [10 * MINUTE + 1, 10n],
    [50 * MINUTE, 10n],
  ];
  for (const [elapsed, minutes] of cases) {
    const w = new Market();
    const rental = w.rented();
    const got = w.balance(owner);
    const startedAt = w.now;
    w.accept(gateway, w.start(rental));
    w.passTo(startedAt + elapsed);
    w.accept(gateway, w.stop(rental, startedAt + elapsed));
    assert.equal(w.balance(owner) - got, minutes * 3n * ITC, `${elapsed} ms`);
    assert.equal(w.state.supply(), SUPPLY);
  }
});

test('STATE-22.6: by use, what the device has counted is paid', () => {
  const terms: RentalTerms = { ...TERMS, unit: 'use', duration: millis(30 * MINUTE), minimum: 2, maximum: 5 };
  for (const [uses, paid] of [
    [0, 2n],
    [2, 2n],
    [4, 4n],
    [9, 5n],
  ] as const) {
    const w = new Market();
    const rental = w.rented(5, terms);
    const got = w.balance(owner);
    w.accept(gateway, w.start(rental));
    w.accept(gateway, w.stop(rental, undefined, uses));
    assert.equal(w.balance(owner) - got, paid * 3n * ITC);
  }
});

test('STATE-22.6: by use, what was said before the device fell silent is paid when its time is over', () => {
  const terms: RentalTerms = { ...TERMS, unit: 'use', duration: millis(30 * MINUTE), maximum: 5 };
  const w = new Market();
  const rental = w.rented(5, terms);
  const got = w.balance(owner);
  w.accept(gateway, w.start(rental));
  w.accept(gateway, { kind: 'rental-use', word: w.word('used', rental, { uses: 2 }) });
  w.accept(gateway, { kind: 'rental-use', word: w.word('used', rental, { uses: 3 }) });
  assert.equal(
    w.send(gateway, { kind: 'rental-use', word: w.word('used', rental, { uses: 2 }) }),
    'rental.time',
  );
  w.passTo(w.now + 31 * MINUTE + 60 * MINUTE);
  assert.equal(w.balance(owner) - got, 9n * ITC);
  assert.equal(w.rental(), undefined);
});

test('STATE-22.7: never started, everything returns by itself', () => {
  const w = new Market({ depositPerByte: 100n });
  const before = w.balance(renter);
  w.accept(owner, w.offer());
  const transaction = w.transaction(renter, w.rent(10));
  w.block(transaction);
  w.passTo(w.now + 70 * MINUTE);
  assert.equal(w.balance(renter), before - transaction.tx.fee);
  assert.equal(w.rental(), undefined);
  assert.equal(w.state.count('grant'), 0);
  assert.equal(w.state.count('settlement'), 0);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-22.7: no word of the stop, and the maximum ends it: the renter’s phone is not needed', () => {
  const w = new Market();
  const rental = w.rented(4);
  const got = w.balance(owner);
  const startedAt = w.now;
  w.accept(gateway, w.start(rental));
  w.passTo(startedAt + 4 * MINUTE);
  assert.equal(w.state.grant(lamp.address, renter.address), undefined, 'access ends with the time');
  assert.ok(w.rental(), 'a late word may still come');
  w.passTo(startedAt + 64 * MINUTE);
  assert.equal(w.rental(), undefined);
  assert.equal(w.balance(owner) - got, 12n * ITC);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-22.7: a word of the stop that comes late, within the window, still counts', () => {
  const w = new Market();
  const rental = w.rented(4);
  const got = w.balance(owner);
  const startedAt = w.now;
  w.accept(gateway, w.start(rental));
  w.passTo(startedAt + 60 * MINUTE);
  w.accept(gateway, w.stop(rental, startedAt + 2 * MINUTE));
  assert.equal(w.balance(owner) - got, 6n * ITC);
});

test('STATE-22.8: a renter gives the device back and pays up to then', () => {
  const w = new Market({}, 0n);
  const rental = w.rented();
  const got = w.balance(owner);
  assert.equal(w.send(renter, { kind: 'end-rental', device: lamp.address }), 'rental.state');
  const startedAt = w.now;
  w.accept(gateway, w.start(rental));
  w.passTo(startedAt + 2 * MINUTE);
  assert.equal(w.send(owner, { kind: 'end-rental', device: lamp.address }), 'rental.party');
  w.accept(renter, { kind: 'end-rental', device: lamp.address });
  assert.equal(w.state.grant(lamp.address, renter.address), undefined);
  assert.equal(w.send(renter, { kind: 'end-rental', device: lamp.address }), 'rental.time');
  w.passTo(startedAt + 65 * MINUTE);
  assert.equal(w.balance(owner) - got, 9n * ITC, 'two minutes and a bit');
});

test('STATE-22.8: who stays on in a house without uplink after giving the device back pays by its word', () => {
  const w = new Market();
  const rental = w.rented();
  const got = w.balance(owner);
  const startedAt = w.now;
  w.accept(gateway, w.start(rental));
  w.accept(renter, { kind: 'end-rental', device: lamp.address });
  w.passTo(startedAt + 8 * MINUTE);
  w.accept(gateway, w.stop(rental, startedAt + 7 * MINUTE));
  assert.equal(w.balance(owner) - got, 21n * ITC);
});

test('STATE-22.3: what is rented stays with the renter whatever the owner offers next', () => {
  const w = new Market();
  const rental = w.rented(2);
  const got = w.balance(owner);
  w.accept(owner, w.offer({ ...TERMS, price: amount(40n * ITC), window: millis(0) }));
  w.accept(gateway, w.start(rental));
  w.accept(gateway, w.stop(rental));
  assert.equal(w.balance(owner) - got + w.transaction(owner, w.offer()).tx.fee, 3n * ITC);
  assert.equal(w.state.count('settlement'), 1);
  assert.notDeepEqual(termsHash(TERMS), termsHash({ ...TERMS, price: amount(1n) }));
});

test('STATE-22.11: a device that was reported stolen, or retired, is neither offered nor rented', () => {
  const w = new Market();
  w.accept(owner, w.offer());
  w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'stolen' });
  assert.equal(w.send(owner, w.offer()), 'device.stolen');
  assert.equal(w.send(renter, w.rent(3)), 'device.stolen');
  w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'found' });
  w.accept(owner, { kind: 'mark-device', device: lamp.address, mark: 'retired' });
  assert.equal(w.send(renter, w.rent(3)), 'device.retired');
});

test('STATE-22.11: a rented device does not change hands; an offer of an earlier owner is void', () => {
  const w = new Market();
  const rental = w.rented();
  const device = lamp.address;
  const sale: Body = {
    kind: 'offer-device',
    device,
    to: mallory.address,
    price: amount(0n),
    expiresAt: millis(w.now + 1e7),
  };
  const accept: Body = { kind: 'accept-device', device, price: amount(0n), transfers: 0 };
  w.accept(owner, sale);
  assert.equal(w.send(mallory, accept), 'rental.taken');
  w.accept(gateway, w.start(rental));
  w.accept(gateway, w.stop(rental));
  w.accept(owner, { ...sale, expiresAt: millis(w.now + 1e7) } as Body);
  w.accept(mallory, accept);
  assert.equal(w.send(renter, w.rent(3)), 'rental-offer.unknown');
  w.accept(owner, { kind: 'withdraw-offer', device });
  assert.equal(w.state.supply(), SUPPLY);
});
