/** A transaction on its way from holder to holder (spec CLIENT-20.6): its draft, and how far the signatures of it go. */
import type { Result } from '@itc/core/bytes/result.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import { assembleShared, formatDraft, holdsOver, parseDraft, type SharedDraft } from './keys-shared.ts';
import {
  formatPassed,
  formatShare,
  parsePassed,
  weigh,
  type Passed,
  type PassedForm,
  type Weighed,
} from './shares.ts';
import type { SignedTransaction } from './transactions.ts';

export type SharedFile = Passed<SharedDraft>;

const FORM: PassedForm<SharedDraft> = {
  form: 'itc-transaction',
  what: 'a transaction',
  format: formatDraft,
  parse: parseDraft,
};

export function formatSharedFile(file: SharedFile): string {
  return formatPassed(FORM, file);
}

export function parseSharedFile(text: string): Result<SharedFile, 'request.malformed'> {
  return parsePassed(FORM, text);
}

/** Where a transaction stands that several sign. */
export interface Standing extends Weighed {
  /** To be sent; undefined while signatures are missing. */
  readonly ready: SignedTransaction | undefined;
}

/** `set`: what acts for the account now. */
export function standingOf(
  { draft, signatures }: SharedFile,
  set: KeySet,
  verify: SignatureVerifier,
): Standing {
  const weighed = weigh({
    signatures,
    set,
    first: draft.transaction.key,
    holds: (share) => holdsOver(draft, share, verify),
  });
  const built = weighed.enough && assembleShared(draft, weighed.enough.map(formatShare), verify);
  return { ...weighed, ready: built?.ok === true ? built.value : undefined };
}
