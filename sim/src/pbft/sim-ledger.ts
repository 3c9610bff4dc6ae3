/**
 * The ledger of the simulator: requests are numbers, and who decides follows from a plan, the way elections decide it
 * in the real one. The rules of epochs (`epochAt`, `electsAt`) are the real ones.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { electsAt, epochAt, type EpochAt, type EpochRecord } from '@itc/core/ledger/epoch.js';
import { amount, epoch, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import { fakeHash } from '../fake-crypto.ts';
import { readBlock, type SimBlock } from './sim-block.ts';

/** What will be elected: a set for the n-th checkpoint height, where it differs from the one before. */
export type Elections = ReadonlyMap<number, ValidatorSet>;

/** Requests from here on are wishes for a restart: who, and which of its lives wishes it. */
const RESTARTS = 1 << 24;
const LIVES = 1 << 16;

export function restartRequest(key: number, life: number): number {
  return RESTARTS + key * LIVES + (life % LIVES);
}

interface StateAt {
  readonly root: Hash;
  readonly record: EpochRecord;
  /** Someone has asked for a fresh start since the epoch began. */
  readonly restarts: boolean;
}

/** The id under which a request is reported as overdue. */
export function requestId(request: number): Hash {
  return fakeHash(Uint8Array.of(request, request >> 8, request >> 16, request >> 24));
}

export class SimLedger {
  readonly #elections: Elections;
  readonly #states: StateAt[];
  readonly #hashes: Hash[];
  /** By epoch. */
  readonly #sets: ValidatorSet[];
  readonly #bases: number[] = [0];
  /** Request → epoch in which it was executed. */
  readonly #done: Map<number, number> = new Map();

  constructor(genesis: Hash, validators: ValidatorSet, elections: Elections) {
    this.#elections = elections;
    const zero = amount(0n);
    this.#states = [
      {
        root: fakeHash(genesis),
        record: {
          epoch: epoch(0),
          since: height(1),
          validators,
          next: undefined,
          fees: zero,
          reserve: zero,
          burned: zero,
        },
        restarts: false,
      },
    ];
    this.#hashes = [genesis];
    this.#sets = [validators];
  }

  get height(): number {
    return this.#states.length - 1;
  }

  /** Who decides on the block above the executed ones, and since which height. */
  get present(): EpochRecord {
    return (this.#states.at(-1) as StateAt).record;
  }

  /** Who decided in an epoch that has begun here. */
  validatorsOf(ofEpoch: number): ValidatorSet | undefined {
    return this.#sets[ofEpoch];
  }

  /** The height below the first one of an epoch that has begun here. */
  baseOf(ofEpoch: number): number | undefined {
    return this.#bases[ofEpoch];
  }

  /** The last height of an epoch, as soon as it is elected. */
  closingOf(ofEpoch: number): number | undefined {
    const { epoch: at, next } = this.present;
    return ofEpoch === at ? next?.closes : this.#bases[ofEpoch + 1];
  }

  /** Who decides at a height of an epoch that has begun here. */
  epochOfHeight(at: number): { readonly epoch: number; readonly validators: ValidatorSet } {
    const ofEpoch = this.#bases.findLastIndex((base) => base < at);
    return { epoch: ofEpoch, validators: this.#sets[ofEpoch] as ValidatorSet };
  }

  rootAt(at: number): Hash {
    return (this.#states[at] as StateAt).root;
  }

  hashAt(at: number): Hash {
    return this.#hashes[at] as Hash;
  }

  /** What a block of this height has to say; undefined while the state it commits to is not executed here. */
  demands(at: number): (EpochAt & { readonly stateRoot: Hash }) | undefined {
    const state = this.#states[Math.max(0, at - LIMITS.pipelineDepth)];
    return state === undefined ? undefined : { ...epochAt(state.record, height(at)), stateRoot: state.root };
  }

  isDone(request: number): boolean {
    return this.#done.has(request);
  }

  /** The epoch in which a request was executed. */
  epochOf(request: number): number | undefined {
    return this.#done.get(request);
  }

  apply(candidate: Candidate): Hash {
    const block = readBlock(candidate.bytes);
    const below = this.#states.at(-1) as StateAt;
    const restarts = below.restarts || this.#execute(block);
    const root = fakeHash(below.root, candidate.hash);
    const record = this.#endOfBlock(block.height, below.record, restarts);
    this.#states.push({ root, record, restarts: restarts && record.epoch === below.record.epoch });
    if (record.epoch !== below.record.epoch) {
      this.#sets.push(record.validators);
      this.#bases.push(block.height);
    }
    this.#hashes.push(candidate.hash);
    return root;
  }

  #execute(block: SimBlock): boolean {
    let restarts = false;
    for (const request of block.requests) {
      if (this.#done.has(request)) continue;
      this.#done.set(request, block.epoch);
      restarts ||= request >= RESTARTS;
    }
    return restarts;
  }

  #endOfBlock(at: number, record: EpochRecord, restarts: boolean): EpochRecord {
    const { next } = record;
    if (next !== undefined && at === next.closes)
      return {
        ...record,
        epoch: epoch(record.epoch + 1),
        since: height(at + 1),
        validators: next.validators,
        next: undefined,
      };
    if (!electsAt(height(at))) return record;
    const closes = height(at + LIMITS.pipelineDepth);
    const elected = this.#elections.get(closes / LIMITS.checkpointInterval);
    if (elected === undefined && !restarts) return record;
    return { ...record, next: { validators: elected ?? record.validators, closes } };
  }
}
