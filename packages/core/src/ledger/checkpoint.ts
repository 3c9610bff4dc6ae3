/** A subnet's checkpoint: what its members sign and the main chain commits (spec DAG-8). Known to dag, state and light. */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { compareBytes, concatBytes } from '../bytes/hex.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS } from '../crypto/signature.ts';
import { readCheckpointValue, writeCheckpointValue, type CheckpointValue } from './escrow.ts';
import { millis, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';

export interface SubnetCheckpoint {
  readonly subnet: Hash;
  /** 1 for the first; the main chain accepts exactly the next one. */
  readonly sequence: number;
  /** Hash of the previous checkpoint; the subnet's id for the first. */
  readonly previous: Hash;
  /** Greatest envelope time in the cone, and never before the previous checkpoint's time. */
  readonly time: Millis;
  /** Envelope hashes whose past cone this checkpoint finalises; sorted, distinct, at least one. */
  readonly anchors: readonly Hash[];
  /** Merkle root over the envelope hashes of the cone, in canonical order. */
  readonly inclusionRoot: Hash;
  /** Merkle root over the ids of applied payloads, in canonical order; ZERO_HASH-like empty root when none. */
  readonly appliedRoot: Hash;
  /** Root over lanes, members and balances after applying. */
  readonly stateRoot: Hash;
  readonly envelopeCount: number;
  readonly payloadCount: number;
  /** Base proof-of-work bits in force from the next checkpoint on. */
  readonly powBits: number;
  /** Absent as long as no deposit has been credited in the subnet. */
  readonly value?: CheckpointValue;
}

export interface CheckpointCertificate {
  readonly checkpoint: SubnetCheckpoint;
  /** Over the subnet's members, see `bitmapOf`. */
  readonly signers: Uint8Array;
  /** One per signer, ascending by member index. */
  readonly signatures: readonly Uint8Array[];
}

export function writeCheckpoint(writer: Writer, checkpoint: SubnetCheckpoint): void {
  writer
    .fixed(checkpoint.subnet, HASH_BYTES)
    .u53(checkpoint.sequence)
    .fixed(checkpoint.previous, HASH_BYTES)
    .u53(checkpoint.time)
    .list(checkpoint.anchors, (w, anchor) => w.fixed(anchor, HASH_BYTES))
    .fixed(checkpoint.inclusionRoot, HASH_BYTES)
    .fixed(checkpoint.appliedRoot, HASH_BYTES)
    .fixed(checkpoint.stateRoot, HASH_BYTES)
    .u32(checkpoint.envelopeCount)
    .u32(checkpoint.payloadCount)
    .u8(checkpoint.powBits)
    .bool(checkpoint.value !== undefined);
  if (checkpoint.value !== undefined) writeCheckpointValue(writer, checkpoint.value);
}

export function readCheckpoint(reader: Reader): SubnetCheckpoint {
  const hash = (r: Reader): Hash => asHash(r.fixed(HASH_BYTES).slice());
  const checkpoint: SubnetCheckpoint = {
    subnet: hash(reader),
    sequence: reader.u53(),
    previous: hash(reader),
    time: millis(reader.u53()),
    anchors: reader.list(LIMITS.anchorsMax, hash),
    inclusionRoot: hash(reader),
    appliedRoot: hash(reader),
    stateRoot: hash(reader),
    envelopeCount: reader.u32(),
    payloadCount: reader.u32(),
    powBits: reader.u8(),
    ...(reader.bool() ? { value: readCheckpointValue(reader) } : {}),
  };
  if (checkpoint.anchors.length === 0) reader.refuse('decode.not-canonical', 'expected at least one anchor');
  for (let i = 1; i < checkpoint.anchors.length; i += 1) {
    if (compareBytes(checkpoint.anchors[i - 1] as Hash, checkpoint.anchors[i] as Hash) >= 0) {
      reader.refuse('decode.not-canonical', 'expected anchors in ascending order, each once');
    }
  }
  if (checkpoint.powBits > LIMITS.powBitsMax)
    reader.refuse('decode.out-of-range', `expected at most ${LIMITS.powBitsMax} bits of work`);
  return checkpoint;
}

export function encodeCheckpoint(checkpoint: SubnetCheckpoint): Uint8Array {
  const writer = new Writer(512);
  writeCheckpoint(writer, checkpoint);
  return writer.finish();
}

export function decodeCheckpoint(bytes: Uint8Array): Result<SubnetCheckpoint, DecodeCode> {
  return decode(readCheckpoint, bytes);
}

export function checkpointHash(checkpoint: SubnetCheckpoint): Hash {
  return hashTagged('checkpoint', encodeCheckpoint(checkpoint));
}

/** What a member signs: domain ‖ 0x00 ‖ chain ‖ checkpoint hash. */
export function checkpointSigningBytes(chain: Hash, checkpoint: SubnetCheckpoint): Uint8Array {
  return concatBytes(
    utf8Encode(SIGNATURE_DOMAINS.subnetCheckpoint),
    Uint8Array.of(0),
    chain,
    checkpointHash(checkpoint),
  );
}

export function writeCheckpointCertificate(writer: Writer, certificate: CheckpointCertificate): void {
  writeCheckpoint(writer, certificate.checkpoint);
  writer
    .bytes(certificate.signers)
    .list(certificate.signatures, (w, signature) => w.fixed(signature, SIGNATURE_BYTES));
}

export function readCheckpointCertificate(reader: Reader): CheckpointCertificate {
  return {
    checkpoint: readCheckpoint(reader),
    signers: reader.bytes(Math.ceil(LIMITS.subnetMembersMax / 8)).slice(),
    signatures: reader.list(LIMITS.subnetMembersMax, (r) => r.fixed(SIGNATURE_BYTES).slice()),
  };
}
