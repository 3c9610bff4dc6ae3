/** Bodies of the life of a device: maker, batch, claim (spec STATE-4, STATE-5). */
import { concatBytes } from '../../bytes/hex.ts';
import { utf8Encode, Writer } from '../../bytes/writer.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../../crypto/hash.ts';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../../crypto/signature.ts';
import type { Address } from '../address.ts';
import { readHash } from '../fields.ts';
import { amount, type Amount } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BodyCodecs } from './codec.ts';

export type DeviceBody =
  | {
      readonly kind: 'register-maker';
      readonly name: string;
      /** Signs the maker's batches, away from the account that pays for them; none: the account's word is all there is. */
      readonly attestation?: PublicKey;
    }
  | { readonly kind: 'register-batch'; readonly batch: DeviceBatch }
  | { readonly kind: 'claim'; readonly claim: Claim };

export interface DeviceBatch {
  /** Merkle root over the batch's leaves, see `batchLeaf`. */
  readonly root: Hash;
  readonly count: number;
  /** Hash of the product's Thing Model. */
  readonly model: Hash;
  /** The built-in ITC each device brings to its first owner's account; taken from the maker for the whole batch. */
  readonly depositPerDevice: Amount;
  /** By the maker's attestation key over `attestationSigningBytes`; absent where the maker has none. */
  readonly attestation?: Uint8Array;
}

export interface Claim {
  readonly batch: Hash;
  readonly device: PublicKey;
  /** Ed25519 key whose secret is in the device's voucher (QR text). */
  readonly claimKey: PublicKey;
  readonly index: number;
  readonly path: readonly Hash[];
  /** By the device key over `endorsementSigningBytes`: the device chose this claim key, at birth. */
  readonly endorsement: Uint8Array;
  /** By the claim key over `claimSigningBytes`: holding the voucher, for this owner only. */
  readonly proof: Uint8Array;
}

/** Leaf of a device batch: the device's key and the claim key of its voucher. */
export function batchLeaf(device: PublicKey, claimKey: PublicKey): Hash {
  const writer = new Writer(80);
  writePublicKey(writer, device);
  writePublicKey(writer, claimKey);
  return hashTagged('batchLeaf', writer.finish());
}

export function batchId(maker: Address, root: Hash): Hash {
  return hashTagged('batch', maker, root);
}

/**
 * What the device key signs: domain ‖ 0x00 ‖ device key ‖ claim key. A batch's root only shows which pairs its
 * maker wrote down, and anyone may write down a device key seen elsewhere; this shows that the device agrees. It
 * names no chain, unlike all else that is signed, because it is made in the factory, where none is known yet.
 */
export function endorsementSigningBytes(device: PublicKey, claimKey: PublicKey): Uint8Array {
  const writer = new Writer(96);
  writer.raw(utf8Encode(SIGNATURE_DOMAINS.endorsement)).u8(0);
  writePublicKey(writer, device);
  writePublicKey(writer, claimKey);
  return writer.finish();
}

/** What the claim key signs: domain ‖ 0x00 ‖ chain ‖ device key ‖ owner. */
export function claimSigningBytes(chain: Hash, device: PublicKey, owner: Address): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.claim),
    Uint8Array.of(0),
    chain,
    Uint8Array.of(device.algorithm),
    device.bytes,
    owner,
  );
}

export const DEVICE_CODECS: BodyCodecs<DeviceBody> = {
  'register-maker': {
    write: (writer, { name, attestation }) => {
      writer.text(name).bool(attestation !== undefined);
      if (attestation !== undefined) writePublicKey(writer, attestation);
    },
    read: (reader) => {
      const name = reader.text(LIMITS.textBytesMax);
      return { kind: 'register-maker', name, ...(reader.bool() && { attestation: readPublicKey(reader) }) };
    },
  },
  'register-batch': {
    write: (writer, { batch }) => {
      const { root, count, model, depositPerDevice, attestation } = batch;
      writer.fixed(root, HASH_BYTES).u32(count).fixed(model, HASH_BYTES).u64(depositPerDevice);
      writer.bool(attestation !== undefined);
      if (attestation !== undefined) writer.fixed(attestation, SIGNATURE_BYTES);
    },
    read: (reader) => {
      const batch = {
        root: readHash(reader),
        count: reader.u32(),
        model: readHash(reader),
        depositPerDevice: amount(reader.u64()),
      };
      const isAttested = reader.bool();
      return {
        kind: 'register-batch',
        batch: { ...batch, ...(isAttested && { attestation: reader.fixed(SIGNATURE_BYTES).slice() }) },
      };
    },
  },
  claim: {
    write: (writer, { claim }) => {
      writer.fixed(claim.batch, HASH_BYTES);
      writePublicKey(writer, claim.device);
      writePublicKey(writer, claim.claimKey);
      writer
        .u32(claim.index)
        .list(claim.path, (w, hash) => w.fixed(hash, HASH_BYTES))
        .fixed(claim.endorsement, SIGNATURE_BYTES)
        .fixed(claim.proof, SIGNATURE_BYTES);
    },
    read: (reader) => ({
      kind: 'claim',
      claim: {
        batch: readHash(reader),
        device: readPublicKey(reader),
        claimKey: readPublicKey(reader),
        index: reader.u32(),
        path: reader.list(LIMITS.merklePathMax, readHash),
        endorsement: reader.fixed(SIGNATURE_BYTES).slice(),
        proof: reader.fixed(SIGNATURE_BYTES).slice(),
      },
    }),
  },
};
