/**
 * A gateway brings what its devices say about rentals to the chain, with its own account (spec EDGE-13.5). The rental pays a
 * carriage for it. One word is on its way at a time, so that nonces are simple.
 */
import { bringWord } from '@itc/client/rentals.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { SignedWord } from '@itc/edge/gateway/rental-words.js';
import { sendOwn, type GatewayAccount } from './gateway-account.ts';

interface Waiting {
  readonly device: Address;
  readonly word: SignedWord;
  readonly since: number;
  /** Not before. */
  next: number;
}

/** Words that wait; older ones give way. */
const WAITING_MAX = 256;
/** A block is long since made by then, or it was lost. */
const AGAIN_MS = 5_000;
const GIVE_UP_MS = 600_000;
/** Of its own: the gateway's other transactions never wait for it. */
const LANE = 7;
const TICK_MS = 200;

export class RentalCarrier {
  readonly #o: GatewayAccount;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;

  constructor(options: GatewayAccount) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  bring(device: Address, word: SignedWord): void {
    if (this.#waiting.length >= WAITING_MAX) this.#waiting.shift();
    const since = this.#o.now();
    this.#waiting.push({ device, word, since, next: since });
  }

  /** Sends the first one that the chain can take; drops what it has, or will never take. */
  async tick(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      const now = this.#o.now();
      this.#waiting = this.#waiting.filter(
        (entry) => now - entry.since < GIVE_UP_MS && this.#standing(entry) !== 'done',
      );
      const due = this.#waiting.find((entry) => entry.next <= now && this.#standing(entry) === 'due');
      if (due === undefined) return;
      due.next = now + AGAIN_MS;
      await this.#send(due);
    } finally {
      this.#isBusy = false;
    }
  }

  #standing({ device, word }: Waiting): 'due' | 'later' | 'done' {
    const rental = this.#o.chain.state.record('rental', idText(device));
    if (rental === undefined || !equalBytes(rental.id, word.rental)) return 'done';
    const { running } = rental;
    switch (word.event) {
      case 'started':
        return running === undefined ? 'due' : 'done';
      case 'used':
        if (rental.terms.unit !== 'use') return 'done';
        if (running === undefined) return 'later';
        return word.uses > running.uses ? 'due' : 'done';
      case 'stopped':
        return running === undefined ? 'later' : 'due';
    }
  }

  async #send({ word }: Waiting): Promise<void> {
    const { chain, warn } = this.#o;
    const reason = await sendOwn(this.#o, LANE, bringWord(chain.id, word.bytes));
    if (reason !== undefined)
      warn('rental: a word of a device was not taken', {
        rental: toHex(word.rental),
        event: word.event,
        reason,
      });
  }
}
