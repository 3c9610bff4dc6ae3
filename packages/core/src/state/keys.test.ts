import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBytes, concatBytes } from '../bytes/hex.ts';
import { ZERO_HASH } from '../crypto/hash.ts';
import { checkPublicKey } from '../crypto/verify.ts';
import { actsAlone, keySetHash, keySetOf, type KeySet } from '../ledger/account-keys.ts';
import { decodeTransaction } from '../ledger/transaction.ts';
import { millis, SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Body } from '../ledger/body.ts';
import { keyPair } from '../testing/keys.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { sendShared, sharedTransaction } from '../testing/shared-account.ts';
import { transfer, World, type Person } from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import type { VerifiedTransaction } from './verified-transaction.ts';
import { decodeRecord, encodeRecord } from './records.ts';
import { NO_DEPOSIT } from './record-deposit.ts';
import { STATE_LIMITS } from './limits.ts';

/** With real keys: those of the fakes are no points of a curve, and an account would not take them. */
function someone(seed: number): Person {
  const { key, address } = keyPair(seed);
  return { name: `p${seed}`, key, address };
}

const [alice, bob, carol, dave, erin] = [1, 2, 3, 4, 5].map(someone) as [
  Person,
  Person,
  Person,
  Person,
  Person,
];
const guardians = [carol, dave, erin];
const DELAY = 20_000;

function world(): World {
  const w = new World(['treasurer'], 10n);
  const [treasurer] = w.people as [Person];
  for (const who of [alice, bob, carol, dave, erin])
    assert.equal(w.send(treasurer, transfer(who, 10_000_000_000n)), 'ok');
  return w;
}

const rotate = (keys: KeySet): Body => ({ kind: 'rotate-keys', keys });
const toBob = transfer(bob, 1n);

function guard(changes: Partial<Extract<Body, { kind: 'set-guardians' }>> = {}): Body {
  const addresses = guardians.map(({ address }) => address).sort(compareBytes);
  return { kind: 'set-guardians', guardians: addresses, threshold: 2, delay: millis(DELAY), ...changes };
}

const recover = (keys: KeySet): Body => ({ kind: 'recover', account: alice.address, keys });
const veto: Body = { kind: 'veto-recovery', account: alice.address };
const finish = (keys: KeySet): Body => ({ kind: 'finish-recovery', account: alice.address, keys });
/** Until block time has moved on by this much; blocks are a second apart. */
function wait(w: World, ms: number): void {
  w.advance(w.height + ms / 1000);
}

/** Of the receipt in a block of its own. */
function codeOf(w: World, transaction: VerifiedTransaction): string {
  const outcome = w.block(transaction).receipts[0]?.outcome;
  assert.ok(outcome);
  return outcome.ok ? 'ok' : outcome.code;
}

test('STATE-15.1: without a record the key whose hash the address is acts, and no other', () => {
  const w = world();
  assert.equal(sendShared(w, alice.address, [alice], toBob), 'ok');
  const before = w.state;
  assert.equal(sendShared(w, alice.address, [bob], toBob), 'account.signers');
  assert.equal(sendShared(w, alice.address, [alice, bob], toBob), 'account.signers');
  assert.deepEqual(w.state.root, before.root, 'not even a fee was taken');
});

test('STATE-15.2: after a rotation the new key acts for the same address, and the first one does not', () => {
  const w = world();
  assert.equal(w.send(alice, rotate(keySetOf([bob.key]))), 'ok');
  assert.equal(sendShared(w, alice.address, [alice], toBob), 'account.signers');
  assert.equal(sendShared(w, alice.address, [bob], transfer(carol, 5n)), 'ok');
  const set = w.state.keys(alice.address);
  assert.deepEqual(
    [actsAlone(set, alice.key), actsAlone(set, bob.key), actsAlone(undefined, alice.key)],
    [false, true, true],
  );
  // Its own account is Bob's as before.
  assert.equal(sendShared(w, bob.address, [bob], transfer(carol, 5n)), 'ok');
  // Back to the first key, in which case there is no record any more.
  assert.equal(
    sendShared(w, alice.address, [bob], rotate(keySetOf([{ key: alice.key, weight: 9 }], 4))),
    'ok',
  );
  assert.equal(w.state.keys(alice.address), undefined);
  assert.equal(w.state.count('keys'), 0);
  assert.equal(sendShared(w, alice.address, [bob], toBob), 'account.signers');
  assert.equal(w.send(alice, toBob), 'ok');
});

test('STATE-15.3: signers act from the threshold of weight on', () => {
  const w = world();
  const keys = keySetOf([{ key: alice.key, weight: 2 }, bob.key, carol.key], 3);
  assert.equal(w.send(alice, rotate(keys)), 'ok');
  for (const signers of [[alice], [bob], [bob, carol], [alice, dave], [alice, bob, dave]])
    assert.equal(sendShared(w, alice.address, signers, toBob), 'account.signers');
  for (const signers of [
    [alice, bob],
    [bob, alice],
    [carol, alice],
  ])
    assert.equal(sendShared(w, alice.address, signers, toBob), 'ok');
});

test('STATE-15.3: a signer that could be left out is refused, so nobody can take one out on the way', () => {
  const w = world();
  assert.equal(w.send(alice, rotate(keySetOf([alice.key, bob.key, carol.key], 2))), 'ok');
  assert.equal(sendShared(w, alice.address, [alice, bob, carol], toBob), 'account.signers');
  assert.equal(sendShared(w, alice.address, [carol, bob], toBob), 'ok');
});

test('STATE-15.3: a pool asks the same', () => {
  const w = world();
  assert.equal(w.send(alice, rotate(keySetOf([alice.key, bob.key], 2))), 'ok');
  const codeFor = (signers: Person[]): string => {
    const judged = precheck(w.state, w.context, sharedTransaction(w, alice.address, signers, toBob));
    return judged.ok ? 'ok' : judged.code;
  };
  assert.equal(codeFor([alice]), 'account.signers');
  assert.equal(codeFor([alice, bob]), 'ok');
});

test('STATE-15.4: a set has one to eight keys in order, weights from 1, and a threshold they can reach', () => {
  const w = world();
  const { key } = alice;
  const bad: KeySet[] = [
    { keys: [], threshold: 1 },
    { keys: [{ key, weight: 0 }], threshold: 1 },
    { keys: [{ key, weight: 1 }], threshold: 0 },
    { keys: [{ key, weight: 1 }], threshold: 2 },
    {
      keys: [
        { key, weight: 1 },
        { key, weight: 1 },
      ],
      threshold: 1,
    },
    { ...keySetOf([alice.key, bob.key]), keys: keySetOf([alice.key, bob.key]).keys.toReversed() },
    keySetOf(Array.from({ length: LIMITS.signersMax + 1 }, (_, i) => someone(20 + i).key)),
  ];
  for (const keys of bad) assert.throws(() => w.transaction(alice, rotate(keys)), /decode/);
  const most = keySetOf(Array.from({ length: LIMITS.signersMax }, (_, i) => someone(20 + i).key));
  assert.ok(decodeTransaction(w.transaction(alice, rotate(most)).encoded).ok);
});

test('STATE-15.4: a key that nobody could sign with is refused, for it would lock the account', () => {
  const w = world();
  /** The nearest key, by its last byte, that is none. */
  const off = (key: Person['key']): Person['key'] => {
    for (let i = 1; ; i += 1) {
      const bytes = key.bytes.slice();
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ i;
      if (!checkPublicKey({ ...key, bytes })) return { ...key, bytes };
    }
  };
  const small = { ...alice.key, bytes: concatBytes(Uint8Array.of(1), new Uint8Array(31)) };
  const bad = [small, off(bob.key), off(schemeKeyPair(2, 1).key), off(schemeKeyPair(4, 1).key)];
  for (const key of bad) {
    const transaction = w.transaction(alice, rotate(keySetOf([key, carol.key], 1)));
    const judged = precheck(w.state, w.context, transaction);
    assert.equal(judged.ok ? 'ok' : judged.code, 'keys.malformed');
    assert.equal(codeOf(w, transaction), 'keys.malformed');
  }
  assert.equal(w.state.keys(alice.address), undefined);
});

test('STATE-15.4: keys of all schemes may share an account', () => {
  const w = world();
  const pairs = ([1, 2, 3, 4] as const).map((algorithm) => schemeKeyPair(algorithm, 9));
  assert.equal(w.send(alice, rotate(keySetOf(pairs.map(({ key }) => key)))), 'ok');
  const signers = pairs.map(({ key, address }) => ({ name: '', key, address }));
  // The signatures of the fakes have 64 bytes, as those of the first two schemes.
  assert.equal(sendShared(w, alice.address, signers.slice(0, 2), toBob), 'account.signers');
  assert.equal(w.state.keys(alice.address)?.keys.length, 4);
});

test('STATE-15.5: guardians are other accounts in order, with a threshold and a delay within bounds', () => {
  const w = world();
  const { recoveryDelayMinMs, recoveryDelayMaxMs } = STATE_LIMITS;
  const bad: Partial<Extract<Body, { kind: 'set-guardians' }>>[] = [
    { threshold: 0 },
    { threshold: 4 },
    { delay: millis(recoveryDelayMinMs - 1) },
    { delay: millis(recoveryDelayMaxMs + 1) },
    { guardians: [alice.address], threshold: 1 },
    { guardians: [carol.address, carol.address], threshold: 1 },
    { guardians: [], threshold: 1, delay: millis(0) },
    { guardians: [], threshold: 0, delay: millis(DELAY) },
  ];
  for (const changes of bad) {
    const transaction = w.transaction(alice, guard(changes));
    const judged = precheck(w.state, w.context, transaction);
    assert.equal(judged.ok ? 'ok' : judged.code, 'guardians.malformed');
    assert.equal(codeOf(w, transaction), 'guardians.malformed');
  }
  assert.equal(w.send(alice, guard()), 'ok');
  assert.equal(w.state.guardians(alice.address)?.threshold, 2);
  assert.equal(w.send(alice, guard({ guardians: [], threshold: 0, delay: millis(0) })), 'ok');
  assert.equal(w.state.count('guardians'), 0);
});

const lost = keySetOf([bob.key]);

test('STATE-15.6: when enough guardians agree on keys, anyone puts them in force after the delay', () => {
  const w = world();
  assert.equal(w.send(alice, guard()), 'ok');
  assert.equal(w.send(bob, recover(lost)), 'recovery.not-guardian');
  assert.equal(w.send(carol, recover(lost)), 'ok');
  assert.equal(w.send(carol, recover(lost)), 'ok', 'a second vote of the same guardian counts once');
  assert.equal(w.state.guardians(alice.address)?.pending, undefined);
  assert.equal(w.send(bob, finish(lost)), 'recovery.unknown');
  assert.equal(w.send(dave, recover(lost)), 'ok');
  const pending = w.state.guardians(alice.address)?.pending;
  assert.deepEqual(pending?.keys, keySetHash(lost));
  assert.equal(w.send(bob, finish(lost)), 'recovery.early');
  assert.equal(w.send(alice, toBob), 'ok', 'until then the owner acts as ever');
  wait(w, DELAY);
  assert.equal(w.send(bob, finish(keySetOf([carol.key]))), 'recovery.keys');
  assert.equal(w.send(bob, finish(lost)), 'ok');
  assert.equal(w.send(alice, toBob), 'account.signers');
  assert.equal(sendShared(w, alice.address, [bob], transfer(carol, 1n)), 'ok');
  assert.deepEqual(w.state.guardians(alice.address)?.votes, []);
  assert.equal(w.send(bob, finish(lost)), 'recovery.unknown', 'an agreement is used once');
});

test('STATE-15.6: not a millisecond before the delay is over', () => {
  const w = world();
  w.send(alice, guard());
  w.send(carol, recover(lost));
  w.send(dave, recover(lost));
  const readyAt = w.state.guardians(alice.address)?.pending?.readyAt as number;
  // Blocks are a second apart: the last one that is too early, then the first that is not.
  while (w.context.time < readyAt - 1000) w.block();
  assert.equal(w.send(bob, finish(lost)), 'recovery.early');
  assert.equal(w.context.time, readyAt);
  assert.equal(w.send(bob, finish(lost)), 'ok');
});

test('STATE-15.7: the owner vetoes a recovery, and so does changing keys or guardians', () => {
  for (const answer of [veto, rotate(keySetOf([erin.key])), guard({ threshold: 3 })]) {
    const w = world();
    w.send(alice, guard());
    w.send(carol, recover(lost));
    w.send(dave, recover(lost));
    assert.equal(w.send(alice, answer), 'ok');
    wait(w, DELAY);
    assert.equal(w.send(bob, finish(lost)), 'recovery.unknown');
    assert.deepEqual(w.state.guardians(alice.address)?.votes, []);
  }
});

test('STATE-15.7: guardians veto with as many as could agree, and one who takes his vote back ends an agreement', () => {
  const w = world();
  assert.equal(w.send(alice, guard({ threshold: 1 })), 'ok');
  assert.equal(w.send(carol, recover(lost)), 'ok');
  assert.equal(w.send(bob, veto), 'recovery.not-guardian');
  assert.equal(w.send(dave, veto), 'ok');
  assert.equal(w.state.guardians(alice.address)?.pending, undefined);
  assert.equal(w.send(dave, veto), 'recovery.unknown');
  // Two of three: one against them is not enough, one of them is.
  assert.equal(w.send(alice, guard()), 'ok');
  assert.equal(w.send(carol, recover(lost)), 'ok');
  assert.equal(w.send(dave, recover(lost)), 'ok');
  assert.equal(w.send(erin, veto), 'ok');
  assert.notEqual(w.state.guardians(alice.address)?.pending, undefined);
  assert.equal(w.send(dave, veto), 'ok');
  assert.equal(w.state.guardians(alice.address)?.pending, undefined);
  assert.equal(w.send(erin, veto), 'recovery.unknown', 'two against: it is over');
});

test('STATE-15.7: agreement on other keys starts the delay anew, another vote for the same does not', () => {
  const w = world();
  w.send(alice, guard());
  w.send(carol, recover(lost));
  w.send(dave, recover(lost));
  const first = w.state.guardians(alice.address)?.pending;
  wait(w, DELAY / 2);
  assert.equal(w.send(erin, recover(lost)), 'ok');
  assert.deepEqual(w.state.guardians(alice.address)?.pending, first);
  const others = keySetOf([erin.key]);
  assert.equal(w.send(dave, recover(others)), 'ok');
  assert.deepEqual(w.state.guardians(alice.address)?.pending, first, 'two still want the first ones');
  assert.equal(w.send(erin, recover(others)), 'ok');
  const second = w.state.guardians(alice.address)?.pending;
  assert.deepEqual(second?.keys, keySetHash(others));
  assert.ok((second?.readyAt as number) > (first?.readyAt as number));
  assert.equal(w.send(bob, finish(lost)), 'recovery.keys');
});

test('STATE-15.8: who is not there cannot be recovered, and a locked key not proposed', () => {
  const w = world();
  assert.equal(w.send(carol, recover(lost)), 'guardians.unknown');
  assert.equal(w.send(carol, veto), 'guardians.unknown');
  assert.equal(w.send(alice, veto), 'guardians.unknown');
  assert.equal(w.send(alice, guard()), 'ok');
  const small = { ...alice.key, bytes: concatBytes(Uint8Array.of(1), new Uint8Array(31)) };
  assert.equal(w.send(carol, recover(keySetOf([small]))), 'keys.malformed');
  assert.equal(w.state.guardians(alice.address)?.votes.length, 0);
});

test('STATE-15.8: a guardian whose own keys were changed votes with the new ones', () => {
  const w = world();
  w.send(alice, guard());
  assert.equal(w.send(carol, rotate(keySetOf([bob.key, erin.key]))), 'ok');
  assert.equal(w.send(carol, recover(lost)), 'account.signers');
  assert.equal(sendShared(w, carol.address, [erin, bob], recover(lost)), 'ok');
  assert.equal(w.state.guardians(alice.address)?.votes.length, 1);
});

test('STATE-15.9: records of keys and guardians that contradict themselves are refused', () => {
  const decodes = (kind: 'keys' | 'guardians', bytes: Uint8Array): string => {
    const decoded = decodeRecord(kind, bytes);
    return decoded.ok ? 'ok' : decoded.code;
  };
  const keys = (set: KeySet): string =>
    decodes('keys', encodeRecord('keys', { ...set, deposit: NO_DEPOSIT }));
  assert.equal(keys(keySetOf([alice.key, bob.key])), 'ok');
  assert.equal(keys({ keys: [{ key: alice.key, weight: 1 }], threshold: 2 }), 'decode.out-of-range');
  const record = {
    guardians: guardians.map(({ address }) => address).sort(compareBytes),
    threshold: 2,
    delay: millis(DELAY),
    votes: [],
    pending: undefined,
    deposit: NO_DEPOSIT,
  };
  const guarded = (changes: Partial<Parameters<typeof encodeRecord<'guardians'>>[1]>): string =>
    decodes('guardians', encodeRecord('guardians', { ...record, ...changes }));
  assert.equal(guarded({}), 'ok');
  assert.equal(guarded({ threshold: 0 }), 'decode.out-of-range');
  assert.equal(guarded({ threshold: 4 }), 'decode.out-of-range');
  assert.equal(guarded({ guardians: record.guardians.toReversed() }), 'decode.not-canonical');
  assert.equal(guarded({ votes: [{ guardian: alice.address, choice: ZERO_HASH }] }), 'decode.out-of-range');
});

test('STATE-15.10: keys and guardians hold a deposit for their longest form, and give it back when they go', () => {
  const w = new World(['treasurer'], 10n, { depositPerByte: 100n });
  const [treasurer] = w.people as [Person];
  for (const who of [alice, bob, carol, dave, erin]) w.send(treasurer, transfer(who, 10_000_000_000n));
  const spent = (act: () => void): bigint => {
    const before = w.balance(alice);
    act();
    return before - w.balance(alice);
  };
  const held = (): bigint =>
    (w.state.keys(alice.address)?.deposit.amount ?? 0n) +
    (w.state.guardians(alice.address)?.deposit.amount ?? 0n);
  assert.ok(spent(() => w.send(alice, guard())) > held());
  const guardsHold = held();
  w.send(carol, recover(lost));
  w.send(dave, recover(lost));
  assert.equal(held(), guardsHold, 'votes cost no deposit');
  wait(w, DELAY);
  assert.equal(w.send(bob, finish(lost)), 'ok');
  assert.deepEqual(w.state.keys(alice.address)?.deposit.payer, bob.address);
  const bobs = w.balance(bob);
  assert.equal(sendShared(w, alice.address, [bob], rotate(keySetOf([alice.key]))), 'ok');
  assert.ok(w.balance(bob) > bobs, 'the deposit went back to who paid it');
  assert.equal(held(), guardsHold);
  w.send(alice, guard({ guardians: [], threshold: 0, delay: millis(0) }));
  assert.equal(held(), 0n);
  assert.equal(w.state.supply(), SUPPLY);
  // Who cannot pay the deposit keeps the keys it has.
  const poor = someone(77);
  w.send(treasurer, transfer(poor, 10_000n));
  assert.equal(w.send(poor, rotate(lost)), 'transaction.deposit');
  assert.equal(w.state.keys(poor.address), undefined);
});
