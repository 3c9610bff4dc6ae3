/** Transactions that were decoded and whose signature holds: the only form the state machine takes (spec STATE-2). */
import { concatBytes } from '../bytes/hex.ts';
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { verificationCost } from '../crypto/cost.ts';
import type { Hash } from '../crypto/hash.ts';
import { ED25519, SIGNATURE_DOMAINS, type PublicKey, type SignatureVerifier } from '../crypto/signature.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Cosigner } from '../ledger/cosigners.ts';
import { coSignCost } from '../ledger/bodies/co-sign.ts';
import { signaturesCost } from '../ledger/bodies/firmware.ts';
import { LIMITS } from '../ledger/limits.ts';
import { decodeTransaction, transactionId, unsignedTail, type Transaction } from '../ledger/transaction.ts';
import { idText } from './record-map.ts';

/** Decoded and named; nobody has looked at the signature. */
export interface OpenedTransaction {
  readonly tx: Transaction;
  readonly id: Hash;
  readonly encoded: Uint8Array;
  /** The account that acts. Whether those who signed may act for it, the state says. */
  readonly sender: Address;
  /** `idText` of the id: what maps of transactions are keyed by. Made once, because it is asked for often. */
  readonly name: string;
  /** `idText` of the sender. */
  readonly account: string;
}

export type VerifiedTransaction = Brand<OpenedTransaction, 'VerifiedTransaction'>;

/** Form and names. The bytes are kept, not copied. `id` is given by a caller who has hashed them already. */
export function openTransaction(
  encoded: Uint8Array,
  id: Hash = transactionId(encoded),
): Result<OpenedTransaction, ErrorCode> {
  if (encoded.length > LIMITS.transactionBytesMax) {
    return refused(
      'transaction.too-large',
      `expected at most ${LIMITS.transactionBytesMax} bytes, got ${encoded.length}`,
    );
  }
  const decoded = decodeTransaction(encoded, true);
  if (!decoded.ok) return decoded;
  const tx = decoded.value;
  const { sender, account } = senderOf(tx);
  return ok({ tx, id, encoded, sender, name: idText(id), account });
}

type Sender = Pick<OpenedTransaction, 'sender' | 'account'>;

/** Who sends often sends again: senders are remembered by key, some 6 MB of them at most. */
const REMEMBERED_MAX = 16_384;
const remembered = new Map<string, Sender>();

function senderOf({ key, account }: Transaction): Sender {
  if (account !== undefined) return { sender: account, account: idText(account) };
  return key.algorithm === ED25519 ? ownerOf(key) : named(addressOf(key));
}

const named = (sender: Address): Sender => ({ sender, account: idText(sender) });

function ownerOf(key: PublicKey): Sender {
  // Only Ed25519 keys are remembered, so the bytes name the key.
  const name = idText(key.bytes);
  let known = remembered.get(name);
  if (known !== undefined) return known;
  known = named(addressOf(key));
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  remembered.set(name, known);
  return known;
}

/** Opens and verifies; the bytes are kept, not copied. */
export function verifyTransaction(
  chain: Hash,
  encoded: Uint8Array,
  verify: SignatureVerifier,
): Result<VerifiedTransaction, ErrorCode> {
  const opened = openTransaction(encoded);
  if (!opened.ok) return opened;
  const signed = signedBytes(chain, opened.value);
  const holds = signaturesOf(opened.value.tx).every(({ key, signature }) => verify(key, signed, signature));
  return holds ? ok(opened.value as VerifiedTransaction) : unsigned();
}

/**
 * For a shell that checks signatures elsewhere, in a batch or on another thread, and for blocks a quorum has certified:
 * `holds` is what was found of all of `signaturesOf` over `signedBytes`.
 */
export function judgeTransaction(
  opened: OpenedTransaction,
  holds: boolean,
): Result<VerifiedTransaction, ErrorCode> {
  return holds ? ok(opened as VerifiedTransaction) : unsigned();
}

function unsigned(): Result<never, ErrorCode> {
  return refused(
    'signature.invalid',
    'the signature is not by the sender over this transaction on this chain',
  );
}

/** Everyone who signed, the first one first: each signature must hold. */
export function signaturesOf(tx: Transaction): readonly Cosigner[] {
  const { key, signature, cosigners } = tx;
  return cosigners === undefined ? [{ key, signature }] : [{ key, signature }, ...cosigners];
}

/** What checking all of them costs, see `verificationCost`. */
export function verificationCostOf({ tx }: OpenedTransaction): number {
  let cost = verificationCost(tx.key.algorithm);
  for (const { key } of tx.cosigners ?? []) cost += verificationCost(key.algorithm);
  return cost + (tx.body.kind === 'co-sign' ? coSignCost(tx.body) : signaturesCost(tx.body));
}

/**
 * What was signed, without encoding it again: the encoding is canonical and ends with the signatures. Equals
 * `transactionSigningBytes` of the decoded transaction.
 */
export function signedBytes(chain: Hash, transaction: Pick<OpenedTransaction, 'tx' | 'encoded'>): Uint8Array {
  return concatBytes(signingPrefix(chain), unsignedPart(transaction));
}

/** The part of `signedBytes` that all transactions of a chain share. */
export function signingPrefix(chain: Hash): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.transaction), Uint8Array.of(0), chain);
}

/** The part of `signedBytes` that is the transaction's own. A view. */
export function unsignedPart({ tx, encoded }: Pick<OpenedTransaction, 'tx' | 'encoded'>): Uint8Array {
  return encoded.subarray(0, encoded.length - unsignedTail(tx));
}
