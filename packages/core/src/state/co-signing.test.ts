import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { decodeGenesis, encodeGenesis, genesisHash, type Genesis } from '../ledger/genesis.ts';
import { addressOf } from '../ledger/address.ts';
import {
  coSignerOf,
  coSignersQuorum,
  coSignKeySigningBytes,
  mlDsaKey,
  NO_CO_SIGNER,
} from '../ledger/co-signers.ts';
import { SUPPLY } from '../ledger/ids.ts';
import type { BodyOf } from '../ledger/body.ts';
import { fakeSign, person, type Person } from '../testing/state-world.ts';
import { PER_WEIGHT, ValidatorWorld } from '../testing/validator-world.ts';
import { precheck } from './admission.ts';
import { LedgerState } from './ledger-state.ts';
import { verificationCostOf } from './verified-transaction.ts';

const alice = person('alice');
const world = (depositPerByte = 0n): ValidatorWorld =>
  new ValidatorWorld({ others: ['alice'], depositPerByte });
/** A made-up key: the signatures of these worlds are made up as well. */
const keyNumber = (seed: number): Uint8Array => new Uint8Array(1312).fill(seed);

interface Change {
  readonly key: number;
  readonly former?: number;
  /** Height at which the former was registered. */
  readonly since?: number;
  /** Where what is signed names another account. */
  readonly account?: Person;
}

function coSign(w: ValidatorWorld, who: Person, o: Change): BodyOf<'co-sign'> {
  const key = keyNumber(o.key);
  const account = (o.account ?? who).address;
  const since = (o.since ?? 0) as 0;
  const signed = coSignKeySigningBytes({ chain: w.chain, account, key: coSignerOf(key), since });
  const former = o.former === undefined ? undefined : keyNumber(o.former);
  return {
    kind: 'co-sign',
    key,
    possession: fakeSign(mlDsaKey(key), signed),
    ...(former && { former: { key: former, consent: fakeSign(mlDsaKey(former), signed) } }),
  };
}

const registered = (w: ValidatorWorld, who: Person): number | undefined =>
  w.state.record('co-signing-key', idOf(who))?.since;
const idOf = (who: Person): string => String.fromCharCode(...who.address);
/** Who is listed for this epoch, by the name of the validator. */
function listed(w: ValidatorWorld): string[] | undefined {
  return w.state.coSigners?.members.flatMap(({ key }, i) => {
    const validator = w.state.epoch.validators[i];
    const name = w.validators.find((v) => v.key.bytes === validator?.key.bytes)?.name ?? '?';
    return key.every((byte, at) => byte === NO_CO_SIGNER[at]) ? [] : [name];
  });
}

test('QUANTUM-1.1: a bonded account registers a key that it holds; strangers, others’ keys and proofs for others are refused', () => {
  const w = world();
  const [v0, v1] = w.validators as [Person, Person];
  assert.equal(w.send(alice, coSign(w, alice, { key: 1 })), 'validator.unknown');
  assert.equal(w.send(v0, coSign(w, v0, { key: 1, account: v1 })), 'co-sign.possession');
  assert.equal(w.send(v0, { ...coSign(w, v0, { key: 1 }), key: keyNumber(2) }), 'co-sign.possession');
  assert.equal(w.send(v0, coSign(w, v0, { key: 1 })), 'ok');
  assert.equal(registered(w, v0), 4);
  const pooled = precheck(w.state, w.context, w.transaction(v1, coSign(w, v1, { key: 3, account: v0 })));
  assert.equal(!pooled.ok && pooled.code, 'co-sign.possession');
});

test('QUANTUM-1.2: the key in force agrees to its successor: whoever forges the account’s signature cannot replace it', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(w.send(v0, coSign(w, v0, { key: 1, former: 9 })), 'co-sign.consent');
  assert.equal(w.send(v0, coSign(w, v0, { key: 1 })), 'ok');
  const since = registered(w, v0) as number;
  w.advance(since + 1024);
  assert.equal(w.send(v0, coSign(w, v0, { key: 2, since })), 'co-sign.consent');
  assert.equal(w.send(v0, coSign(w, v0, { key: 2, former: 3, since })), 'co-sign.consent');
  const agreed = coSign(w, v0, { key: 2, former: 1, since });
  const { former, ...rest } = agreed;
  assert.ok(former);
  assert.equal(
    w.send(v0, { ...rest, former: { ...former, consent: new Uint8Array(2420) } }),
    'co-sign.consent',
  );
  assert.equal(w.send(v0, agreed), 'ok');
  // The same consent a second time, after the key was changed back.
  const second = registered(w, v0) as number;
  w.advance(second + 1024);
  assert.equal(w.send(v0, coSign(w, v0, { key: 1, former: 2, since: second })), 'ok');
  w.advance((registered(w, v0) as number) + 1024);
  assert.equal(w.send(v0, agreed), 'co-sign.possession');
});

test('QUANTUM-1.3: keys change with the epoch; one that was registered closes it, and none soon after', () => {
  const w = world();
  const [v0, v1] = w.validators as [Person, Person];
  assert.equal(listed(w), undefined);
  w.nextEpoch();
  assert.equal(w.state.epoch.epoch, 0);
  assert.equal(w.send(v0, coSign(w, v0, { key: 1 })), 'ok');
  assert.equal(listed(w), undefined);
  const set = w.state.epoch.validators;
  w.nextEpoch();
  assert.equal(w.state.epoch.epoch, 1);
  assert.deepEqual(w.state.epoch.validators, set);
  assert.deepEqual(listed(w), ['v0']);
  assert.equal(w.state.coSigners?.epoch, 1);
  w.nextEpoch();
  assert.equal(w.state.epoch.epoch, 1);
  const since = registered(w, v0) as number;
  assert.equal(w.send(v0, coSign(w, v0, { key: 2, former: 1, since })), 'co-sign.early');
  assert.equal(w.send(v1, coSign(w, v1, { key: 3 })), 'ok');
  w.nextEpoch();
  assert.deepEqual(listed(w)?.toSorted(), ['v0', 'v1']);
  assert.equal(coSignersQuorum(w.state.coSigners as NonNullable<typeof w.state.coSigners>), 3);
});

test('QUANTUM-1.4: a registration holds a deposit, and goes with the bond', () => {
  const w = world(10n);
  const before = w.balance(alice);
  assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
  assert.equal(w.send(alice, coSign(w, alice, { key: 1 })), 'ok');
  assert.equal(w.state.count('co-signing-key'), 1);
  assert.equal(w.balance(alice), before - PER_WEIGHT - 10n * (80n + 64n));
  assert.equal(w.unbond(alice, PER_WEIGHT), 'ok');
  w.height += 604_800;
  w.nextEpoch();
  w.nextEpoch();
  assert.equal(w.record(alice), undefined);
  assert.equal(w.state.count('co-signing-key'), 0);
  assert.equal(w.balance(alice), before);
  assert.equal(w.state.supply(), SUPPLY);
});

test('QUANTUM-1.5: what its signatures cost to check counts in blocks', () => {
  const w = world();
  const [v0] = w.validators as [Person];
  assert.equal(verificationCostOf(w.transaction(v0, coSign(w, v0, { key: 1 }))), 33);
  assert.equal(verificationCostOf(w.transaction(v0, coSign(w, v0, { key: 1, former: 2 }))), 65);
});

test('QUANTUM-1.6: genesis may name co-signing keys; a document without them is the one it always was', () => {
  const w = world();
  const genesis: Genesis = {
    ...w.genesis,
    accounts: w.genesis.accounts.toSorted((a, b) => compareBytes(a.address, b.address)),
  };
  const keys = genesis.validators.map((_, i) => (i === 0 ? NO_CO_SIGNER : coSignerOf(keyNumber(i))));
  const named: Genesis = { ...genesis, coSigners: keys };
  const bytes = encodeGenesis(named);
  assert.deepEqual(bytes.subarray(0, encodeGenesis(genesis).length), encodeGenesis(genesis));
  const decoded = decodeGenesis(bytes);
  assert.deepEqual(decoded.ok && decoded.value, named);
  assert.notDeepEqual(genesisHash(named), genesisHash(genesis));
  const refused = (coSigners: Genesis['coSigners']): boolean =>
    !decodeGenesis(encodeGenesis({ ...genesis, ...(coSigners && { coSigners }) })).ok;
  assert.ok(refused(keys.slice(1)));
  assert.ok(refused(keys.map(() => NO_CO_SIGNER)));
  assert.ok(refused([]));
  assert.ok(!decodeGenesis(bytes.subarray(0, -1)).ok);
  const state = LedgerState.fromGenesis(named);
  assert.deepEqual(
    state.coSigners?.members.map(({ key }) => key),
    keys,
  );
  assert.equal(state.count('co-signing-key'), 3);
  const [, second] = genesis.validators;
  assert.ok(second);
  assert.deepEqual(
    state.record('co-signing-key', String.fromCharCode(...addressOf(second.key)))?.key,
    keys[1],
  );
  assert.equal(LedgerState.fromGenesis(genesis).coSigners, undefined);
});

test('QUANTUM-1.3: whatever is registered, bonded and voted, the list is that of the epoch’s set, of keys registered before it began, and stays to its end', () => {
  const act = fc.record({
    who: fc.nat(4),
    what: fc.constantFrom('register', 'register', 'renew', 'unbond', 'epoch', 'later'),
    key: fc.integer({ min: 1, max: 200 }),
  });
  fc.assert(
    fc.property(fc.array(act, { minLength: 3, maxLength: 25 }), (acts) => {
      const w = world(1n);
      const people = [...w.validators, alice];
      const inForce = new Map<string, number>();
      let list = w.state.coSigners;
      let epoch = w.state.epoch.epoch;
      assert.equal(w.bond(alice, PER_WEIGHT), 'ok');
      w.grant(alice, 1);
      for (const { who, what, key } of acts) {
        const person_ = people[who] as Person;
        const before = w.state.record('co-signing-key', idOf(person_));
        if (what === 'register') {
          const outcome = w.send(person_, coSign(w, person_, { key }));
          assert.equal(outcome === 'ok', before === undefined && w.record(person_) !== undefined, outcome);
          if (outcome === 'ok') inForce.set(person_.name, key);
        } else if (what === 'renew' && before !== undefined) {
          const former = inForce.get(person_.name) as number;
          const outcome = w.send(person_, coSign(w, person_, { key, former, since: before.since }));
          assert.equal(outcome === 'ok', w.height - 1 >= before.since + 1024, outcome);
          if (outcome === 'ok') inForce.set(person_.name, key);
        } else if (what === 'unbond') w.unbond(person_, PER_WEIGHT);
        else if (what === 'epoch') w.nextEpoch();
        else w.height += 1024;
        if (w.state.epoch.epoch === epoch) assert.deepEqual(w.state.coSigners, list);
        else {
          ({ epoch } = w.state.epoch);
          list = w.state.coSigners;
          const { validators } = w.state.epoch;
          const expected = validators.map(({ key: consensus, weight }) => {
            const account = w.state.validatorOf(consensus)?.address;
            const record = account && w.state.record('co-signing-key', String.fromCharCode(...account));
            return { weight, key: record?.key ?? NO_CO_SIGNER };
          });
          const isAny = expected.some(({ key: named }) => named !== NO_CO_SIGNER);
          assert.deepEqual(list, isAny ? { epoch, members: expected } : undefined);
        }
        assert.equal(w.state.supply(), SUPPLY);
      }
    }),
    { numRuns: 40 },
  );
});
