/** What clients ask for: transactions, by a number and by their id. */
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';

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

  /** A transaction that was asked for before is not asked for again. */
  ask(request: number, { encoded, id }: { readonly encoded: Uint8Array; readonly id: Hash }): void {
    if (this.#numbers.has(idText(id))) return;
    this.#asked.set(request, { transaction: encoded, id });
    this.#numbers.set(idText(id), request);
    this.waiting.add(request);
  }

  /** The same request again: it stays what it was. False where there was none. */
  askAgain(request: number): boolean {
    if (!this.#asked.has(request)) return false;
    this.waiting.add(request);
    return true;
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
