/**
 * What a client that demands co-signatures believes (spec QUANTUM-3): checkpoints that ML-DSA-44 keys of more than two thirds of the
 * trusted weight have signed, and nothing that Ed25519 alone says. Who co-signs next stands in the state that they have signed.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { closesEpoch, headerHash, type Header } from '../ledger/block.ts';
import {
  coSignerOf,
  coSignersHash,
  hasCoSigner,
  mlDsaKey,
  readCoSigners,
  type CoSigner,
  type CoSigners,
} from '../ledger/co-signers.ts';
import { readHash } from '../ledger/fields.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { epoch, height } from '../ledger/ids.ts';
import { coSigningBytes } from '../ledger/stable-certificate.ts';
import { indicesOf, quorumOf } from '../ledger/validators.ts';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { CO_SIGNERS_KEY, stateKeyHash } from '../state/keys.ts';
import type { ShownRecord } from './shown-record.ts';
import { encodeTrusted, readBelieved } from './trust-bytes.ts';
import type { TrustedHeader } from './trust.ts';

/** A block at a checkpoint height, and the state after it: what is co-signed. */
export interface ShownCheckpoint {
  readonly header: Header;
  /** After this very block, unlike the one in the header. */
  readonly stateRoot: Hash;
  /** Over the co-signers that are trusted, see `bitmapOf`. */
  readonly signers: Uint8Array;
}

/** What such a client keeps. */
export interface CoSignedTrust {
  /** Genesis hash. */
  readonly chain: Hash;
  readonly coSigners: CoSigners;
  /** `stateRoot` is that after the block itself. */
  readonly last: TrustedHeader;
  /** The last header closed the epoch: only a hop leads on. */
  readonly ended: boolean;
}

/** The step that failed. */
export type CoSignedCheck =
  | 'format'
  | 'trusted'
  | 'stale'
  | 'conflict'
  | 'time'
  | 'epoch'
  | 'signers'
  | 'weight'
  | 'key'
  | 'signature'
  | 'successors'
  | 'history'
  | 'transaction'
  | 'state';

/** Undefined where genesis names no co-signers: such a chain cannot be followed from its genesis. */
export function trustCoSigned(genesis: Genesis): CoSignedTrust | undefined {
  const { coSigners, validators } = genesis;
  if (coSigners === undefined) return undefined;
  const members = validators.map(({ weight }, i): CoSigner => {
    const key = coSigners[i];
    if (key === undefined) throw new RangeError('expected a co-signing key, or none, for each validator');
    return { weight, key };
  });
  const chain = genesisHash(genesis);
  return {
    chain,
    coSigners: { epoch: epoch(0), members },
    last: { height: height(0), time: genesis.time, hash: chain, stateRoot: ZERO_HASH },
    ended: false,
  };
}

/** A checkpoint whose form, place and weight are right; its signatures are still to be judged. */
export interface OpenCheckpoint extends ShownCheckpoint {
  readonly hash: Hash;
  /** What was signed. */
  readonly message: Uint8Array;
  /** Places of the signers among those trusted, ascending. */
  readonly indices: readonly number[];
}

/** All that costs no signature. */
export function openCheckpoint(
  trust: CoSignedTrust,
  shown: ShownCheckpoint,
): Result<OpenCheckpoint, CoSignedCheck> {
  const { header, stateRoot, signers } = shown;
  const { chain, coSigners, last } = trust;
  if (header.height < last.height)
    return refused('stale', `height ${header.height} lies below ${last.height}, which is believed`);
  if (header.height > last.height && header.time <= last.time)
    return refused('time', 'a higher header does not have a later time');
  if (trust.ended && header.epoch === coSigners.epoch && header.height > last.height)
    return refused('epoch', `epoch ${coSigners.epoch} ended at height ${last.height}`);
  const indices = indicesOf(signers, coSigners.members.length);
  if (indices === undefined) return refused('signers', 'the bitmap does not fit those who are trusted');
  let weight = 0;
  for (const index of indices) {
    const member = coSigners.members[index] as CoSigner;
    if (!hasCoSigner(member)) return refused('signers', `validator ${index} has no co-signing key`);
    weight += member.weight;
  }
  const { total, strong } = quorumOf(coSigners.members.map((member) => member.weight));
  if (weight < strong)
    return refused('weight', `weight ${weight} of ${total} that is trusted co-signed, ${strong} is needed`);
  const hash = headerHash(header);
  const message = coSigningBytes(chain, { epoch: header.epoch, height: header.height, hash, stateRoot });
  return ok({ ...shown, hash, message, indices });
}

/** Whether the signature is by the trusted key at this place of the list. */
export function judgeCoSignature(
  trust: CoSignedTrust,
  checkpoint: OpenCheckpoint,
  o: {
    /** Which of the signers. */
    readonly place: number;
    readonly key: Uint8Array;
    readonly signature: Uint8Array;
    readonly verify: SignatureVerifier;
  },
): Refused<CoSignedCheck> | undefined {
  const index = checkpoint.indices[o.place];
  const member = index === undefined ? undefined : trust.coSigners.members[index];
  if (member === undefined) return refused('signers', 'there are more signatures than signers');
  if (!equalBytes(coSignerOf(o.key), member.key))
    return refused('key', `the key shown for validator ${index} is not the one that is trusted`);
  if (!o.verify(mlDsaKey(o.key), checkpoint.message, o.signature))
    return refused('signature', `the co-signature of validator ${index} does not verify`);
  return undefined;
}

/** All signatures held. The checkpoint is of the trusted epoch, unless a hop comes with it. */
export function believe(
  trust: CoSignedTrust,
  checkpoint: OpenCheckpoint,
): Result<CoSignedTrust, CoSignedCheck> {
  const { header, hash, stateRoot } = checkpoint;
  if (header.epoch !== trust.coSigners.epoch)
    return refused(
      'epoch',
      `the header is of epoch ${header.epoch}, the hops lead to epoch ${trust.coSigners.epoch}`,
    );
  const conflict = conflictOf(trust, checkpoint);
  if (conflict !== undefined) return conflict;
  const last = { height: header.height, time: header.time, hash, stateRoot };
  return ok({ ...trust, last, ended: closesEpoch(header) });
}

/**
 * To a later epoch: the co-signers its record names, in the state the checkpoint is about. Where the checkpoint closes an epoch they
 * are those of the next one; else of its own, which more than two thirds of the trusted weight vouch for like for all of that state.
 */
export function hop(
  trust: CoSignedTrust,
  checkpoint: OpenCheckpoint,
  shown: ShownRecord,
): Result<CoSignedTrust, CoSignedCheck> {
  const { header, hash, stateRoot } = checkpoint;
  const conflict = conflictOf(trust, checkpoint);
  if (conflict !== undefined) return conflict;
  if (!verifyStateProof(stateRoot, stateKeyHash(CO_SIGNERS_KEY), shown.record, shown.proof))
    return refused('successors', 'the record of co-signers is not in the state that was co-signed');
  const coSigners = decode(readCoSigners, shown.record);
  if (!coSigners.ok) return refused('successors', `the record of co-signers: ${coSigners.message}`);
  const named = coSigners.value.epoch;
  if (named !== header.epoch + (closesEpoch(header) ? 1 : 0) || named <= trust.coSigners.epoch)
    return refused('epoch', `co-signers of epoch ${named} are shown under a header of epoch ${header.epoch}`);
  const last = { height: header.height, time: header.time, hash, stateRoot };
  return ok({ chain: trust.chain, coSigners: coSigners.value, last, ended: false });
}

function conflictOf(
  { last }: CoSignedTrust,
  { header, hash, stateRoot }: OpenCheckpoint,
): Refused<CoSignedCheck> | undefined {
  if (header.height !== last.height) return undefined;
  if (equalBytes(hash, last.hash) && equalBytes(stateRoot, last.stateRoot)) return undefined;
  return refused('conflict', `two co-signed checkpoints at height ${last.height}`);
}

/** 149 bytes, laid out like `encodeTrust`, with the hash of the co-signers in the place of the validators'. */
export function encodeCoSignedTrust({ coSigners, ...trust }: CoSignedTrust): Uint8Array {
  return encodeTrusted({ ...trust, epoch: coSigners.epoch, trusted: coSignersHash(coSigners) });
}

/** With the list whose hash was kept: whoever serves a stream shows it first. */
export function decodeCoSignedTrust(
  bytes: Uint8Array,
  coSigners: CoSigners,
): Result<CoSignedTrust, DecodeCode> {
  return decode((reader) => {
    const chain = readHash(reader);
    const trusted = epoch(reader.u32());
    if (!equalBytes(readHash(reader), coSignersHash(coSigners)) || coSigners.epoch !== trusted)
      reader.refuse('decode.not-canonical', 'the co-signers are not those that were trusted');
    return { chain, coSigners, ...readBelieved(reader) };
  }, bytes);
}
