/**
 * Proof that quorum weight has executed and stored a block (spec PBFT-5). Consensus makes it; snapshots and light
 * clients start from it, so its form lies below all of them.
 */
import type { Reader } from '../bytes/reader.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS } from '../crypto/signature.ts';
import { epoch, height, type Epoch, type Height } from './ids.ts';
import { LIMITS } from './limits.ts';
import { readHash } from './fields.ts';

/** CHECKPOINT messages of quorum weight: the height is executed and stored there, what lies below may go. */
export interface StableCertificate {
  readonly epoch: Epoch;
  readonly height: Height;
  readonly hash: Hash;
  /** After executing this very height; a header of that root comes `pipelineDepth` blocks later. */
  readonly stateRoot: Hash;
  /** Over the epoch's validators, see `bitmapOf`. */
  readonly signers: Uint8Array;
  /** One per signer, ascending by validator index. */
  readonly signatures: readonly Uint8Array[];
}

export function writeStable(writer: Writer, certificate: StableCertificate): void {
  writer
    .u32(certificate.epoch)
    .u53(certificate.height)
    .fixed(certificate.hash, HASH_BYTES)
    .fixed(certificate.stateRoot, HASH_BYTES)
    .bytes(certificate.signers)
    .list(certificate.signatures, (w, signature) => w.fixed(signature, SIGNATURE_BYTES));
}

export function readStable(reader: Reader): StableCertificate {
  return {
    epoch: epoch(reader.u32()),
    height: height(reader.u53()),
    hash: readHash(reader),
    stateRoot: readHash(reader),
    signers: reader.bytes(Math.ceil(LIMITS.validatorsMax / 8)).slice(),
    signatures: reader.list(LIMITS.validatorsMax, (r) => r.fixed(SIGNATURE_BYTES).slice()),
  };
}

/** What it, and a co-signature, is about: a block that was executed, and the state after it. */
export type Checkpoint = Pick<StableCertificate, 'epoch' | 'height' | 'hash' | 'stateRoot'>;

/** What a replica signs: domain ‖ 0x00 ‖ chain ‖ epoch ‖ height ‖ block hash ‖ state root. */
export function stableSigningBytes(chain: Hash, of: Checkpoint): Uint8Array {
  return statement(SIGNATURE_DOMAINS.checkpoint, chain, of);
}

/** What its co-signing key signs: the same, in a domain of its own. */
export function coSigningBytes(chain: Hash, of: Checkpoint): Uint8Array {
  return statement(SIGNATURE_DOMAINS.coSign, chain, of);
}

function statement(domain: string, chain: Hash, of: Checkpoint): Uint8Array {
  return new Writer(192)
    .raw(utf8Encode(domain))
    .u8(0)
    .fixed(chain, HASH_BYTES)
    .u32(of.epoch)
    .u53(of.height)
    .fixed(of.hash, HASH_BYTES)
    .fixed(of.stateRoot, HASH_BYTES)
    .finish();
}
