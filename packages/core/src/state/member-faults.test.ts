/** Members by stake who break the rules, and those who are only said to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, type Hash } from '../crypto/hash.ts';
import { memberPossessionBytes } from '../ledger/bodies/membership.ts';
import { subnetId } from '../ledger/bodies/subnet.ts';
import type { Body } from '../ledger/body.ts';
import type { EnvelopeBody } from '../ledger/envelope.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import type { MemberFault } from '../ledger/member-fault.ts';
import { equivocation, forgery, issued } from '../testing/member-faults.ts';
import { fakeSign, person, subnetOfGenesis, World, type Person } from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import { electable } from './member-turns.ts';

const ITC = 1_000_000_000n;
const alice = person('alice');
const bob = person('bob');
const home = subnetId(alice.address, 'home');
const four = ['p0', 'p1', 'p2', 'p3']
  .map(person)
  .sort((a, b) => Buffer.compare(Buffer.from(a.key.bytes), Buffer.from(b.key.bytes)));
const [cheat, honest] = four as [Person, Person];

function founded(): World {
  const w = new World(['alice', 'bob']);
  const members = four.map(({ key }) => ({
    key,
    amount: amount(10n * ITC),
    possession: fakeSign(key, memberPossessionBytes(w.chain, alice.address, home)),
  }));
  const terms = {
    stakePerWeight: amount(ITC),
    stakeMin: amount(5n * ITC),
    delayBlocks: 20,
    isByInvitation: false,
  };
  assert.equal(w.send(alice, { kind: 'found-subnet', name: 'home', powBits: 0, terms, members }), 'ok');
  return w;
}

const accuse = (fault: MemberFault): Body => ({ kind: 'accuse-member', fault });
const by = (w: World, issuer: Person): { chain: Hash; subnet: Hash; issuer: Person } => ({
  chain: w.chain,
  subnet: home,
  issuer,
});
const another = sha256(Uint8Array.of(9));

for (const [name, made] of [
  ['two envelopes in one slot under one anchor', equivocation],
  ['a payload that its device did not sign', forgery],
] as const) {
  test(`STATE-24.12: for ${name} half of the stake and of what is leaving burns, once, and the next election takes the place`, () => {
    const w = founded();
    const part = {
      kind: 'leave-subnet',
      subnet: home,
      member: cheat.address,
      amount: amount(3n * ITC),
    } as const;
    assert.equal(w.send(alice, part), 'ok');
    const fault = made(by(w, cheat));
    const applied = w.block(w.transaction(bob, accuse(fault)));
    assert.deepEqual(
      applied.events.map(({ kind }) => kind),
      ['member-punished'],
    );
    const record = w.state.stake(home, cheat.address);
    assert.equal(record?.stake, (7n * ITC) / 2n);
    assert.deepEqual(
      record?.leaving.map(({ amount: value }) => value),
      [(3n * ITC) / 2n],
    );
    assert.equal(record?.isPunished, true);
    assert.equal(w.state.epoch.burned, 5n * ITC);
    assert.equal(w.state.supply(), SUPPLY);
    const membership = w.state.membership(home);
    assert.ok(membership !== undefined);
    const stakes = Array.from(w.state.stakes(home), ({ member, stake }) => [member, stake] as const);
    const next = electable(w.state.subnet(home)?.members ?? [], stakes, membership);
    assert.ok(
      !next.some(({ key }) => Buffer.compare(Buffer.from(key.bytes), Buffer.from(cheat.key.bytes)) === 0),
    );
    assert.equal(w.send(bob, accuse(fault)), 'membership.punished');
    assert.equal(w.send(bob, accuse(equivocation(by(w, cheat), { lane: 3 }))), 'membership.punished');
  });
}

test('STATE-24.13: what is left returns to its owner; the key stays known as punished and takes no stake any more', () => {
  const w = founded();
  assert.equal(w.send(bob, accuse(equivocation(by(w, cheat)))), 'ok');
  const record = w.state.stake(home, cheat.address);
  const rest = record?.stake ?? amount(0n);
  assert.equal(rest, 5n * ITC);
  assert.equal(
    w.send(alice, { kind: 'leave-subnet', subnet: home, member: cheat.address, amount: rest }),
    'ok',
  );
  w.advance(w.height + 50);
  assert.equal(w.send(bob, { kind: 'collect-stake', subnet: home, member: cheat.address }), 'ok');
  assert.equal(w.state.stake(home, cheat.address)?.isPunished, true);
  const again: Body = {
    kind: 'join-subnet',
    subnet: home,
    key: cheat.key,
    amount: amount(10n * ITC),
    possession: fakeSign(cheat.key, memberPossessionBytes(w.chain, alice.address, home)),
  };
  assert.equal(w.send(alice, again), 'membership.punished');
});

/** What an honest member signs in its life, or somebody says it has: none of it is a fault. */
const HARMLESS: readonly (readonly [string, (w: World) => MemberFault, string])[] = [
  [
    'the same envelope twice, signed anew',
    (w) => {
      const one = issued(by(w, honest));
      return { kind: 'equivocation', first: one, second: issued(by(w, honest)) };
    },
    'evidence.malformed',
  ],
  [
    'a slot filled again behind a turn, under another anchor',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest)),
      second: issued(by(w, honest), { anchor: another, nonce: 2 }),
    }),
    'evidence.malformed',
  ],
  [
    'a slot filled twice before the first checkpoint, as one may who has lost its disk',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest), { anchor: home }),
      second: issued(by(w, honest), { anchor: home, nonce: 2 }),
    }),
    'evidence.malformed',
  ],
  [
    'two slots of a lane',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest)),
      second: issued(by(w, honest), { sequence: 2, previous: another, parents: [another] }),
    }),
    'evidence.malformed',
  ],
  [
    'one number in two lanes',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest)),
      second: issued(by(w, honest), { lane: 1 }),
    }),
    'evidence.malformed',
  ],
  [
    'an envelope of somebody else beside its own',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest)),
      second: issued(by(w, cheat), { nonce: 2 }),
    }),
    'evidence.malformed',
  ],
  [
    'envelopes that somebody else signed in its name',
    (w) => ({
      kind: 'equivocation',
      first: issued(by(w, honest)),
      second: issued(by(w, honest), { nonce: 2, by: cheat }),
    }),
    'evidence.signature',
  ],
  [
    'envelopes of another chain',
    (w) => equivocation({ ...by(w, honest), chain: another }),
    'evidence.signature',
  ],
  [
    'a payload that its device did sign',
    (w) => forgery(by(w, honest), person('a lamp')),
    'evidence.malformed',
  ],
  [
    'a forged payload under a header that it did not sign',
    (w) => {
      const fault = forgery(by(w, cheat));
      if (fault.kind !== 'forgery') throw new Error('a forgery');
      return {
        ...fault,
        envelope: issued({ ...by(w, honest) }, { ...fault.envelope, by: cheat, issuer: honest.key }),
      };
    },
    'evidence.signature',
  ],
  [
    'a forged payload that is not in its envelope',
    (w) => {
      const fault = forgery(by(w, honest));
      if (fault.kind !== 'forgery') throw new Error('a forgery');
      return { ...fault, envelope: issued(by(w, honest), { payloadCount: 2 }) };
    },
    'evidence.malformed',
  ],
];

for (const [name, made, code] of HARMLESS) {
  test(`STATE-24.12: attack false accusation: ${name} burns nothing (${code})`, () => {
    const w = founded();
    const body = accuse(made(w));
    const asked = precheck(w.state, w.context, w.transaction(bob, body));
    assert.equal(asked.ok ? 'ok' : asked.code, code, 'a pool does not take it');
    assert.equal(w.send(bob, body), code);
    for (const { stake } of w.state.stakes(home))
      assert.deepEqual([stake.stake, stake.isPunished], [10n * ITC, false]);
    assert.equal(w.state.epoch.burned, 0n);
  });
}

test('STATE-24.12: listed members have no stake to lose, nor has a key nobody staked for', () => {
  const w = founded();
  assert.equal(
    w.send(bob, accuse(equivocation({ ...by(w, cheat), subnet: subnetOfGenesis }))),
    'membership.fixed',
  );
  assert.equal(w.send(bob, accuse(equivocation({ ...by(w, cheat), subnet: another }))), 'membership.fixed');
  assert.equal(w.send(bob, accuse(equivocation(by(w, person('stranger'))))), 'membership.unknown');
});

test('STATE-24.12: of any two envelopes exactly those are a fault that are of one slot and checkpoint and not the same', () => {
  const w = founded();
  const field = fc.record({
    lane: fc.nat({ max: 1 }),
    time: fc.nat({ max: 1 }).map((ms) => millis(1_000_000 + ms)),
    anchor: fc.constantFrom(home, another, sha256(Uint8Array.of(10))),
    nonce: fc.nat({ max: 1 }),
  });
  const slotOf = ({ lane, anchor }: Pick<EnvelopeBody, 'lane' | 'anchor'>): string =>
    `${lane} ${anchor.join()}`;
  const state = w.state;
  fc.assert(
    fc.property(field, field, (a, b) => {
      w.state = state;
      const fault: MemberFault = {
        kind: 'equivocation',
        first: issued(by(w, cheat), a),
        second: issued(by(w, cheat), b),
      };
      const isFault =
        slotOf(a) === slotOf(b) && a.anchor !== home && (a.time !== b.time || a.nonce !== b.nonce);
      assert.equal(w.send(bob, accuse(fault)), isFault ? 'ok' : 'evidence.malformed');
      assert.equal(w.state.stake(home, cheat.address)?.isPunished, isFault);
    }),
    { numRuns: 60 },
  );
});
