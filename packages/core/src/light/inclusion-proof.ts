/**
 * That a transaction is in a certified block (spec LIGHT-8): what a client needs to see finality for itself. What became
 * of the transaction there is for the state to show: headers commit no receipts.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { MerkleTree, merkleLeaf, merkleRootFromPath } from '../crypto/merkle.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { transactionsRootOf } from '../ledger/block.ts';
import type { Epoch, Height, Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readHash } from '../ledger/fields.ts';
import type { SignedWeight } from './certificate.ts';
import type { Conflict, Trust } from './trust.ts';
import {
  verifyCertified,
  type LinkCheck,
  type LinkedHeader,
  readLinkedHeader,
  writeLinkedHeader,
} from './certified.ts';

export interface InclusionProof extends LinkedHeader {
  /** Position among the block's transactions. */
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
}

export type InclusionCheck = 'format' | LinkCheck | 'transaction';

export type InclusionVerdict =
  | ({
      readonly valid: true;
      readonly height: Height;
      /** Of the block. */
      readonly time: Millis;
      readonly hash: Hash;
      readonly epoch: Epoch;
      readonly index: number;
      /** Further along: at the block's header. */
      readonly trust: Trust;
    } & SignedWeight)
  | {
      readonly valid: false;
      readonly check: InclusionCheck;
      readonly reason: string;
      readonly conflict?: Conflict;
    };

/** Valid only if a quorum of the epoch's validators, reached from the trusted ones, certified a block that holds it. */
export function verifyInclusion(o: {
  readonly trust: Trust;
  /** Id of the transaction. */
  readonly id: Hash;
  readonly proof: InclusionProof;
  readonly verify: SignatureVerifier;
}): InclusionVerdict {
  const { id, proof } = o;
  const { header, index, count, path } = proof;
  // Hashes before signatures: a path that leads elsewhere costs little.
  const root = merkleRootFromPath({ leafHash: merkleLeaf(id), index, count, path });
  if (root === undefined || !equalBytes(transactionsRootOf(count, root), header.txRoot)) {
    return {
      valid: false,
      check: 'transaction',
      reason: 'the path of the transaction does not lead to the root in the header',
    };
  }
  const certified = verifyCertified(o.trust, proof, o.verify);
  if (!certified.ok) {
    const { code, message, conflict } = certified;
    return { valid: false, check: code, reason: message, ...(conflict && { conflict }) };
  }
  const { trust, signed } = certified.value;
  const { height, time, epoch } = header;
  return { valid: true, height, time, hash: proof.certificate.hash, epoch, index, trust, ...signed };
}

/** The same from the encoded document. */
export function verifyInclusionBytes(o: {
  readonly trust: Trust;
  readonly id: Hash;
  readonly bytes: Uint8Array;
  readonly verify: SignatureVerifier;
}): InclusionVerdict {
  const proof = decodeInclusionProof(o.bytes);
  if (!proof.ok) return { valid: false, check: 'format', reason: proof.message };
  return verifyInclusion({ trust: o.trust, id: o.id, proof: proof.value, verify: o.verify });
}

/** The prover's side: `ids` are those of all transactions of the block, in its order. */
export function proveInclusion(
  o: LinkedHeader & { readonly ids: readonly Hash[]; readonly index: number },
): InclusionProof {
  const { hops, header, certificate, ids, index } = o;
  if (ids[index] === undefined) throw new RangeError(`the block has no transaction ${index}`);
  return { hops, header, certificate, index, count: ids.length, path: new MerkleTree(ids).path(index) };
}

const VERSION = 1;

export function encodeInclusionProof(proof: InclusionProof): Uint8Array {
  const writer = new Writer(2048).u8(VERSION);
  writeLinkedHeader(writer, proof);
  return writer
    .u32(proof.index)
    .u32(proof.count)
    .list(proof.path, (w, hash) => w.fixed(hash, HASH_BYTES))
    .finish();
}

export function decodeInclusionProof(bytes: Uint8Array): Result<InclusionProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    return {
      ...readLinkedHeader(reader),
      index: reader.u32(),
      count: reader.u32(),
      path: reader.list(LIMITS.merklePathMax, readHash),
    };
  }, bytes);
}
