import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { keySetOf, type KeySet } from '../ledger/account-keys.ts';
import { millis, SUPPLY } from '../ledger/ids.ts';
import type { Body } from '../ledger/body.ts';
import { keyPair } from '../testing/keys.ts';
import { sendShared } from '../testing/shared-account.ts';
import { transfer, World, type Person } from '../testing/state-world.ts';

/**
 * Accounts whose keys change, against a model that knows nothing of records: it keeps for each account who may act, for each
 * recovery who wanted what and since when enough did, and says what each receipt must be.
 */
const people: readonly Person[] = [11, 12, 13, 14].map((seed) => {
  const { key, address } = keyPair(seed);
  return { name: `p${seed}`, key, address };
});
const at = (i: number): Person => people[i] as Person;
const DELAY = 10_000;

/** What an account may become: by index of people, with a threshold. */
const SETS: readonly KeySet[] = [
  ...people.map(({ key }) => keySetOf([key])),
  keySetOf([at(0).key, at(1).key, at(2).key], 2),
  keySetOf([{ key: at(1).key, weight: 2 }, at(2).key, at(3).key], 3),
];

interface Step {
  readonly what: 'transfer' | 'rotate' | 'guard' | 'recover' | 'veto' | 'finish' | 'wait';
  /** Who acts, for which account, with which keys signing (bits of people). */
  readonly sender: number;
  readonly account: number;
  readonly signers: number;
  readonly set: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'transfer',
    'rotate',
    'rotate',
    'guard',
    'recover',
    'recover',
    'recover',
    'veto',
    'finish',
    'wait',
  ),
  sender: fc.nat(3),
  account: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
  signers: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 15 }) },
  ),
  // Guardians who never want the same never agree.
  set: fc.oneof({ weight: 2, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(SETS.length - 1) }),
});

interface Modelled {
  set: KeySet;
  guardians: number[];
  /** By guardian: the set wanted, or -1 for none. */
  votes: Map<number, number>;
  agreed: { readonly set: number; readonly at: number } | undefined;
}

const THRESHOLD = 2;

/** The first account has guardians from the beginning. */
const guarded: Step = { what: 'guard', sender: 0, account: 0, signers: 0, set: 0 };

/** Who signs when chance has not chosen: some that are enough, without one too many. */
function enough({ set }: Modelled): Person[] {
  const byWeight = set.keys.toSorted((a, b) => b.weight - a.weight);
  const chosen: Person[] = [];
  let sum = 0;
  for (const { key, weight } of byWeight) {
    if (sum >= set.threshold) break;
    chosen.push(people.find((one) => equalBytes(one.key.bytes, key.bytes)) as Person);
    sum += weight;
  }
  return chosen;
}

function mayAct({ set }: Modelled, signers: readonly Person[]): boolean {
  const weights = signers.map(
    (one) => set.keys.find(({ key }) => equalBytes(key.bytes, one.key.bytes))?.weight ?? 0,
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return (
    !weights.includes(0) && sum >= set.threshold && weights.every((weight) => sum - weight < set.threshold)
  );
}

test('STATE-15: whatever is sent in whatever order, who may act is what a plain model says', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
      const w = new World(['treasurer'], 1n);
      const [treasurer] = w.people as [Person];
      for (const one of people) w.send(treasurer, transfer(one, 1_000_000_000n));
      const model: Modelled[] = people.map(({ key }) => ({
        set: keySetOf([key]),
        guardians: [],
        votes: new Map(),
        agreed: undefined,
      }));
      for (const one of [guarded, ...steps]) {
        if (one.what === 'wait') {
          w.advance(w.height + DELAY / 1000);
          continue;
        }
        const acting = model[one.sender] as Modelled;
        const signers =
          one.signers === 0 ? enough(acting) : people.filter((_, i) => ((one.signers >> i) & 1) === 1);
        const now = w.context.time;
        const got = sendShared(w, at(one.sender).address, signers, bodyOf(one));
        const expected = mayAct(acting, signers) ? outcomeOf(model, one, now) : 'account.signers';
        assert.equal(got, expected, `${one.what} by ${one.sender} for ${one.account}`);
        seen.add(`${one.what} ${got}`);
        for (const [i, { set }] of model.entries()) {
          const isFirst =
            set.keys.length === 1 &&
            equalBytes((set.keys[0] as { key: Person['key'] }).key.bytes, at(i).key.bytes);
          assert.deepEqual(keysOf(w, i), isFirst ? undefined : set);
        }
      }
      assert.equal(w.state.supply(), SUPPLY);
    }),
    { numRuns: 60, seed: 5 },
  );
  for (const what of ['transfer ok', 'transfer account.signers', 'rotate ok', 'recover ok', 'recover recovery.not-guardian', 'veto ok', 'veto recovery.unknown',
    'finish ok', 'finish recovery.early', 'finish recovery.keys', 'finish recovery.unknown']) assert.ok(seen.has(what), `no story had: ${what}`); // prettier-ignore
});

function keysOf(w: World, i: number): KeySet | undefined {
  const record = w.state.keys(at(i).address);
  return record && { keys: record.keys, threshold: record.threshold };
}

function bodyOf({ what, sender, account, set }: Step): Body {
  const keys = SETS[set] as KeySet;
  const of = at(account).address;
  switch (what) {
    case 'transfer':
    case 'wait':
      return transfer(at(account), 1n);
    case 'rotate':
      return { kind: 'rotate-keys', keys };
    case 'guard': {
      const guardians = people.filter((_, i) => i !== sender).map(({ address }) => address);
      return {
        kind: 'set-guardians',
        guardians: guardians.sort(compareBytes),
        threshold: THRESHOLD,
        delay: millis(DELAY),
      };
    }
    case 'recover':
      return { kind: 'recover', account: of, keys };
    case 'veto':
      return { kind: 'veto-recovery', account: of };
    case 'finish':
      return { kind: 'finish-recovery', account: of, keys };
  }
}

function outcomeOf(model: Modelled[], { what, sender, account, set }: Step, now: number): string {
  const own = model[sender] as Modelled;
  const other = model[account] as Modelled;
  const clear = (one: Modelled): void => {
    one.votes.clear();
    one.agreed = undefined;
  };
  const count = (choice: number): number =>
    [...other.votes.values()].filter((vote) => vote === choice).length;
  switch (what) {
    case 'transfer':
    case 'wait':
      return 'ok';
    case 'rotate':
      own.set = SETS[set] as KeySet;
      clear(own);
      return 'ok';
    case 'guard':
      own.guardians = [0, 1, 2, 3].filter((i) => i !== sender);
      clear(own);
      return 'ok';
    case 'recover':
      if (other.guardians.length === 0) return 'guardians.unknown';
      if (!other.guardians.includes(sender)) return 'recovery.not-guardian';
      other.votes.set(sender, set);
      if (other.agreed !== undefined && count(other.agreed.set) < THRESHOLD) other.agreed = undefined;
      if (count(set) >= THRESHOLD && other.agreed?.set !== set) other.agreed = { set, at: now };
      return 'ok';
    case 'veto':
      if (other.guardians.length === 0) return 'guardians.unknown';
      if (sender !== account && !other.guardians.includes(sender)) return 'recovery.not-guardian';
      if (other.votes.size === 0) return 'recovery.unknown';
      other.votes.set(sender, -1);
      if (sender === account || count(-1) >= THRESHOLD) clear(other);
      else if (other.agreed !== undefined && count(other.agreed.set) < THRESHOLD) other.agreed = undefined;
      return 'ok';
    case 'finish':
      if (other.agreed === undefined) return 'recovery.unknown';
      if (other.agreed.set !== set) return 'recovery.keys';
      if (now < other.agreed.at + DELAY) return 'recovery.early';
      other.set = SETS[set] as KeySet;
      clear(other);
      return 'ok';
  }
}
