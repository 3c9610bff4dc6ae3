/**
 * The way of transactions into the pool (spec NODE-3), whoever brings them: a client, a stream, another process. All
 * that came while the last batch was checked is checked together, and what was taken goes on to the validators together.
 */
import { DecodeError, Reader } from '@itc/core/bytes/reader.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { precheck } from '@itc/core/state/admission.js';
import { ruleOf } from '@itc/core/state/rules.js';
import { verifySigned } from './signed-transactions.ts';
import {
  judgeTransaction,
  openTransaction,
  signingPrefix,
  type OpenedTransaction,
  type VerifiedTransaction,
} from '@itc/core/state/verified-transaction.js';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Mempool } from '../mempool/mempool.ts';
import type { Chain } from './chain.ts';
import { Drain } from './drain.ts';

export interface IntakeOptions {
  readonly chain: Chain;
  readonly mempool: Mempool;
  readonly pool: VerifyPool;
  /** For signatures inside of bodies. */
  readonly verify: SignatureVerifier;
  /** Brings a batch to every validator, see `decodeBatch`. */
  readonly relay: (batch: Uint8Array) => void;
  /** The pool has grown. */
  readonly added: () => void;
  readonly failed: (error: unknown) => void;
}

export type Judged = Result<VerifiedTransaction, ErrorCode>;

export interface Offer {
  /** Kept, not copied. */
  readonly encoded: Uint8Array;
  /** Whether the validators are to hear of it from this process. */
  readonly relay: boolean;
  /** Relayed even when it waits here already: whoever submits again wants it brought again. */
  readonly again?: boolean;
  /** Called once, before the next turn of the event loop after the verdict. */
  readonly done: (judged: Judged) => void;
}

/** Waiting to be checked, in number; beyond, offers are refused and whoever offers may do so again. */
export const INTAKE_MAX = 16_384;
/** Checked together. Larger batches would hold back what comes behind them. */
const BATCH_MAX = 256;

export class Intake {
  readonly #o: IntakeOptions;
  readonly #prefix: Uint8Array;
  #queue: Offer[] = [];
  #head = 0;
  /** Names of what is being checked, and when that will be over. */
  #checking: { readonly names: ReadonlySet<string>; readonly over: Promise<unknown> } | undefined;
  readonly #drain = new Drain({
    work: () => this.#take(),
    hasWork: () => this.waiting > 0,
    failed: (error) => this.#o.failed(error),
  });

  constructor(options: IntakeOptions) {
    this.#o = options;
    this.#prefix = signingPrefix(options.chain.id);
  }

  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  /** False when too many wait: nothing was kept. */
  offer(offer: Offer): boolean {
    if (this.waiting >= INTAKE_MAX) return false;
    this.#queue.push(offer);
    this.#drain.kick();
    return true;
  }

  /** Of these, some are being checked at this moment: resolves when they are not any more. Undefined when none is. */
  checking(names: readonly string[]): Promise<unknown> | undefined {
    const checking = this.#checking;
    return checking !== undefined && names.some((name) => checking.names.has(name))
      ? checking.over
      : undefined;
  }

  async #take(): Promise<void> {
    const batch = this.#queue.slice(this.#head, this.#head + BATCH_MAX);
    this.#head += batch.length;
    // Under lasting load the queue is never empty: what was taken must go all the same.
    if (this.#head === this.#queue.length || this.#head >= INTAKE_MAX / 4) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    const opened: { readonly offer: Offer; readonly transaction: OpenedTransaction }[] = [];
    const on: Uint8Array[] = [];
    const { height: checkedAt } = this.#o.chain;
    for (const offer of batch) {
      const judged = this.#open(offer, on);
      if (judged.ok) opened.push({ offer, transaction: judged.value });
      else offer.done(judged);
    }
    const names = new Set(opened.map(({ transaction }) => transaction.name));
    const verifying = this.#verify(opened.map(({ transaction }) => transaction));
    this.#checking = { names, over: verifying };
    const verdicts = await verifying;
    this.#checking = undefined;
    let added = false;
    for (const [i, { offer, transaction }] of opened.entries()) {
      const judged = verdicts.ok
        ? this.#judge(transaction, { holds: verdicts.value[i] === true, checkedAt })
        : verdicts;
      if (judged.ok) {
        added = true;
        if (offer.relay) on.push(offer.encoded);
      }
      offer.done(judged);
    }
    for (const message of encodeBatches(on)) this.#o.relay(message);
    if (added) this.#o.added();
  }

  #open({ encoded, relay, again }: Offer, on: Uint8Array[]): Result<OpenedTransaction, ErrorCode> {
    const opened = openTransaction(encoded);
    if (!opened.ok) return opened;
    const { value: transaction } = opened;
    if (this.#o.mempool.get(transaction.name) !== undefined) {
      if (relay && again === true) on.push(encoded);
      return refused('transaction.duplicate', 'the transaction waits here already');
    }
    // What cannot be due, or cannot be paid, is not worth the check of its signature.
    const fit = isCheap(transaction) ? this.#fit(transaction) : ok(undefined);
    return fit.ok ? opened : fit;
  }

  #fit(transaction: OpenedTransaction): Result<void, ErrorCode> {
    const { chain, verify } = this.#o;
    const context = { chain: chain.id, height: height(chain.height + 1), verify };
    const fit = precheck(chain.state, context, transaction);
    if (fit.ok) return fit;
    // Only what is stale can be final: everything else is spared the question to the tables.
    const isStale = fit.code === 'transaction.nonce' || fit.code === 'checkpoint.sequence';
    return isStale && chain.receipt(transaction.id) !== undefined
      ? refused('transaction.duplicate', 'the transaction is final already')
      : fit;
  }

  async #verify(transactions: readonly OpenedTransaction[]): Promise<Result<boolean[], ErrorCode>> {
    try {
      return ok(await verifySigned(this.#o.pool, this.#prefix, transactions));
    } catch (error) {
      // Too much to verify at the moment: these are refused, and offered again by whoever wants them final.
      if (error instanceof LedgerError) return refused(error.code, error.message);
      throw error;
    }
  }

  /** `checkedAt`: the height at which what is cheap was found right. */
  #judge(
    transaction: OpenedTransaction,
    { holds, checkedAt }: { readonly holds: boolean; readonly checkedAt: number },
  ): Judged {
    const judged = judgeTransaction(transaction, holds);
    if (!judged.ok) return judged;
    const { chain, mempool } = this.#o;
    const isChecked = isCheap(transaction) && chain.height === checkedAt;
    const fit = isChecked ? ok(undefined) : this.#fit(transaction);
    if (!fit.ok) return fit;
    const added = mempool.add(judged.value, chain.state);
    return added.ok ? judged : added;
  }
}

/** Whether the rules of a pool verify no signature inside of it, nor ask more of the state. */
function isCheap({ tx: { body } }: OpenedTransaction): boolean {
  const { signs, proved } = ruleOf(body);
  return signs !== true && proved === undefined;
}

/** A message between processes is cut off here; one transaction always fits. */
const RELAY_BYTES = 131_072;
/** Bound on such a message. */
export const RELAY_BYTES_MAX: number = RELAY_BYTES + LIMITS.transactionBytesMax + 4;

/** u32 length ‖ transaction, repeated; as many messages as it takes. */
export function encodeBatches(transactions: readonly Uint8Array[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < transactions.length;) {
    let to = at;
    let bytes = 0;
    for (; to < transactions.length && bytes < RELAY_BYTES; to += 1)
      bytes += 4 + (transactions[to] as Uint8Array).length;
    const writer = new Writer(bytes);
    for (; at < to; at += 1) writer.bytes(transactions[at] as Uint8Array);
    messages.push(writer.finish());
  }
  return messages;
}

/** Each transaction is a copy, so that none keeps the whole message alive. Undefined when the bytes are no such batch. */
export function decodeBatch(bytes: Uint8Array): Uint8Array[] | undefined {
  const reader = new Reader(bytes);
  const transactions: Uint8Array[] = [];
  try {
    while (reader.remaining > 0) transactions.push(reader.bytes(LIMITS.transactionBytesMax).slice());
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
  return transactions;
}
