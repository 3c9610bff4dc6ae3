/** The blocks of the simulator: small, and checked the way real ones are. */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Candidate, ParseBlock } from '@itc/core/pbft/messages.js';
import { fakeHash } from '../fake-crypto.ts';

export interface SimBlock {
  readonly height: number;
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
  const writer = new Writer(160)
    .u53(block.height)
    .fixed(block.parentHash, HASH_BYTES)
    .u8(block.proposer)
    .u53(block.time);
  writer.fixed(block.stateRoot, HASH_BYTES).bool(block.invalid).u32(block.salt);
  const bytes = writer.list(block.requests, (w, request) => w.u32(request)).finish();
  return candidateOf(block, bytes);
}

function candidateOf(block: SimBlock, bytes: Uint8Array): Candidate {
  return {
    height: height(block.height),
    parentHash: block.parentHash,
    hash: fakeHash(bytes),
    bytes,
    closes: false,
    count: block.requests.length,
  };
}

export function readBlock(bytes: Uint8Array): SimBlock {
  const reader = new Reader(bytes);
  return {
    height: reader.u53(),
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
  const block = readBlock(copy);
  return candidateOf(block, copy);
};

/** State roots of a chain: the root after height h chains the hashes of all blocks up to h. */
export class Execution {
  readonly #roots: Hash[];

  constructor(genesis: Hash) {
    this.#roots = [fakeHash(genesis)];
  }

  get height(): number {
    return this.#roots.length - 1;
  }

  root(at: number): Hash | undefined {
    return this.#roots[at];
  }

  /** What the header of this height has to state; undefined while that is not executed here. */
  laggingRoot(at: number): Hash | undefined {
    return this.root(Math.max(0, at - LIMITS.pipelineDepth));
  }

  apply(block: Candidate): Hash {
    const root = fakeHash(this.#roots.at(-1) as Hash, block.hash);
    this.#roots.push(root);
    return root;
  }
}
