/** Seeing finality for oneself: a proof of inclusion instead of a node's word (spec CLIENT-6). */
import { ok, refused, type Ok, type Refused } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { verifyInclusionBytes, type InclusionVerdict } from '@itc/core/light/inclusion-proof.js';
import type { Conflict, Trust } from '@itc/core/light/trust.js';
import type { TransactionStatus } from './api.ts';
import { fromBase64Url } from './base64url.ts';

export interface Believer {
  /** `trustGenesis(genesis)` will do: hops in the proof begin there. */
  readonly trust: Trust;
  readonly verify: SignatureVerifier;
}

/** Block, time and signers; `trust` has moved on to the block. */
export type Finality = Extract<InclusionVerdict, { valid: true }>;

/** `conflict`: the proof contradicts what is believed already; its `doubleVotes` are ready to be sent as evidence. */
export type FinalityRefusal = Refused<'peer.message' | 'not-ready'> & { readonly conflict?: Conflict };

/**
 * Judges a status that was asked for with its proof. The place in the chain is proved; what became of the transaction
 * there (`receipt`) stays the node's word, for headers commit no receipts.
 */
export function checkFinality(
  { trust, verify }: Believer,
  id: Hash,
  status: TransactionStatus,
): Ok<Finality> | FinalityRefusal {
  if (status.status !== 'final') return refused('not-ready', `the transaction is ${status.status}`);
  if (status.proof === undefined) return refused('peer.message', 'the node shows no proof');
  const bytes = fromBase64Url(status.proof);
  if (!bytes.ok) return refused('peer.message', `the proof: ${bytes.message}`);
  const verdict = verifyInclusionBytes({ trust, id, bytes: bytes.value, verify });
  if (!verdict.valid) {
    const { check, reason, conflict } = verdict;
    return {
      ...refused('peer.message', `the proof does not hold: ${check}: ${reason}`),
      ...(conflict && { conflict }),
    };
  }
  if (verdict.height !== status.height || verdict.index !== status.index)
    return refused('peer.message', 'the proof is of another place than the one told');
  return ok(verdict);
}
