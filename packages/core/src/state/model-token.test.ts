/** Sponsors, streams and parameters against a plain reference, in any order (STATE-18 to STATE-21). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Hash } from '../crypto/hash.ts';
import { ACTIONS } from '../ledger/bodies/access.ts';
import { PARAMETER_NAMES, type ParameterName } from '../ledger/bodies/parameters.ts';
import { sponsorshipId, type SponsorshipTerms } from '../ledger/bodies/sponsor.ts';
import { streamId } from '../ledger/bodies/stream.ts';
import { BODY_CODES, type Body, type BodyKind } from '../ledger/body.ts';
import { amount, millis, SUPPLY } from '../ledger/ids.ts';
import { makeBatch, members, person, World, type Person } from '../testing/state-world.ts';
import { applyTransaction } from './apply.ts';
import { Draft } from './draft.ts';
import { expiresAt, entryId, EXPIRING_KINDS, type ExpiringKind } from './expiry.ts';
import { heldBy } from './held-value.ts';
import { stateKey } from './keys.ts';
import type { LedgerState } from './ledger-state.ts';
import { idBytes, idText } from './record-map.ts';
import { KINDS } from './record-store.ts';

const DAY = 86_400_000;
const names = ['maker', 'alice', 'bob', 'carol'];
const people = names.map(person);
const [maker] = people as [Person];
const batch = makeBatch(maker, 'lamp', 3);
const lamps = batch.devices.map(({ device }) => device);
/** Owners of the three lamps; bob and carol have ITC, the first has none. */
const owners = [person('penniless'), people[2] as Person, people[3] as Person];
const sponsorship = sponsorshipId(maker.address, 's');
const paidFor: readonly BodyKind[] = ['grant', 'revoke', 'claim', 'transfer'];
const kinds = paidFor.map((kind) => BODY_CODES[kind]).toSorted((a, b) => a - b);

type Kind =
  | 'sponsored-grant'
  | 'sponsored-revoke'
  | 'grant'
  | 'revoke'
  | 'open-sponsorship'
  | 'fund-sponsorship'
  | 'change-sponsorship'
  | 'close-sponsorship'
  | 'open-stream'
  | 'fund-stream'
  | 'settle-stream'
  | 'close-stream'
  | 'parameter-vote'
  | 'transfer'
  | 'later';

interface Step {
  readonly kind: Kind;
  readonly who: number;
  readonly which: number;
  readonly n: number;
  /** In the block of the step before. */
  readonly together: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom<Kind>(
    'sponsored-grant',
    'sponsored-grant',
    'sponsored-grant',
    'sponsored-revoke',
    'grant',
    'revoke',
    'open-sponsorship',
    'open-sponsorship',
    'fund-sponsorship',
    'change-sponsorship',
    'close-sponsorship',
    'open-stream',
    'open-stream',
    'fund-stream',
    'settle-stream',
    'close-stream',
    'parameter-vote',
    'transfer',
    'later',
  ),
  who: fc.nat(3),
  which: fc.nat(2),
  n: fc.nat(1_000_000),
  together: fc.boolean(),
});

const stories = fc.array(step, { minLength: 4, maxLength: 30 });

function terms(w: World, n: number): SponsorshipTerms {
  const perDevicePerDay = amount(BigInt(400_000 + 2 * n));
  return {
    kinds,
    scope: n % 3 === 0 ? { kind: 'maker', maker: maker.address } : { kind: 'batch', batch: batch.id },
    perDevicePerDay,
    perDay: amount(perDevicePerDay + BigInt(n)),
    expiresAt: millis(w.context.time + 1 + (n % 5) * DAY),
    paysState: n % 4 !== 0,
  };
}

const streamOf = (payer: Person, number: number): Hash => streamId(payer.address, number);

/** Who sends what; undefined for a step that sends nothing. */
function drawn(
  w: World,
  { kind, who, which, n }: Step,
): { sender: Person; body: Body; sponsored: boolean } | undefined {
  const other = people[who] as Person;
  const owner = owners[which] as Person;
  const { address: device } = lamps[which] as Person;
  const guest = person(`guest-${n % 3}`);
  const grant: Body = {
    kind: 'grant',
    grant: {
      device,
      subject: guest.address,
      actions: ACTIONS.onOff,
      levelMax: 9,
      notBefore: millis(0),
      expiresAt: millis(w.context.time + 1 + (n % 4) * 1500),
    },
  };
  const revoke: Body = { kind: 'revoke', device, subject: guest.address };
  const from = (sender: Person, body: Body, sponsored = false): ReturnType<typeof drawn> => ({
    sender,
    body,
    sponsored,
  });
  // Few payers, so that what one step opens another one closes.
  const payer = people[who % 2] as Person;
  const stream = streamOf(payer, which % 2);
  switch (kind) {
    // Now and then somebody else tries the sponsor of a device that is not his.
    case 'sponsored-grant':
      return from(n % 7 === 0 ? other : owner, grant, true);
    case 'sponsored-revoke':
      return from(owner, revoke, true);
    case 'grant':
      return from(owner, grant);
    case 'revoke':
      return from(owner, revoke);
    case 'open-sponsorship':
      return from(maker, { kind, name: 's', terms: terms(w, n), amount: amount(BigInt(3 * n)) });
    case 'fund-sponsorship':
      return from(other, { kind, sponsorship, amount: amount(BigInt(n)) });
    case 'change-sponsorship':
      return from(n % 5 === 0 ? other : maker, { kind, sponsorship, terms: terms(w, n) });
    case 'close-sponsorship':
      return from(n % 3 === 0 ? maker : other, { kind, sponsorship });
    case 'open-stream': {
      const payee = (n % 5 === 0 ? person(`fresh-${n % 2}`) : (people[((who % 2) + 1) % 4] as Person))
        .address;
      const [rate, value] = [amount(BigInt(1 + (n % 1000))), amount(BigInt(1 + n))];
      const end = millis(w.context.time + 1 + (n % 9) * 60_000);
      const notice = (n % 3) * 2000;
      return from(payer, {
        kind,
        number: which % 2,
        payee,
        rate,
        period: 1 + (n % 60),
        amount: value,
        start: millis(0),
        end,
        notice,
        device: undefined,
      });
    }
    case 'fund-stream':
      return from(people[(who + n) % 4] as Person, { kind, stream, amount: amount(BigInt(n % 5000)) });
    case 'settle-stream':
    case 'close-stream':
      return from(people[((who % 2) + (n % 3)) % 4] as Person, { kind, stream });
    case 'parameter-vote': {
      const parameter = PARAMETER_NAMES[n % PARAMETER_NAMES.length] as ParameterName;
      return from(members[who] as Person, { kind, parameter, value: BigInt(n % 3) * 4n });
    }
    case 'transfer':
      return from(other, { kind, to: person(`fresh-${n % 4}`).address, amount: amount(BigInt(n % 3)) });
    case 'later':
      w.later += n * 100;
      return undefined;
  }
}

interface Seen {
  readonly w: World;
  readonly before: LedgerState;
  readonly transactions: ReturnType<World['transaction']>[];
  readonly applied: ReturnType<World['block']>;
}

function tell(steps: readonly Step[], claim: (seen: Seen) => void): void {
  const w = new World([...names, ...members.map(({ name }) => name)], 10n, {
    depositPerByte: 1000n,
    accountPrice: 50_000n,
    burnShare: 100,
  });
  assert.equal(w.send(maker, { kind: 'register-maker', name: 'maker' }), 'ok');
  assert.equal(w.send(maker, w.registerBatch(maker, batch, 5n)), 'ok');
  const first: Body = {
    kind: 'open-sponsorship',
    name: 's',
    terms: { ...terms(w, 500_001), expiresAt: millis(w.context.time + DAY) },
    amount: amount(3_000_000n),
  };
  assert.equal(w.send(maker, first), 'ok');
  for (const [i, who] of owners.entries())
    assert.equal(
      w.send(who, { kind: 'claim', claim: w.claim(batch, i, who) }, { sponsor: sponsorship }),
      'ok',
    );
  let waiting: Seen['transactions'] = [];
  const nonces = new Map<string, number>();
  const run = (): void => {
    const before = w.state;
    const transactions = waiting;
    waiting = [];
    nonces.clear();
    claim({ w, before, transactions, applied: w.block(...transactions) });
  };
  for (const one of steps) {
    if (!one.together) run();
    const sent = drawn(w, one);
    if (sent === undefined) continue;
    const { sender, body, sponsored } = sent;
    const nonce = nonces.get(sender.name) ?? w.state.account(sender.address)?.nonces[0] ?? 0;
    nonces.set(sender.name, nonce + 1);
    waiting.push(w.transaction(sender, body, { nonce, ...(sponsored && { sponsor: sponsorship }) }));
  }
  run();
}

const always = (claim: (seen: Seen) => void, numRuns = 40): void =>
  fc.assert(
    fc.property(stories, (steps) => tell(steps, claim)),
    { numRuns },
  );

test('STATE-18.1: the supply is conserved by every block, and each record holds what it says', () => {
  always(({ w, applied }) => {
    assert.equal(w.state.supply(), SUPPLY);
    let held = 0n;
    for (const kind of ['sponsorship', 'stream', 'sponsored', 'grant'] as const)
      for (const [, record] of w.state.records.walk(kind)) held += heldBy(kind, record);
    assert.ok(held >= 0n && applied.receipts.every(({ fee }) => fee >= 0n));
  });
});

test('STATE-18.4: no record without deposit, and none whose time has passed; the queue is what the records say', () => {
  always(({ w }) => {
    const now = w.context.time - 1000;
    const queue = EXPIRING_KINDS.flatMap(<K extends ExpiringKind>(kind: K) =>
      [...w.state.records.walk(kind)].map(([id, record]) => {
        assert.ok(record.deposit.amount > 0n || w.state.parameters.depositPerByte !== 1000n, kind);
        const at = expiresAt(kind, record);
        assert.ok(at !== undefined && at > now, `${kind} outlives its time`);
        return entryId(at, stateKey(kind, idBytes(id)));
      }),
    );
    assert.deepEqual(
      [...w.state.records.walk('expiry')].map(([id]) => id),
      queue.toSorted(),
    );
  });
});

test('STATE-19.6: no budget is ever exceeded, whatever is sent, changed and funded between', () => {
  always(({ w, before, applied, transactions }) => {
    const id = idText(sponsorship);
    const [was, is] = [before.record('sponsorship', id), w.state.record('sponsorship', id)];
    if (was === undefined || is === undefined || was.terms !== is.terms) return;
    for (const [key, { spent }] of w.state.records.walk('sponsored', id)) {
      const isAll = idBytes(key.slice(32)).every((byte) => byte === 0);
      const budget = isAll ? is.terms.perDay : is.terms.perDevicePerDay;
      const had = before.record('sponsored', key)?.spent ?? 0n;
      // What a wider budget allowed before it was narrowed stays used.
      assert.ok(spent <= budget || spent === had);
    }
    // Whoever is sponsored pays nothing: what left the balances of others left the budget.
    for (const [i, { fee }] of applied.receipts.entries()) {
      const tx = transactions[i]?.tx;
      if (tx?.sponsor !== undefined && fee > 0n) assert.equal(w.balance(owners[0] as Person), 0n);
    }
  });
});

test('STATE-20.2: what a stream has paid is never more than what is due, nor than what was paid in', () => {
  always(({ w, before }) => {
    const now = BigInt(w.context.time - 1000);
    for (const [id, stream] of w.state.records.walk('stream')) {
      const gone = now - BigInt(stream.start);
      assert.ok(stream.paid <= stream.funded);
      assert.ok(stream.paid * BigInt(stream.period) * 1000n <= stream.rate * (gone > 0n ? gone : 0n));
      const had = before.record('stream', id);
      if (had?.start === stream.start) assert.ok(stream.paid >= had.paid && stream.funded >= had.funded);
    }
  });
});

test('STATE-19.7: a refused transaction changes nothing but fee and nonce; no nonce is used twice', () => {
  always(({ w, before, transactions }) => {
    const context = {
      ...w.context,
      height: (w.context.height - 1) as typeof w.context.height,
      time: millis(w.context.time - 1000),
    };
    const draft = new Draft(before);
    const changedKinds = (of: Draft): string[] =>
      KINDS.filter((kind) =>
        [...of.changed[kind]].some(([id, record]) => before.record(kind, id) !== record),
      );
    for (const transaction of transactions) {
      // Alone on the state below the block: the one that is refused there shows all it leaves.
      const alone = new Draft(before);
      const { receipt } = applyTransaction(alone, context, transaction, 0);
      if (!receipt.outcome.ok) {
        const left = receipt.fee === 0n ? [] : ['account', 'sponsorship', 'sponsored', 'expiry'];
        for (const kind of changedKinds(alone))
          assert.ok(left.includes(kind), `${receipt.outcome.code}: ${kind}`);
        if (receipt.fee > 0n && transaction.tx.sponsor === undefined)
          assert.deepEqual(changedKinds(alone), ['account']);
      }
      applyTransaction(draft, context, transaction, 0);
      const again = applyTransaction(draft, context, transaction, 1);
      assert.deepEqual([again.receipt.outcome.ok, again.receipt.fee], [false, 0n]);
    }
  }, 25);
});

test('STATE-21.3: parameters change at checkpoint heights only', () => {
  always(({ w, before }) => {
    const changed = w.state.parameters !== before.parameters;
    assert.ok(!changed || w.height % 32 === 0);
  }, 20);
});

test('STATE-19.1, STATE-20.1: the stories above reach acceptance and refusal of every kind', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(stories, (steps) =>
      tell(steps, ({ applied, transactions }) => {
        for (const [i, { kind, outcome }] of applied.receipts.entries())
          seen.add(`${transactions[i]?.tx.sponsor ? 'sponsored ' : ''}${kind} ${outcome.ok}`);
        for (const { kind } of applied.events) seen.add(kind);
      }),
    ),
    { numRuns: 120, seed: 4 },
  );
  for (const kind of [
    'sponsored grant',
    'sponsored revoke',
    'open-sponsorship',
    'fund-sponsorship',
    'change-sponsorship',
    'close-sponsorship',
    'open-stream',
    'fund-stream',
    'settle-stream',
    'close-stream',
  ]) {
    assert.ok(seen.has(`${kind} true`), `${kind} was never accepted`);
    assert.ok(seen.has(`${kind} false`), `${kind} was never refused`);
  }
  for (const kind of [
    'sponsorship-ended',
    'sponsored-day-ended',
    'stream-ended',
    'stream-closing',
    'parameter-voted',
  ])
    assert.ok(seen.has(kind), kind);
});
