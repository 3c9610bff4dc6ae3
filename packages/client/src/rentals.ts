/** Renting a device: what owner, renter and arbiter send, what the device says, and what a node tells (spec STATE-22). */
import { equalBytes, fromHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, millis, type Amount, type Millis } from '@itc/core/ledger/ids.js';
import { encodePayload, parsePayload, payloadId, payloadSigningBytes } from '@itc/core/ledger/payload.js';
import {
  decodeRentalWord,
  encodeRentalWord,
  rentalId,
  termsHash,
  type RentalEvent,
  type RentalTerms,
  type RentalUnit,
  type RentalWord,
} from '@itc/core/ledger/rental.js';
import { ACTIONS } from '@itc/core/ledger/terms.js';
import type { Client } from './client.ts';
import type { Signer } from './keys.ts';
import type { SignedTransaction } from './transactions.ts';

/** By the owner; a new offer takes the place of the old. */
export function offerRental(o: {
  readonly device: Address;
  readonly terms: RentalTerms;
  readonly expiresAt: Millis;
}): Body {
  return { kind: 'offer-rental', ...o };
}

export function withdrawOffer(device: Address): Body {
  return { kind: 'withdraw-offer', device };
}

/** To these terms and no others. Puts up price × maximum, the deposit and two carriages. */
export function rent(o: {
  readonly device: Address;
  readonly terms: RentalTerms;
  /** Minutes or uses. */
  readonly maximum: number;
}): Body {
  return { kind: 'rent', device: o.device, terms: termsHash(o.terms), maximum: o.maximum };
}

/** The name of the rental that a transaction makes, known before it is sent. */
export function rentalOf(o: Pick<SignedTransaction, 'transaction'> & { readonly renter: Address }): Hash {
  const { lane, nonce } = o.transaction;
  return rentalId({ renter: o.renter, lane, nonce });
}

const WORD_KINDS = { started: 'rental-start', used: 'rental-use', stopped: 'rental-stop' } as const;

/** What brings a device's word to the chain; anybody may. Throws `rental.word` when it is none. */
export function bringWord(chain: Hash, word: Uint8Array): Body {
  return { kind: WORD_KINDS[readWord(chain, word).event], word };
}

/** What a device said, unverified. Throws `rental.word` when it is no word about a rental. */
export function readWord(chain: Hash, bytes: Uint8Array): RentalWord & { readonly device: Address } {
  const payload = parsePayload(chain, bytes);
  if (!payload.ok || payload.value.contentType !== 'rental')
    throw new LedgerError('rental.word', 'the payload is about no rental');
  const word = decodeRentalWord(payload.value.content);
  if (!word.ok) throw new LedgerError('rental.word', word.message);
  return { ...word.value, device: payload.value.device };
}

/** For devices: their word, signed. */
export async function buildRentalWord(o: {
  readonly chain: Hash;
  /** The device's own key. */
  readonly signer: Signer;
  readonly rental: Hash;
  readonly event: RentalEvent;
  readonly at: Millis;
  /** So far; 0 at the start. */
  readonly uses: number;
  /** Above that of everything the device has said before. */
  readonly sequence: number;
}): Promise<{ readonly id: Hash; readonly bytes: Uint8Array }> {
  const { chain, signer, rental, event, at, uses, sequence } = o;
  const content = encodeRentalWord({ rental, event, at, uses });
  const { publicKey, address: device } = signer;
  const unsigned = { signer: publicKey, device, sequence, contentType: 'rental' as const, content };
  const signed = payloadSigningBytes(chain, unsigned);
  return { id: payloadId(publicKey, signed), bytes: encodePayload(unsigned, await signer.sign(signed)) };
}

/** By the renter: gives the device back and pays up to now, unless the device says otherwise within the window. */
export function endRental(device: Address): Body {
  return { kind: 'end-rental', device };
}

/** By the owner, within the window after the end. */
export function claimDamage(o: { readonly rental: Hash; readonly amount: Amount }): Body {
  return { kind: 'claim-damage', ...o };
}

/** By the renter: concedes as much. By the arbiter: decides. */
export function answerClaim(o: { readonly rental: Hash; readonly amount: Amount }): Body {
  return { kind: 'answer-claim', ...o };
}

/** As a node tells them; amounts are decimal texts of base units. */
export interface RentalTermsStatus {
  readonly unit: RentalUnit;
  readonly price: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly duration: number;
  readonly deposit: string;
  readonly carriage: string;
  readonly startWithin: number;
  readonly window: number;
  readonly arbiter?: string;
  readonly actions: readonly string[];
  readonly levelMax: number;
}

export interface RentalOfferStatus {
  readonly device: string;
  readonly owner: string;
  readonly terms: RentalTermsStatus;
  readonly hash: string;
  readonly expiresAt: number;
  readonly rented: boolean;
}

export interface RentalStatus {
  readonly rental: string;
  readonly device: string;
  readonly owner: string;
  readonly renter: string;
  readonly state: 'reserved' | 'running';
  readonly terms: RentalTermsStatus;
  readonly maximum: number;
  readonly rentedAt: number;
  readonly startBy: number;
  readonly startedAt?: number;
  readonly end?: number;
  readonly uses?: number;
  readonly held: string;
  readonly charge?: string;
  readonly settlesAt: number;
}

export interface SettlementStatus {
  readonly rental: string;
  readonly device: string;
  readonly owner: string;
  readonly renter: string;
  readonly arbiter?: string;
  readonly held: string;
  readonly claim?: { readonly amount: string; readonly conceded: string };
  readonly until: number;
}

/** Ascending by device; `after` is the last device of the page before. */
export async function rentalOffers(
  client: Client,
  o: { readonly after?: Address; readonly limit?: number } = {},
): Promise<readonly RentalOfferStatus[]> {
  const query = { ...(o.after && { after: formatAddress(o.after) }), ...(o.limit && { limit: o.limit }) };
  return (await client.get<{ offers: readonly RentalOfferStatus[] }>('/rentals/offers', query)).offers;
}

/**
 * The offer and its terms, which hash to what the ledger will ask for: a node that tells other terms is found out here
 * (`peer.message`), not by the price. Throws `rental-offer.unknown`.
 */
export async function rentalOffer(
  client: Client,
  device: Address,
): Promise<{ readonly offer: RentalOfferStatus; readonly terms: RentalTerms }> {
  const offer = await client.get<RentalOfferStatus>(`/rentals/offers/${formatAddress(device)}`);
  const terms = parseTerms(offer.terms);
  const hash = fromHex(offer.hash);
  if (!hash.ok || !equalBytes(hash.value, termsHash(terms)))
    throw new LedgerError('peer.message', 'the terms are not those the node names');
  return { offer, terms };
}

/** Throws `rental.unknown` when nobody rents the device. */
export function rentalStatus(client: Client, device: Address): Promise<RentalStatus> {
  return client.get<RentalStatus>(`/rentals/devices/${formatAddress(device)}`);
}

/** Throws `rental.unknown` when no deposit of it is held, any more or yet. */
export function settlementStatus(client: Client, rental: string): Promise<SettlementStatus> {
  return client.get<SettlementStatus>(`/rentals/settlements/${rental}`);
}

const ACTION_BITS: Readonly<Record<string, number>> = {
  'on-off': ACTIONS.onOff,
  level: ACTIONS.level,
  colour: ACTIONS.colour,
  read: ACTIONS.read,
};

function parseTerms(told: RentalTermsStatus): RentalTerms {
  return {
    unit: told.unit,
    price: amount(BigInt(told.price)),
    minimum: told.minimum,
    maximum: told.maximum,
    duration: millis(told.duration),
    deposit: amount(BigInt(told.deposit)),
    carriage: amount(BigInt(told.carriage)),
    startWithin: millis(told.startWithin),
    window: millis(told.window),
    arbiter: told.arbiter === undefined ? undefined : addressOf(told.arbiter),
    actions: told.actions.reduce((bits, name) => bits | (ACTION_BITS[name] ?? 0), 0),
    levelMax: told.levelMax,
  };
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (!address.ok) throw new LedgerError('peer.message', address.message);
  return address.value;
}
