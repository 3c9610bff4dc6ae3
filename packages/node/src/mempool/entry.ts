/** What the pool keeps of a transaction, and of the lane and account it waits in. */
import type { Body, BodyKind, BodyOf } from '@itc/core/ledger/body.js';
import type { Transaction } from '@itc/core/ledger/transaction.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';

export interface Entry {
  readonly transaction: VerifiedTransaction;
  /** Undefined for a checkpoint, which has no nonce. */
  readonly lane: Lane | undefined;
  /** Base units per byte, as a float: an order, not an amount. */
  readonly price: number;
  /** Entries are numbered as they come. */
  readonly number: number;
  /** What it may take from its account. */
  readonly spend: bigint;
  /** What it costs its sponsor, where it has one. */
  readonly charge: Charge | undefined;
  /** How many of its account waited when it came: at the same price, those of whoever has most go first. */
  readonly rank: number;
  /** Everything before it in its lane is here or executed, so that it could be executed. */
  isDue: boolean;
  /** False when it has left; it may still be in a heap then. */
  isHere: boolean;
}

/** Names are id texts; the subject is whose budget of the day is used. */
export interface Charge {
  readonly sponsorship: string;
  readonly subject: string;
  readonly value: bigint;
}

/** What waits in one nonce lane of one account. */
export interface Lane {
  readonly account: AccountLanes;
  readonly number: number;
  readonly entries: Map<number, Entry>;
  /** Nonce of the next transaction to be executed, by the last block. */
  next: number;
  /** First nonce from `next` on that is not here: below it entries are due. */
  gap: number;
}

export interface AccountLanes {
  /** `idText` of the address. */
  readonly name: string;
  readonly lanes: Map<number, Lane>;
  count: number;
  /** Sum of what its entries may take. */
  spend: bigint;
  /** Of its entries, those that change its keys. */
  rotations: number;
}

/** What leaves the balance beside the fee, by kind; of most kinds nothing does. */
const VALUE_OF: { readonly [K in BodyKind]?: (body: BodyOf<K>) => bigint } = {
  transfer: ({ amount }) => amount,
  transfers: ({ outputs }) => outputs.reduce((sum, { amount }) => sum + amount, 0n),
  deposit: ({ amount }) => amount,
  bond: ({ amount }) => amount,
  'register-batch': ({ batch }) => BigInt(batch.count) * batch.depositPerDevice,
  'open-sponsorship': ({ amount }) => amount,
  'fund-sponsorship': ({ amount }) => amount,
  'open-stream': ({ amount }) => amount,
  'fund-stream': ({ amount }) => amount,
};

/** At most this much leaves the account when the transaction is executed, deposits of records aside. */
export function spendOf({ fee, body, sponsor }: Transaction): bigint {
  const valueOf = VALUE_OF[body.kind] as ((body: Body) => bigint) | undefined;
  const value = valueOf?.(body) ?? 0n;
  return sponsor === undefined ? fee + value : value;
}
