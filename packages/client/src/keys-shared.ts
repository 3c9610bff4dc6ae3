/**
 * Transactions of accounts that several keys share (spec STATE-15.3): one party drafts, each signs where its key is, one puts the
 * signatures together and sends. What travels in between are texts; none of them is secret, and none can be altered unnoticed.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import {
  compareKeys,
  ED25519,
  FIXED_SIGNATURE_BYTES,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  SIGNATURE_BYTES_MAX,
  SIGNATURE_DOMAINS,
  writePublicKey,
  writeSignature,
  type PublicKey,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Cosigner } from '@itc/core/ledger/cosigners.js';
import { amount, type Amount, type Height } from '@itc/core/ledger/ids.js';
import {
  decodeTransaction,
  encodeTransaction,
  transactionId,
  transactionSigningBytes,
  type Transaction,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import type { Signer } from './keys.ts';
import { formatShare, parseShare } from './shares.ts';
import type { SignedTransaction } from './transactions.ts';

export interface SharedDraft {
  readonly chain: Hash;
  readonly transaction: UnsignedTransaction;
}

/** The keys that will sign, of which the first is named first; the fee covers the signatures of all of them. */
export function draftShared(o: {
  readonly chain: Hash;
  readonly account: Address;
  readonly signers: readonly PublicKey[];
  /** Pays the fee, exactly: the signers must be those in the end. */
  readonly sponsor?: Hash;
  readonly body: Body;
  readonly nonce: number;
  readonly lane?: number;
  readonly feePerByte: Amount;
  readonly validUntil: Height;
}): SharedDraft {
  const [key, ...rest] = o.signers;
  if (key === undefined) throw new RangeError('expected somebody who signs');
  const unsigned: UnsignedTransaction = {
    key,
    ...(!equalBytes(addressOf(key), o.account) && { account: o.account }),
    lane: o.lane ?? 0,
    nonce: o.nonce,
    fee: amount(0n),
    validUntil: o.validUntil,
    ...(o.sponsor && { sponsor: o.sponsor }),
    ...(rest.length > 0 && { shared: true as const }),
    body: o.body,
  };
  const longest = (one: PublicKey): Uint8Array =>
    new Uint8Array(FIXED_SIGNATURE_BYTES[one.algorithm] ?? SIGNATURE_BYTES_MAX);
  const { length } = encodeTransaction({
    ...unsigned,
    signature: longest(key),
    ...(rest.length > 0 && { cosigners: rest.map((one) => ({ key: one, signature: longest(one) })) }),
  });
  return { chain: o.chain, transaction: { ...unsigned, fee: amount(o.feePerByte * BigInt(length)) } };
}

/** The fewest of the account's keys that may act together, heaviest first: whom to ask. */
export function signersOf({ keys, threshold }: KeySet): readonly PublicKey[] {
  const chosen: PublicKey[] = [];
  let sum = 0;
  for (const { key, weight } of keys.toSorted((a, b) => b.weight - a.weight)) {
    if (sum >= threshold) break;
    chosen.push(key);
    sum += weight;
  }
  return chosen;
}

/** What the others are given; base64url. It is what they sign, so there is nothing else to agree on. */
export function formatDraft({ chain, transaction }: SharedDraft): string {
  return toBase64Url(transactionSigningBytes(chain, transaction));
}

/** Strict: what is read is what `formatDraft` writes. */
export function parseDraft(text: string): Result<SharedDraft, 'request.malformed'> {
  const bytes = fromBase64Url(text.trim());
  if (!bytes.ok) return bytes;
  const prefix = utf8Encode(`${SIGNATURE_DOMAINS.transaction}\0`);
  const start = prefix.length + HASH_BYTES;
  if (!equalBytes(bytes.value.subarray(0, prefix.length), prefix) || bytes.value.length <= start + 1)
    return refused('request.malformed', 'not the draft of a transaction');
  const chain = asHash(bytes.value.slice(prefix.length, start));
  const unsigned = bytes.value.subarray(start);
  // The decoder wants signatures: it gets empty ones, of which nothing is kept.
  const form = unsigned[0] as number;
  const writer = new Writer(unsigned.length + 512).raw(unsigned);
  const algorithm = unsigned[1] as PublicKey['algorithm'];
  writeSignature(writer, algorithm, new Uint8Array(FIXED_SIGNATURE_BYTES[algorithm] ?? 0));
  if ((form & 4) !== 0) {
    writer.u16(1);
    writePublicKey(writer, { algorithm: ED25519, bytes: new Uint8Array(PUBLIC_KEY_BYTES) });
    writer.fixed(new Uint8Array(SIGNATURE_BYTES), SIGNATURE_BYTES);
  }
  const decoded = decodeTransaction(writer.finish());
  if (!decoded.ok) return refused('request.malformed', decoded.message);
  const { signature: _, cosigners: __, ...transaction } = decoded.value;
  return ok({ chain, transaction });
}

/** One party's signature, to be given back; base64url. */
export async function signDraft(draft: SharedDraft, signer: Signer): Promise<string> {
  const signature = await signer.sign(transactionSigningBytes(draft.chain, draft.transaction));
  return formatShare({ key: signer.publicKey, signature });
}

/** Whether a signature is over this draft. */
export function holdsOver(
  draft: SharedDraft,
  { key, signature }: Cosigner,
  verify: SignatureVerifier,
): boolean {
  return verify(key, transactionSigningBytes(draft.chain, draft.transaction), signature);
}

/**
 * The transaction, from a draft and what `signDraft` gave each of its signers. `signature.invalid` names the one that does not hold or
 * is missing; more of them than the draft has asked for would be refused by the ledger, and are here.
 */
export function assembleShared(
  draft: SharedDraft,
  shares: readonly string[],
  verify: SignatureVerifier,
): Result<SignedTransaction, 'request.malformed' | 'signature.invalid'> {
  const { chain, transaction } = draft;
  const message = transactionSigningBytes(chain, transaction);
  const signed: Cosigner[] = [];
  for (const [i, text] of shares.entries()) {
    const share = parseShare(text);
    if (!share.ok) return refused('request.malformed', `signature ${i + 1}: ${share.message}`);
    const { key, signature } = share.value;
    if (!verify(key, message, signature))
      return refused('signature.invalid', `signature ${i + 1} is not over this transaction`);
    if (!signed.some((one) => compareKeys(one.key, key) === 0)) signed.push(share.value);
  }
  const first = signed.find(({ key }) => compareKeys(key, transaction.key) === 0);
  if (first === undefined)
    return refused('signature.invalid', 'the signature of the key the draft names first is missing');
  const cosigners = signed.filter((one) => one !== first).sort((a, b) => compareKeys(a.key, b.key));
  if (cosigners.length > 0 !== (transaction.shared === true))
    return refused(
      'signature.invalid',
      transaction.shared === true
        ? 'the signatures of the others are missing'
        : 'the draft asks for one signature',
    );
  const whole: Transaction = {
    ...transaction,
    signature: first.signature,
    ...(cosigners.length > 0 && { cosigners }),
  };
  const encoded = encodeTransaction(whole);
  return ok({ id: transactionId(encoded), encoded, transaction: whole });
}
