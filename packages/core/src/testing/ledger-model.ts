/**
 * Stories of every kind of transaction in one world, and what must hold after each block whatever happens: the supply is conserved,
 * no grant is wider than what was given, no record is without its deposit, no transaction, word or signature counts twice, and what
 * was refused leaves nothing but fee and nonce.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { idText } from '../bytes/id-text.ts';
import { asHash } from '../crypto/hash.ts';
import type { Body, BodyKind } from '../ledger/body.ts';
import { KINDS } from '../ledger/body.ts';
import { SUPPLY } from '../ledger/ids.ts';
import { applyTransaction } from '../state/apply.ts';
import { Draft } from '../state/draft.ts';
import { heldBy } from '../state/held-value.ts';
import { RECORD_KINDS, type RecordKind } from '../state/keys.ts';
import type { LedgerState } from '../state/ledger-state.ts';
import { KINDS as RECORDS } from '../state/record-store.ts';
import type { RecordTypes } from '../state/records.ts';
import type { VerifiedTransaction } from '../state/verified-transaction.ts';
import { AccessReference, assertWithinModel } from './access-reference.ts';
import { DEVICE_DRAWS, type Draws } from './draws-devices.ts';
import { MARKET_DRAWS } from './draws-market.ts';
import { VALUE_DRAWS } from './draws-value.ts';
import type { Person } from './state-world.ts';
import { Chance, WholeLedger, type SeenBlock } from './whole-ledger.ts';

/** Not every kind, as far as the compiler knows: `ModelTally.missing` says which one is not drawn. */
export const DRAWS: Partial<Draws<BodyKind>> = { ...DEVICE_DRAWS, ...MARKET_DRAWS, ...VALUE_DRAWS };

/**
 * Signed once, to count once: who sends the same words again, in a transaction of his own, is refused. A proposal of firmware is not
 * among them: until one is approved, each takes the place of the one before, and may be proposed again.
 */
const ONCE: ReadonlySet<BodyKind> = new Set<BodyKind>([
  'claim',
  'withdraw',
  'checkpoint',
  'evidence',
  'rental-start',
  'rental-use',
  'rental-stop',
  'create-channel',
  'rotate-channel',
  'roll-out',
  'accept-device',
]);

/** Long stories of one thing after another are rarer than their parts. */
export const OFTEN: Partial<Record<BodyKind, number>> = {
  claim: 2,
  grant: 3,
  delegate: 3,
  'offer-rental': 2,
  rent: 4,
  'rental-start': 4,
  'rental-use': 2,
  'rental-stop': 3,
  'end-rental': 2,
  'claim-damage': 5,
  'answer-claim': 5,
  recover: 3,
  'finish-recovery': 3,
  checkpoint: 3,
  deposit: 2,
  withdraw: 3,
  'accept-device': 3,
  'offer-device': 2,
  'join-subnet': 2,
  'leave-subnet': 2,
  'collect-stake': 2,
  'approve-release': 2,
  'roll-out': 2,
};

const WAITS = ['seconds', 'days', 'boundary', 'release'] as const;
type Wait = (typeof WAITS)[number];
type Turn = BodyKind | 'again' | Wait;

const isWait = (turn: Turn): turn is Wait => (WAITS as readonly Turn[]).includes(turn);

const TURNS: readonly Turn[] = [
  ...KINDS.flatMap((kind) => Array.from({ length: OFTEN[kind] ?? 1 }, () => kind)),
  ...Array.from({ length: 5 }, () => 'again' as const),
  ...Array.from({ length: 3 }, () => 'seconds' as const),
  'days',
  'boundary',
  'boundary',
];

interface Step {
  readonly turn: Turn;
  /** All else that is chosen. */
  readonly seed: number;
  /** In the block of the step before. */
  readonly together: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  turn: fc.oneof(
    { weight: 80, arbitrary: fc.constantFrom(...TURNS) },
    { weight: 1, arbitrary: fc.constant('release' as const) },
  ),
  seed: fc.nat(0xffff_ffff),
  together: fc.boolean(),
});

/** How often each kind was accepted and refused, and how many transactions there were. */
export class ModelTally {
  transactions = 0;
  readonly accepted: Map<BodyKind, number> = new Map();
  readonly refused: Map<BodyKind, number> = new Map();

  count(kind: BodyKind, isAccepted: boolean): void {
    const counts = isAccepted ? this.accepted : this.refused;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    this.transactions += 1;
  }

  /** Kinds that no story has seen accepted, or refused. */
  missing(): string[] {
    return KINDS.flatMap((kind) => [
      ...(this.accepted.has(kind) ? [] : [`${kind} was never accepted`]),
      ...(this.refused.has(kind) ? [] : [`${kind} was never refused`]),
    ]);
  }
}

class Story {
  readonly w: WholeLedger = new WholeLedger((seen) => this.#look(seen));
  readonly #tally: ModelTally;
  readonly #access: AccessReference = new AccessReference();
  /** Executed transactions by account and lane. */
  readonly #nonces: Map<string, number> = new Map();
  #waiting: VerifiedTransaction[] = [];
  /** By sender and lane, while the block is not made. */
  readonly #sent: Map<string, number> = new Map();
  /** Whatever was accepted, to be sent again. */
  readonly #past: {
    readonly sender: Person;
    readonly body: Body;
    readonly transaction: VerifiedTransaction;
  }[] = [];

  constructor(tally: ModelTally) {
    this.#tally = tally;
  }

  tell(steps: readonly Step[]): void {
    for (const { turn, seed, together } of [...OPENING, ...steps]) {
      const c = new Chance(seed);
      if (!together || this.#waiting.length >= 12) this.#close();
      if (turn === 'again') this.#again(c);
      else if (isWait(turn)) this.#wait(turn, c);
      else {
        const drawn = DRAWS[turn]?.(this.w, c);
        if (drawn !== undefined) this.#send(drawn.sender, drawn.body, c);
      }
    }
    this.#close();
    assert.equal(this.w.state.supply(), SUPPLY);
  }

  #send(sender: Person, body: Body, c: Chance): void {
    const { w } = this;
    const lane = c.isOneIn(4) ? c.below(3) : 0;
    const slot = `${idText(sender.address)} ${lane}`;
    const next = this.#sent.get(slot) ?? w.state.account(sender.address)?.nonces[lane] ?? 0;
    const skew = c.isOneIn(16) ? c.below(3) - 1 : 0;
    const sponsor = c.isOneIn(6) && body.kind !== 'checkpoint' ? w.one(c, 'sponsorship')?.[0] : undefined;
    const nonce = body.kind === 'checkpoint' ? 0 : Math.max(0, next + skew);
    this.#waiting.push(w.signed(sender, body, { lane, nonce, sponsor: sponsor && asHash(sponsor) }));
    if (body.kind !== 'checkpoint' && skew === 0) this.#sent.set(slot, next + 1);
  }

  /** The same transaction a second time, or the same words in a new one: neither does anything. */
  #again(c: Chance): void {
    this.#close();
    const past = c.pick(this.#past);
    if (past === undefined) return;
    const { w } = this;
    const { sender, body, transaction } = past;
    const [repeated] = w.block(transaction).receipts;
    assert.deepEqual([repeated?.outcome.ok, repeated?.fee], [false, 0n], `${body.kind} counted twice`);
    if (!ONCE.has(body.kind)) return;
    const nonce = w.state.account(sender.address)?.nonces[0] ?? 0;
    const [words] = w.block(w.signed(sender, body, { lane: 0, nonce })).receipts;
    assert.equal(words?.outcome.ok, false, `the words of a ${body.kind} counted twice`);
  }

  #wait(turn: Wait, c: Chance): void {
    this.#close();
    const { w } = this;
    switch (turn) {
      case 'seconds':
        w.later += 1000 * c.below(120);
        break;
      case 'days':
        w.later += 3_600_000 * c.below(24 * 9);
        break;
      case 'boundary':
        w.toBoundary();
        break;
      case 'release':
        w.toRelease();
        break;
    }
    w.block();
  }

  #close(): void {
    if (this.#waiting.length === 0) return;
    const transactions = this.#waiting;
    this.#waiting = [];
    this.#sent.clear();
    this.w.block(...transactions);
  }

  #look({ before, context, transactions, applied }: SeenBlock): void {
    const { state, receipts } = applied;
    assertConserved(before, applied);
    for (const [i, { outcome, fee, kind }] of receipts.entries()) {
      const transaction = transactions[i] as VerifiedTransaction;
      const { tx, sender } = transaction;
      this.#tally.count(kind, outcome.ok);
      const isExecuted = kind !== 'checkpoint' && (outcome.ok || fee > 0n);
      if (isExecuted) this.#advance(transaction);
      if (outcome.ok) {
        this.#access.accept(sender, tx.body, context.time);
        assertWithinModel(before, tx.body);
        const by =
          kind === 'checkpoint' ? { name: 'member', key: tx.key, address: sender } : this.w.at(sender);
        this.#past.push({ sender: by, body: tx.body, transaction });
      } else assertLeavesNothing(before, context, transaction);
      // Executed or refused for good: below the next block the same bytes are worth nothing.
      const { receipt } = applyTransaction(new Draft(state), { ...context, height: (context.height + 1) as typeof context.height }, transaction, 0); // prettier-ignore
      if (isExecuted || (outcome.ok && kind === 'checkpoint'))
        assert.deepEqual([receipt.outcome.ok, receipt.fee], [false, 0n], `${kind} would count twice`);
    }
    const changed = new Set(applied.changes.map(({ key }) => key[0]));
    for (const [id, account] of changesOf(applied, 'account'))
      for (const [lane, nonce] of (account?.nonces ?? []).entries())
        assert.equal(nonce, this.#nonces.get(`${id} ${lane}`) ?? 0);
    if (ACCESS_RECORDS.some((kind) => changed.has(RECORD_KINDS[kind])))
      this.#access.check(
        state,
        this.w.people.map(({ address }) => address),
      );
  }

  #advance({ tx, sender }: VerifiedTransaction): void {
    const slot = `${idText(sender)} ${tx.lane}`;
    this.#nonces.set(slot, (this.#nonces.get(slot) ?? 0) + 1);
  }
}

/** What decides who may command what. */
const ACCESS_RECORDS = ['device', 'grant', 'delegation', 'group', 'rental'] as const;

function changesOf<K extends RecordKind>(
  { changes, state }: SeenBlock['applied'],
  kind: K,
): (readonly [id: string, record: RecordTypes[K] | undefined])[] {
  const own = changes.filter(({ key }) => key[0] === RECORD_KINDS[kind]);
  return own.map(({ key }) => [idText(key.slice(1)), state.record(kind, idText(key.slice(1)))]);
}

/** By what changed, because a walk over all records at each block is most of the time; the end of a story walks. */
export function assertConserved(before: LedgerState, applied: SeenBlock['applied']): void {
  const gained = <K extends RecordKind>(kind: K): bigint => {
    let sum = 0n;
    for (const [id, record] of changesOf(applied, kind)) {
      const was = before.record(kind, id);
      if (record !== undefined) sum += heldBy(kind, record);
      if (was !== undefined) sum -= heldBy(kind, was);
    }
    return sum;
  };
  const kinds = RECORDS.filter((kind) => applied.changes.some(({ key }) => key[0] === RECORD_KINDS[kind]));
  assert.equal(
    kinds.reduce((sum, kind) => sum + gained(kind), 0n),
    0n,
    'a block made or lost ITC',
  );
}

/** Alone on the state below its block: what is refused there may leave its fee and its nonce, and nothing else. */
function assertLeavesNothing(
  below: LedgerState,
  context: SeenBlock['context'],
  transaction: VerifiedTransaction,
): void {
  const alone = new Draft(below);
  const { receipt } = applyTransaction(alone, context, transaction, 0);
  if (receipt.outcome.ok) return;
  const left = RECORDS.filter((kind) =>
    [...alone.changed[kind]].some(([id, record]) => below.record(kind, id) !== record),
  );
  const isPaidByOther = transaction.tx.sponsor !== undefined;
  const allowed = isPaidByOther ? ['account', 'sponsorship', 'sponsored', 'expiry'] : ['account'];
  assert.deepEqual(
    left.filter((kind) => receipt.fee === 0n || !allowed.includes(kind)),
    [],
    `a refused ${receipt.kind} (${receipt.outcome.code}) left something`,
  );
}

/** Chance alone seldom gets as far. */
const OPENING: readonly Step[] = (
  [
    'register-maker',
    'register-maker',
    'register-maker',
    'register-batch',
    'register-batch',
    'register-batch',
    'claim',
    'claim',
    'claim',
    'claim',
    'found-subnet',
    'found-subnet',
    'set-guardians',
    'create-channel',
  ] as const
).map((turn, i) => ({ turn, seed: 17 + 31 * i, together: false }));

export interface ModelRun {
  /** How many at least; stories are told to their end. */
  readonly transactions: number;
  readonly seed: number;
  /** Of one story. */
  readonly steps?: number;
  readonly onProgress?: (tally: ModelTally) => void;
}

/** Throws with seed and shortest story at the first thing that does not hold. */
export function runLedgerModel({ transactions, seed, steps = 400, onProgress }: ModelRun): ModelTally {
  const tally = new ModelTally();
  // Any length, so that a story that fails is told as short as it still does.
  const story = fc.array(step, { minLength: 1, maxLength: 2 * steps, size: 'max' });
  // Some steps only wait, and some have nothing to draw from: more stories than that are never needed.
  const numRuns = Math.ceil((4 * transactions) / steps);
  let isFailed = false;
  fc.assert(
    fc.property(story, (told) => {
      if (tally.transactions >= transactions && !isFailed) return;
      // From the first failure on the same story is told ever shorter, which is no progress.
      const seen = isFailed ? new ModelTally() : tally;
      const wasFailed = isFailed;
      isFailed = true;
      new Story(seen).tell(told);
      isFailed = wasFailed;
      if (!isFailed) onProgress?.(tally);
    }),
    { numRuns, seed },
  );
  return tally;
}
