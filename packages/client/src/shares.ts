/**
 * What goes from holder to holder when several keys of an account sign one thing (spec CLIENT-20.3, CLIENT-20.6): a text file with a draft
 * and the signatures so far. Nothing in it is secret, and nothing that counts can be altered unnoticed: whoever signs looks at the draft, and
 * whoever obeys at the keys.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import {
  compareKeys,
  readAccountKey,
  readSignature,
  writePublicKey,
  writeSignature,
  type PublicKey,
} from '@itc/core/crypto/signature.js';
import type { KeySet, WeightedKey } from '@itc/core/ledger/account-keys.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import type { Cosigner } from '@itc/core/ledger/cosigners.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';

/** A draft and what was signed of it so far, as `formatShare` gives it. */
export interface Passed<D> {
  readonly draft: D;
  readonly signatures: readonly string[];
}

/** What a file holds: named in it, and in words. */
export interface PassedForm<D> {
  readonly form: string;
  readonly what: string;
  readonly format: (draft: D) => string;
  readonly parse: (text: string) => Result<D, 'request.malformed'>;
}

const VERSION = 1;

export function formatPassed<D>(of: PassedForm<D>, { draft, signatures }: Passed<D>): string {
  const file = { form: of.form, version: VERSION, draft: of.format(draft), signatures };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** Strict about what it holds; whether signatures hold is for `weigh`. */
export function parsePassed<D>(of: PassedForm<D>, text: string): Result<Passed<D>, 'request.malformed'> {
  let file: { form?: unknown; version?: unknown; draft?: unknown; signatures?: unknown } | null;
  try {
    file = JSON.parse(text) as typeof file;
  } catch {
    return refused('request.malformed', `not a file of ${of.what}: no JSON`);
  }
  if (file === null || typeof file !== 'object' || file.form !== of.form || file.version !== VERSION)
    return refused('request.malformed', `not a file of ${of.what}, or of a later version`);
  const { draft, signatures } = file;
  const areTexts = Array.isArray(signatures) && signatures.every((one) => typeof one === 'string');
  if (typeof draft !== 'string' || !areTexts || signatures.length > LIMITS.signersMax)
    return refused('request.malformed', 'expected a draft and its signatures');
  const parsed = of.parse(draft);
  return parsed.ok ? ok({ draft: parsed.value, signatures }) : parsed;
}

/** One party's key and signature; base64url. */
export function formatShare({ key, signature }: Cosigner): string {
  const writer = new Writer(256);
  writePublicKey(writer, key);
  writeSignature(writer, key.algorithm, signature);
  return toBase64Url(writer.finish());
}

export function parseShare(text: string): Result<Cosigner, string> {
  const bytes = fromBase64Url(text.trim());
  if (!bytes.ok) return bytes;
  return decode((reader) => {
    const key = readAccountKey(reader);
    return { key, signature: readSignature(reader, key.algorithm).slice() };
  }, bytes.value);
}

/** Once more by the same key takes the place of the one before: not every scheme signs the same twice. */
export function withSignature<D>(file: Passed<D>, share: string): Passed<D> {
  const key = keyOf(share);
  const others = file.signatures.filter((one) => {
    const other = keyOf(one);
    return key === undefined || other === undefined || compareKeys(other, key) !== 0;
  });
  return { ...file, signatures: [...others, share] };
}

function keyOf(share: string): PublicKey | undefined {
  const parsed = parseShare(share);
  return parsed.ok ? parsed.value.key : undefined;
}

/** How far the signatures in a file go. */
export interface Weighed {
  /** Of the account, whose signature holds. */
  readonly signed: readonly WeightedKey[];
  /** Of those, together. */
  readonly weight: number;
  readonly threshold: number;
  /** Those who can still help; among them the first one, without whom nothing goes. */
  readonly missing: readonly WeightedKey[];
  /** Signatures that are over something else, or of no key of the account. */
  readonly useless: number;
  /** Of the fewest that may act together, the first one's among them where it has signed; undefined while signatures are missing. */
  readonly enough: readonly Cosigner[] | undefined;
}

export function weigh(o: {
  readonly signatures: readonly string[];
  /** What acts for the account now. */
  readonly set: KeySet;
  readonly first: PublicKey;
  /** The first one signs when it is sent: it counts already, and a signature of it in the file for nothing. */
  readonly isFirstLast?: true;
  /** Whether a signature is over the draft. */
  readonly holds: (share: Cosigner) => boolean;
}): Weighed {
  const { set, first } = o;
  const isFirst = (key: PublicKey): boolean => compareKeys(key, first) === 0;
  const countsAnyway = (key: PublicKey): boolean => o.isFirstLast === true && isFirst(key);
  const holding = o.signatures.flatMap((text) => {
    const share = parseShare(text);
    if (!share.ok || countsAnyway(share.value.key) || !o.holds(share.value)) return [];
    const own = set.keys.find(({ key }) => compareKeys(key, share.value.key) === 0);
    return own === undefined ? [] : [{ own, share: share.value }];
  });
  const counted = [...set.keys.filter(({ key }) => countsAnyway(key)), ...holding.map(({ own }) => own)];
  const isSigned = (key: PublicKey): boolean => counted.some((one) => compareKeys(one.key, key) === 0);
  const groups = sufficientSets(set, first);
  const complete = groups.find((group) => group.every(({ key }) => isSigned(key)));
  const helpful = set.keys.filter((one) => !isSigned(one.key) && groups.some((group) => group.includes(one)));
  return {
    signed: counted,
    weight: counted.reduce((sum, { weight }) => sum + weight, 0),
    threshold: set.threshold,
    missing: complete === undefined ? helpful : [],
    useless: o.signatures.length - holding.length,
    enough: complete && holding.filter(({ own }) => complete.includes(own)).map(({ share }) => share),
  };
}

/**
 * Every group of the account's keys that may act together with `first` among them: their weights reach the threshold, and none could be
 * left out (STATE-15.3). Smallest groups first; at most 2^7 are looked at.
 */
export function sufficientSets(set: KeySet, first: PublicKey): readonly (readonly WeightedKey[])[] {
  const own = set.keys.find(({ key }) => compareKeys(key, first) === 0);
  if (own === undefined) return [];
  const others = set.keys.filter((one) => one !== own);
  const groups: (readonly WeightedKey[])[] = [];
  for (let bits = 0; bits < 1 << others.length; bits += 1) {
    const group = [own, ...others.filter((_, i) => ((bits >> i) & 1) === 1)];
    const sum = group.reduce((total, { weight }) => total + weight, 0);
    if (sum >= set.threshold && group.every(({ weight }) => sum - weight < set.threshold)) groups.push(group);
  }
  return groups.sort((a, b) => a.length - b.length);
}

/** What acts for an account without a record of keys: the one whose hash its address is, where that one is known. */
export function firstKeySet(account: Address, key: PublicKey): KeySet | undefined {
  return equalBytes(addressOf(key), account) ? { keys: [{ key, weight: 1 }], threshold: 1 } : undefined;
}
