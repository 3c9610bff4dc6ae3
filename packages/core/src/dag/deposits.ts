/** Deposits the main chain has executed and no checkpoint here has credited yet, by number and without gaps (spec DAG-12.2). */
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import { asAddress } from '../ledger/address.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { amount } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { LogRecord } from './records.ts';

export class Deposits {
  /** Number of the last one credited. */
  #credited = 0;
  /** Those behind it, in order; at most `depositsKeptMax`, as on the main chain. */
  #waiting: Deposit[] = [];

  get waiting(): readonly Deposit[] {
    return this.#waiting;
  }

  /** Number of the newest one known. */
  get newest(): number {
    return this.#credited + this.#waiting.length;
  }

  /** `gap`: one before it is missing here. */
  add(deposit: Deposit): 'added' | 'known' | 'gap' | 'full' {
    if (deposit.number <= this.newest) return 'known';
    if (deposit.number > this.newest + 1) return 'gap';
    if (this.#waiting.length >= LIMITS.depositsKeptMax) return 'full';
    this.#waiting.push(deposit);
    return 'added';
  }

  /** What a checkpoint credits that names `upTo`; undefined when it is not all here, or is more than one may credit. */
  upTo(upTo: number): readonly Deposit[] | undefined {
    const count = upTo - this.#credited;
    if (count < 0 || count > Math.min(this.#waiting.length, LIMITS.depositsPerCheckpointMax))
      return undefined;
    return this.#waiting.slice(0, count);
  }

  /** What an own proposal credits: all that is known, as far as one checkpoint may. */
  due(): readonly Deposit[] {
    return this.#waiting.slice(0, LIMITS.depositsPerCheckpointMax);
  }

  /** A checkpoint was applied, or a snapshot taken over, that has credited all up to this number. */
  creditedUpTo(number: number): void {
    const count = Math.max(0, number - this.#credited);
    this.#waiting = this.#waiting.slice(count);
    this.#credited = Math.max(this.#credited, number);
  }
}

export function depositRecord(deposit: Deposit): LogRecord {
  const bytes = new Writer(48).u53(deposit.number).fixed(deposit.to, HASH_BYTES).u64(deposit.amount).finish();
  return { kind: 'deposit', bytes };
}

/** Our own, and checksummed by the shell: one that cannot be read throws. */
export function readDepositRecord(bytes: Uint8Array): Deposit {
  const read = decode(
    (r): Deposit => ({
      number: r.u53(),
      to: asAddress(r.fixed(HASH_BYTES).slice()),
      amount: amount(r.u64()),
    }),
    bytes,
  );
  if (!read.ok) throw new Error(`a deposit of our own log is not readable: ${read.message}`);
  return read.value;
}
