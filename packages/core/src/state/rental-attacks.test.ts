/** What somebody might try with a rental, by name (STATE-22). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Hash } from '../crypto/hash.ts';
import { encodeAcknowledgement } from '../ledger/command.ts';
import { LIMITS } from '../ledger/limits.ts';
import { SUPPLY } from '../ledger/ids.ts';
import type { Body } from '../ledger/body.ts';
import {
  gateway,
  lamp,
  mallory,
  Market,
  MINUTE,
  NO_RENTAL,
  otherLamp,
  owner,
  renter,
  signedWord,
  TERMS,
} from '../testing/market.ts';
import { precheck } from './admission.ts';

/** A rental that runs since the time it names. */
function running(): { readonly w: Market; readonly rental: Hash; readonly startedAt: number } {
  const w = new Market();
  const rental = w.rented();
  const startedAt = w.now;
  w.accept(gateway, w.start(rental));
  return { w, rental, startedAt };
}

const start = (word: Uint8Array): Body => ({ kind: 'rental-start', word });
const stop = (word: Uint8Array): Body => ({ kind: 'rental-stop', word });
const use = (word: Uint8Array): Body => ({ kind: 'rental-use', word });

test('STATE-22.5: a replayed acknowledgement: no word counts twice, in no rental', () => {
  const w = new Market();
  const rental = w.rented();
  const started = w.start(rental);
  w.accept(gateway, started);
  assert.equal(w.send(mallory, started), 'rental.state');
  const used = use(w.word('used', rental, { uses: 1 }));
  w.accept(gateway, used);
  assert.equal(w.send(mallory, used), 'rental.replayed');
  const stopped = w.stop(rental, undefined, 1);
  w.accept(gateway, stopped);
  for (const word of [started, used, stopped]) assert.equal(w.send(mallory, word), 'rental.unknown');
  // The same device, the same renter, another rental.
  w.accept(renter, w.rent(10));
  for (const word of [started, used, stopped]) assert.equal(w.send(mallory, word), 'rental.unknown');
});

test('STATE-22.5: an earlier word of the device after a later one: what it said last stands', () => {
  const { w, rental } = running();
  const first = use(w.word('used', rental, { uses: 1 }));
  const second = use(w.word('used', rental, { uses: 2 }));
  w.accept(gateway, second);
  assert.equal(w.send(mallory, first), 'rental.replayed');
  assert.equal(w.rental()?.running?.uses, 2);
});

test('STATE-22.5: an acknowledgement of another device, or by a key that is no device’s', () => {
  const w = new Market();
  const rental = w.rented();
  assert.equal(w.send(owner, start(w.word('started', rental, { device: otherLamp }))), 'rental.unknown');
  assert.equal(w.send(owner, start(w.word('started', rental, { device: mallory }))), 'rental.unknown');
  assert.equal(w.send(owner, start(w.word('started', NO_RENTAL))), 'rental.unknown');
});

test('STATE-22.5: a word with any byte changed is refused, by the pool already', () => {
  const w = new Market();
  const word = w.word('started', w.rented());
  fc.assert(
    fc.property(fc.nat(word.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const body = start(word.with(at, (word[at] as number) ^ bits));
      const checked = precheck(w.state, w.context, w.transaction(gateway, body));
      if (checked.ok) assert.fail(`byte ${at}`);
      assert.ok(['rental.word', 'payload.signature'].includes(checked.code), checked.code);
    }),
    { numRuns: 60 },
  );
  assert.equal(w.send(gateway, start(word.with(40, (word[40] as number) ^ 1))) === 'ok', false);
  w.accept(gateway, start(word));
});

test('STATE-22.5: a word for another chain, or of another kind, is no word', () => {
  const w = new Market();
  const rental = w.rented();
  assert.equal(w.send(gateway, start(w.word('started', rental, { chain: NO_RENTAL }))), 'payload.signature');
  assert.equal(w.send(gateway, start(w.word('stopped', rental))), 'rental.word');
  assert.equal(w.send(gateway, stop(w.word('started', rental))), 'rental.word');
  assert.equal(w.send(gateway, start(new Uint8Array(9))), 'rental.word');
  const content = encodeAcknowledgement({
    command: rental,
    outcome: { kind: 'done' },
    on: true,
    level: 1,
    time: w.now,
  });
  assert.equal(
    w.send(gateway, start(signedWord(w.chain, lamp, { contentType: 'ack', content }))),
    'rental.word',
  );
  assert.equal(
    w.send(gateway, start(signedWord(w.chain, lamp, { contentType: 'rental', content }))),
    'rental.word',
  );
});

test('STATE-22.5: a stop before the start', () => {
  const w = new Market();
  const rental = w.rented();
  assert.equal(w.send(gateway, w.stop(rental)), 'rental.state');
  assert.equal(w.send(gateway, use(w.word('used', rental, { uses: 1 }))), 'rental.state');
  const startedAt = w.now;
  w.accept(gateway, w.start(rental, startedAt));
  assert.equal(w.send(gateway, w.stop(rental, startedAt - 1)), 'rental.time');
});

test('STATE-22.5: a start after expiry, before the rental, or of a time to come', () => {
  const w = new Market();
  const rental = w.rented();
  const rentedAt = w.rental()?.rentedAt as number;
  assert.equal(w.send(gateway, w.start(rental, rentedAt - 1)), 'rental.time');
  assert.equal(w.send(gateway, w.start(rental, w.now + LIMITS.clockSkewMsMax + 1)), 'rental.time');
  w.passTo(rentedAt + 11 * MINUTE);
  assert.equal(w.send(gateway, w.start(rental, rentedAt + 10 * MINUTE + 1)), 'rental.time');
  // It started in time, and the word comes late: it counts.
  w.accept(gateway, w.start(rental, rentedAt + 10 * MINUTE));
  const late = new Market();
  const other = late.rented();
  late.passTo(late.now + 10 * MINUTE + TERMS.window);
  assert.equal(late.send(gateway, late.start(other)), 'rental.unknown');
});

test('STATE-22.5: a stop of a time to come would charge for time that has not passed', () => {
  const { w, rental, startedAt } = running();
  assert.equal(w.send(owner, w.stop(rental, startedAt + 9 * MINUTE)), 'rental.time');
});

test('STATE-22.5: counts that shrink', () => {
  const { w, rental } = running();
  w.accept(gateway, use(w.word('used', rental, { uses: 4 })));
  assert.equal(w.send(gateway, use(w.word('used', rental, { uses: 3 }))), 'rental.time');
  assert.equal(w.send(gateway, w.stop(rental, undefined, 3)), 'rental.time');
});

test('STATE-22.5: a double settlement: what is settled is gone', () => {
  const { w, rental } = running();
  const first = w.stop(rental);
  const second = w.stop(rental);
  const { receipts } = w.block(w.transaction(gateway, first), w.transaction(owner, second));
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'rental.unknown'],
  );
  w.passTo(w.now + 200 * MINUTE);
  assert.equal(w.state.supply(), SUPPLY);
  assert.equal(w.state.count('rental') + w.state.count('settlement'), 0);
});

test('STATE-22.5: who brings words does not decide over them: a stranger’s carriage costs the renter no more', () => {
  const one = running();
  const two = running();
  one.w.accept(gateway, one.w.stop(one.rental, one.startedAt));
  two.w.accept(mallory, two.w.stop(two.rental, two.startedAt));
  assert.equal(one.w.balance(renter), two.w.balance(renter));
  assert.equal(one.w.balance(owner), two.w.balance(owner));
});
