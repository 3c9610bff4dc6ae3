/** Bodies about sponsorships: budgets out of which somebody pays the fees of others (spec STATE-19). */
import type { Reader } from '../../bytes/reader.ts';
import { utf8Encode, type Writer } from '../../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../../crypto/hash.ts';
import { compareBytes } from '../../bytes/hex.ts';
import type { Address } from '../address.ts';
import { readAddress, readHash } from '../fields.ts';
import { amount, millis, type Amount, type Millis } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BodyCodecs } from './codec.ts';

export type SponsorBody =
  | {
      readonly kind: 'open-sponsorship';
      /** One sponsor uses a name once at a time. */
      readonly name: string;
      readonly terms: SponsorshipTerms;
      /** Paid in with it. */
      readonly amount: Amount;
    }
  /** By anybody. */
  | { readonly kind: 'fund-sponsorship'; readonly sponsorship: Hash; readonly amount: Amount }
  | { readonly kind: 'change-sponsorship'; readonly sponsorship: Hash; readonly terms: SponsorshipTerms }
  /** What is left returns to the sponsor. */
  | { readonly kind: 'close-sponsorship'; readonly sponsorship: Hash };

/** What a sponsor pays for. All three budgets hold: of a device, of a day, and what was paid in. */
export interface SponsorshipTerms {
  /** Codes of body kinds, ascending, 1 to `sponsoredKindsMax`. */
  readonly kinds: readonly number[];
  readonly scope: SponsorScope;
  /** For one device (or account, where accounts are named) and day, in base units. */
  readonly perDevicePerDay: Amount;
  readonly perDay: Amount;
  /** What is left then returns to the sponsor by itself. */
  readonly expiresAt: Millis;
  /** Whether deposits of records and prices of accounts are paid too, or fees alone. */
  readonly paysState: boolean;
}

/** Whose transactions are paid for: those about devices, or all of the accounts named. */
export type SponsorScope =
  | { readonly kind: 'batch'; readonly batch: Hash }
  | { readonly kind: 'model'; readonly model: Hash }
  | { readonly kind: 'maker'; readonly maker: Address }
  /** Ascending, 1 to `sponsoredListMax`. */
  | { readonly kind: 'devices'; readonly devices: readonly Address[] }
  | { readonly kind: 'accounts'; readonly accounts: readonly Address[] };

const SCOPES = ['batch', 'model', 'maker', 'devices', 'accounts'] as const;

/** What transactions name as their sponsor. */
export function sponsorshipId(sponsor: Address, name: string): Hash {
  return hashTagged('sponsorship', sponsor, utf8Encode(name));
}

/** [ kind u8 ] ‖ scope u8 ‖ (32 | [ 32 ]) ‖ perDevicePerDay u64 ‖ perDay u64 ‖ expiresAt u53 ‖ paysState bool. */
export function writeTerms(writer: Writer, terms: SponsorshipTerms): void {
  writer.list(terms.kinds, (w, code) => w.u8(code));
  writeScope(writer, terms.scope);
  writer.u64(terms.perDevicePerDay).u64(terms.perDay).u53(terms.expiresAt).bool(terms.paysState);
}

export function readTerms(reader: Reader): SponsorshipTerms {
  const kinds = reader.list(LIMITS.sponsoredKindsMax, (r) => r.u8());
  if (kinds.length === 0) reader.refuse('decode.out-of-range', 'expected at least one kind of transaction');
  if (kinds.some((code, i) => i > 0 && (kinds[i - 1] as number) >= code))
    reader.refuse('decode.not-canonical', 'expected kinds in ascending order, each once');
  return {
    kinds,
    scope: readScope(reader),
    perDevicePerDay: amount(reader.u64()),
    perDay: amount(reader.u64()),
    expiresAt: millis(reader.u53()),
    paysState: reader.bool(),
  };
}

function writeScope(writer: Writer, scope: SponsorScope): void {
  writer.u8(SCOPES.indexOf(scope.kind));
  switch (scope.kind) {
    case 'batch':
      writer.fixed(scope.batch, HASH_BYTES);
      break;
    case 'model':
      writer.fixed(scope.model, HASH_BYTES);
      break;
    case 'maker':
      writer.fixed(scope.maker, HASH_BYTES);
      break;
    case 'devices':
      writer.list(scope.devices, (w, address) => w.fixed(address, HASH_BYTES));
      break;
    case 'accounts':
      writer.list(scope.accounts, (w, address) => w.fixed(address, HASH_BYTES));
      break;
  }
}

function readScope(reader: Reader): SponsorScope {
  const code = reader.u8();
  const kind = SCOPES[code];
  if (kind === undefined)
    return reader.refuse('decode.unknown-kind', `expected a scope below ${SCOPES.length}, got ${code}`);
  switch (kind) {
    case 'batch':
      return { kind, batch: readHash(reader) };
    case 'model':
      return { kind, model: readHash(reader) };
    case 'maker':
      return { kind, maker: readAddress(reader) };
    case 'devices':
      return { kind, devices: readList(reader) };
    case 'accounts':
      return { kind, accounts: readList(reader) };
  }
}

function readList(reader: Reader): readonly Address[] {
  const list = reader.list(LIMITS.sponsoredListMax, readAddress);
  if (list.length === 0) reader.refuse('decode.out-of-range', 'expected at least one address');
  if (list.some((address, i) => i > 0 && compareBytes(list[i - 1] as Address, address) >= 0))
    reader.refuse('decode.not-canonical', 'expected addresses in ascending order, each once');
  return list;
}

export const SPONSOR_CODECS: BodyCodecs<SponsorBody> = {
  'open-sponsorship': {
    write: (writer, body) => {
      writer.text(body.name);
      writeTerms(writer, body.terms);
      writer.u64(body.amount);
    },
    read: (reader) => ({
      kind: 'open-sponsorship',
      name: reader.text(LIMITS.textBytesMax),
      terms: readTerms(reader),
      amount: amount(reader.u64()),
    }),
  },
  'fund-sponsorship': {
    write: (writer, body) => writer.fixed(body.sponsorship, HASH_BYTES).u64(body.amount),
    read: (reader) => ({
      kind: 'fund-sponsorship',
      sponsorship: readHash(reader),
      amount: amount(reader.u64()),
    }),
  },
  'change-sponsorship': {
    write: (writer, body) => {
      writer.fixed(body.sponsorship, HASH_BYTES);
      writeTerms(writer, body.terms);
    },
    read: (reader) => ({
      kind: 'change-sponsorship',
      sponsorship: readHash(reader),
      terms: readTerms(reader),
    }),
  },
  'close-sponsorship': {
    write: (writer, body) => writer.fixed(body.sponsorship, HASH_BYTES),
    read: (reader) => ({ kind: 'close-sponsorship', sponsorship: readHash(reader) }),
  },
};
