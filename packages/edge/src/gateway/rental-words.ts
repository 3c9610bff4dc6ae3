/**
 * What the devices of this gateway last said about their rentals (spec EDGE-13.5): for whoever brings it to the chain when the
 * gateway's own account cannot.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { decodeRentalWord, type RentalWord } from '@itc/core/ledger/rental.js';
import { EDGE_LIMITS } from '../limits.ts';

export interface SignedWord extends RentalWord {
  /** The COSE_Sign1. */
  readonly bytes: Uint8Array;
}

export class RentalWords {
  /** By device, who spoke last at the end. */
  readonly #words: Map<string, readonly SignedWord[]> = new Map();

  /** Checked already. Undefined when it is no word. */
  hear(payload: Payload): SignedWord | undefined {
    const word = decodeRentalWord(payload.content);
    if (!word.ok) return undefined;
    const signed: SignedWord = { ...word.value, bytes: payload.bytes };
    const device = formatAddress(payload.device);
    const before = this.#words.get(device) ?? [];
    // Of each kind the last one, all of one rental.
    const kept = before.filter(
      ({ rental, event }) => equalBytes(rental, signed.rental) && event !== signed.event,
    );
    this.#words.delete(device);
    this.#words.set(device, [...kept, signed]);
    const oldest = this.#words.keys().next();
    if (this.#words.size > EDGE_LIMITS.rentalDevicesMax && oldest.done !== true)
      this.#words.delete(oldest.value);
    return signed;
  }

  /** In the order in which they were said. */
  of(device: string): readonly SignedWord[] {
    return this.#words.get(device) ?? [];
  }
}
