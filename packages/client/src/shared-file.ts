/**
 * A transaction on its way from holder to holder (spec CLIENT-20.5): a text file with the draft and the signatures so far. Nothing in it is
 * secret, and nothing that counts can be altered unnoticed: whoever signs looks at the draft, and the ledger at the keys.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { compareKeys, type PublicKey, type SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { KeySet, WeightedKey } from '@itc/core/ledger/account-keys.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  assembleShared,
  formatDraft,
  holdsOver,
  parseDraft,
  parseShare,
  type SharedDraft,
} from './keys-shared.ts';
import type { SignedTransaction } from './transactions.ts';

export interface SharedFile {
  readonly draft: SharedDraft;
  /** As `signDraft` gives them. */
  readonly signatures: readonly string[];
}

const FORM = 'itc-transaction';
const VERSION = 1;

export function formatSharedFile({ draft, signatures }: SharedFile): string {
  const file = { form: FORM, version: VERSION, draft: formatDraft(draft), signatures };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** Strict about what it holds; whether signatures hold is for `standingOf`. */
export function parseSharedFile(text: string): Result<SharedFile, 'request.malformed'> {
  let file: { form?: unknown; version?: unknown; draft?: unknown; signatures?: unknown } | null;
  try {
    file = JSON.parse(text) as typeof file;
  } catch {
    return refused('request.malformed', 'not a file of a transaction: no JSON');
  }
  if (file === null || typeof file !== 'object' || file.form !== FORM || file.version !== VERSION)
    return refused('request.malformed', 'not a file of a transaction, or of a later version');
  const { draft, signatures } = file;
  const areTexts = Array.isArray(signatures) && signatures.every((one) => typeof one === 'string');
  if (typeof draft !== 'string' || !areTexts || signatures.length > LIMITS.signersMax)
    return refused('request.malformed', 'expected a draft and its signatures');
  const parsed = parseDraft(draft);
  return parsed.ok ? ok({ draft: parsed.value, signatures }) : parsed;
}

/** Once more by the same key takes the place of the one before: not every scheme signs the same twice. */
export function withSignature(file: SharedFile, share: string): SharedFile {
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

/** Where a transaction stands that several sign. */
export interface Standing {
  /** Of the account, whose signature holds. */
  readonly signed: readonly WeightedKey[];
  /** Of those, together. */
  readonly weight: number;
  readonly threshold: number;
  /** Those who can still help; among them the first one, without whom nothing goes. */
  readonly missing: readonly WeightedKey[];
  /** To be sent; undefined while signatures are missing. */
  readonly ready: SignedTransaction | undefined;
  /** Signatures that are not over this transaction, or of no key of the account. */
  readonly useless: number;
}

/** `set`: what acts for the account now. */
export function standingOf(file: SharedFile, set: KeySet, verify: SignatureVerifier): Standing {
  const { draft } = file;
  const of = (key: PublicKey): WeightedKey | undefined =>
    set.keys.find((one) => compareKeys(one.key, key) === 0);
  const holding = file.signatures.flatMap((text) => {
    const share = parseShare(text);
    const known = share.ok && holdsOver(draft, share.value, verify) ? of(share.value.key) : undefined;
    return known === undefined ? [] : [{ ...known, text }];
  });
  const isSigned = (key: PublicKey): boolean => holding.some((one) => compareKeys(one.key, key) === 0);
  const enough = sufficientSets(set, draft.transaction.key);
  const complete = enough.find((one) => one.every(({ key }) => isSigned(key)));
  const built =
    complete &&
    assembleShared(
      draft,
      holding
        .filter(({ key }) => complete.some((one) => compareKeys(one.key, key) === 0))
        .map(({ text }) => text),
      verify,
    );
  const helpful = set.keys.filter((one) => !isSigned(one.key) && enough.some((group) => group.includes(one)));
  return {
    signed: holding.map(({ key, weight }) => ({ key, weight })),
    weight: holding.reduce((sum, { weight }) => sum + weight, 0),
    threshold: set.threshold,
    missing: complete === undefined ? helpful : [],
    ready: built?.ok === true ? built.value : undefined,
    useless: file.signatures.length - holding.length,
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
