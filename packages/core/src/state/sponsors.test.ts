import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { ACTIONS } from '../ledger/bodies/access.ts';
import { sponsorshipId, type SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import { BODY_CODES, type Body, type BodyKind } from '../ledger/body.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import { makeBatch, person, transfer, World, type Batch, type Person } from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import type { AppliedBlock } from './apply.ts';
import { idText } from './record-map.ts';

const ITC = 1_000_000_000n;
const DAY = 86_400_000;
const ACCOUNT = 5_000_000n;
const [maker, mallory] = ['maker', 'mallory'].map(person) as [Person, Person];
/** Has nothing at all, and stays so. */
const owner = person('owner');
const guest = person('guest');
const batch = makeBatch(maker, 'lamp', 4);
const other = makeBatch(mallory, 'lamp-of-mallory', 2);
const lampOf = (of: Batch, index: number): Person => of.devices[index]?.device as Person;
const lamp = lampOf(batch, 0);
const NAME = 'lamps';
const sponsorship = sponsorshipId(maker.address, NAME);

const codes = (...kinds: BodyKind[]): number[] =>
  kinds.map((kind) => BODY_CODES[kind]).toSorted((a, b) => a - b);

function terms(w: World, changes: Partial<SponsorshipTerms> = {}): SponsorshipTerms {
  return {
    kinds: codes('claim', 'grant', 'revoke'),
    scope: { kind: 'batch', batch: batch.id },
    perDevicePerDay: amount(ITC),
    perDay: amount(2n * ITC),
    expiresAt: millis(w.context.time + 30 * DAY),
    paysState: true,
    ...changes,
  };
}

/** A batch of the maker's and one of mallory's; the maker pays for what owners do with his. */
function world(changes: Partial<SponsorshipTerms> = {}, funds = 10n * ITC): World {
  const w = new World(['maker', 'mallory'], 10n, { depositPerByte: 1000n, accountPrice: ACCOUNT });
  for (const [who, made] of [
    [maker, batch],
    [mallory, other],
  ] as const) {
    assert.equal(w.send(who, { kind: 'register-maker', name: who.name }), 'ok');
    assert.equal(w.send(who, w.registerBatch(who, made, 0n)), 'ok');
  }
  assert.equal(
    w.send(maker, { kind: 'open-sponsorship', name: NAME, terms: terms(w, changes), amount: amount(funds) }),
    'ok',
  );
  return w;
}

const claim = (w: World, who = owner, index = 0, from = batch): Body => ({
  kind: 'claim',
  claim: w.claim(from, index, who),
});

function grant(w: World, subject = guest, device: Address = lamp.address): Body {
  const [notBefore, expiresAt] = [millis(0), millis(w.context.time + 20 * DAY)];
  return {
    kind: 'grant',
    grant: { device, subject: subject.address, actions: ACTIONS.onOff, levelMax: 1, notBefore, expiresAt },
  };
}

const paid = { sponsor: sponsorship };
const left = (w: World): bigint => w.state.record('sponsorship', idText(sponsorship))?.balance ?? -1n;
const dayOfAll = (w: World) => w.state.record('sponsored', idText(sponsorship) + idText(ZERO_HASH));
const spentBy = (w: World, subject: Uint8Array = ZERO_HASH): bigint =>
  w.state.record('sponsored', idText(sponsorship) + idText(subject))?.spent ?? 0n;

/** The owner has claimed the lamp at the maker's cost. */
function claimed(changes: Partial<SponsorshipTerms> = {}, funds?: bigint): World {
  const w = world(changes, funds);
  assert.equal(w.send(owner, claim(w), paid), 'ok');
  return w;
}

/** As `w.send`, with what became of it. */
function sent(
  w: World,
  who: Person,
  body: Body,
  options = {},
): { code: string; fee: bigint; applied: AppliedBlock } {
  const applied = w.block(w.transaction(who, body, options));
  const [receipt] = applied.receipts;
  assert.ok(receipt);
  return { code: receipt.outcome.ok ? 'ok' : receipt.outcome.code, fee: receipt.fee, applied };
}

/** Nothing but the block's own bookkeeping: no record of anybody has changed. */
function changesNothing(w: World, who: Person, body: Body, code: string, options = {}): void {
  const { root } = w.state;
  const found = sent(w, who, body, { ...paid, ...options });
  assert.deepEqual([found.code, found.fee], [code, 0n]);
  assert.deepEqual(w.state.root, root);
}

test('STATE-19.1: opening moves the funds into the budget; a name is used once; the terms must make sense', () => {
  const w = world();
  assert.equal(left(w), 10n * ITC);
  const open = (name: string, changes: Partial<SponsorshipTerms> = {}): Body => ({
    kind: 'open-sponsorship',
    name,
    terms: terms(w, changes),
    amount: amount(ITC),
  });
  assert.equal(w.send(maker, open(NAME)), 'sponsor.exists');
  for (const changes of [
    { kinds: codes('checkpoint') },
    { kinds: codes('restart') },
    { kinds: [255] },
    { perDevicePerDay: amount(0n) },
    { perDay: amount(ITC - 1n) },
    { expiresAt: millis(1) },
  ])
    assert.equal(w.send(maker, open('second', changes)), 'sponsor.malformed');
  assert.equal(w.send(maker, open('')), 'sponsor.malformed');
  assert.equal(w.send(mallory, open(NAME)), 'ok');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-19.2: an owner with nothing claims, grants and revokes at the sponsor’s cost, and still has nothing', () => {
  const w = world();
  const before = left(w);
  const first = sent(w, owner, claim(w), paid);
  assert.equal(first.code, 'ok');
  assert.deepEqual(w.state.device(lamp.address)?.owner, owner.address);
  assert.deepEqual(w.state.device(lamp.address)?.deposit.payer, maker.address);
  // Its account is there for its nonce, and was paid for with the fee.
  assert.equal(first.fee, first.applied.receipts[0]?.fee);
  assert.ok(first.fee > ACCOUNT);
  const deposit = w.state.device(lamp.address)?.deposit.amount ?? 0n;
  const days = 2n * 1000n * BigInt(12 + 40 + 64);
  assert.equal(left(w), before - first.fee - deposit - days);
  assert.deepEqual(first.applied.events[0]?.moves, [
    { kind: 'deposit-held', account: maker.address, sponsorship, amount: deposit },
  ]);
  assert.equal(w.send(owner, grant(w), paid), 'ok');
  assert.equal(w.send(owner, { kind: 'revoke', device: lamp.address, subject: guest.address }, paid), 'ok');
  assert.equal(w.balance(owner), 0n);
  assert.deepEqual(w.state.account(owner.address)?.nonces, [3]);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-19.2: a sponsor of fees alone pays no deposit and no account', () => {
  const w = world({ paysState: false });
  changesNothing(w, owner, claim(w), 'sponsor.not-covered');
  assert.equal(w.send(maker, transfer(owner, 1n)), 'ok');
  assert.equal(w.send(owner, claim(w), paid), 'transaction.deposit');
  assert.equal(w.balance(owner), 1n);
});

test('STATE-19.3: only kinds that are named, devices that are covered and those who may act with them', () => {
  const w = claimed();
  changesNothing(w, owner, transfer(guest, 0n), 'sponsor.not-covered');
  changesNothing(
    w,
    owner,
    { kind: 'fund-stream', stream: sponsorship, amount: amount(0n) },
    'sponsor.not-covered',
  );
  // Somebody else's device, though it is covered; a covered body about no device that is claimed.
  changesNothing(w, mallory, grant(w), 'sponsor.not-covered');
  changesNothing(w, owner, grant(w, guest, lampOf(batch, 1).address), 'sponsor.not-covered');
  // One's own device, though of another batch.
  assert.equal(w.send(mallory, claim(w, mallory, 0, other)), 'ok');
  changesNothing(w, mallory, grant(w, guest, lampOf(other, 0).address), 'sponsor.not-covered');
  changesNothing(w, owner, grant(w), 'sponsor.unknown', { sponsor: ZERO_HASH });
});

test('STATE-19.3: a scope is a batch, a model, a maker, devices by name, or accounts by name', () => {
  const start = claimed();
  const model = start.state.batch(batch.id)?.model as Hash;
  const scopes: readonly (readonly [SponsorshipTerms['scope'], boolean])[] = [
    [{ kind: 'batch', batch: batch.id }, true],
    [{ kind: 'batch', batch: other.id }, false],
    [{ kind: 'model', model }, true],
    [{ kind: 'model', model: ZERO_HASH }, false],
    [{ kind: 'maker', maker: maker.address }, true],
    [{ kind: 'maker', maker: mallory.address }, false],
    [{ kind: 'devices', devices: [lamp.address] }, true],
    [{ kind: 'devices', devices: [lampOf(batch, 1).address] }, false],
    [{ kind: 'accounts', accounts: [owner.address] }, true],
    [{ kind: 'accounts', accounts: [mallory.address] }, false],
  ];
  for (const [scope, isCovered] of scopes) {
    const w = claimed();
    const body: Body = { kind: 'change-sponsorship', sponsorship, terms: terms(w, { scope }) };
    assert.equal(w.send(maker, body), 'ok');
    assert.equal(w.send(owner, grant(w), paid), isCovered ? 'ok' : 'sponsor.not-covered', scope.kind);
  }
});

test('STATE-19.3: accounts by name are paid for whatever they do of the kinds named, devices or not', () => {
  const w = world({ kinds: codes('transfer'), scope: { kind: 'accounts', accounts: [owner.address] } });
  assert.equal(w.send(mallory, transfer(owner, 7n)), 'ok');
  assert.equal(w.send(owner, transfer(mallory, 7n), paid), 'ok');
  assert.equal(w.balance(owner), 0n);
  assert.ok(spentBy(w, owner.address) > 0n);
});

test('STATE-19.3: the new owner accepts at the sponsor’s cost what is offered to him, and nobody else does', () => {
  const w = claimed({ kinds: codes('claim', 'offer-device', 'accept-device', 'withdraw-device') });
  const offer: Body = {
    kind: 'offer-device',
    device: lamp.address,
    to: guest.address,
    price: amount(0n),
    expiresAt: millis(w.context.time + DAY),
  };
  assert.equal(w.send(owner, offer, paid), 'ok');
  const accept: Body = { kind: 'accept-device', device: lamp.address, price: amount(0n), transfers: 0 };
  changesNothing(w, person('third'), accept, 'sponsor.not-covered');
  assert.equal(w.send(guest, accept, paid), 'ok');
  assert.deepEqual(w.state.device(lamp.address)?.owner, guest.address);
  assert.deepEqual([w.balance(guest), w.balance(owner)], [0n, 0n]);
  // The old owner is a stranger now, to the sponsor too.
  changesNothing(w, owner, offer, 'sponsor.not-covered');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-19.4: a claim is paid for only when nothing is missing from it: fresh accounts without a voucher get nothing', () => {
  const w = world();
  const { claim: good } = claim(w) as Extract<Body, { kind: 'claim' }>;
  const forged: readonly Body[] = [
    { kind: 'claim', claim: { ...good, proof: w.claim(batch, 1, owner).proof } },
    { kind: 'claim', claim: { ...good, endorsement: w.claim(batch, 1, owner).endorsement } },
    { kind: 'claim', claim: { ...good, index: 1 } },
    { kind: 'claim', claim: { ...good, batch: ZERO_HASH } },
    // Seen on its way, sent by another.
    { kind: 'claim', claim: w.claim(batch, 0, mallory) },
    claim(w, owner, 0, other),
  ];
  for (const [i, body] of forged.entries()) {
    const { root } = w.state;
    const found = sent(w, person(`fresh-${i === 5 ? 'x' : i}`), body, paid);
    assert.notEqual(found.code, 'ok');
    assert.equal(found.fee, 0n);
    assert.deepEqual(w.state.root, root);
  }
  assert.equal(w.send(owner, claim(w), paid), 'ok');
  // Once: the same voucher again.
  changesNothing(w, owner, claim(w), 'device.claimed');
});

test('STATE-19.5: no fee inflation: the sponsor pays the price of the bytes and not a unit more', () => {
  const w = claimed();
  const { tx } = w.transaction(owner, grant(w), paid);
  changesNothing(w, owner, grant(w), 'transaction.fee', { fee: tx.fee + 1n });
  changesNothing(w, owner, grant(w), 'transaction.fee', { fee: tx.fee - 1n });
  changesNothing(w, owner, grant(w), 'transaction.fee', { fee: 10n * ITC });
});

test('STATE-19.6: a device uses at most its budget of the day, all together that of the day, for good what was paid in', () => {
  // Refused, so that nothing but its fee is paid.
  const revoke: Body = { kind: 'revoke', device: lamp.address, subject: guest.address };
  const limited = (limits: (w: World, fee: bigint) => Partial<SponsorshipTerms>): World => {
    const w = claimed();
    const { fee } = w.transaction(owner, revoke, paid).tx;
    const body: Body = { kind: 'change-sponsorship', sponsorship, terms: terms(w, limits(w, fee)) };
    assert.equal(w.send(maker, body), 'ok');
    return w;
  };
  const ofDevice = limited((w, fee) => ({ perDevicePerDay: amount(spentBy(w, lamp.address) + 2n * fee) }));
  const ofDay = limited((w, fee) => {
    const perDay = amount(spentBy(w) + 2n * fee);
    return { perDay, perDevicePerDay: perDay };
  });
  const ofAll = limited(() => ({}));
  const { fee } = ofAll.transaction(owner, revoke, paid).tx;
  assert.equal(ofAll.send(maker, { kind: 'close-sponsorship', sponsorship }), 'ok');
  const again: Body = { kind: 'open-sponsorship', name: NAME, terms: terms(ofAll), amount: amount(2n * fee) };
  assert.equal(ofAll.send(maker, again), 'ok');
  for (const w of [ofDevice, ofDay, ofAll]) {
    for (let i = 0; i < 2; i += 1) assert.equal(w.send(owner, revoke, paid), 'grant.unknown');
    changesNothing(w, owner, revoke, 'sponsor.budget');
  }
});

test('STATE-19.7: an oversized body costs at most what is left of the device’s day, and then nothing at all', () => {
  const w = claimed({ perDevicePerDay: amount(8_000_000n) });
  const before = spentBy(w, lamp.address);
  let accepted = 0;
  for (let i = 0; i < 40; i += 1) if (w.send(owner, grant(w, person(`g${i}`)), paid) === 'ok') accepted += 1;
  assert.ok(accepted > 0 && accepted < 40);
  assert.ok(spentBy(w, lamp.address) > before);
  assert.ok(spentBy(w, lamp.address) <= 8_000_000n);
});

test('STATE-19.8: a refused body costs its fee, out of the device’s own day: whoever may use it spoils it for himself alone', () => {
  const w = claimed();
  assert.equal(w.send(mallory, transfer(guest, 1n)), 'ok');
  const before = [left(w), spentBy(w, lamp.address)] as const;
  const revoke: Body = { kind: 'revoke', device: lamp.address, subject: guest.address };
  const found = sent(w, owner, revoke, paid);
  assert.equal(found.code, 'grant.unknown');
  assert.ok(found.fee > 0n);
  assert.equal(left(w), before[0] - found.fee);
  assert.equal(spentBy(w, lamp.address), before[1] + found.fee);
  // Another device of the batch has its own day.
  const second = person('second owner');
  assert.equal(w.send(second, claim(w, second, 1), paid), 'ok');
});

test('STATE-19.7: no draining by replay: a transaction that was paid for is paid for once', () => {
  const w = claimed();
  const once = w.transaction(owner, grant(w), paid);
  w.block(once);
  const [balance, root] = [left(w), w.state.root];
  const { receipts } = w.block(once, once);
  assert.deepEqual(
    receipts.map(({ fee, outcome }) => [fee, outcome.ok === false && outcome.code]),
    [
      [0n, 'transaction.nonce'],
      [0n, 'transaction.nonce'],
    ],
  );
  assert.deepEqual([left(w), w.state.root], [balance, root]);
});

test('STATE-19.7: the sponsor is signed: nobody puts another one, or one at all, under a transaction', () => {
  const w = claimed();
  const { tx } = w.transaction(owner, grant(w));
  assert.equal(tx.sponsor, undefined);
  const bytes = w.sign({ ...tx, sponsor: sponsorship });
  const plain = w.sign(tx);
  assert.notDeepEqual(bytes.slice(-64), plain.slice(-64));
});

test('STATE-19.9: deposits a sponsor paid return to the account of the sponsor, not to whom they were paid for', () => {
  const w = claimed();
  assert.equal(w.send(owner, grant(w), paid), 'ok');
  const held = w.state.grant(lamp.address, guest.address)?.deposit;
  assert.deepEqual(held?.payer, maker.address);
  const before = w.balance(maker);
  assert.equal(w.send(owner, { kind: 'revoke', device: lamp.address, subject: guest.address }, paid), 'ok');
  assert.equal(w.balance(maker), before + (held?.amount ?? 0n));
  assert.equal(w.balance(owner), 0n);
});

test('STATE-19.10: anyone funds; only the sponsor changes and closes; the rest returns, and nothing is paid any more', () => {
  const w = claimed();
  const fund: Body = { kind: 'fund-sponsorship', sponsorship, amount: amount(ITC) };
  const before = left(w);
  assert.equal(w.send(mallory, fund), 'ok');
  assert.equal(left(w), before + ITC);
  assert.equal(w.send(mallory, { ...fund, amount: w.balance(mallory) }), 'transaction.balance');
  assert.equal(w.send(mallory, { ...fund, sponsorship: ZERO_HASH }), 'sponsor.unknown');
  assert.equal(w.send(mallory, { kind: 'close-sponsorship', sponsorship }), 'sponsor.not-sponsor');
  assert.equal(
    w.send(mallory, { kind: 'change-sponsorship', sponsorship, terms: terms(w) }),
    'sponsor.not-sponsor',
  );
  const [had, rest] = [w.balance(maker), left(w)];
  const deposit = w.state.record('sponsorship', idText(sponsorship))?.deposit.amount ?? 0n;
  const { fee } = sent(w, maker, { kind: 'close-sponsorship', sponsorship });
  assert.equal(w.balance(maker), had - fee + rest + deposit);
  changesNothing(w, owner, grant(w), 'sponsor.unknown');
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-19.10: at its time a sponsorship ends by itself and the rest returns; in that very block it pays nothing', () => {
  const w = claimed();
  const rest = left(w);
  const before = w.balance(maker);
  w.later = 30 * DAY;
  const { receipts, events } = w.block(w.transaction(owner, grant(w), { ...paid }));
  assert.equal(receipts[0]?.outcome.ok === false && receipts[0].outcome.code, 'sponsor.unknown');
  assert.ok(events.some(({ kind }) => kind === 'sponsorship-ended'));
  assert.equal(left(w), -1n);
  // The days are written down no more either: their deposits are back.
  assert.equal(w.state.count('sponsored'), 0);
  assert.ok(w.balance(maker) >= before + rest);
  assert.equal(w.state.supply(), SUPPLY);
});

/** Until the lamp's day pays not even a fee. */
function exhaust(w: World): void {
  while (sent(w, owner, grant(w, person(`g${w.height}`)), paid).fee > 0n);
}

test('STATE-19.11: a day is one of block time; when it is over its counters go and their deposits are back in the budget', () => {
  const w = claimed({ perDevicePerDay: amount(ITC / 100n) });
  exhaust(w);
  changesNothing(w, owner, grant(w), 'sponsor.budget');
  const [before, counters] = [left(w), w.state.count('sponsored')];
  assert.equal(counters, 2);
  w.later = DAY;
  w.block();
  assert.equal(w.state.count('sponsored'), 0);
  assert.equal(left(w), before + 2n * 1000n * BigInt(12 + 40 + 64));
  assert.equal(w.send(owner, grant(w), paid), 'ok');
});

test('STATE-19.11: the first block of a day counts anew, although the counters of the last one go with its end', () => {
  const w = claimed({ perDevicePerDay: amount(ITC / 100n) });
  exhaust(w);
  w.later = DAY;
  const { receipts } = w.block(w.transaction(owner, grant(w), paid));
  assert.equal(receipts[0]?.outcome.ok, true);
  assert.ok(spentBy(w, lamp.address) < ITC / 100n);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-19.12: a pool asks the same, so that what waits has a sponsor who would pay', () => {
  const w = claimed();
  const ask = (who: Person, body: Body, options = {}): string => {
    const found = precheck(w.state, w.context, w.transaction(who, body, { ...paid, ...options }));
    return found.ok ? 'ok' : found.code;
  };
  assert.equal(ask(owner, grant(w)), 'ok');
  assert.equal(ask(mallory, grant(w)), 'sponsor.not-covered');
  assert.equal(ask(owner, grant(w), { fee: ITC }), 'transaction.fee');
  assert.equal(ask(person('fresh'), claim(w, person('fresh'), 0)), 'device.claimed');
  assert.equal(ask(person('fresh'), claim(w, owner, 1)), 'claim.signature');
  assert.equal(ask(owner, grant(w), { sponsor: ZERO_HASH }), 'sponsor.unknown');
  const broke = claimed({ perDevicePerDay: amount(ITC / 100n) });
  exhaust(broke);
  const found = precheck(broke.state, broke.context, broke.transaction(owner, grant(broke), paid));
  assert.equal(!found.ok && found.code, 'sponsor.budget');
});

test('STATE-19.6: in any interleaving no budget is exceeded, and what leaves the sponsorship is what was taken', () => {
  const step = fc.record({
    who: fc.nat(2),
    kind: fc.constantFrom('grant', 'revoke', 'stranger', 'day', 'fund', 'raise'),
    subject: fc.nat(2),
    together: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const limits = { perDevicePerDay: amount(6_000_000n), perDay: amount(15_000_000n) };
      const w = world(
        { ...limits, perDevicePerDay: amount(12_000_000n), perDay: amount(60_000_000n) },
        60_000_000n,
      );
      const owners = [0, 1, 2].map((i) => person(`owner-${i}`));
      for (const [i, who] of owners.entries()) assert.equal(w.send(who, claim(w, who, i), paid), 'ok');
      const body: Body = { kind: 'change-sponsorship', sponsorship, terms: terms(w, limits) };
      assert.equal(w.send(maker, body), 'ok');
      let pending: ReturnType<World['transaction']>[] = [];
      const run = (): void => {
        const before = left(w);
        const earlier = dayOfAll(w);
        const { receipts, events } = w.block(...pending);
        const fees = receipts.reduce((sum, { fee }, i) => (pending[i]?.tx.sponsor ? sum + fee : sum), 0n);
        const state = events
          .flatMap(({ moves = [] }) => moves)
          .filter((cost) => cost.sponsorship !== undefined && cost.kind !== 'deposit-returned')
          .reduce((sum, cost) => sum + cost.amount, 0n);
        const today = dayOfAll(w);
        if (today !== undefined) {
          const sameDay = today.day === earlier?.day;
          const funded = pending.some(({ tx }) => tx.body.kind === 'fund-sponsorship');
          // With a day that ends, deposits come back.
          assert.ok(left(w) <= before || funded || !sameDay);
          assert.equal(today.spent - (sameDay ? earlier.spent : 0n), fees + state);
        }
        assert.ok(spentBy(w) <= 60_000_000n);
        for (const [i] of owners.entries()) assert.ok(spentBy(w, lampOf(batch, i).address) <= 12_000_000n);
        for (const who of owners) assert.equal(w.balance(who), 0n);
        assert.equal(w.state.supply(), SUPPLY);
        pending = [];
      };
      const nonces = new Map<string, number>();
      for (const { who, kind, subject, together } of steps) {
        const from = owners[kind === 'stranger' ? (who + 1) % 3 : who] as Person;
        const device = lampOf(batch, who).address;
        const nonce = nonces.get(from.name) ?? w.state.account(from.address)?.nonces[0] ?? 0;
        if (kind === 'day') w.later += DAY / 2;
        else if (kind === 'fund')
          pending.push(
            w.transaction(
              mallory,
              { kind: 'fund-sponsorship', sponsorship, amount: amount(1_000_000n) },
              { nonce: nonces.get('mallory') ?? w.state.account(mallory.address)?.nonces[0] ?? 0, lane: 0 },
            ),
          );
        else {
          const what: Body =
            kind === 'revoke'
              ? { kind, device, subject: person(`s${subject}`).address }
              : grant(w, person(`s${subject}`), device);
          pending.push(w.transaction(from, what, { ...paid, nonce }));
          if (kind !== 'stranger') nonces.set(from.name, nonce + 1);
        }
        if (!together || kind === 'fund') {
          run();
          nonces.clear();
        }
      }
      run();
    }),
    { numRuns: 30 },
  );
});

test('STATE-19.10: a sponsorship that pays for the change of its own terms has paid for it; nothing is made of it', () => {
  const w = world();
  const own = { kind: 'accounts', accounts: [maker.address] } as const;
  const kinds = codes('change-sponsorship');
  const id = sponsorshipId(maker.address, 'self');
  const open = terms(w, { kinds, scope: own });
  assert.equal(
    w.send(maker, { kind: 'open-sponsorship', name: 'self', terms: open, amount: amount(ITC) }),
    'ok',
  );
  // Shorter and longer in turn: each time another deposit.
  for (const more of [
    codes('change-sponsorship', 'grant', 'revoke'),
    kinds,
    codes('change-sponsorship', 'claim'),
  ]) {
    const before = w.state.record('sponsorship', idText(id))?.balance ?? 0n;
    const changed = terms(w, { kinds: more, scope: own });
    const code = w.send(
      maker,
      { kind: 'change-sponsorship', sponsorship: id, terms: changed },
      { sponsor: id },
    );
    assert.equal(code, 'ok');
    const { balance, deposit } = w.state.record('sponsorship', idText(id)) ?? assert.fail();
    assert.ok(balance <= before - deposit.amount);
    assert.equal(w.state.supply(), SUPPLY);
  }
});
