/** Transactions that were decoded and whose signature holds: the only form the state machine takes (spec STATE-2). */
import { concatBytes } from '../bytes/hex.ts';
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import { utf8Encode } from '../bytes/writer.ts';
import type { Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS, type SignatureVerifier } from '../crypto/signature.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import { decodeTransaction, transactionId, type Transaction } from '../ledger/transaction.ts';

export type VerifiedTransaction = Brand<
  {
    readonly tx: Transaction;
    readonly id: Hash;
    readonly encoded: Uint8Array;
    readonly sender: Address;
  },
  'VerifiedTransaction'
>;

/**
 * The only maker of that type. The bytes are kept, not copied. A shell that checks signatures elsewhere
 * (in a batch, on another thread) hands in a verifier that tells what it found.
 */
export function verifyTransaction(
  chain: Hash,
  encoded: Uint8Array,
  verify: SignatureVerifier,
): Result<VerifiedTransaction, ErrorCode> {
  if (encoded.length > LIMITS.transactionBytesMax) {
    return refused(
      'transaction.too-large',
      `expected at most ${LIMITS.transactionBytesMax} bytes, got ${encoded.length}`,
    );
  }
  const decoded = decodeTransaction(encoded);
  if (!decoded.ok) return decoded;
  const tx = decoded.value;
  if (!verify(tx.key, signedBytes(chain, encoded), tx.signature)) {
    return refused(
      'signature.invalid',
      'the signature is not by the sender over this transaction on this chain',
    );
  }
  const verified = { tx, id: transactionId(encoded), encoded, sender: addressOf(tx.key) };
  return ok(verified as VerifiedTransaction);
}

/**
 * What the sender of an encoded transaction signed, without encoding it again: the encoding is canonical and
 * ends with the signature. Equals `transactionSigningBytes` of the decoded transaction.
 */
export function signedBytes(chain: Hash, encoded: Uint8Array): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.transaction),
    Uint8Array.of(0),
    chain,
    encoded.subarray(0, -SIGNATURE_BYTES),
  );
}
