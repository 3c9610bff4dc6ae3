/**
 * Envelopes, the vertices of a subnet's DAG (spec DAG-1): one signature, one proof of work and one set of
 * parents for a batch of device payloads.
 *
 * body = version ‖ subnet ‖ issuer ‖ lane ‖ sequence ‖ previous ‖ parents ‖ time ‖ anchor ‖ payload root ‖ payload count
 * header = body ‖ nonce ‖ signature; on the wire and on disk the payloads follow the header.
 */
import { compareBytes, concatBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, hashTagged, type Hash } from '../crypto/hash.ts';
import { merkleRootOfItems } from '../crypto/merkle.ts';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../crypto/signature.ts';
import { millis, type Millis } from './ids.ts';
import { LIMITS } from './limits.ts';

export const ENVELOPE_VERSION = 1;

export interface EnvelopeBody {
  readonly subnet: Hash;
  /** A member of the subnet. */
  readonly issuer: PublicKey;
  /** Which of the issuer's parallel chains; each holds at most one tip. */
  readonly lane: number;
  /** From 1, without gaps in its lane. (issuer, lane, sequence) is the slot: two envelopes in one slot are an equivocation. */
  readonly sequence: number;
  /** The issuer's envelope before this one in the lane, then also a parent; the subnet's id for the first. */
  readonly previous: Hash;
  /** 1 to 8, sorted, distinct; the subnet's id stands for the root. */
  readonly parents: readonly Hash[];
  /** Issuer's clock; never before the time of a parent. */
  readonly time: Millis;
  /** Hash of a recent checkpoint, the subnet's id before the first: work cannot be stockpiled. */
  readonly anchor: Hash;
  /** Merkle root over the SHA-256 of the payloads' bytes, so the signature pins every byte of them. */
  readonly payloadRoot: Hash;
  readonly payloadCount: number;
}

export interface Envelope extends EnvelopeBody {
  /** What the proof of work searches for; a safe integer. */
  readonly nonce: number;
  readonly signature: Uint8Array;
}

/**
 * A body with its nonce and signature. Written out like the one `readEnvelope` makes, so that all envelopes have one
 * hidden class: the graph reads their fields on its hottest path.
 */
export function sealedEnvelope(body: EnvelopeBody, nonce: number, signature: Uint8Array): Envelope {
  return {
    subnet: body.subnet,
    issuer: body.issuer,
    lane: body.lane,
    sequence: body.sequence,
    previous: body.previous,
    parents: body.parents,
    time: body.time,
    anchor: body.anchor,
    payloadRoot: body.payloadRoot,
    payloadCount: body.payloadCount,
    nonce,
    signature,
  };
}

/** What is gossiped and stored. */
export interface EnvelopeWithPayloads {
  readonly envelope: Envelope;
  readonly payloads: readonly Uint8Array[];
}

export function writeEnvelopeBody(writer: Writer, body: EnvelopeBody): void {
  writer.u8(ENVELOPE_VERSION).fixed(body.subnet, HASH_BYTES);
  writePublicKey(writer, body.issuer);
  writer
    .u8(body.lane)
    .u53(body.sequence)
    .fixed(body.previous, HASH_BYTES)
    .list(body.parents, (w, parent) => w.fixed(parent, HASH_BYTES))
    .u53(body.time)
    .fixed(body.anchor, HASH_BYTES)
    .fixed(body.payloadRoot, HASH_BYTES)
    .u16(body.payloadCount);
}

export function writeEnvelope(writer: Writer, envelope: Envelope): void {
  writeEnvelopeBody(writer, envelope);
  writer.u53(envelope.nonce).fixed(envelope.signature, SIGNATURE_BYTES);
}

/** Checks every rule of form that the header alone decides (spec DAG-1.2). */
export function readEnvelope(reader: Reader): Envelope {
  const version = reader.u8();
  if (version !== ENVELOPE_VERSION) {
    reader.refuse('decode.unknown-kind', `expected envelope version ${ENVELOPE_VERSION}, got ${version}`);
  }
  const hash = (r: Reader): Hash => asHash(r.fixed(HASH_BYTES).slice());
  const envelope: Envelope = {
    subnet: hash(reader),
    issuer: readPublicKey(reader),
    lane: reader.u8(),
    sequence: reader.u53(),
    previous: hash(reader),
    parents: reader.list(LIMITS.parentsMax, hash),
    time: millis(reader.u53()),
    anchor: hash(reader),
    payloadRoot: hash(reader),
    payloadCount: reader.u16(),
    nonce: reader.u53(),
    signature: reader.fixed(SIGNATURE_BYTES).slice(),
  };
  const flaw = envelopeFlaw(envelope);
  if (flaw !== undefined) reader.refuse('decode.not-canonical', flaw);
  return envelope;
}

/** The first broken rule of form, or undefined. */
export function envelopeFlaw(body: EnvelopeBody): string | undefined {
  const { parents, sequence, previous, subnet } = body;
  if (body.lane >= LIMITS.envelopeLanesMax) return `expected a lane below ${LIMITS.envelopeLanesMax}`;
  if (body.payloadCount > LIMITS.envelopePayloadsMax)
    return `expected at most ${LIMITS.envelopePayloadsMax} payloads`;
  if (sequence < 1) return 'sequences start at 1';
  if (parents.length < 1 || parents.length > LIMITS.parentsMax)
    return `expected 1 to ${LIMITS.parentsMax} parents`;
  for (let i = 1; i < parents.length; i += 1) {
    if (compareBytes(parents[i - 1] as Hash, parents[i] as Hash) >= 0)
      return 'expected parents in ascending order, each once';
  }
  const first = compareBytes(previous, subnet) === 0;
  if (first !== (sequence === 1))
    return 'exactly the first envelope of a lane has the subnet as its predecessor';
  if (!first && !parents.some((parent) => compareBytes(parent, previous) === 0))
    return 'the predecessor is not among the parents';
  return undefined;
}

export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const writer = new Writer(640);
  writeEnvelope(writer, envelope);
  return writer.finish();
}

export function decodeEnvelope(bytes: Uint8Array): Result<Envelope, DecodeCode> {
  return decode(readEnvelope, bytes);
}

export function encodeEnvelopeWithPayloads(whole: EnvelopeWithPayloads): Uint8Array {
  const header = encodeEnvelope(whole.envelope);
  const length = whole.payloads.reduce((sum, payload) => sum + 4 + payload.length, header.length + 2);
  const writer = new Writer(length).raw(header);
  writer.list(whole.payloads, (w, payload) => w.bytes(payload));
  return writer.finish();
}

/**
 * The total is bounded before anything is read; the count must be the one the header commits to. The payloads are copies,
 * or views when the bytes are `kept` as they are by the caller.
 */
export function decodeEnvelopeWithPayloads(
  bytes: Uint8Array,
  isKept = false,
): Result<EnvelopeWithPayloads, DecodeCode> {
  return decode((reader) => {
    if (reader.remaining > LIMITS.envelopeBytesMax)
      reader.refuse('decode.too-long', `expected at most ${LIMITS.envelopeBytesMax} bytes`);
    const envelope = readEnvelope(reader);
    const payloads = reader.list(LIMITS.envelopePayloadsMax, (r) =>
      isKept ? r.bytes(LIMITS.payloadBytesMax) : r.bytes(LIMITS.payloadBytesMax).slice(),
    );
    if (payloads.length !== envelope.payloadCount)
      reader.refuse('decode.not-canonical', 'the header commits to another number of payloads');
    return { envelope, payloads };
  }, bytes);
}

/** What the nonce is searched for. */
export function envelopeBodyHash(body: EnvelopeBody): Hash {
  const writer = new Writer(640);
  writeEnvelopeBody(writer, body);
  return hashTagged('envelopeBody', writer.finish());
}

const nonceBytes = (nonce: number): Uint8Array => new Writer(8).u53(nonce).finish();

/** The identity of an envelope: body and nonce, free of the signature, so that nobody can make a second name for it. */
export function envelopeHash(bodyHash: Hash, nonce: number): Hash {
  return hashTagged('envelope', bodyHash, nonceBytes(nonce));
}

/** The hash of an envelope with its payloads, by its header alone: whoever holds it already need not read on. */
export function peekEnvelopeHash(bytes: Uint8Array): Hash | undefined {
  const read = (reader: Reader): Envelope => {
    const envelope = readEnvelope(reader);
    reader.fixed(reader.remaining);
    return envelope;
  };
  const header = decode(read, bytes);
  return header.ok ? envelopeHash(envelopeBodyHash(header.value), header.value.nonce) : undefined;
}

/** What the issuer signs: domain ‖ 0x00 ‖ chain ‖ envelope hash. */
export function envelopeSigningBytes(chain: Hash, hash: Hash): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.envelope), Uint8Array.of(0), chain, hash);
}

export function payloadRootOf(payloads: readonly Uint8Array[]): Hash {
  return merkleRootOfItems(payloads);
}
