/** The blocks of the simulator: small, and checked the way real ones are. */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { height } from '@itc/core/ledger/ids.js';
import type { Candidate, ParseBlock } from '@itc/core/pbft/messages.js';
import { fakeHash } from '../fake-crypto.ts';

export interface SimBlock {
  readonly height: number;
  readonly epoch: number;
  /** Last block of its epoch. */
  readonly closes: boolean;
  readonly parentHash: Hash;
  readonly proposer: number;
  /** Proposer's clock. */
  readonly time: number;
  /** Root after executing the block `pipelineDepth` below. */
  readonly stateRoot: Hash;
  readonly requests: readonly number[];
  /** Breaks a rule of the application; only a faulty proposer makes such a block. */
  readonly invalid: boolean;
  /** Makes two blocks of an equivocating proposer differ. */
  readonly salt: number;
}

export const REQUESTS_MAX = 16;

/** Blocks younger or older than this are not fresh. */
export const FRESHNESS_MS = 3_000;

export function makeBlock(block: SimBlock): Candidate {
  const writer = new Writer(192)
    .u53(block.height)
    .u32(block.epoch)
    .bool(block.closes)
    .fixed(block.parentHash, HASH_BYTES)
    .u8(block.proposer)
    .u53(block.time);
  writer.fixed(block.stateRoot, HASH_BYTES).bool(block.invalid).u32(block.salt);
  const bytes = writer.list(block.requests, (w, request) => w.u32(request)).finish();
  return candidateOf(block, bytes);
}

const known = new WeakMap<Uint8Array, SimBlock>();

function candidateOf(block: SimBlock, bytes: Uint8Array): Candidate {
  known.set(bytes, block);
  return {
    height: height(block.height),
    parentHash: block.parentHash,
    hash: fakeHash(bytes),
    bytes,
    closes: block.closes,
    count: block.requests.length,
  };
}

export function readBlock(bytes: Uint8Array): SimBlock {
  const held = known.get(bytes);
  if (held !== undefined) return held;
  const reader = new Reader(bytes);
  return {
    height: reader.u53(),
    epoch: reader.u32(),
    closes: reader.bool(),
    parentHash: asHash(reader.fixed(HASH_BYTES)),
    proposer: reader.u8(),
    time: reader.u53(),
    stateRoot: asHash(reader.fixed(HASH_BYTES)),
    invalid: reader.bool(),
    salt: reader.u32(),
    requests: reader.list(REQUESTS_MAX, (r) => r.u32()),
  };
}

export const parseSimBlock: ParseBlock = (bytes) => {
  const copy = bytes.slice();
  return candidateOf(readBlock(copy), copy);
};
