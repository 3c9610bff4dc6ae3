import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hash } from '../crypto/hash.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import type { Body } from '../ledger/body.ts';
import {
  arbiter,
  gateway,
  mallory,
  Market,
  MINUTE,
  NO_RENTAL,
  owner,
  renter,
  TERMS,
} from '../testing/market.ts';
import type { RentalTerms } from '../ledger/rental.ts';

const ITC = 1_000_000_000n;
const WINDOW = TERMS.window;

/** A rental that has ended; its deposit of fifty ITC is held. */
function ended(terms: RentalTerms = TERMS): { readonly w: Market; readonly rental: Hash } {
  const w = new Market({}, 0n);
  const rental = w.rented(5, terms);
  w.accept(gateway, w.start(rental));
  w.accept(gateway, w.stop(rental));
  return { w, rental };
}

const claim = (rental: Hash, itc: bigint): Body => ({
  kind: 'claim-damage',
  rental,
  amount: amount(itc * ITC),
});
const answer = (rental: Hash, itc: bigint): Body => ({
  kind: 'answer-claim',
  rental,
  amount: amount(itc * ITC),
});

test('STATE-22.9: nothing claimed within the window, the deposit returns by itself', () => {
  const { w } = ended();
  const before = w.balance(renter);
  w.passTo(w.now + WINDOW - 10_000);
  assert.equal(w.state.count('settlement'), 1);
  w.passTo(w.now + 10_000);
  assert.equal(w.balance(renter) - before, 50n * ITC);
  assert.equal(w.state.count('settlement'), 0);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-22.9: without a window or a deposit nothing is held back', () => {
  for (const changes of [{ window: millis(0) }, { deposit: amount(0n) }]) {
    const { w } = ended({ ...TERMS, ...changes });
    assert.equal(w.state.count('settlement'), 0);
    assert.equal(w.balance(renter), 1000n * ITC - 3n * ITC - 2n * 1_000_000n);
    assert.equal(w.state.supply(), SUPPLY);
  }
});

test('STATE-22.9: the owner alone claims, once, within deposit and window', () => {
  const { w, rental } = ended();
  assert.equal(w.send(mallory, claim(rental, 1n)), 'rental.party');
  assert.equal(w.send(renter, claim(rental, 1n)), 'rental.party');
  assert.equal(w.send(owner, claim(rental, 0n)), 'damage.amount');
  assert.equal(w.send(owner, claim(rental, 51n)), 'damage.amount');
  assert.equal(w.send(owner, claim(NO_RENTAL, 1n)), 'rental.unknown');
  w.accept(owner, claim(rental, 30n));
  assert.equal(w.send(owner, claim(rental, 50n)), 'damage.state');
  const late = ended();
  late.w.passTo(late.w.now + WINDOW);
  assert.equal(late.w.send(owner, claim(late.rental, 1n)), 'rental.unknown');
});

test('STATE-22.10: the renter accepts: the owner gets the claim at once, the renter the rest', () => {
  const { w, rental } = ended();
  const [had, got] = [w.balance(renter), w.balance(owner)];
  assert.equal(w.send(renter, answer(rental, 30n)), 'damage.state');
  w.accept(owner, claim(rental, 30n));
  w.accept(renter, answer(rental, 30n));
  assert.equal(w.balance(owner) - got, 30n * ITC);
  assert.equal(w.balance(renter) - had, 20n * ITC);
  assert.equal(w.state.count('settlement'), 0);
});

test('STATE-22.10: the renter concedes a part, and more of it later; the arbiter decides what is between', () => {
  const { w, rental } = ended();
  const [had, got] = [w.balance(renter), w.balance(owner)];
  w.accept(owner, claim(rental, 30n));
  assert.equal(w.send(mallory, answer(rental, 5n)), 'rental.party');
  assert.equal(w.send(owner, answer(rental, 30n)), 'rental.party');
  w.accept(renter, answer(rental, 5n));
  assert.equal(w.send(renter, answer(rental, 5n)), 'damage.amount');
  assert.equal(w.send(renter, answer(rental, 4n)), 'damage.amount');
  assert.equal(w.send(renter, answer(rental, 31n)), 'damage.amount');
  w.accept(renter, answer(rental, 6n));
  assert.equal(w.send(arbiter, answer(rental, 5n)), 'damage.amount');
  assert.equal(w.send(arbiter, answer(rental, 31n)), 'damage.amount');
  w.accept(arbiter, answer(rental, 20n));
  assert.equal(w.balance(owner) - got, 20n * ITC);
  assert.equal(w.balance(renter) - had, 30n * ITC);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-22.10: nobody decides: what is conceded goes to the owner, the rest to the renter, who may be asleep', () => {
  const { w, rental } = ended();
  const [had, got] = [w.balance(renter), w.balance(owner)];
  w.accept(owner, claim(rental, 50n));
  w.passTo(w.now + WINDOW);
  assert.equal(w.balance(owner) - got, 0n);
  assert.equal(w.balance(renter) - had, 50n * ITC);
  const second = ended();
  second.w.accept(owner, claim(second.rental, 50n));
  second.w.accept(renter, answer(second.rental, 7n));
  const then = second.w.balance(owner);
  second.w.passTo(second.w.now + WINDOW);
  assert.equal(second.w.balance(owner) - then, 7n * ITC);
  assert.equal(second.w.state.supply(), SUPPLY);
});

test('STATE-22.10: without an arbiter nobody but the renter answers', () => {
  const { w, rental } = ended({ ...TERMS, arbiter: undefined });
  w.accept(owner, claim(rental, 50n));
  assert.equal(w.send(arbiter, answer(rental, 50n)), 'rental.party');
});

test('STATE-22.10: a claim gives the renter a whole window to answer', () => {
  const { w, rental } = ended();
  w.passTo(w.now + WINDOW - 10_000);
  w.accept(owner, claim(rental, 30n));
  w.passTo(w.now + WINDOW - 10_000);
  w.accept(renter, answer(rental, 1n));
});

test('STATE-22.9: the deposits of two rentals of one device are held apart', () => {
  const { w, rental } = ended();
  w.accept(renter, w.rent(5));
  const next = w.rental();
  assert.ok(next);
  w.accept(gateway, w.start(next.id));
  w.accept(gateway, w.stop(next.id));
  assert.equal(w.state.count('settlement'), 2);
  w.accept(owner, claim(rental, 30n));
  w.accept(renter, answer(rental, 30n));
  const before = w.balance(renter);
  w.passTo(w.now + WINDOW + MINUTE);
  assert.equal(w.balance(renter) - before, 50n * ITC);
});
