/**
 * Many readings under one signature (spec DEVICE-3): the device signs an ordinary payload with the root over them, and
 * each is provable alone by its path. On a chip a signature costs as much as some thousand hashes.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode, type DecodeCode } from '@itc/core/bytes/reader.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree, verifyMerklePath } from '@itc/core/crypto/merkle.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { writeSenmlCbor } from '../2-conversion/senml-cbor.ts';
import type { DeviceSigner } from './device-signer.ts';

/** The name of the SenML record that holds the root. */
export const BATCH_NAME = 'batch';
export const BATCH_READINGS_MAX = 1024;
const PROOF_VERSION = 1;

export interface SignedBatch {
  /** COSE_Sign1, content type senml+cbor. */
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly readings: readonly Uint8Array[];
}

/** Each reading as it was measured, in any form; 1 to `BATCH_READINGS_MAX` of them. */
export function signBatch(o: {
  readonly chain: Hash;
  readonly signer: DeviceSigner;
  readonly sequence: number;
  readonly readings: readonly Uint8Array[];
}): SignedBatch {
  const { chain, signer, sequence, readings } = o;
  if (readings.length < 1 || readings.length > BATCH_READINGS_MAX)
    throw new RangeError(`a batch has 1 to ${BATCH_READINGS_MAX} readings, got ${readings.length}`);
  const { root } = new MerkleTree(readings.map(sha256));
  const vd = new Writer(36).u32(readings.length).fixed(root, HASH_BYTES).finish();
  const unsigned = {
    signer: signer.publicKey,
    device: signer.address,
    sequence,
    contentType: 'senml+cbor',
    content: writeSenmlCbor([{ n: BATCH_NAME, vd }]),
  } as const;
  const payload = encodePayload(unsigned, signer.sign(payloadSigningBytes(chain, unsigned)));
  return { payload, sequence, readings };
}

/** Version u8 = 1 ‖ payload bytes ‖ reading bytes ‖ index u32 ‖ [ path 32 ]. */
export function proveBatchReading(
  batch: Pick<SignedBatch, 'payload' | 'readings'>,
  index: number,
): Uint8Array {
  const path = new MerkleTree(batch.readings.map(sha256)).path(index);
  return new Writer(512)
    .u8(PROOF_VERSION)
    .bytes(batch.payload)
    .bytes(batch.readings[index] as Uint8Array)
    .u32(index)
    .list(path, (w, sibling) => w.fixed(sibling, HASH_BYTES))
    .finish();
}

export interface BatchReading {
  readonly reading: Uint8Array;
  /** Who signed, for which device, with which number. */
  readonly payload: Payload;
  readonly index: number;
  readonly count: number;
}

export type BatchRefusal = DecodeCode | 'payload' | 'batch' | 'path' | 'signature';

/** Whose word it is the caller sees in the payload; that the ledger has it, its proof shows (LIGHT-2, LIGHT-9). */
export function verifyBatchReading(o: {
  readonly chain: Hash;
  readonly proof: Uint8Array;
  readonly verify: SignatureVerifier;
}): Result<BatchReading, BatchRefusal> {
  const read = decode((reader) => {
    if (reader.u8() !== PROOF_VERSION) reader.refuse('decode.unknown-kind', 'not a proof of this version');
    return {
      payload: reader.bytes(LIMITS.payloadBytesMax).slice(),
      reading: reader.bytes(LIMITS.payloadBytesMax).slice(),
      index: reader.u32(),
      path: reader.list(LIMITS.merklePathMax, readHash),
    };
  }, o.proof);
  if (!read.ok) return read;
  const { reading, index, path } = read.value;
  const payload = parsePayload(o.chain, read.value.payload);
  if (!payload.ok) return refused('payload', payload.message);
  const signed = batchRoot(payload.value);
  if (signed === undefined) return refused('batch', 'the payload holds no root of a batch');
  if (!verifyMerklePath({ root: signed.root, leaf: sha256(reading), index, count: signed.count, path }))
    return refused(
      'path',
      `the path does not lead from the reading to the root, as ${index} of ${signed.count}`,
    );
  const { signer, signedBytes, signature } = payload.value;
  if (!o.verify(signer, signedBytes, signature)) return refused('signature', 'the signature does not verify');
  return ok({ reading, payload: payload.value, index, count: signed.count });
}

/** A SenML pack of one record, name and data: `81 a2 00 65 "batch" 08 58 24`. */
const CONTENT_HEAD = writeSenmlCbor([{ n: BATCH_NAME, vd: new Uint8Array(4 + HASH_BYTES) }]).slice(0, -36);

/** What a batch's payload commits, or undefined. There is one form of it, so that the payload says nothing else besides. */
export function batchRoot(
  payload: Pick<Payload, 'contentType' | 'content'>,
): { readonly root: Hash; readonly count: number } | undefined {
  if (payload.contentType !== 'senml+cbor') return undefined;
  const { content } = payload;
  const at = CONTENT_HEAD.length;
  if (content.length !== at + 4 + HASH_BYTES || !equalBytes(content.subarray(0, at), CONTENT_HEAD))
    return undefined;
  const committed = decode(
    (reader) => ({ count: reader.u32(), root: readHash(reader) }),
    content.subarray(at),
  );
  if (!committed.ok || committed.value.count < 1 || committed.value.count > BATCH_READINGS_MAX)
    return undefined;
  return committed.value;
}
