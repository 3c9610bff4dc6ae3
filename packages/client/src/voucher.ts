/**
 * Device vouchers: what a maker puts into the box, usually as a QR code. Whoever holds the text can claim the
 * device, once, so it is a secret until then (spec CLIENT-1).
 */
import { equalBytes, concatBytes } from '@itc/core/bytes/hex.js';
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree, verifyMerklePath } from '@itc/core/crypto/merkle.js';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  writePublicKey,
  type PublicKey,
} from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  batchId,
  batchLeaf,
  endorsementSigningBytes,
  type DeviceBatch,
} from '@itc/core/ledger/bodies/device.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { seedSigner, SEED_BYTES } from './keys.ts';
import { claimSeedOf, CODE_SECRET_BYTES, formatManualCode } from './manual-code.ts';

/** Where a device stands in the batch of its maker. */
export interface BatchPlace {
  readonly batch: Hash;
  readonly device: PublicKey;
  readonly index: number;
  readonly path: readonly Hash[];
  /** By the device: this claim key is its own (STATE-5.6). */
  readonly endorsement: Uint8Array;
}

export interface Voucher extends BatchPlace {
  /** Ed25519 seed of the claim key. */
  readonly claimSeed: Uint8Array;
}

export const VOUCHER_PREFIX = 'itc-voucher:';

/** Version 1 had no endorsement; such a voucher could not be claimed any more. */
const VERSION = 2;
const CHECKSUM_BYTES = 4;
/** Version, batch, device key, seed, index, path count, path, endorsement, checksum. */
const VOUCHER_BYTES_MAX =
  1 +
  HASH_BYTES +
  33 +
  SEED_BYTES +
  4 +
  2 +
  LIMITS.merklePathMax * HASH_BYTES +
  SIGNATURE_BYTES +
  CHECKSUM_BYTES;

export function formatVoucher(voucher: Voucher): string {
  const writer = new Writer(512).u8(VERSION).fixed(voucher.batch, HASH_BYTES);
  writePublicKey(writer, voucher.device);
  const body = writer
    .fixed(voucher.claimSeed, SEED_BYTES)
    .u32(voucher.index)
    .list(voucher.path, (w, hash) => w.fixed(hash, HASH_BYTES))
    .fixed(voucher.endorsement, SIGNATURE_BYTES)
    .finish();
  return VOUCHER_PREFIX + toBase64Url(concatBytes(body, checksum(body)));
}

/** Spaces around it are forgiven, nothing else is: what is accepted formats to the same text. */
export function parseVoucher(text: string): Result<Voucher, 'voucher.malformed' | 'voucher.checksum'> {
  return parseText(text, VOUCHER_PREFIX, readVoucher);
}

function parseText<T>(
  text: string,
  prefix: string,
  read: (reader: Reader) => T,
): Result<T, 'voucher.malformed' | 'voucher.checksum'> {
  const trimmed = text.trim();
  if (!trimmed.startsWith(prefix))
    return refused('voucher.malformed', `expected a text beginning with ${prefix}`);
  const encoded = trimmed.slice(prefix.length);
  if (encoded.length > Math.ceil((VOUCHER_BYTES_MAX * 8) / 6))
    return refused('voucher.malformed', 'the text is too long');
  const bytes = fromBase64Url(encoded);
  if (!bytes.ok) return refused('voucher.malformed', bytes.message);
  const body = bytes.value.subarray(0, -CHECKSUM_BYTES);
  if (
    bytes.value.length <= CHECKSUM_BYTES ||
    !equalBytes(checksum(body), bytes.value.subarray(-CHECKSUM_BYTES))
  ) {
    return refused('voucher.checksum', 'a character is wrong or missing: scan or type it again');
  }
  const parsed = decode(read, body);
  return parsed.ok ? parsed : refused('voucher.malformed', parsed.message);
}

function readVersion(reader: Reader, expected: number): void {
  const version = reader.u8();
  if (version !== expected)
    reader.refuse('decode.unknown-kind', `expected version ${expected}, got ${version}`);
}

function readVoucher(reader: Reader): Voucher {
  readVersion(reader, VERSION);
  return {
    batch: readHash(reader),
    device: readPublicKey(reader),
    claimSeed: reader.fixed(SEED_BYTES).slice(),
    index: reader.u32(),
    path: reader.list(LIMITS.merklePathMax, readHash),
    endorsement: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

/**
 * What a maker says of one device, with nothing in it that claims it: for shops, wallets and the device itself. With the batch's
 * record it proves that the device is the maker's; with the manual code it makes a voucher.
 */
export interface BirthCertificate extends BatchPlace {
  readonly claimKey: PublicKey;
}

export const BIRTH_PREFIX = 'itc-birth:';
const BIRTH_VERSION = 1;

export function birthOf(voucher: Voucher): BirthCertificate {
  const { claimSeed, ...rest } = voucher;
  return { ...rest, claimKey: seedSigner(claimSeed).publicKey };
}

/** The voucher that a seed makes of a birth certificate; undefined when it is not the seed of this claim key. */
export function voucherOf(birth: BirthCertificate, claimSeed: Uint8Array): Voucher | undefined {
  const { claimKey, ...rest } = birth;
  return equalBytes(seedSigner(claimSeed).publicKey.bytes, claimKey.bytes)
    ? { ...rest, claimSeed }
    : undefined;
}

export function formatBirth(birth: BirthCertificate): string {
  const writer = new Writer(512).u8(BIRTH_VERSION).fixed(birth.batch, HASH_BYTES);
  writePublicKey(writer, birth.device);
  writePublicKey(writer, birth.claimKey);
  const body = writer
    .u32(birth.index)
    .list(birth.path, (w, hash) => w.fixed(hash, HASH_BYTES))
    .fixed(birth.endorsement, SIGNATURE_BYTES)
    .finish();
  return BIRTH_PREFIX + toBase64Url(concatBytes(body, checksum(body)));
}

/** As strict as `parseVoucher`. */
export function parseBirth(text: string): Result<BirthCertificate, 'voucher.malformed' | 'voucher.checksum'> {
  return parseText(text, BIRTH_PREFIX, readBirth);
}

function readBirth(reader: Reader): BirthCertificate {
  readVersion(reader, BIRTH_VERSION);
  return {
    batch: readHash(reader),
    device: readPublicKey(reader),
    claimKey: readPublicKey(reader),
    index: reader.u32(),
    path: reader.list(LIMITS.merklePathMax, readHash),
    endorsement: reader.fixed(SIGNATURE_BYTES).slice(),
  };
}

/** Catches slips of the hand; against forgery the batch's root stands. */
function checksum(body: Uint8Array): Uint8Array {
  return sha256(concatBytes(utf8Encode('ITC1:voucher'), Uint8Array.of(0), body)).subarray(0, CHECKSUM_BYTES);
}

/** A device in the factory, or what speaks for its key there. */
export interface Newborn {
  readonly key: PublicKey;
  /** Its signature, 64 bytes, over exactly these bytes: `endorsementSigningBytes` of its claim key. */
  endorse(bytes: Uint8Array): Promise<Uint8Array> | Uint8Array;
}

export interface BatchOptions {
  /** The account that will register it. */
  readonly maker: Address;
  /** In the order of their indices. */
  readonly devices: readonly Newborn[];
  /** Hash of the product's Thing Model. */
  readonly model: Hash;
  readonly depositPerDevice: Amount;
  /** Bytes that nobody can guess: ten for each device are all the secret there is of its voucher. */
  readonly random: (length: number) => Uint8Array;
}

export interface BuiltBatch {
  readonly id: Hash;
  /** To be registered. */
  readonly batch: DeviceBatch;
  /** One per device, to be printed and then forgotten. */
  readonly vouchers: readonly Voucher[];
  /** The same secrets to be typed; see `manual-code.ts`. */
  readonly codes: readonly string[];
}

/**
 * The list must not be empty; two devices of one key would leave one of them without an owner, and are asserted.
 * Rejects with `claim.endorsement` when a device signs with another key than its own: nobody could claim it.
 */
export async function buildBatch(o: BatchOptions): Promise<BuiltBatch> {
  if (o.devices.length === 0) throw new RangeError('a batch has at least one device');
  const texts = new Set(o.devices.map(({ key }) => key.bytes.join()));
  if (texts.size !== o.devices.length) throw new RangeError('a device key is in the batch twice');
  const secrets = o.devices.map(() => o.random(CODE_SECRET_BYTES).slice());
  const seeds = o.devices.map(({ key }, i) => claimSeedOf(key, secrets[i] as Uint8Array));
  const claimKeys = seeds.map((seed) => seedSigner(seed).publicKey);
  const tree = new MerkleTree(o.devices.map(({ key }, i) => batchLeaf(key, claimKeys[i] as PublicKey)));
  const id = batchId(o.maker, tree.root);
  const vouchers: Voucher[] = [];
  for (const [index, device] of o.devices.entries()) {
    vouchers.push({
      batch: id,
      device: device.key,
      claimSeed: seeds[index] as Uint8Array,
      index,
      path: tree.path(index),
      endorsement: await endorsementOf(device, claimKeys[index] as PublicKey),
    });
  }
  const batch = {
    root: tree.root,
    count: o.devices.length,
    model: o.model,
    depositPerDevice: o.depositPerDevice,
  };
  const codes = o.devices.map(({ key }, i) => formatManualCode(key, secrets[i] as Uint8Array));
  return { id, batch, vouchers, codes };
}

async function endorsementOf(device: Newborn, claimKey: PublicKey): Promise<Uint8Array> {
  const bytes = endorsementSigningBytes(device.key, claimKey);
  const endorsement = (await device.endorse(bytes)).slice();
  if (verifySignature(device.key, bytes, endorsement)) return endorsement;
  throw new LedgerError('claim.endorsement', 'a device of the batch signs with another key than its own', {
    device: formatAddress(addressOf(device.key)),
  });
}

/** Whether a device is the one a batch has at this place, and has endorsed this claim key. */
export function isGenuineBirth(
  { device, claimKey, index, path, endorsement }: BirthCertificate,
  { root, count }: { readonly root: Hash; readonly count: number },
): boolean {
  return (
    verifyMerklePath({ root, leaf: batchLeaf(device, claimKey), index, count, path }) &&
    verifySignature(device, endorsementSigningBytes(device, claimKey), endorsement)
  );
}

/** Whether a claim by this voucher would be accepted from a batch of this root, as far as can be told before it is sent. */
export function voucherFits(
  voucher: Voucher,
  batch: { readonly root: Hash; readonly count: number },
): boolean {
  return isGenuineBirth(birthOf(voucher), batch);
}
