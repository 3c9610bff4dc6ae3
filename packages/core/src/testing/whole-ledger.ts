/**
 * One world in which every kind of transaction has something to act on: makers with models and batches, owners, guests, renters,
 * validators with bonds, subnets with fixed members and with staked ones, a channel of firmware, sponsors, streams, guardians. What is
 * drawn from it follows from the numbers of a `Chance` alone. Signatures are the fakes of `state-world.ts`.
 */
import { equalBytes } from '../bytes/hex.ts';
import { compareKeys, type PublicKey } from '../crypto/signature.ts';
import type { Hash } from '../crypto/hash.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { Body } from '../ledger/body.ts';
import type { Withdrawal } from '../ledger/escrow.ts';
import { amount, height, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { encodeTransaction, transactionSigningBytes, type Transaction } from '../ledger/transaction.ts';
import { sortValidators, type ValidatorSet } from '../ledger/validators.ts';
import type { AppliedBlock } from '../state/apply.ts';
import type { BlockContext } from '../state/block-context.ts';
import type { RecordKind } from '../state/keys.ts';
import type { LedgerState } from '../state/ledger-state.ts';
import { idBytes, idText } from '../state/record-map.ts';
import type { RecordTypes } from '../state/records.ts';
import { verifyTransaction, type VerifiedTransaction } from '../state/verified-transaction.ts';
import { fakeSign, fakeVerify, members, person, World, type Batch, type Person } from './state-world.ts';

export const ITC = 1_000_000_000n;
/** What one unit of a validator's weight needs. */
export const PER_WEIGHT: bigint = 1000n * ITC;

const validators: readonly Person[] = ['v0', 'v1', 'v2', 'v3'].map(person);
const ownSet: ValidatorSet = sortValidators(validators.map(({ key }) => ({ key, weight: 3 })));
/** Makers, owners, guests, renters: whoever is no validator and no member. */
const townspeople: readonly string[] = ['maker', 'alice', 'bob', 'carol', 'dave'];

/** Numbers that all follow from one: mulberry32 (Ettinger). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Integer in [0, bound). */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
  }

  isOneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(items: readonly [T, ...T[]]): T;
  pick<T>(items: readonly T[]): T | undefined;
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(items.length)];
  }
}

export interface MadeBatch {
  readonly batch: Batch;
  readonly maker: Person;
  readonly model: Hash;
}

/** What left a subnet with a checkpoint, for whoever fetches it: the ledger keeps the root alone. */
export interface Leaving {
  readonly subnet: Hash;
  readonly root: Hash;
  readonly withdrawals: readonly Withdrawal[];
  readonly paths: readonly (readonly Hash[])[];
}

/** A block, seen from outside. */
export interface SeenBlock {
  readonly before: LedgerState;
  readonly context: BlockContext;
  readonly transactions: readonly VerifiedTransaction[];
  readonly applied: AppliedBlock;
}

export class WholeLedger extends World {
  readonly batches: MadeBatch[] = [];
  readonly leaving: Leaving[] = [];
  /** Counts up wherever a story needs a name or number of its own. */
  next = 0;
  /** Looks at every block. */
  readonly onBlock: (seen: SeenBlock) => void;
  readonly #known = new Map<string, Person>();
  readonly #validators: readonly Person[];

  /** `set`: who decides, where it is not the four of this world. */
  constructor(onBlock: (seen: SeenBlock) => void = () => undefined, set: ValidatorSet = ownSet) {
    const heaviest = set.reduce((most, { weight }) => Math.max(most, weight), 0);
    super([...townspeople, ...validators.map(({ name }) => name), ...members.map(({ name }) => name)], 10n, {
      validators: set,
      balance: 20n * PER_WEIGHT,
      validatorBond: BigInt(heaviest + 1) * PER_WEIGHT,
      bondPerWeight: PER_WEIGHT,
      reserve: 5_000n,
      rewardPerCheckpoint: 1_000n,
      depositPerByte: 100n,
      accountPrice: 5_000n,
      burnShare: 100,
    });
    this.onBlock = onBlock;
    this.#validators = set.map(({ key }, i) => ({ name: `v${i}`, key, address: addressOf(key) }));
    for (const who of this.#validators) this.#known.set(idText(who.address), who);
    for (const who of this.people) this.#known.set(idText(who.address), who);
  }

  /** Time of the next block. */
  get now(): Millis {
    return this.context.time;
  }

  override block(...transactions: VerifiedTransaction[]): AppliedBlock {
    const { state: before, context } = this;
    const applied = super.block(...transactions);
    this.onBlock({ before, context, transactions, applied });
    return applied;
  }

  anyone(c: Chance): Person {
    return c.pick(this.people.slice(0, townspeople.length) as [Person, ...Person[]]);
  }

  /** Who it should be, but for one time in eight. */
  mostly(c: Chance, who: Address): Person {
    return c.isOneIn(8) ? this.anyone(c) : this.at(who);
  }

  validator(c: Chance): Person {
    return c.pick(this.#validators as readonly [Person, ...Person[]]);
  }

  /** Who is not known by name signs by nothing but what stands in the state. */
  at(address: Address): Person {
    const known = this.#known.get(idText(address));
    return known ?? { name: 'somebody', key: person('somebody').key, address };
  }

  /** Everything of a kind, with its id as bytes. */
  all<K extends RecordKind>(kind: K): (readonly [id: Uint8Array, record: RecordTypes[K]])[] {
    return Array.from(
      this.state.records.walk(kind),
      ([id, record]) => [idBytes(id), record] as [Uint8Array, RecordTypes[K]],
    );
  }

  one<K extends RecordKind>(
    c: Chance,
    kind: K,
    where: (record: RecordTypes[K], id: Uint8Array) => boolean = () => true,
  ): readonly [id: Uint8Array, record: RecordTypes[K]] | undefined {
    return c.pick(this.all(kind).filter(([id, record]) => where(record, id)));
  }

  /** By whoever may act for the sender now, with the least number of keys. */
  signed(
    sender: Person,
    body: Body,
    o: { readonly lane: number; readonly nonce: number; readonly sponsor?: Hash | undefined },
  ): VerifiedTransaction {
    const [first, ...rest] = this.#signers(sender);
    const unsigned = {
      key: first,
      ...(!equalBytes(addressOf(first), sender.address) && { account: sender.address }),
      lane: o.lane,
      nonce: o.nonce,
      validUntil: height(this.height + 100),
      ...(o.sponsor && { sponsor: o.sponsor }),
      ...(rest.length > 0 && { shared: true as const }),
      body,
    };
    const whole = (fee: bigint, sign: (key: PublicKey) => Uint8Array): Transaction => ({
      ...unsigned,
      fee: amount(fee),
      signature: sign(first),
      ...(rest.length > 0 && { cosigners: rest.map((key) => ({ key, signature: sign(key) })) }),
    });
    const { length } = encodeTransaction(whole(0n, () => NO_SIGNATURE));
    const fee = body.kind === 'checkpoint' ? 0n : this.state.parameters.feePerByte * BigInt(length);
    const message = transactionSigningBytes(this.chain, { ...unsigned, fee: amount(fee) });
    const encoded = encodeTransaction(whole(fee, (key) => fakeSign(key, message)));
    const verified = verifyTransaction(this.chain, encoded, fakeVerify);
    if (!verified.ok) throw new Error(`${verified.code}: ${verified.message}`);
    return verified.value;
  }

  #signers({ key, address }: Person): readonly [PublicKey, ...PublicKey[]] {
    const set = this.state.keys(address);
    if (set === undefined) return [key];
    const chosen: PublicKey[] = [];
    let sum = 0;
    for (const entry of set.keys.toSorted((a, b) => b.weight - a.weight)) {
      if (sum >= set.threshold) break;
      chosen.push(entry.key);
      sum += entry.weight;
    }
    return chosen.sort(compareKeys) as [PublicKey, ...PublicKey[]];
  }

  /** To where something happens by itself, over the heights at which nothing does. */
  toBoundary(): void {
    this.advance(Math.ceil((this.height + 1) / LIMITS.checkpointInterval) * LIMITS.checkpointInterval);
  }

  /** Until bonds return. A jump over the height at which an elected set takes over would be a chain that nobody could make. */
  toRelease(): void {
    const { next } = this.state.epoch;
    if (next !== undefined) this.toBoundary();
    this.height += LIMITS.unbondBlocks - (LIMITS.unbondBlocks % LIMITS.checkpointInterval);
    this.toBoundary();
  }
}

const NO_SIGNATURE = new Uint8Array(64);
