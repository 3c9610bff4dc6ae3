/** What nodes say to each other about co-signatures (spec QUANTUM-2.4), and what they keep of them. */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { ML_DSA_KEY_BYTES, ML_DSA_SIGNATURE_BYTES } from '@itc/core/crypto/ml-dsa.js';
import { readStateProof, writeStateProof } from '@itc/core/crypto/state-tree.js';
import type { Address } from '@itc/core/ledger/address.js';
import { readHeader, writeHeader, type Header } from '@itc/core/ledger/block.js';
import { readAddress, readHash } from '@itc/core/ledger/fields.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ShownRecord } from '@itc/core/light/shown-record.js';

export type CoSigningMessage =
  | {
      readonly kind: 'co-signature';
      readonly height: Height;
      readonly key: Uint8Array;
      readonly signature: Uint8Array;
    }
  /** For what the other has of a checkpoint. */
  | { readonly kind: 'request'; readonly height: Height };

export const CO_SIGNING_MESSAGE_BYTES_MAX: number = 9 + ML_DSA_KEY_BYTES + ML_DSA_SIGNATURE_BYTES;
/** All signatures of a checkpoint with their keys, and a record with its path. */
export const CO_SIGNED_REPLY_BYTES_MAX: number =
  LIMITS.validatorsMax * (ML_DSA_KEY_BYTES + ML_DSA_SIGNATURE_BYTES) + 32_768;
const RECORD_BYTES_MAX = LIMITS.transactionBytesMax;

export function encodeCoSigningMessage(message: CoSigningMessage): Uint8Array {
  const writer = new Writer(CO_SIGNING_MESSAGE_BYTES_MAX);
  if (message.kind === 'request') return writer.u8(1).u53(message.height).finish();
  return writer
    .u8(0)
    .u53(message.height)
    .fixed(message.key, ML_DSA_KEY_BYTES)
    .fixed(message.signature, ML_DSA_SIGNATURE_BYTES)
    .finish();
}

export function decodeCoSigningMessage(bytes: Uint8Array): Result<CoSigningMessage, DecodeCode> {
  return decode((reader): CoSigningMessage => {
    const kind = reader.u8();
    if (kind > 1) reader.refuse('decode.unknown-kind', `expected a kind of 0 or 1, got ${kind}`);
    const of = height(reader.u53());
    if (kind === 1) return { kind: 'request', height: of };
    const key = reader.fixed(ML_DSA_KEY_BYTES).slice();
    return { kind: 'co-signature', height: of, key, signature: reader.fixed(ML_DSA_SIGNATURE_BYTES).slice() };
  }, bytes);
}

/** A checkpoint with as many signatures as there are. */
export interface CoSignedEntry {
  readonly header: Header;
  /** After this block. */
  readonly stateRoot: Hash;
  /** Of one that closes an epoch whose successor has co-signers. */
  readonly successors: ShownRecord | undefined;
}

/** As a table keeps it: keys lie elsewhere, once each. */
export interface StoredEntry extends CoSignedEntry {
  readonly signatures: readonly { readonly signer: Address; readonly signature: Uint8Array }[];
}

/** As peers get it. */
export interface SentEntry extends CoSignedEntry {
  readonly signatures: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[];
}

function writeEntry(writer: Writer, { header, stateRoot, successors }: CoSignedEntry): void {
  writeHeader(writer, header);
  writer.fixed(stateRoot, HASH_BYTES).bool(successors !== undefined);
  if (successors !== undefined) writeStateProof(writer.bytes(successors.record), successors.proof);
}

function readEntry(reader: Reader): CoSignedEntry {
  return {
    header: readHeader(reader),
    stateRoot: readHash(reader),
    successors: reader.bool()
      ? { record: reader.bytes(RECORD_BYTES_MAX).slice(), proof: readStateProof(reader) }
      : undefined,
  };
}

export function encodeStored(entry: StoredEntry): Uint8Array {
  const writer = new Writer(8192);
  writeEntry(writer, entry);
  return writer
    .list(entry.signatures, (w, { signer, signature }) =>
      w.fixed(signer, HASH_BYTES).fixed(signature, ML_DSA_SIGNATURE_BYTES),
    )
    .finish();
}

export function decodeStored(bytes: Uint8Array): Result<StoredEntry, DecodeCode> {
  return decode(
    (reader) => ({
      ...readEntry(reader),
      signatures: reader.list(LIMITS.validatorsMax, (r) => ({
        signer: readAddress(r),
        signature: r.fixed(ML_DSA_SIGNATURE_BYTES).slice(),
      })),
    }),
    bytes,
  );
}

export function encodeSent(entry: SentEntry): Uint8Array {
  const writer = new Writer(16_384);
  writeEntry(writer, entry);
  return writer
    .list(entry.signatures, (w, { key, signature }) =>
      w.fixed(key, ML_DSA_KEY_BYTES).fixed(signature, ML_DSA_SIGNATURE_BYTES),
    )
    .finish();
}

export function decodeSent(bytes: Uint8Array): Result<SentEntry, DecodeCode> {
  return decode(
    (reader) => ({
      ...readEntry(reader),
      signatures: reader.list(LIMITS.validatorsMax, (r) => ({
        key: r.fixed(ML_DSA_KEY_BYTES).slice(),
        signature: r.fixed(ML_DSA_SIGNATURE_BYTES).slice(),
      })),
    }),
    bytes,
  );
}
