/** Collects signatures that come at about the same time into batches for the verifier's threads. */
import type { Payload } from '@itc/core/ledger/payload.js';
import { EDGE_LIMITS } from '../limits.ts';
import type { BatchVerifier, SignedItem } from '../ports.ts';

interface Waiting {
  readonly item: SignedItem;
  readonly resolve: (valid: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class SignatureQueue {
  readonly #verify: BatchVerifier;
  #waiting: Waiting[] = [];
  #scheduled = false;

  constructor(verify: BatchVerifier) {
    this.#verify = verify;
  }

  /** Rejects with what the verifier rejects with: then nothing is known. */
  check(payload: Payload): Promise<boolean> {
    const item = { key: payload.signer.bytes, message: payload.signedBytes, signature: payload.signature };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length >= EDGE_LIMITS.verifyBatchMax) this.#send();
      else if (!this.#scheduled) {
        this.#scheduled = true;
        // The end of this turn: whatever one read from the sockets brought is together, and nothing waits longer.
        setImmediate(() => {
          this.#scheduled = false;
          this.#send();
        });
      }
    });
  }

  #send(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length === 0) return;
    this.#verify(batch.map(({ item }) => item)).then(
      (verdicts) => batch.forEach(({ resolve }, i) => resolve(verdicts[i] === true)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }
}
