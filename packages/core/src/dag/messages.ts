/** What members of a subnet say to each other (spec DAG-9). Channels are authenticated by the shell; only votes are signed. */
import { concatBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS, type SignatureVerifier } from '../crypto/signature.ts';
import {
  checkpointHash,
  readCheckpoint,
  writeCheckpoint,
  type SubnetCheckpoint,
} from '../ledger/checkpoint.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { ValidatorSet } from '../ledger/validators.ts';

/** The newest envelope a member holds, with its whole past, in one lane of one issuer. */
export interface LaneHead {
  readonly issuer: number;
  readonly lane: number;
  readonly sequence: number;
  readonly hash: Hash;
}

export interface EnvelopeMessage {
  readonly kind: 'envelope';
  readonly encoded: Uint8Array;
}

/** Answer to a request, parents before children. */
export interface EnvelopesMessage {
  readonly kind: 'envelopes';
  readonly encoded: readonly Uint8Array[];
}

/** These, and of their past what lies beyond the given heads. */
export interface EnvelopeRequest {
  readonly kind: 'envelope-request';
  readonly hashes: readonly Hash[];
  readonly heads: readonly LaneHead[];
}

/** Anti-entropy: what is held, so that nothing lost on the way stays lost. */
export interface HeadsMessage {
  readonly kind: 'heads';
  /** Sequence of the last checkpoint applied. */
  readonly checkpoint: number;
  /** The sender has lost its records, and issues nothing before there is an anchor that is new to it (DAG-10.3). */
  readonly uncertain: boolean;
  readonly heads: readonly LaneHead[];
}

export interface ProposalMessage {
  readonly kind: 'proposal';
  readonly round: number;
  readonly checkpoint: SubnetCheckpoint;
  /** The proposer's vote. */
  readonly signature: Uint8Array;
}

export interface VoteMessage {
  readonly kind: 'vote';
  readonly sequence: number;
  readonly round: number;
  /** Hash of the checkpoint. */
  readonly hash: Hash;
  readonly signature: Uint8Array;
}

/** Asks for the ordered envelope hashes of a finalised checkpoint. */
export interface CheckpointRequest {
  readonly kind: 'checkpoint-request';
  readonly sequence: number;
}

export interface CheckpointIds {
  readonly kind: 'checkpoint-ids';
  readonly sequence: number;
  readonly ids: readonly Hash[];
}

export type SubnetMessage =
  | EnvelopeMessage
  | EnvelopesMessage
  | EnvelopeRequest
  | HeadsMessage
  | ProposalMessage
  | VoteMessage
  | CheckpointRequest
  | CheckpointIds;

/** What `Member.step` takes; envelopes go through `verifyEnvelope` and their own input instead. */
export type MemberMessage = Exclude<SubnetMessage, EnvelopeMessage | EnvelopesMessage>;

/** Made by `verifyMessage` only. */
export type VerifiedMessage = Brand<MemberMessage, 'VerifiedMessage'>;

const KINDS = [
  'envelope',
  'envelopes',
  'envelope-request',
  'heads',
  'proposal',
  'vote',
  'checkpoint-request',
  'checkpoint-ids',
] as const satisfies readonly SubnetMessage['kind'][];

const HEADS_MAX = LIMITS.subnetMembersMax * LIMITS.envelopeLanesMax;

function writeHead(writer: Writer, head: LaneHead): void {
  writer.u8(head.issuer).u8(head.lane).u53(head.sequence).fixed(head.hash, HASH_BYTES);
}

const readHash = (reader: Reader): Hash => asHash(reader.fixed(HASH_BYTES).slice());

function readHead(reader: Reader): LaneHead {
  return { issuer: reader.u8(), lane: reader.u8(), sequence: reader.u53(), hash: readHash(reader) };
}

const writeHash = (writer: Writer, hash: Hash): Writer => writer.fixed(hash, HASH_BYTES);

export function encodeMessage(message: SubnetMessage): Uint8Array {
  // Envelopes are the bulk of all that is said: their room is measured, so that they are copied once.
  const writer = new Writer(message.kind === 'envelope' ? 5 + message.encoded.length : 512);
  writer.u8(KINDS.indexOf(message.kind));
  switch (message.kind) {
    case 'envelope':
      writer.bytes(message.encoded);
      break;
    case 'envelopes':
      writer.list(message.encoded, (w, encoded) => w.bytes(encoded));
      break;
    case 'envelope-request':
      writer.list(message.hashes, writeHash).list(message.heads, writeHead);
      break;
    case 'heads':
      writer.u53(message.checkpoint).bool(message.uncertain).list(message.heads, writeHead);
      break;
    case 'proposal':
      writer.u32(message.round);
      writeCheckpoint(writer, message.checkpoint);
      writer.fixed(message.signature, SIGNATURE_BYTES);
      break;
    case 'vote':
      writer
        .u53(message.sequence)
        .u32(message.round)
        .fixed(message.hash, HASH_BYTES)
        .fixed(message.signature, SIGNATURE_BYTES);
      break;
    case 'checkpoint-request':
      writer.u53(message.sequence);
      break;
    case 'checkpoint-ids':
      writer.u53(message.sequence).list(message.ids, writeHash);
      break;
  }
  return writer.finish();
}

function readMessage(reader: Reader): SubnetMessage {
  if (reader.remaining > LIMITS.subnetMessageBytesMax)
    reader.refuse('decode.too-long', `expected at most ${LIMITS.subnetMessageBytesMax} bytes`);
  const kind = KINDS[reader.u8()];
  if (kind === undefined) return reader.refuse('decode.unknown-kind', 'expected a message of a subnet');
  switch (kind) {
    case 'envelope':
      return { kind, encoded: reader.bytes(LIMITS.envelopeBytesMax).slice() };
    case 'envelopes':
      return {
        kind,
        encoded: reader.list(LIMITS.replyEnvelopesMax, (r) => r.bytes(LIMITS.envelopeBytesMax).slice()),
      };
    case 'envelope-request':
      return {
        kind,
        hashes: reader.list(LIMITS.requestHashesMax, readHash),
        heads: reader.list(HEADS_MAX, readHead),
      };
    case 'heads':
      return {
        kind,
        checkpoint: reader.u53(),
        uncertain: reader.bool(),
        heads: reader.list(HEADS_MAX, readHead),
      };
    case 'proposal':
      return {
        kind,
        round: reader.u32(),
        checkpoint: readCheckpoint(reader),
        signature: reader.fixed(SIGNATURE_BYTES).slice(),
      };
    case 'vote':
      return {
        kind,
        sequence: reader.u53(),
        round: reader.u32(),
        hash: readHash(reader),
        signature: reader.fixed(SIGNATURE_BYTES).slice(),
      };
    case 'checkpoint-request':
      return { kind, sequence: reader.u53() };
    case 'checkpoint-ids':
      return { kind, sequence: reader.u53(), ids: reader.list(LIMITS.checkpointIdsMax, readHash) };
  }
}

export function decodeMessage(bytes: Uint8Array): Result<SubnetMessage, DecodeCode> {
  return decode(readMessage, bytes);
}

/** As `checkpointSigningBytes`, from the hash alone: a vote does not carry the checkpoint again. */
export function voteSigningBytes(chain: Hash, hash: Hash): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.subnetCheckpoint), Uint8Array.of(0), chain, hash);
}

/** Signatures of proposals and votes, by the member the channel belongs to; the rest is form, which decoding has checked. */
export function verifyMessage(
  context: {
    readonly chain: Hash;
    readonly subnet: Hash;
    readonly members: ValidatorSet;
    readonly verify: SignatureVerifier;
  },
  from: number,
  message: MemberMessage,
): Result<VerifiedMessage, ErrorCode> {
  switch (message.kind) {
    case 'envelope-request':
    case 'heads':
    case 'checkpoint-request':
    case 'checkpoint-ids':
      return ok(message as VerifiedMessage);
    case 'proposal':
    case 'vote': {
      const member = context.members[from];
      if (member === undefined) return refused('peer.unknown', 'only members vote');
      const hash = message.kind === 'vote' ? message.hash : checkpointHash(message.checkpoint);
      if (!context.verify(member.key, voteSigningBytes(context.chain, hash), message.signature))
        return refused('checkpoint.signature', 'the vote is not signed by its sender');
      return ok(message as VerifiedMessage);
    }
  }
}
