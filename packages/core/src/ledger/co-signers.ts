/**
 * Co-signatures (spec QUANTUM-2): ML-DSA-44 signatures of validators over what they have executed at checkpoint heights, beside
 * and behind consensus. Whoever can forge Ed25519 cannot forge these; who may give them follows from genesis and the state alone.
 */
import type { Reader } from '../bytes/reader.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { equalBytes } from '../bytes/hex.ts';
import { HASH_BYTES, hashTagged, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { ML_DSA_44, SIGNATURE_DOMAINS, type PublicKey } from '../crypto/signature.ts';
import { addressOf, asAddress, type Address } from './address.ts';
import { readAddress } from './fields.ts';
import { epoch, type Epoch, type Height } from './ids.ts';
import { LIMITS } from './limits.ts';
import { quorumOf } from './validators.ts';

/** One validator of an epoch, in the order of its set. */
export interface CoSigner {
  readonly weight: number;
  /** The address of its co-signing key (CRYPTO-4.1); `NO_CO_SIGNER` where it has none. */
  readonly key: Address;
}

/** Who may co-sign in an epoch. All of its validators are here, so that the whole weight is known. */
export interface CoSigners {
  readonly epoch: Epoch;
  readonly members: readonly CoSigner[];
}

/** In the place of a key's address. */
export const NO_CO_SIGNER: Address = asAddress(ZERO_HASH);

export function hasCoSigner(member: CoSigner): boolean {
  return !equalBytes(member.key, NO_CO_SIGNER);
}

/** More than two thirds of all the weight, of those without a key too. */
export function coSignersQuorum({ members }: CoSigners): number {
  return quorumOf(members.map(({ weight }) => weight)).strong;
}

/** The name of a co-signing key in genesis and in the state. */
export function coSignerOf(key: Uint8Array): Address {
  return addressOf(mlDsaKey(key));
}

export function mlDsaKey(bytes: Uint8Array): PublicKey {
  return { algorithm: ML_DSA_44, bytes };
}

/** epoch u32 ‖ [ weight u32 ‖ key 32 ]. */
export function writeCoSigners(writer: Writer, coSigners: CoSigners): void {
  writer
    .u32(coSigners.epoch)
    .list(coSigners.members, (w, { weight, key }) => w.u32(weight).fixed(key, HASH_BYTES));
}

/** Refused: no members, a member without weight, and a list in which nobody has a key. */
export function readCoSigners(reader: Reader): CoSigners {
  const coSigners: CoSigners = {
    epoch: epoch(reader.u32()),
    members: reader.list(LIMITS.validatorsMax, (r) => ({ weight: r.u32(), key: readAddress(r) })),
  };
  if (coSigners.members.some(({ weight }) => weight === 0))
    reader.refuse('decode.out-of-range', 'expected a weight above 0');
  if (!coSigners.members.some(hasCoSigner))
    reader.refuse('decode.not-canonical', 'where nobody has a co-signing key there is no list');
  return coSigners;
}

export function encodeCoSigners(coSigners: CoSigners): Uint8Array {
  const writer = new Writer(8 + 36 * coSigners.members.length);
  writeCoSigners(writer, coSigners);
  return writer.finish();
}

/** What a client that demands co-signatures keeps of them. */
export function coSignersHash(coSigners: CoSigners): Hash {
  return hashTagged('coSigners', encodeCoSigners(coSigners));
}

/**
 * What a co-signing key signs so that an account may register it, and what the key before it signs to agree: domain ‖ 0x00 ‖ chain ‖
 * account ‖ the new key's address ‖ u53 height at which the one before was registered, 0 where there is none. So neither serves
 * another account, another key, or the same change a second time.
 */
export function coSignKeySigningBytes(o: {
  readonly chain: Hash;
  readonly account: Address;
  readonly key: Address;
  readonly since: Height | 0;
}): Uint8Array {
  return new Writer(160)
    .raw(utf8Encode(SIGNATURE_DOMAINS.coSignKey))
    .u8(0)
    .fixed(o.chain, HASH_BYTES)
    .fixed(o.account, HASH_BYTES)
    .fixed(o.key, HASH_BYTES)
    .u53(o.since)
    .finish();
}
