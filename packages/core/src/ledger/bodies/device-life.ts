/** Bodies of what happens to a device between its claim and its end, and of what its maker says about it (spec STATE-16). */
import { concatBytes } from '../../bytes/hex.ts';
import type { Reader } from '../../bytes/reader.ts';
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
import { readAddress, readHash } from '../fields.ts';
import { amount, millis, type Amount, type Millis } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { readColour, writeColour, type ColourRange } from '../terms.ts';
import type { BodyCodecs } from './codec.ts';

export type DeviceLifeBody =
  | { readonly kind: 'register-model'; readonly model: Model }
  | {
      /** The key that signs the maker's batches from now on. */
      readonly kind: 'set-attestation';
      readonly key: PublicKey;
      /** Over `attestationKeySigningBytes`: by the key so far, or by the first one itself. */
      readonly proof: Uint8Array;
    }
  | ({ readonly kind: 'offer-device'; readonly device: Address } & Offer)
  | {
      readonly kind: 'accept-device';
      readonly device: Address;
      /** As offered: the owner may have changed it meanwhile. */
      readonly price: Amount;
      /** Of the device's record: this offer, and none of an earlier or later owner. */
      readonly transfers: number;
    }
  /** By the owner; by the one it was made to, who declines. */
  | { readonly kind: 'withdraw-device'; readonly device: Address }
  | { readonly kind: 'mark-device'; readonly device: Address; readonly mark: Mark }
  | { readonly kind: 'recover-device'; readonly recovery: RecoveryClaim }
  | {
      /** By the owner. Whatever recovery is under way ends. */
      readonly kind: 'set-device-recovery';
      readonly device: Address;
      /** How long a recovery waits for the owner's veto, in milliseconds of block time; 0: there is none. */
      readonly delay: number;
    };

/** What a maker says of a product. */
export interface Model {
  /** Of the Thing Model. */
  readonly hash: Hash;
  readonly name: string;
  /** What its devices can do: OR of `ACTIONS`. */
  readonly actions: number;
  /** Greatest level, 0 to 254. */
  readonly levelMax: number;
  /** Absent: no colour temperature. */
  readonly colour?: ColourRange;
}

export interface Offer {
  /** Nobody else may accept it. */
  readonly to: Address;
  /** Paid to the owner when it is accepted; 0 for a gift. */
  readonly price: Amount;
  /** The first moment at which it can no longer be accepted. */
  readonly expiresAt: Millis;
}

/** What an owner says of a device. `recovered` alone is for anybody to say, when the delay of a recovery is over. */
export const MARKS = ['stolen', 'found', 'retired', 'recovered'] as const;
export type Mark = (typeof MARKS)[number];

/** Asks for a device whose owner has lost every key. Whoever sends it becomes the owner after the delay. */
export interface RecoveryClaim {
  readonly device: Address;
  readonly claimKey: PublicKey;
  readonly index: number;
  readonly path: readonly Hash[];
  /** By the claim key over `recoverySigningBytes`: whoever asks has the voucher. */
  readonly voucher: Uint8Array;
  /** By the device key over the same: whoever asks has the device in hand, and it agreed (a button was pressed). */
  readonly presence: Uint8Array;
}

/** What the maker's attestation key signs for a batch: domain ‖ 0x00 ‖ chain ‖ maker ‖ 1 ‖ root ‖ count ‖ model. */
export function attestationSigningBytes(
  chain: Hash,
  maker: Address,
  batch: { readonly root: Hash; readonly count: number; readonly model: Hash },
): Uint8Array {
  return attestation(chain, maker, 1).raw(batch.root).u32(batch.count).raw(batch.model).finish();
}

/** What one attestation key signs for the next: domain ‖ 0x00 ‖ chain ‖ maker ‖ 2 ‖ key. */
export function attestationKeySigningBytes(chain: Hash, maker: Address, key: PublicKey): Uint8Array {
  const writer = attestation(chain, maker, 2);
  writePublicKey(writer, key);
  return writer.finish();
}

function attestation(chain: Hash, maker: Address, about: number): Writer {
  return new Writer(192).raw(utf8Encode(SIGNATURE_DOMAINS.attestation)).u8(0).raw(chain).raw(maker).u8(about);
}

/**
 * What claim key and device sign for a recovery: domain ‖ 0x00 ‖ chain ‖ device ‖ who asks ‖ transfers. The count of transfers
 * makes what was signed under one owner worthless under the next.
 */
export function recoverySigningBytes(
  chain: Hash,
  o: { readonly device: Address; readonly claimant: Address; readonly transfers: number },
): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.recovery),
    Uint8Array.of(0),
    chain,
    new Writer(72).raw(o.device).raw(o.claimant).u32(o.transfers).finish(),
  );
}

/** How an owner became one. */
export const OWNERSHIP_CHANGES = ['claimed', 'transferred', 'recovered'] as const;
export type OwnershipChange = (typeof OWNERSHIP_CHANGES)[number];

/**
 * The next link of a device's history of owners: hash (tag `ownership`) of the link before (zeros before the first) ‖ transfers u32
 * ‖ how u8 ‖ owner ‖ time u53. The record holds the last link, so a list of owners that anybody shows can be checked.
 */
export function ownershipLink(
  before: Hash,
  o: {
    readonly transfers: number;
    readonly how: OwnershipChange;
    readonly owner: Address;
    readonly at: Millis;
  },
): Hash {
  const { transfers, how, owner, at } = o;
  const writer = new Writer(80).raw(before).u32(transfers).u8(OWNERSHIP_CHANGES.indexOf(how));
  return hashTagged('ownership', writer.raw(owner).u53(at).finish());
}

export function writeModel(writer: Writer, model: Model): void {
  const { hash, name, actions, levelMax, colour } = model;
  writer.fixed(hash, HASH_BYTES).text(name).u16(actions).u8(levelMax);
  writer.bool(colour !== undefined);
  if (colour !== undefined) writeColour(writer, colour);
}

export function readModel(reader: Reader): Model {
  const model = {
    hash: readHash(reader),
    name: reader.text(LIMITS.textBytesMax),
    actions: reader.u16(),
    levelMax: reader.u8(),
  };
  return reader.bool() ? { ...model, colour: readColour(reader) } : model;
}

export const DEVICE_LIFE_CODECS: BodyCodecs<DeviceLifeBody> = {
  'register-model': {
    write: (writer, { model }) => writeModel(writer, model),
    read: (reader) => ({ kind: 'register-model', model: readModel(reader) }),
  },
  'set-attestation': {
    write: (writer, { key, proof }) => {
      writePublicKey(writer, key);
      writer.fixed(proof, SIGNATURE_BYTES);
    },
    read: (reader) => ({
      kind: 'set-attestation',
      key: readPublicKey(reader),
      proof: reader.fixed(SIGNATURE_BYTES).slice(),
    }),
  },
  'offer-device': {
    write: (writer, { device, to, price, expiresAt }) =>
      writer.fixed(device, HASH_BYTES).fixed(to, HASH_BYTES).u64(price).u53(expiresAt),
    read: (reader) => ({
      kind: 'offer-device',
      device: readAddress(reader),
      to: readAddress(reader),
      price: amount(reader.u64()),
      expiresAt: millis(reader.u53()),
    }),
  },
  'accept-device': {
    write: (writer, { device, price, transfers }) =>
      writer.fixed(device, HASH_BYTES).u64(price).u32(transfers),
    read: (reader) => ({
      kind: 'accept-device',
      device: readAddress(reader),
      price: amount(reader.u64()),
      transfers: reader.u32(),
    }),
  },
  'withdraw-device': {
    write: (writer, { device }) => writer.fixed(device, HASH_BYTES),
    read: (reader) => ({ kind: 'withdraw-device', device: readAddress(reader) }),
  },
  'mark-device': {
    write: (writer, { device, mark }) => writer.fixed(device, HASH_BYTES).u8(MARKS.indexOf(mark)),
    read: (reader) => ({ kind: 'mark-device', device: readAddress(reader), mark: readMark(reader) }),
  },
  'recover-device': {
    write: (writer, { recovery }) => {
      writer.fixed(recovery.device, HASH_BYTES);
      writePublicKey(writer, recovery.claimKey);
      writer
        .u32(recovery.index)
        .list(recovery.path, (w, hash) => w.fixed(hash, HASH_BYTES))
        .fixed(recovery.voucher, SIGNATURE_BYTES)
        .fixed(recovery.presence, SIGNATURE_BYTES);
    },
    read: (reader) => ({
      kind: 'recover-device',
      recovery: {
        device: readAddress(reader),
        claimKey: readPublicKey(reader),
        index: reader.u32(),
        path: reader.list(LIMITS.merklePathMax, readHash),
        voucher: reader.fixed(SIGNATURE_BYTES).slice(),
        presence: reader.fixed(SIGNATURE_BYTES).slice(),
      },
    }),
  },
  'set-device-recovery': {
    write: (writer, { device, delay }) => writer.fixed(device, HASH_BYTES).u53(delay),
    read: (reader) => ({
      kind: 'set-device-recovery',
      device: readAddress(reader),
      delay: reader.u53(),
    }),
  },
};

function readMark(reader: Reader): Mark {
  const code = reader.u8();
  return (
    MARKS[code] ??
    reader.refuse('decode.unknown-kind', `expected a mark from 0 to ${MARKS.length - 1}, got ${code}`)
  );
}
