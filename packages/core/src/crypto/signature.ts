/**
 * Signature schemes behind one algorithm byte (spec CRYPTO-2). Keys never enter the core: it says what is
 * to be signed, and receives verifiers as arguments.
 */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';

/** 1 = Ed25519. Further schemes get further numbers; an unknown one is refused by every decoder. */
export type Algorithm = 1;

export const ED25519: Algorithm = 1;

export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

export interface PublicKey {
  readonly algorithm: Algorithm;
  /** Ed25519: the 32-byte encoding of the point A. */
  readonly bytes: Uint8Array;
}

/** True when the signature is acceptable under the one rule of spec CRYPTO-3. Never throws on bad input. */
export type SignatureVerifier = (key: PublicKey, message: Uint8Array, signature: Uint8Array) => boolean;

/**
 * What every signature covers comes first: domain, then the chain. A PREPARE can never pass as a COMMIT, nor on
 * another chain. An endorsement alone has no chain: it is made in the factory, before anyone knows which one.
 */
export const SIGNATURE_DOMAINS = {
  transaction: 'ITC1:sign-transaction',
  claim: 'ITC1:sign-claim',
  endorsement: 'ITC1:sign-endorsement',
  possession: 'ITC1:sign-possession',
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
} as const;

export type SignatureDomain = keyof typeof SIGNATURE_DOMAINS;

export function writePublicKey(writer: Writer, key: PublicKey): void {
  writer.u8(key.algorithm).fixed(key.bytes, PUBLIC_KEY_BYTES);
}

/** `isShared`: as `Reader.kept` has it, for a key that lives no longer than the bytes it is read from. */
export function readPublicKey(reader: Reader, isShared = false): PublicKey {
  const algorithm = reader.u8();
  if (algorithm !== ED25519)
    reader.refuse('decode.unknown-kind', `expected signature algorithm 1, got ${algorithm}`);
  const bytes = isShared ? reader.kept(PUBLIC_KEY_BYTES) : reader.fixed(PUBLIC_KEY_BYTES).slice();
  return { algorithm: ED25519, bytes };
}
