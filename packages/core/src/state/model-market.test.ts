/**
 * Random stories of renting against a plain reference that keeps everybody's money in a map (STATE-22; STATE-2.9: nothing is
 * created or lost). The reference says of every step whether it is accepted, and who has how much afterwards.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idText } from '../bytes/id-text.ts';
import type { Hash } from '../crypto/hash.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import type { Body } from '../ledger/body.ts';
import { rentalId, type RentalTerms } from '../ledger/rental.ts';
import { arbiter, lamp, mallory, Market, MINUTE, owner, renter, TERMS } from '../testing/market.ts';
import type { Person } from '../testing/state-world.ts';

const PEOPLE: readonly Person[] = [owner, renter, mallory, arbiter];
const START_WITHIN = 3 * MINUTE;
const MAXIMUM = 6;
const USE_LENGTH = 5 * MINUTE;
const SKEW = 5000;

type Step =
  | {
      readonly kind: 'offer';
      readonly unit: 'minute' | 'use';
      readonly price: number;
      readonly deposit: number;
      readonly window: number;
    }
  | { readonly kind: 'rent'; readonly by: number; readonly maximum: number }
  | {
      readonly kind: 'say';
      readonly event: 'started' | 'used' | 'stopped';
      /** Before the block; after it when negative. */
      readonly ago: number;
      readonly uses: number;
      readonly by: number;
    }
  | { readonly kind: 'end' | 'withdraw' | 'revoke' | 'replay'; readonly by: number }
  | { readonly kind: 'claim' | 'answer'; readonly by: number; readonly of: number; readonly value: number }
  | { readonly kind: 'pass'; readonly seconds: number };

const by = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('offer' as const),
      unit: fc.constantFrom('minute' as const, 'use' as const),
      price: fc.nat(20),
      deposit: fc.nat(12),
      window: fc.constantFrom(0, MINUTE, 10 * MINUTE),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('rent' as const),
      by: fc.constantFrom(1, 1, 2, 0, 3),
      maximum: fc.nat(7),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      event: fc.constantFrom('started' as const, 'started' as const, 'used' as const, 'stopped' as const),
      ago: fc.oneof(fc.constant(0), fc.nat(4 * MINUTE), fc.integer({ min: -8000, max: 0 })),
      uses: fc.nat(8),
      by,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('end' as const, 'withdraw' as const, 'revoke' as const, 'replay' as const),
      by,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('claim' as const, 'claim' as const, 'answer' as const, 'answer' as const),
      by: fc.constantFrom(0, 0, 1, 1, 2, 3),
      of: fc.nat(2),
      value: fc.nat(14),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      seconds: fc.oneof(fc.nat(100), fc.nat(1000)),
    }),
  },
);

interface Agreed {
  readonly id: Hash;
  readonly terms: RentalTerms;
  readonly renter: Person;
  readonly maximum: number;
  readonly rentedAt: number;
  startedAt: number | undefined;
  /** Where the renter gave it back. */
  saidEnd: number | undefined;
  uses: number;
}

interface Held {
  readonly renter: Person;
  readonly window: number;
  readonly value: bigint;
  claim: bigint | undefined;
  conceded: bigint;
  until: number;
}

/** Written from the clauses, without a look at how the ledger keeps its records. */
class Reference {
  readonly wealth: Map<Person, bigint> = new Map();
  offered: RentalTerms | undefined;
  agreed: Agreed | undefined;
  readonly held: Map<string, Held> = new Map();

  add(who: Person, value: bigint): void {
    this.wealth.set(who, (this.wealth.get(who) ?? 0n) + value);
  }

  rent(who: Person, id: Hash, maximum: number, now: number): boolean {
    const terms = this.offered;
    if (terms === undefined || this.agreed !== undefined) return false;
    if (who === owner || who === arbiter || maximum < 1 || maximum < terms.minimum || maximum > MAXIMUM)
      return false;
    this.add(who, -(BigInt(maximum) * terms.price + terms.deposit + 2n * terms.carriage));
    this.agreed = {
      id,
      terms,
      renter: who,
      maximum,
      rentedAt: now,
      startedAt: undefined,
      saidEnd: undefined,
      uses: 0,
    };
    return true;
  }

  say(who: Person, o: { event: string; at: number; uses: number }, now: number): boolean {
    const { agreed } = this;
    if (agreed === undefined || o.at > now + SKEW || this.due(agreed) <= now) return false;
    if (o.event === 'started') {
      const isInTime = o.at >= agreed.rentedAt && o.at <= agreed.rentedAt + START_WITHIN;
      if (agreed.startedAt !== undefined || !isInTime) return false;
      agreed.startedAt = o.at;
      this.add(who, agreed.terms.carriage);
      return true;
    }
    if (agreed.startedAt === undefined || o.at < agreed.startedAt || o.uses < agreed.uses) return false;
    agreed.uses = o.uses;
    if (o.event === 'used') return true;
    this.add(who, agreed.terms.carriage);
    this.settle(agreed, Math.min(o.at, agreed.startedAt + this.length(agreed)), now, 0n);
    return true;
  }

  end(who: Person, now: number): boolean {
    const { agreed } = this;
    if (agreed?.startedAt === undefined || agreed.renter !== who || this.over(agreed) <= now) return false;
    agreed.saidEnd = Math.max(agreed.startedAt, now);
    return true;
  }

  claim(who: Person, id: Hash, value: bigint, now: number): boolean {
    const held = this.held.get(idText(id));
    if (held === undefined || held.until <= now || who !== owner || held.claim !== undefined) return false;
    if (value < 1n || value > held.value) return false;
    held.claim = value;
    held.until = now + held.window;
    return true;
  }

  answer(who: Person, id: Hash, value: bigint, now: number): boolean {
    const held = this.held.get(idText(id));
    if (held?.claim === undefined || held.until <= now || value > held.claim) return false;
    if (who === arbiter && value >= held.conceded) return this.pay(id, held, value);
    if (who !== held.renter || value <= held.conceded) return false;
    if (value === held.claim) return this.pay(id, held, value);
    held.conceded = value;
    return true;
  }

  /** What a block of this time does by itself. */
  tick(now: number): void {
    const { agreed } = this;
    if (agreed !== undefined && this.due(agreed) <= now) {
      if (agreed.startedAt !== undefined) this.settle(agreed, this.over(agreed), now, agreed.terms.carriage);
      else {
        const { terms, maximum, renter: who } = agreed;
        this.add(who, BigInt(maximum) * terms.price + terms.deposit + 2n * terms.carriage);
        this.agreed = undefined;
      }
    }
    for (const [id, held] of this.held) if (held.until <= now) this.pay(id, held, held.conceded);
  }

  private length({ terms, maximum }: Agreed): number {
    return terms.unit === 'minute' ? maximum * MINUTE : USE_LENGTH;
  }

  private over(agreed: Agreed): number {
    return agreed.saidEnd ?? (agreed.startedAt as number) + this.length(agreed);
  }

  private due(agreed: Agreed): number {
    const last = agreed.startedAt === undefined ? agreed.rentedAt + START_WITHIN : this.over(agreed);
    return last + agreed.terms.window;
  }

  private settle(agreed: Agreed, end: number, now: number, unused: bigint): void {
    const { terms, maximum, renter: who, startedAt, uses } = agreed;
    let units = uses;
    if (terms.unit === 'minute') {
      units = 0;
      for (let at = startedAt as number; at < end; at += MINUTE) units += 1;
    }
    const paid = Math.min(maximum, Math.max(units, terms.minimum));
    this.add(owner, BigInt(paid) * terms.price);
    this.add(who, BigInt(maximum - paid) * terms.price + unused);
    this.agreed = undefined;
    const { window, deposit: value } = terms;
    if (window === 0) this.add(who, value);
    else if (value > 0n)
      this.held.set(idText(agreed.id), {
        renter: who,
        window,
        value,
        claim: undefined,
        conceded: 0n,
        until: now + window,
      });
  }

  private pay(id: Hash | string, held: Held, toOwner: bigint): boolean {
    this.add(owner, toOwner);
    this.add(held.renter, held.value - toOwner);
    this.held.delete(typeof id === 'string' ? id : idText(id));
    return true;
  }
}

/** The ledger and the reference, side by side. */
class Story {
  readonly w: Market = new Market({}, 0n);
  readonly reference: Reference = new Reference();
  /** Of all rentals there were, newest first. */
  readonly rentals: Hash[] = [];
  word: Body | undefined;
  readonly seen: Set<string> = new Set();

  constructor() {
    for (const who of PEOPLE) this.reference.add(who, this.w.balance(who));
  }

  run(next: Step): void {
    const { w, reference } = this;
    const now = w.now;
    switch (next.kind) {
      case 'offer':
        return this.offer(next);
      case 'withdraw': {
        const isTheirs = PEOPLE[next.by] === owner && reference.offered !== undefined;
        this.send(next.by, { kind: 'withdraw-offer', device: lamp.address }, () => isTheirs);
        if (isTheirs) reference.offered = undefined;
        return;
      }
      case 'rent': {
        const who = PEOPLE[next.by] as Person;
        const nonce = w.state.account(who.address)?.nonces[0] ?? 0;
        const id = rentalId({ renter: who.address, lane: 0, nonce });
        const terms = reference.offered ?? TERMS;
        const isOk = this.send(next.by, w.rent(next.maximum, terms), () =>
          reference.rent(who, id, next.maximum, now),
        );
        if (isOk) this.rentals.unshift(id);
        return;
      }
      case 'say': {
        const { event } = next;
        const at = now - next.ago;
        const uses = event === 'started' ? 0 : next.uses;
        const kind = ({ started: 'rental-start', used: 'rental-use', stopped: 'rental-stop' } as const)[
          event
        ];
        const body: Body = { kind, word: w.word(event, this.rentals[0] ?? w.chain, { at, uses }) };
        const who = PEOPLE[next.by] as Person;
        if (this.send(next.by, body, () => reference.say(who, { event, at, uses }, now))) this.word = body;
        return;
      }
      case 'end':
        this.send(next.by, { kind: 'end-rental', device: lamp.address }, () =>
          reference.end(PEOPLE[next.by] as Person, now),
        );
        return;
      case 'claim':
      case 'answer': {
        const rental = this.rentals[next.of] ?? w.chain;
        const value = BigInt(next.value) * 1_000_000n;
        const kind = next.kind === 'claim' ? 'claim-damage' : 'answer-claim';
        this.send(next.by, { kind, rental, amount: amount(value) }, () =>
          reference[next.kind](PEOPLE[next.by] as Person, rental, value, now),
        );
        return;
      }
      case 'revoke': {
        const subject = (reference.agreed?.renter ?? renter).address;
        this.send(next.by, { kind: 'revoke', device: lamp.address, subject }, () => false);
        return;
      }
      case 'replay':
        if (this.word !== undefined) this.send(next.by, this.word, () => false);
        return;
      case 'pass':
        w.later += next.seconds * 1000;
        reference.tick(w.now);
        w.block();
    }
  }

  offer(next: Extract<Step, { kind: 'offer' }>): void {
    const terms: RentalTerms = {
      ...TERMS,
      unit: next.unit,
      price: amount(BigInt(next.price) * 1_000_000n),
      minimum: next.price % 3,
      maximum: MAXIMUM,
      duration: millis(next.unit === 'use' ? USE_LENGTH : 0),
      deposit: amount(BigInt(next.deposit) * 1_000_000n),
      startWithin: millis(START_WITHIN),
      window: millis(next.window),
    };
    const expiresAt = millis(Number.MAX_SAFE_INTEGER);
    this.send(0, { kind: 'offer-rental', device: lamp.address, terms, expiresAt }, () => true);
    this.reference.offered = terms;
  }

  /** A block of one, judged by the reference first; then everybody has what the reference says. */
  send(sender: number, body: Body, expected: () => boolean): boolean {
    const { w, reference } = this;
    const { time } = w.context;
    const before = w.state;
    const isOk = expected();
    reference.tick(time);
    const code = w.send(PEOPLE[sender] as Person, body);
    this.seen.add(`${body.kind} ${code === 'ok'}`);
    assert.equal(code === 'ok', isOk, `${body.kind}: ${code}`);
    if (!isOk) for (const { grant } of before.grants()) assert.ok(grant.rental !== undefined);
    this.check();
    return isOk;
  }

  check(): void {
    const { w, reference } = this;
    for (const who of PEOPLE) assert.equal(w.balance(who), reference.wealth.get(who), who.name);
    assert.equal(w.state.supply(), SUPPLY);
    assert.equal(w.state.count('rental'), reference.agreed === undefined ? 0 : 1);
    assert.equal(w.state.count('settlement'), reference.held.size);
    // Access is never more than was rented, and never without a rental.
    for (const { grant } of w.state.grants()) {
      const { agreed } = reference;
      assert.ok(agreed !== undefined && grant.rental !== undefined);
      assert.deepEqual(grant.rental, agreed.id);
      assert.deepEqual([grant.actions, grant.levelMax], [TERMS.actions, TERMS.levelMax]);
    }
  }
}

/** Most stories begin with a rental, or too few would get beyond one. */
const BEGINNING: readonly Step[] = [
  { kind: 'offer', unit: 'use', price: 7, deposit: 9, window: 10 * MINUTE },
  { kind: 'rent', by: 1, maximum: 5 },
  { kind: 'say', event: 'started', ago: 0, uses: 0, by: 2 },
  { kind: 'say', event: 'stopped', ago: 0, uses: 2, by: 2 },
  { kind: 'claim', by: 0, of: 0, value: 6 },
  { kind: 'answer', by: 1, of: 0, value: 2 },
];
const story: fc.Arbitrary<readonly Step[]> = fc
  .tuple(fc.nat(6), fc.array(step, { minLength: 4, maxLength: 40 }))
  .map(([begun, steps]) => [...BEGINNING.slice(0, begun), ...steps]);

test('STATE-22.6: over any schedule of starts, stops and expiries everybody has exactly what the clauses say, and nothing is lost', () => {
  fc.assert(
    fc.property(story, (steps) => {
      const told = new Story();
      for (const next of steps) told.run(next);
      // The rental first, then its deposit.
      for (let i = 0; i < 2; i += 1) told.run({ kind: 'pass', seconds: 1_000_000 });
      told.check();
      assert.equal(told.w.state.count('rental') + told.w.state.count('settlement'), 0, 'all of it ends');
    }),
    { numRuns: 100 },
  );
});

test('STATE-22.6: these stories reach acceptance and refusal of every kind', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(story, (steps) => {
      const told = new Story();
      for (const next of steps) told.run(next);
      for (const one of told.seen) seen.add(one);
    }),
    { numRuns: 120, seed: 7 },
  );
  const kinds = [
    'withdraw-offer',
    'rent',
    'rental-start',
    'rental-use',
    'rental-stop',
    'end-rental',
    'claim-damage',
    'answer-claim',
  ];
  for (const kind of kinds)
    for (const isOk of [true, false]) assert.ok(seen.has(`${kind} ${isOk}`), `${kind} ${isOk}`);
});

test('STATE-18.1: every record of renting holds its deposit, and gives it back to who paid it', () => {
  const w = new Market({ depositPerByte: 7n });
  const before = [owner, renter].map((who) => w.balance(who));
  const fees: bigint[] = [];
  const send = (who: Person, body: Body): void => {
    const transaction = w.transaction(who, body);
    fees.push(who === renter || who === owner ? transaction.tx.fee : 0n);
    w.block(transaction);
  };
  const rental = rentalId({ renter: renter.address, lane: 0, nonce: 0 });
  send(owner, w.offer());
  send(renter, w.rent(3));
  for (const kind of ['rental-offer', 'rental'] as const)
    for (const [, record] of w.state.records.walk(kind)) assert.ok(record.deposit.amount > 0n, kind);
  w.accept(arbiter, w.start(rental));
  w.accept(arbiter, w.stop(rental));
  for (const [, record] of w.state.records.walk('settlement')) assert.ok(record.deposit.amount > 0n);
  w.passTo(w.now + TERMS.window + MINUTE);
  send(owner, { kind: 'withdraw-offer', device: lamp.address });
  const total = [owner, renter].reduce((sum, who, i) => sum + w.balance(who) - (before[i] as bigint), 0n);
  // Both carriages went to the arbiter.
  assert.equal(total, -2n * TERMS.carriage - fees.reduce((sum, fee) => sum + fee, 0n));
});
