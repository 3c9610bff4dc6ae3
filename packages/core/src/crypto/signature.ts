/**
 * Signature schemes behind one algorithm byte (spec CRYPTO-2). Keys never enter the core: it says what is
 * to be signed, and receives verifiers as arguments.
 */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';

/** An unknown number is refused by every decoder. */
export type Algorithm = 1 | 2 | 3 | 4;

/** RFC 8032, the default; what nodes, devices and vouchers sign with. */
export const ED25519 = 1 as const;
/** ECDSA on P-256 with SHA-256: secure elements. */
export const P256 = 2 as const;
/** FIPS 204: for those who want to be safe from quantum computers. */
export const ML_DSA_44 = 3 as const;
/** An assertion of WebAuthn by a P-256 key: a passkey is an account. */
export const WEBAUTHN = 4 as const;

/** Of an Ed25519 key and signature: all that nodes handle by the thousand. */
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** Bytes of a key of each scheme. A WebAuthn key is the hash of the relying party's id (32) and a compressed point (33). */
export const KEY_BYTES: Readonly<Record<Algorithm, number>> = {
  [ED25519]: PUBLIC_KEY_BYTES,
  [P256]: 33,
  [ML_DSA_44]: 1312,
  [WEBAUTHN]: 65,
};

/** Bytes of a signature of each scheme; that of WebAuthn varies and has its length before it. */
export const FIXED_SIGNATURE_BYTES: Readonly<Record<Algorithm, number | undefined>> = {
  [ED25519]: SIGNATURE_BYTES,
  [P256]: 64,
  [ML_DSA_44]: 2420,
  [WEBAUTHN]: undefined,
};

/** Of one whose length varies. */
export const SIGNATURE_BYTES_MAX = 1125;

export interface PublicKey {
  readonly algorithm: Algorithm;
  /** Ed25519: the 32-byte encoding of the point A. Others: see `KEY_BYTES`. */
  readonly bytes: Uint8Array;
}

/** True when the signature is acceptable under the one rule of its scheme (spec CRYPTO-2.4). Never throws on bad input. */
export type SignatureVerifier = (key: PublicKey, message: Uint8Array, signature: Uint8Array) => boolean;

/**
 * What every signature covers comes first: domain, then the chain. A PREPARE can never pass as a COMMIT, nor on
 * another chain. An endorsement alone has no chain: it is made in the factory, before anyone knows which one.
 */
export const SIGNATURE_DOMAINS = {
  transaction: 'ITC1:sign-transaction',
  claim: 'ITC1:sign-claim',
  endorsement: 'ITC1:sign-endorsement',
  attestation: 'ITC1:sign-attestation',
  recovery: 'ITC1:sign-recovery',
  possession: 'ITC1:sign-possession',
  memberPossession: 'ITC1:sign-member-possession',
  prePrepare: 'ITC1:sign-pre-prepare',
  prepare: 'ITC1:sign-prepare',
  commit: 'ITC1:sign-commit',
  checkpoint: 'ITC1:sign-pbft-checkpoint',
  viewChange: 'ITC1:sign-view-change',
  newView: 'ITC1:sign-new-view',
  include: 'ITC1:sign-include',
  envelope: 'ITC1:sign-envelope',
  subnetCheckpoint: 'ITC1:sign-subnet-checkpoint',
  peer: 'ITC1:sign-peer',
  address: 'ITC1:sign-address',
  login: 'ITC1:sign-login',
  request: 'ITC1:sign-request',
  command: 'ITC1:sign-command',
  firmware: 'ITC1:sign-firmware',
  fresh: 'ITC1:sign-fresh',
  coSign: 'ITC1:sign-co-sign',
  coSignKey: 'ITC1:sign-co-sign-key',
} as const;

export type SignatureDomain = keyof typeof SIGNATURE_DOMAINS;

export function writePublicKey(writer: Writer, key: PublicKey): void {
  writer.u8(key.algorithm).fixed(key.bytes, KEY_BYTES[key.algorithm]);
}

/**
 * An Ed25519 key: of a node, a device, a voucher. `isShared`: as `Reader.kept` has it, for a key that lives no longer
 * than the bytes it is read from.
 */
export function readPublicKey(reader: Reader, isShared = false): PublicKey {
  const key = readAccountKey(reader, isShared);
  if (key.algorithm !== ED25519)
    reader.refuse('decode.unknown-kind', `expected signature algorithm 1, got ${key.algorithm}`);
  return key;
}

/** A key of any scheme: those of accounts. */
export function readAccountKey(reader: Reader, isShared = false): PublicKey {
  const algorithm = reader.u8();
  if (!isAlgorithm(algorithm))
    return reader.refuse('decode.unknown-kind', `expected a known signature algorithm, got ${algorithm}`);
  const length = KEY_BYTES[algorithm];
  const bytes = isShared ? reader.kept(length) : reader.fixed(length).slice();
  return { algorithm, bytes };
}

function isAlgorithm(value: number): value is Algorithm {
  return value >= ED25519 && value <= WEBAUTHN;
}

/** Bytes that `writeSignature` writes. */
export function signatureLength(algorithm: Algorithm, signature: Uint8Array): number {
  return FIXED_SIGNATURE_BYTES[algorithm] ?? 4 + signature.length;
}

export function writeSignature(writer: Writer, algorithm: Algorithm, signature: Uint8Array): void {
  const length = FIXED_SIGNATURE_BYTES[algorithm];
  if (length === undefined) writer.bytes(signature);
  else writer.fixed(signature, length);
}

/** A view where the reader's bytes are kept. */
export function readSignature(reader: Reader, algorithm: Algorithm): Uint8Array {
  const length = FIXED_SIGNATURE_BYTES[algorithm];
  return length === undefined ? reader.bytes(SIGNATURE_BYTES_MAX).slice() : reader.kept(length);
}

/** The order of keys in lists: by algorithm, then by bytes. */
export function compareKeys(a: PublicKey, b: PublicKey): number {
  if (a.algorithm !== b.algorithm) return a.algorithm - b.algorithm;
  for (let i = 0; i < a.bytes.length; i += 1) {
    const difference = (a.bytes[i] as number) - (b.bytes[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
