/** A lamp to rent: its owner, renters, an arbiter, a gateway that carries the lamp's words; and the lamp's own key. */
import assert from 'node:assert/strict';
import { idText } from '../bytes/id-text.ts';
import { asHash, type Hash } from '../crypto/hash.ts';
import { ACTIONS } from '../ledger/terms.ts';
import type { Body } from '../ledger/body.ts';
import { amount, millis, type Millis } from '../ledger/ids.ts';
import { encodePayload, payloadSigningBytes, type ContentType } from '../ledger/payload.ts';
import {
  encodeRentalWord,
  rentalId,
  termsHash,
  type RentalEvent,
  type RentalTerms,
} from '../ledger/rental.ts';
import type { Rental } from '../state/rental-record.ts';
import { fakeSign, makeBatch, person, World, type Person, type WorldOptions } from './state-world.ts';

export const maker: Person = person('maker');
export const owner: Person = person('owner');
export const renter: Person = person('renter');
export const arbiter: Person = person('arbiter');
export const gateway: Person = person('gateway');
export const mallory: Person = person('mallory');
export const lamp: Person = person('lamp-0');
export const otherLamp: Person = person('lamp-1');

export const MINUTE = 60_000;

/** Three ITC a minute, one to ten minutes; ten minutes to start, one hour to claim; a deposit of fifty. */
export const TERMS: RentalTerms = {
  unit: 'minute',
  price: amount(3_000_000_000n),
  minimum: 1,
  maximum: 10,
  duration: millis(0),
  deposit: amount(50_000_000_000n),
  carriage: amount(1_000_000n),
  startWithin: millis(10 * MINUTE),
  window: millis(60 * MINUTE),
  arbiter: arbiter.address,
  actions: ACTIONS.onOff | ACTIONS.level,
  levelMax: 200,
};

/** Words of a device count up, in the order in which it says them. */
let sequence = 0;

export function signedWord(
  chain: Hash,
  device: Person,
  o: { readonly contentType: ContentType; readonly content: Uint8Array; readonly sequence?: number },
): Uint8Array {
  sequence += 1;
  const unsigned = {
    signer: device.key,
    device: device.address,
    sequence: o.sequence ?? sequence,
    contentType: o.contentType,
    content: o.content,
  };
  return encodePayload(unsigned, fakeSign(device.key, payloadSigningBytes(chain, unsigned)));
}

export class Market extends World {
  /** The owner has two lamps from a registered maker. */
  constructor(options: WorldOptions = {}, feePerByte = 10n) {
    super(['maker', 'owner', 'renter', 'arbiter', 'gateway', 'mallory'], feePerByte, options);
    const batch = makeBatch(maker, 'lamp', 2);
    this.accept(maker, { kind: 'register-maker', name: 'Lumen' });
    this.accept(maker, this.registerBatch(maker, batch, 1000n));
    for (const index of [0, 1]) this.accept(owner, { kind: 'claim', claim: this.claim(batch, index, owner) });
  }

  accept(who: Person, body: Body): void {
    assert.equal(this.send(who, body), 'ok', body.kind);
  }

  /** Time of the next block. */
  get now(): Millis {
    return this.context.time;
  }

  /** Empty blocks until the next one is of this time or later. */
  passTo(at: number): void {
    this.block();
    if (at > this.now) this.later += at - this.now;
    this.block();
  }

  offer(terms: RentalTerms = TERMS, device: Person = lamp): Body {
    return {
      kind: 'offer-rental',
      device: device.address,
      terms,
      expiresAt: millis(this.now + 10_000_000_000),
    };
  }

  rent(maximum: number, terms: RentalTerms = TERMS, device: Person = lamp): Body {
    return { kind: 'rent', device: device.address, terms: termsHash(terms), maximum };
  }

  /** Offers and rents; the rental's name. */
  rented(maximum = 10, terms: RentalTerms = TERMS, device: Person = lamp): Hash {
    this.accept(owner, this.offer(terms, device));
    const nonce = this.state.account(renter.address)?.nonces[0] ?? 0;
    this.accept(renter, this.rent(maximum, terms, device));
    return rentalId({ renter: renter.address, lane: 0, nonce });
  }

  /** What the lamp says now, or at the time that is given. */
  word(
    event: RentalEvent,
    rental: Hash,
    o: {
      readonly at?: number;
      readonly uses?: number;
      readonly device?: Person;
      readonly sequence?: number;
      readonly chain?: Hash;
    } = {},
  ): Uint8Array {
    const at = millis(o.at ?? this.now);
    const content = encodeRentalWord({ rental, event, at, uses: o.uses ?? 0 });
    return signedWord(o.chain ?? this.chain, o.device ?? lamp, {
      contentType: 'rental',
      content,
      ...(o.sequence !== undefined && { sequence: o.sequence }),
    });
  }

  start(rental: Hash, at?: number): Body {
    return { kind: 'rental-start', word: this.word('started', rental, at === undefined ? {} : { at }) };
  }

  stop(rental: Hash, at?: number, uses = 0): Body {
    return {
      kind: 'rental-stop',
      word: this.word('stopped', rental, { uses, ...(at !== undefined && { at }) }),
    };
  }

  rental(device: Person = lamp): Rental | undefined {
    return this.state.record('rental', idText(device.address));
  }
}

/** Any name: of a rental that never was. */
export const NO_RENTAL: Hash = asHash(new Uint8Array(32).fill(7));
