/**
 * Evidence that a member put a payload into an envelope whose device never signed it (spec DAG-13). The envelope's header
 * with its signature, the way from the payload to the payload root, the payload: whoever has these knows who is guilty by
 * two signature checks, one that has to hold and one that must not. It travels as the only payload of an envelope.
 */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, sha256, type Hash } from '../crypto/hash.ts';
import { MerkleTree, verifyMerklePath } from '../crypto/merkle.ts';
import type { PublicKey } from '../crypto/signature.ts';
import { addressOf } from './address.ts';
import type { ErrorCode } from './errors.ts';
import { LIMITS } from './limits.ts';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from './payload.ts';
import type { ValidatorSet } from './validators.ts';
import {
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  readEnvelope,
  writeEnvelope,
  type Envelope,
} from './envelope.ts';

export interface Accusation {
  /** Index of the accused among the members. */
  readonly accused: number;
  readonly envelope: Envelope;
  /** What the accused signed. */
  readonly signingBytes: Uint8Array;
  /** What its signer did not sign. */
  readonly payload: Payload;
}

/** Merkle paths of that many payloads are at most so long. */
const PATH_MAX = Math.ceil(Math.log2(LIMITS.envelopePayloadsMax));

/** What is shown against a member: header of its envelope, one of the payloads under its payload root, and the way there. */
export interface ForgeryEvidence {
  readonly envelope: Envelope;
  /** Of the payload. */
  readonly index: number;
  readonly path: readonly Hash[];
  /** The payload as it was in the envelope. */
  readonly bytes: Uint8Array;
}

export function writeForgeryEvidence(writer: Writer, evidence: ForgeryEvidence): Writer {
  const { envelope, index, path, bytes } = evidence;
  writeEnvelope(writer, envelope);
  return writer
    .u16(index)
    .list(path, (w, node) => w.fixed(node, HASH_BYTES))
    .bytes(bytes);
}

const readHash = (reader: Reader): Hash => asHash(reader.fixed(HASH_BYTES).slice());

export function readForgeryEvidence(reader: Reader): ForgeryEvidence {
  return {
    envelope: readEnvelope(reader),
    index: reader.u16(),
    path: reader.list(PATH_MAX, readHash),
    bytes: reader.bytes(LIMITS.payloadBytesMax).slice(),
  };
}

/** The content of an accusation: header ‖ u16 index ‖ path ‖ payload. */
export function encodeAccusation(
  envelope: Envelope,
  payloads: readonly Uint8Array[],
  index: number,
): Uint8Array {
  const path = new MerkleTree(payloads.map((payload) => sha256(payload))).path(index);
  const bytes = payloads[index] as Uint8Array;
  return writeForgeryEvidence(new Writer(2048), { envelope, index, path, bytes }).finish();
}

export function decodeAccusation(content: Uint8Array): Result<ForgeryEvidence, DecodeCode> {
  return decode(readForgeryEvidence, content);
}

/** Everything but the two signatures and who the issuer is: that the payload is one, and under the envelope's payload root. */
export function judgeForgery(
  chain: Hash,
  { envelope, index, path, bytes }: ForgeryEvidence,
): Result<Omit<Accusation, 'accused'>, ErrorCode> {
  const { payloadRoot: root, payloadCount: count } = envelope;
  if (!verifyMerklePath({ root, leaf: sha256(bytes), index, count, path }))
    return refused('envelope.accusation', 'the payload is not in the accused envelope');
  const payload = parsePayload(chain, bytes, true);
  // Every member refuses such an envelope by its form: nobody can have been harmed by it.
  if (!payload.ok) return refused('envelope.accusation', payload.message);
  const hash = envelopeHash(envelopeBodyHash(envelope), envelope.nonce);
  return ok({ envelope, signingBytes: envelopeSigningBytes(chain, hash), payload: payload.value });
}

/** Everything but the two signatures: form, a member as issuer, and that the payload is under its payload root. */
export function readAccusation(
  context: { readonly chain: Hash; readonly subnet: Hash; readonly members: ValidatorSet },
  content: Uint8Array,
): Result<Accusation, ErrorCode> {
  const read = decodeAccusation(content);
  if (!read.ok) return refused('envelope.accusation', read.message);
  const { envelope } = read.value;
  if (!equalBytes(envelope.subnet, context.subnet))
    return refused('envelope.accusation', 'the accused envelope belongs to another subnet');
  const accused = context.members.findIndex(({ key }) => equalBytes(key.bytes, envelope.issuer.bytes));
  if (accused < 0) return refused('envelope.accusation', 'the accused is not a member of the subnet');
  const judged = judgeForgery(context.chain, read.value);
  return judged.ok ? ok({ accused, ...judged.value }) : judged;
}

/** What a member signs and puts into an envelope of its own, alone. The number is its own to choose, from 1. */
export function accusationPayload(o: {
  readonly chain: Hash;
  readonly signer: PublicKey;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly number: number;
  readonly content: Uint8Array;
}): Payload {
  const unsigned: UnsignedPayload = {
    signer: o.signer,
    device: addressOf(o.signer),
    sequence: o.number,
    contentType: 'accusation',
    content: o.content,
  };
  const signature = o.sign(payloadSigningBytes(o.chain, unsigned));
  const parsed = parsePayload(o.chain, encodePayload(unsigned, signature));
  if (!parsed.ok) throw new Error(`an accusation of our own is not readable: ${parsed.message}`);
  return parsed.value;
}
