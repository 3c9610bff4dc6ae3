/** Transactions: a signed intent of one account, in one of its nonce lanes (spec STATE-2, WIRE-3). */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { concatBytes } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../crypto/signature.ts';
import { asAddress, type Address } from './address.ts';
import {
  readCheckpointCertificate,
  writeCheckpointCertificate,
  type CheckpointCertificate,
} from './checkpoint.ts';
import { readWithdrawal, writeWithdrawal, type Withdrawal } from './escrow.ts';
import { readEvidence, writeEvidence, type Evidence } from './evidence.ts';
import { amount, millis, type Amount, type Height, height, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from './validators.ts';

export interface Transaction {
  /** The signer's key; its address is the account that acts and pays. */
  readonly key: PublicKey;
  readonly lane: number;
  /** The next one of its lane, from 0. */
  readonly nonce: number;
  readonly fee: Amount;
  /** Last height at which it may be executed. */
  readonly validUntil: Height;
  readonly body: Body;
  readonly signature: Uint8Array;
}

export type UnsignedTransaction = Omit<Transaction, 'signature'>;

export type Body =
  | { readonly kind: 'transfer'; readonly to: Address; readonly amount: Amount }
  | { readonly kind: 'register-maker'; readonly name: string }
  | { readonly kind: 'register-batch'; readonly batch: DeviceBatch }
  | { readonly kind: 'claim'; readonly claim: Claim }
  | { readonly kind: 'grant'; readonly grant: Grant }
  | { readonly kind: 'revoke'; readonly device: Address; readonly subject: Address }
  | {
      readonly kind: 'create-subnet';
      readonly name: string;
      readonly members: ValidatorSet;
      readonly powBits: number;
    }
  | { readonly kind: 'checkpoint'; readonly certificate: CheckpointCertificate }
  | {
      readonly kind: 'bond';
      /** Signs votes once weight is granted; stays the same as long as the bond does. */
      readonly key: PublicKey;
      readonly amount: Amount;
      /** By that key over `possessionSigningBytes`. */
      readonly possession: Uint8Array;
    }
  | { readonly kind: 'unbond'; readonly amount: Amount }
  | {
      readonly kind: 'weight-vote';
      /** Account that holds the bond. */
      readonly validator: Address;
      /** u32; 0 removes. */
      readonly weight: number;
    }
  | { readonly kind: 'evidence'; readonly evidence: Evidence }
  | { readonly kind: 'restart' }
  /** 1 to `transferOutputsMax`, all or none. */
  | { readonly kind: 'transfers'; readonly outputs: readonly TransferOutput[] }
  /** From the sender's balance into the subnet, for an address inside. */
  | { readonly kind: 'deposit'; readonly subnet: Hash; readonly to: Address; readonly amount: Amount }
  /** Fetches what left the subnet with a checkpoint. Anyone may send it: the receiver is in the leaf. */
  | {
      readonly kind: 'withdraw';
      readonly subnet: Hash;
      /** Sequence of the checkpoint. */
      readonly checkpoint: number;
      readonly withdrawal: Withdrawal;
      /** From `withdrawalLeaf` to the checkpoint's withdrawal root. */
      readonly path: readonly Hash[];
    };

export type BodyKind = Body['kind'];

/** In the order of their codes on the wire, from 1. */
export const KINDS: readonly BodyKind[] = [
  'transfer',
  'register-maker',
  'register-batch',
  'claim',
  'grant',
  'revoke',
  'create-subnet',
  'checkpoint',
  'bond',
  'unbond',
  'weight-vote',
  'evidence',
  'restart',
  'transfers',
  'deposit',
  'withdraw',
];

export interface TransferOutput {
  readonly to: Address;
  readonly amount: Amount;
}

export interface DeviceBatch {
  /** Merkle root over the batch's leaves, see `batchLeaf`. */
  readonly root: Hash;
  readonly count: number;
  /** Hash of the product's Thing Model. */
  readonly model: Hash;
  /** The built-in ITC each device brings to its first owner's account; taken from the maker for the whole batch. */
  readonly depositPerDevice: Amount;
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

/** Bits of `Grant.actions`. */
export const ACTIONS = { onOff: 1, level: 2, colour: 4, read: 8 } as const;
export const ACTIONS_ALL = 15;

/** One per (device, subject); granting again replaces it. */
export interface Grant {
  readonly device: Address;
  readonly subject: Address;
  /** OR of `ACTIONS`. */
  readonly actions: number;
  /** Greatest level the subject may set, 0 to 254. */
  readonly levelMax: number;
  readonly notBefore: Millis;
  readonly expiresAt: Millis;
}

export function writeGrant(writer: Writer, grant: Grant): void {
  writer
    .fixed(grant.device, HASH_BYTES)
    .fixed(grant.subject, HASH_BYTES)
    .u16(grant.actions)
    .u8(grant.levelMax)
    .u53(grant.notBefore)
    .u53(grant.expiresAt);
}

export function readGrant(reader: Reader): Grant {
  return {
    device: readAddress(reader),
    subject: readAddress(reader),
    actions: reader.u16(),
    levelMax: reader.u8(),
    notBefore: millis(reader.u53()),
    expiresAt: millis(reader.u53()),
  };
}

function writeBody(writer: Writer, body: Body): void {
  writer.u8(KINDS.indexOf(body.kind) + 1);
  switch (body.kind) {
    case 'transfer':
      writer.fixed(body.to, HASH_BYTES).u64(body.amount);
      return;
    case 'register-maker':
      writer.text(body.name);
      return;
    case 'register-batch':
      writer
        .fixed(body.batch.root, HASH_BYTES)
        .u32(body.batch.count)
        .fixed(body.batch.model, HASH_BYTES)
        .u64(body.batch.depositPerDevice);
      return;
    case 'claim': {
      const { claim } = body;
      writer.fixed(claim.batch, HASH_BYTES);
      writePublicKey(writer, claim.device);
      writePublicKey(writer, claim.claimKey);
      writer
        .u32(claim.index)
        .list(claim.path, (w, hash) => w.fixed(hash, HASH_BYTES))
        .fixed(claim.endorsement, SIGNATURE_BYTES)
        .fixed(claim.proof, SIGNATURE_BYTES);
      return;
    }
    case 'grant':
      writeGrant(writer, body.grant);
      return;
    case 'revoke':
      writer.fixed(body.device, HASH_BYTES).fixed(body.subject, HASH_BYTES);
      return;
    case 'create-subnet':
      writer.text(body.name);
      writeValidatorSet(writer, body.members);
      writer.u8(body.powBits);
      return;
    case 'checkpoint':
      writeCheckpointCertificate(writer, body.certificate);
      return;
    case 'bond':
      writePublicKey(writer, body.key);
      writer.u64(body.amount).fixed(body.possession, SIGNATURE_BYTES);
      return;
    case 'unbond':
      writer.u64(body.amount);
      return;
    case 'weight-vote':
      writer.fixed(body.validator, HASH_BYTES).u32(body.weight);
      return;
    case 'evidence':
      writeEvidence(writer, body.evidence);
      return;
    case 'restart':
      return;
    case 'transfers':
      writer.list(body.outputs, (w, { to, amount: value }) => w.fixed(to, HASH_BYTES).u64(value));
      return;
    case 'deposit':
      writer.fixed(body.subnet, HASH_BYTES).fixed(body.to, HASH_BYTES).u64(body.amount);
      return;
    case 'withdraw':
      writer.fixed(body.subnet, HASH_BYTES).u53(body.checkpoint);
      writeWithdrawal(writer, body.withdrawal);
      writer.list(body.path, (w, hash) => w.fixed(hash, HASH_BYTES));
      return;
  }
}

function readBody(reader: Reader): Body {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined)
    return reader.refuse('decode.unknown-kind', `expected a transaction kind from 1 to ${KINDS.length}`);
  switch (kind) {
    case 'transfer':
      return { kind, to: asAddress(reader.kept(HASH_BYTES)), amount: amount(reader.u64()) };
    case 'register-maker':
      return { kind, name: reader.text(LIMITS.textBytesMax) };
    case 'register-batch':
      return {
        kind,
        batch: {
          root: readHash(reader),
          count: reader.u32(),
          model: readHash(reader),
          depositPerDevice: amount(reader.u64()),
        },
      };
    case 'claim':
      return {
        kind,
        claim: {
          batch: readHash(reader),
          device: readPublicKey(reader),
          claimKey: readPublicKey(reader),
          index: reader.u32(),
          path: reader.list(LIMITS.merklePathMax, readHash),
          endorsement: reader.fixed(SIGNATURE_BYTES).slice(),
          proof: reader.fixed(SIGNATURE_BYTES).slice(),
        },
      };
    case 'grant':
      return { kind, grant: readGrant(reader) };
    case 'revoke':
      return { kind, device: readAddress(reader), subject: readAddress(reader) };
    case 'create-subnet':
      return {
        kind,
        name: reader.text(LIMITS.textBytesMax),
        members: readValidatorSet(reader),
        powBits: reader.u8(),
      };
    case 'checkpoint':
      return { kind, certificate: readCheckpointCertificate(reader) };
    case 'bond':
      return {
        kind,
        key: readPublicKey(reader),
        amount: amount(reader.u64()),
        possession: reader.fixed(SIGNATURE_BYTES).slice(),
      };
    case 'unbond':
      return { kind, amount: amount(reader.u64()) };
    case 'weight-vote':
      return { kind, validator: readAddress(reader), weight: reader.u32() };
    case 'evidence':
      return { kind, evidence: readEvidence(reader) };
    case 'restart':
      return { kind };
    case 'transfers': {
      const outputs = reader.list(LIMITS.transferOutputsMax, (r) => ({
        to: readAddress(r),
        amount: amount(r.u64()),
      }));
      if (outputs.length === 0) reader.refuse('decode.out-of-range', 'expected at least one receiver');
      return { kind, outputs };
    }
    case 'deposit':
      return { kind, subnet: readHash(reader), to: readAddress(reader), amount: amount(reader.u64()) };
    case 'withdraw':
      return {
        kind,
        subnet: readHash(reader),
        checkpoint: reader.u53(),
        withdrawal: readWithdrawal(reader),
        path: reader.list(LIMITS.merklePathMax, readHash),
      };
  }
}

export function readHash(reader: Reader): Hash {
  return asHash(reader.fixed(HASH_BYTES).slice());
}

export function readAddress(reader: Reader): Address {
  return asAddress(reader.fixed(HASH_BYTES).slice());
}

function writeUnsigned(writer: Writer, tx: UnsignedTransaction): void {
  writePublicKey(writer, tx.key);
  writer.u8(tx.lane).u53(tx.nonce).u64(tx.fee).u53(tx.validUntil);
  writeBody(writer, tx.body);
}

export function encodeTransaction(tx: Transaction): Uint8Array {
  const writer = new Writer(512);
  writeUnsigned(writer, tx);
  writer.fixed(tx.signature, SIGNATURE_BYTES);
  return writer.finish();
}

export function readTransaction(reader: Reader): Transaction {
  const key = readPublicKey(reader, true);
  const lane = reader.u8();
  if (lane >= LIMITS.lanesMax)
    reader.refuse('decode.out-of-range', `expected a lane below ${LIMITS.lanesMax}, got ${lane}`);
  return {
    key,
    lane,
    nonce: reader.u53(),
    fee: amount(reader.u64()),
    validUntil: height(reader.u53()),
    body: readBody(reader),
    signature: reader.kept(SIGNATURE_BYTES),
  };
}

/** `isOwned`: fields may be views into the bytes, see `Reader`. */
export function decodeTransaction(bytes: Uint8Array, isOwned = false): Result<Transaction, DecodeCode> {
  return decode(readTransaction, bytes, isOwned);
}

/** What the sender signs: domain ‖ 0x00 ‖ chain ‖ unsigned transaction. */
export function transactionSigningBytes(chain: Hash, tx: UnsignedTransaction): Uint8Array {
  const writer = new Writer(512);
  writer.raw(utf8Encode(SIGNATURE_DOMAINS.transaction)).u8(0).fixed(chain, HASH_BYTES);
  writeUnsigned(writer, tx);
  return writer.finish();
}

/** The id of a transaction is the hash of all its bytes, signature included: the leaf of a block's `txRoot`. */
export function transactionId(encoded: Uint8Array): Hash {
  return hashTagged('transaction', encoded);
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

export function subnetId(creator: Address, name: string): Hash {
  return hashTagged('subnet', creator, utf8Encode(name));
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

/**
 * What a consensus key signs so that an account may bond it: domain ‖ 0x00 ‖ chain ‖ account. Without it, anyone could
 * bond the key of somebody else, and a proof seen on its way serves no other account.
 */
export function possessionSigningBytes(chain: Hash, account: Address): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.possession), Uint8Array.of(0), chain, account);
}
