/**
 * Device vouchers: what a maker puts into the box, usually as a QR code. Whoever holds the text can claim the
 * device, once, so it is a secret until then (spec CLIENT-1).
 */
import { equalBytes, concatBytes } from '@itc/core/bytes/hex.js';
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree, verifyMerklePath } from '@itc/core/crypto/merkle.js';
import { readPublicKey, writePublicKey, type PublicKey } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { batchId, batchLeaf, readHash, type DeviceBatch } from '@itc/core/ledger/transaction.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { seedSigner, SEED_BYTES } from './keys.ts';

export interface Voucher {
  readonly batch: Hash;
  readonly device: PublicKey;
  /** Ed25519 seed of the claim key. */
  readonly claimSeed: Uint8Array;
  readonly index: number;
  readonly path: readonly Hash[];
}

export const VOUCHER_PREFIX = 'itc-voucher:';

const VERSION = 1;
const CHECKSUM_BYTES = 4;
/** Version, batch, device key, seed, index, path count, path, checksum. */
const VOUCHER_BYTES_MAX =
  1 + HASH_BYTES + 33 + SEED_BYTES + 4 + 2 + LIMITS.merklePathMax * HASH_BYTES + CHECKSUM_BYTES;

export function formatVoucher(voucher: Voucher): string {
  const writer = new Writer(512).u8(VERSION).fixed(voucher.batch, HASH_BYTES);
  writePublicKey(writer, voucher.device);
  const body = writer
    .fixed(voucher.claimSeed, SEED_BYTES)
    .u32(voucher.index)
    .list(voucher.path, (w, hash) => w.fixed(hash, HASH_BYTES))
    .finish();
  return VOUCHER_PREFIX + toBase64Url(concatBytes(body, checksum(body)));
}

/** Spaces around it are forgiven, nothing else is: what is accepted formats to the same text. */
export function parseVoucher(text: string): Result<Voucher, 'voucher.malformed' | 'voucher.checksum'> {
  const trimmed = text.trim();
  if (!trimmed.startsWith(VOUCHER_PREFIX))
    return refused('voucher.malformed', `expected a text beginning with ${VOUCHER_PREFIX}`);
  const encoded = trimmed.slice(VOUCHER_PREFIX.length);
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
  const voucher = decode(readVoucher, body);
  return voucher.ok ? voucher : refused('voucher.malformed', voucher.message);
}

function readVoucher(reader: Reader): Voucher {
  const version = reader.u8();
  if (version !== VERSION)
    reader.refuse('decode.unknown-kind', `expected voucher version ${VERSION}, got ${version}`);
  return {
    batch: readHash(reader),
    device: readPublicKey(reader),
    claimSeed: reader.fixed(SEED_BYTES).slice(),
    index: reader.u32(),
    path: reader.list(LIMITS.merklePathMax, readHash),
  };
}

/** Catches slips of the hand; against forgery the batch's root stands. */
function checksum(body: Uint8Array): Uint8Array {
  return sha256(concatBytes(utf8Encode('ITC1:voucher'), Uint8Array.of(0), body)).subarray(0, CHECKSUM_BYTES);
}

export interface BatchOptions {
  /** The account that will register it. */
  readonly maker: Address;
  /** In the order of their indices. */
  readonly devices: readonly PublicKey[];
  /** Hash of the product's Thing Model. */
  readonly model: Hash;
  readonly depositPerDevice: Amount;
  /** Bytes that nobody can guess: each seed is the only secret of a voucher. */
  readonly random: (length: number) => Uint8Array;
}

export interface BuiltBatch {
  readonly id: Hash;
  /** To be registered. */
  readonly batch: DeviceBatch;
  /** One per device, to be printed and then forgotten. */
  readonly vouchers: readonly Voucher[];
}

/** The list must not be empty; two devices of one key would leave one of them without an owner, and are asserted. */
export function buildBatch(o: BatchOptions): BuiltBatch {
  if (o.devices.length === 0) throw new RangeError('a batch has at least one device');
  const texts = new Set(o.devices.map((key) => key.bytes.join()));
  if (texts.size !== o.devices.length) throw new RangeError('a device key is in the batch twice');
  const seeds = o.devices.map(() => o.random(SEED_BYTES).slice());
  const tree = new MerkleTree(
    o.devices.map((device, i) => batchLeaf(device, seedSigner(seeds[i] as Uint8Array).publicKey)),
  );
  const id = batchId(o.maker, tree.root);
  const vouchers = o.devices.map((device, index) => ({
    batch: id,
    device,
    claimSeed: seeds[index] as Uint8Array,
    index,
    path: tree.path(index),
  }));
  const batch = {
    root: tree.root,
    count: o.devices.length,
    model: o.model,
    depositPerDevice: o.depositPerDevice,
  };
  return { id, batch, vouchers };
}

/** Whether a voucher belongs to a batch registered under this root, before anything is sent. */
export function voucherFits(
  voucher: Voucher,
  batch: { readonly root: Hash; readonly count: number },
): boolean {
  const leaf = batchLeaf(voucher.device, seedSigner(voucher.claimSeed).publicKey);
  return verifyMerklePath({
    root: batch.root,
    leaf,
    index: voucher.index,
    count: batch.count,
    path: voucher.path,
  });
}
