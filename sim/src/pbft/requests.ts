/** What clients ask for: transactions, by a number and by their id. */
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { transactionId } from '@itc/core/ledger/transaction.js';

/** Requests from here on are wishes for a restart: who, and which of its lives wishes it. */
const RESTARTS = 1 << 24;
const LIVES = 1 << 16;

export function restartRequest(key: number, life: number): number {
  return RESTARTS + key * LIVES + (life % LIVES);
}

export function isRestart(request: number): boolean {
  return request >= RESTARTS;
}

interface Asked {
  readonly transaction: Uint8Array;
  readonly id: Hash;
}

export class Requests {
  /** Asked for and executed nowhere. */
  readonly waiting: Set<number> = new Set();
  readonly #asked: Map<number, Asked> = new Map();
  readonly #numbers: Map<string, number> = new Map();

  /** A transaction that was asked for before is not asked for again; asked again, a request stays what it was. */
  ask(request: number, make: () => Uint8Array): void {
    if (!this.#asked.has(request)) {
      const transaction = make();
      const id = transactionId(transaction);
      if (this.#numbers.has(idText(id))) return;
      this.#asked.set(request, { transaction, id });
      this.#numbers.set(idText(id), request);
    }
    this.waiting.add(request);
  }

  transaction(request: number): Uint8Array {
    return (this.#asked.get(request) as Asked).transaction;
  }

  id(request: number): Hash {
    return (this.#asked.get(request) as Asked).id;
  }

  numberOf(id: Hash): number | undefined {
    return this.#numbers.get(idText(id));
  }
}
