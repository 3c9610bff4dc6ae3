/** What the pool keeps of a transaction, and of the lane and account it waits in. */
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
  /** How many of its account waited when it came: at the same price, those of whoever has most go first. */
  readonly rank: number;
  /** Everything before it in its lane is here or executed, so that it could be executed. */
  isDue: boolean;
  /** False when it has left; it may still be in a heap then. */
  isHere: boolean;
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

/** At most this much leaves the account when the transaction is executed. */
export function spendOf({ fee, body }: Transaction): bigint {
  switch (body.kind) {
    case 'transfer':
    case 'deposit':
    case 'bond':
      return fee + body.amount;
    case 'transfers':
      return body.outputs.reduce((sum, { amount }) => sum + amount, BigInt(fee));
    case 'register-batch':
      return fee + BigInt(body.batch.count) * body.batch.depositPerDevice;
    case 'register-maker':
    case 'claim':
    case 'grant':
    case 'revoke':
    case 'create-subnet':
    case 'checkpoint':
    case 'unbond':
    case 'weight-vote':
    case 'evidence':
    case 'restart':
    case 'withdraw':
    case 'rotate-keys':
    case 'set-guardians':
    case 'recover':
    case 'veto-recovery':
    case 'finish-recovery':
      return fee;
  }
}
