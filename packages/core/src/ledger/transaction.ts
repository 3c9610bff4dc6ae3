/** Transactions: a signed intent of one account, in one of its nonce lanes (spec STATE-2, WIRE-3). */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import {
  readAccountKey,
  readSignature,
  SIGNATURE_DOMAINS,
  signatureLength,
  writePublicKey,
  writeSignature,
  type PublicKey,
} from '../crypto/signature.ts';
import { addressOf, asAddress, type Address } from './address.ts';
import { readBody, writeBody, type Body } from './body.ts';
import { cosignersLength, readCosigners, writeCosigners, type Cosigner } from './cosigners.ts';
import { amount, type Amount, type Height, height } from './ids.ts';
import { LIMITS } from './limits.ts';

export interface UnsignedTransaction {
  /** Of the first signer; its address is the account that acts, unless `account` names another. */
  readonly key: PublicKey;
  /** The account that acts, where the key's address is not it: keys were rotated, or several share the account. */
  readonly account?: Address;
  readonly lane: number;
  /** The next one of its lane, from 0. */
  readonly nonce: number;
  readonly fee: Amount;
  /** Last height at which it may be executed. */
  readonly validUntil: Height;
  /** The sponsorship whose budget pays the fee; the account that acts when left out. */
  readonly sponsor?: Hash;
  /** Whether further signers follow. Signed, because it decides the form; who they are is not. */
  readonly shared?: true;
  readonly body: Body;
}

export interface Transaction extends UnsignedTransaction {
  readonly signature: Uint8Array;
  /** 1 to `signersMax` − 1 where `shared`, ascending by key, none of them `key`; over the same bytes as the first one's. */
  readonly cosigners?: readonly Cosigner[];
}

/** Bits of the first byte. */
const FORM = { account: 1, sponsor: 2, shared: 4 } as const;
const FORM_MAX = 7;

/** The account that acts. Hashes the key when it names no other. */
export function senderOf(tx: Pick<UnsignedTransaction, 'key' | 'account'>): Address {
  return tx.account ?? addressOf(tx.key);
}

function writeUnsigned(writer: Writer, tx: UnsignedTransaction): void {
  const { account, sponsor, shared } = tx;
  const form =
    (account === undefined ? 0 : FORM.account) |
    (sponsor === undefined ? 0 : FORM.sponsor) |
    (shared === undefined ? 0 : FORM.shared);
  writer.u8(form);
  writePublicKey(writer, tx.key);
  if (account !== undefined) writer.fixed(account, HASH_BYTES);
  writer.u8(tx.lane).u53(tx.nonce).u64(tx.fee).u53(tx.validUntil);
  if (sponsor !== undefined) writer.fixed(sponsor, HASH_BYTES);
  writeBody(writer, tx.body);
}

export function encodeTransaction(tx: Transaction): Uint8Array {
  const writer = new Writer(512);
  writeUnsigned(writer, tx);
  writeSignature(writer, tx.key.algorithm, tx.signature);
  if (tx.shared === true) writeCosigners(writer, tx.cosigners ?? []);
  return writer.finish();
}

/** How many bytes at the end of the encoding are signatures and not signed. */
export function unsignedTail(tx: Transaction): number {
  const length = signatureLength(tx.key.algorithm, tx.signature);
  return tx.shared === true ? length + cosignersLength(tx.cosigners ?? []) : length;
}

export function readTransaction(reader: Reader): Transaction {
  const form = reader.u8();
  if (form > FORM_MAX) reader.refuse('decode.unknown-kind', `expected a form up to ${FORM_MAX}, got ${form}`);
  const key = readAccountKey(reader, true);
  const account = (form & FORM.account) === 0 ? undefined : asAddress(reader.kept(HASH_BYTES));
  if (account !== undefined && equalBytes(account, addressOf(key)))
    reader.refuse('decode.not-canonical', 'an account that is the address of the key is not named');
  const lane = reader.u8();
  if (lane >= LIMITS.lanesMax)
    reader.refuse('decode.out-of-range', `expected a lane below ${LIMITS.lanesMax}, got ${lane}`);
  const tx = {
    key,
    ...(account !== undefined && { account }),
    lane,
    nonce: reader.u53(),
    fee: amount(reader.u64()),
    validUntil: height(reader.u53()),
    ...((form & FORM.sponsor) !== 0 && { sponsor: asHash(reader.kept(HASH_BYTES)) }),
    body: readBody(reader),
    signature: readSignature(reader, key.algorithm),
  };
  return (form & FORM.shared) === 0 ? tx : { ...tx, shared: true, cosigners: readCosigners(reader, key) };
}

/** `isOwned`: fields may be views into the bytes, see `Reader`. */
export function decodeTransaction(bytes: Uint8Array, isOwned = false): Result<Transaction, DecodeCode> {
  return decode(readTransaction, bytes, isOwned);
}

/** What every signer signs: domain ‖ 0x00 ‖ chain ‖ unsigned transaction. */
export function transactionSigningBytes(chain: Hash, tx: UnsignedTransaction): Uint8Array {
  const writer = new Writer(512);
  writer.raw(utf8Encode(SIGNATURE_DOMAINS.transaction)).u8(0).fixed(chain, HASH_BYTES);
  writeUnsigned(writer, tx);
  return writer.finish();
}

/** The id of a transaction is the hash of all its bytes, signatures included: the leaf of a block's `txRoot`. */
export function transactionId(encoded: Uint8Array): Hash {
  return hashTagged('transaction', encoded);
}
