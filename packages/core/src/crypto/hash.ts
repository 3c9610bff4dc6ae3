/**
 * SHA-256 with a domain for every use (spec CRYPTO-1). The function is fixed; who computes it is not:
 * a shell with a native SHA-256 installs it once at start. Both give the same bytes, so purity holds.
 */
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';
import type { Brand } from '../bytes/result.ts';
import { concatBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { utf8Encode } from '../bytes/writer.ts';

/** 32 bytes. */
export type Hash = Brand<Uint8Array, 'Hash'>;

export const HASH_BYTES = 32;

export const ZERO_HASH: Hash = new Uint8Array(HASH_BYTES) as Hash;

let implementation: (bytes: Uint8Array) => Uint8Array = portableSha256;
let textImplementation: ((bytes: Uint8Array) => string) | undefined;

/**
 * Replaces the portable SHA-256 by a native one that computes the same function. It returns a plain `Uint8Array` that
 * nobody writes to again (not a Node Buffer, whose `slice` does not copy). `text` gives the same digest, one character
 * per byte, for those who can do that with less.
 */
export function installSha256(
  native: (bytes: Uint8Array) => Uint8Array,
  text?: (bytes: Uint8Array) => string,
): void {
  implementation = native;
  textImplementation = text;
}

export function sha256(bytes: Uint8Array): Hash {
  return implementation(bytes) as Hash;
}

/** The digest written into `out` at `at`: a tree of thousands of nodes needs no array for each. */
export function sha256Into(bytes: Uint8Array, out: Uint8Array, at: number): void {
  if (textImplementation === undefined) {
    out.set(implementation(bytes), at);
    return;
  }
  const text = textImplementation(bytes);
  for (let i = 0; i < HASH_BYTES; i += 1) out[at + i] = text.charCodeAt(i);
}

/** The digest as text, see `idText`: for trees that keep very many of them. */
export function sha256Text(bytes: Uint8Array): string {
  return textImplementation === undefined ? idText(implementation(bytes)) : textImplementation(bytes);
}

/** Brands 32 bytes as a hash. Length is asserted: decoders read hashes with fixed width. */
export function asHash(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_BYTES)
    throw new RangeError(`a hash has ${HASH_BYTES} bytes, got ${bytes.length}`);
  return bytes as Hash;
}

/** One tag per structure. All begin with `I` (0x49), so none collides with Merkle leaf 0x00 or node 0x01. */
export const TAGS = {
  address: 'ITC1:address',
  genesis: 'ITC1:genesis',
  transaction: 'ITC1:transaction',
  header: 'ITC1:header',
  validators: 'ITC1:validators',
  coSigners: 'ITC1:co-signers',
  stateKey: 'ITC1:state-key',
  batchLeaf: 'ITC1:batch-leaf',
  batch: 'ITC1:batch',
  ownership: 'ITC1:ownership',
  group: 'ITC1:group',
  grant: 'ITC1:grant',
  subnet: 'ITC1:subnet',
  checkpoint: 'ITC1:checkpoint',
  envelope: 'ITC1:envelope',
  envelopeBody: 'ITC1:envelope-body',
  proofOfWork: 'ITC1:pow',
  toll: 'ITC1:toll',
  payload: 'ITC1:payload',
  command: 'ITC1:command',
  lane: 'ITC1:lane',
  mmr: 'ITC1:mmr',
  transactions: 'ITC1:transactions',
  rental: 'ITC1:rental',
  rentalTerms: 'ITC1:rental-terms',
  firmwareChannel: 'ITC1:firmware-channel',
  rollout: 'ITC1:rollout',
  attestation: 'ITC1:attestation',
  withdrawal: 'ITC1:withdrawal',
  keySet: 'ITC1:key-set',
  sponsorship: 'ITC1:sponsorship',
  stream: 'ITC1:stream',
  checkpointLeaf: 'ITC1:checkpoint-leaf',
} as const;

export type Tag = keyof typeof TAGS;

const tagBytes = Object.fromEntries(
  Object.entries(TAGS).map(([name, text]) => [name, concatBytes(utf8Encode(text), Uint8Array.of(0))]),
) as Record<Tag, Uint8Array>;

/** Hashing is synchronous and copies its input, so short inputs are laid out in one place: most hashes are of these. */
const scratch = new Uint8Array(2048);

/** SHA-256(tag ‖ 0x00 ‖ parts). The parts must be self-delimiting: fixed widths or canonical encodings. */
export function hashTagged(tag: Tag, ...parts: readonly Uint8Array[]): Hash {
  const prefix = tagBytes[tag];
  let length = prefix.length;
  for (const part of parts) length += part.length;
  if (length > scratch.length) return sha256(concatBytes(prefix, ...parts));
  scratch.set(prefix);
  let at = prefix.length;
  for (const part of parts) {
    scratch.set(part, at);
    at += part.length;
  }
  return sha256(scratch.subarray(0, length));
}
