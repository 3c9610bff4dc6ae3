/** Blocks, their headers and commit certificates (spec WIRE-4, PBFT-2). */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import type { Result } from '../bytes/result.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS, type SignatureDomain } from '../crypto/signature.ts';
import { epoch, height, millis, view, type Epoch, type Height, type Millis, type View } from './ids.ts';
import { LIMITS } from './limits.ts';
import { readHash } from './fields.ts';

export const HEADER_VERSION = 1;

/** Bits of `Header.flags`; others are refused. */
export const HEADER_FLAGS = {
  /** The last block of its epoch: the next one belongs to the validators of `nextValidatorsHash`. */
  closes: 1,
} as const;

/** Neither view nor certificate is part of it: a re-proposal in a later view keeps its hash. */
export interface Header {
  readonly version: number;
  /** OR of `HEADER_FLAGS`. */
  readonly flags: number;
  readonly epoch: Epoch;
  readonly height: Height;
  /** Proposer's clock; strictly greater than the parent's. */
  readonly time: Millis;
  /** Hash of the header below; the genesis hash at height 1. */
  readonly parentHash: Hash;
  /** Over the transaction ids in order, see `transactionsRoot`. */
  readonly txRoot: Hash;
  /** State root after executing the block `pipelineDepth` heights below; the genesis state root up to there. */
  readonly stateRoot: Hash;
  /** Merkle mountain range over the hashes of all headers below this one, heights 1 … height − 1. */
  readonly historyRoot: Hash;
  readonly validatorsHash: Hash;
  /** Of the next epoch's set in a block that closes an epoch, which may be the same set; else equal to `validatorsHash`. */
  readonly nextValidatorsHash: Hash;
}

export interface Block {
  readonly header: Header;
  /** Encoded transactions: kept as bytes, so that bodies are stored, hashed and sent without encoding again. */
  readonly transactions: readonly Uint8Array[];
}

/** Commit votes of one view by at least quorum weight. Stored beside the header; each replica may hold another subset. */
export interface Certificate {
  readonly epoch: Epoch;
  readonly view: View;
  readonly height: Height;
  readonly hash: Hash;
  /** Over the epoch's validators, see `bitmapOf`. */
  readonly signers: Uint8Array;
  /** One per signer, ascending by validator index. */
  readonly signatures: readonly Uint8Array[];
}

export function writeHeader(writer: Writer, header: Header): void {
  writer
    .u16(header.version)
    .u8(header.flags)
    .u32(header.epoch)
    .u53(header.height)
    .u53(header.time)
    .fixed(header.parentHash, HASH_BYTES)
    .fixed(header.txRoot, HASH_BYTES)
    .fixed(header.stateRoot, HASH_BYTES)
    .fixed(header.historyRoot, HASH_BYTES)
    .fixed(header.validatorsHash, HASH_BYTES)
    .fixed(header.nextValidatorsHash, HASH_BYTES);
}

export function readHeader(reader: Reader): Header {
  const version = reader.u16();
  if (version !== HEADER_VERSION)
    reader.refuse('decode.unknown-kind', `expected header version ${HEADER_VERSION}, got ${version}`);
  const flags = reader.u8();
  if ((flags & ~HEADER_FLAGS.closes) !== 0)
    reader.refuse('decode.out-of-range', `expected known flags, got ${flags}`);
  return {
    version,
    flags,
    epoch: epoch(reader.u32()),
    height: height(reader.u53()),
    time: millis(reader.u53()),
    parentHash: readHash(reader),
    txRoot: readHash(reader),
    stateRoot: readHash(reader),
    historyRoot: readHash(reader),
    validatorsHash: readHash(reader),
    nextValidatorsHash: readHash(reader),
  };
}

export function encodeHeader(header: Header): Uint8Array {
  const writer = new Writer(256);
  writeHeader(writer, header);
  return writer.finish();
}

/** Whether the header's block is the last of its epoch. */
export function closesEpoch(header: Header): boolean {
  return (header.flags & HEADER_FLAGS.closes) !== 0;
}

export function headerHash(header: Header): Hash {
  return hashTagged('header', encodeHeader(header));
}

/**
 * `txRoot` of a header: commits the number of transactions besides their Merkle root, so that a proof of
 * inclusion has one shape only.
 */
export function transactionsRoot(ids: readonly Hash[]): Hash {
  return transactionsRootOf(ids.length, merkleRoot(ids));
}

/** The same from a Merkle root found through a path. */
export function transactionsRootOf(count: number, root: Hash): Hash {
  return hashTagged('transactions', new Writer(4).u32(count).finish(), root);
}

export function encodeBlock(block: Block): Uint8Array {
  const writer = new Writer(1024);
  writeHeader(writer, block.header);
  writer.list(block.transactions, (w, tx) => w.bytes(tx));
  return writer.finish();
}

export function readBlock(reader: Reader): Block {
  return {
    header: readHeader(reader),
    transactions: reader.list(LIMITS.blockTransactionsMax, (r) =>
      r.bytes(LIMITS.transactionBytesMax).slice(),
    ),
  };
}

export function decodeBlock(bytes: Uint8Array): Result<Block, DecodeCode> {
  return decode(readBlock, bytes);
}

export function writeCertificate(writer: Writer, certificate: Certificate): void {
  writer
    .u32(certificate.epoch)
    .u53(certificate.view)
    .u53(certificate.height)
    .fixed(certificate.hash, HASH_BYTES)
    .bytes(certificate.signers)
    .list(certificate.signatures, (w, signature) => w.fixed(signature, SIGNATURE_BYTES));
}

export function readCertificate(reader: Reader): Certificate {
  return {
    epoch: epoch(reader.u32()),
    view: view(reader.u53()),
    height: height(reader.u53()),
    hash: readHash(reader),
    signers: reader.bytes(Math.ceil(LIMITS.validatorsMax / 8)).slice(),
    signatures: reader.list(LIMITS.validatorsMax, (r) => r.fixed(SIGNATURE_BYTES).slice()),
  };
}

export function encodeCertificate(certificate: Certificate): Uint8Array {
  const writer = new Writer(512);
  writeCertificate(writer, certificate);
  return writer.finish();
}

export function decodeCertificate(bytes: Uint8Array): Result<Certificate, DecodeCode> {
  return decode(readCertificate, bytes);
}

/** What a replica signs for one vote: domain ‖ 0x00 ‖ chain ‖ epoch ‖ view ‖ height ‖ block hash. */
export function voteSigningBytes(
  type: Extract<SignatureDomain, 'prePrepare' | 'prepare' | 'commit'>,
  vote: {
    readonly chain: Hash;
    readonly epoch: Epoch;
    readonly view: View;
    readonly height: Height;
    readonly hash: Hash;
  },
): Uint8Array {
  return new Writer(128)
    .raw(utf8Encode(SIGNATURE_DOMAINS[type]))
    .u8(0)
    .fixed(vote.chain, HASH_BYTES)
    .u32(vote.epoch)
    .u53(vote.view)
    .u53(vote.height)
    .fixed(vote.hash, HASH_BYTES)
    .finish();
}
