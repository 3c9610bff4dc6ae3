/**
 * The ledger of a node: the real state machine over real transactions. Who decides follows from a plan in place of the votes
 * and bonds in the state, so that no more than a third of any set is faulty; the rules of epochs (`epochAt`, `electsAt`)
 * are the real ones.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { electsAt, epochAt, type EpochAt, type EpochRecord } from '@itc/core/ledger/epoch.js';
import { height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { Execution } from './executions.ts';
import type { Home } from './home.ts';
import { isRestart } from './requests.ts';
import { readBlock, type SimBlock } from './sim-block.ts';

/** What will be elected: a set for the n-th checkpoint height, where it differs from the one before. */
export type Elections = ReadonlyMap<number, ValidatorSet>;

interface StateAt {
  readonly state: LedgerState;
  readonly record: EpochRecord;
  /** Someone has asked for a fresh start since the epoch began. */
  readonly restarts: boolean;
}

export class SimLedger {
  readonly #home: Home;
  readonly #states: StateAt[];
  readonly #hashes: Hash[];
  /** By epoch. */
  readonly #sets: ValidatorSet[];
  readonly #bases: number[] = [0];
  /** Request → epoch in which it was executed. */
  readonly #done: Map<number, number> = new Map();

  constructor(home: Home) {
    this.#home = home;
    const record = home.genesisState.epoch;
    this.#states = [{ state: home.genesisState, record, restarts: false }];
    this.#hashes = [home.chain];
    this.#sets = [record.validators];
  }

  get height(): number {
    return this.#states.length - 1;
  }

  /** Who decides on the block above the executed ones, and since which height. */
  get present(): EpochRecord {
    return (this.#states.at(-1) as StateAt).record;
  }

  /** After the last executed block. */
  get state(): LedgerState {
    return (this.#states.at(-1) as StateAt).state;
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
    return (this.#states[at] as StateAt).state.root;
  }

  hashAt(at: number): Hash {
    return this.#hashes[at] as Hash;
  }

  /** The state a header of this height commits; undefined while it is not executed here. */
  stateUnder(at: number): LedgerState | undefined {
    return this.#states[Math.max(0, at - LIMITS.pipelineDepth)]?.state;
  }

  /** What a block of this height has to say; undefined while the state it commits to is not executed here. */
  demands(at: number): (EpochAt & { readonly stateRoot: Hash }) | undefined {
    const below = this.#states[Math.max(0, at - LIMITS.pipelineDepth)];
    return below && { ...epochAt(below.record, height(at)), stateRoot: below.state.root };
  }

  isDone(request: number): boolean {
    return this.#done.has(request);
  }

  /** Of all that were executed, the n-th, counting round and round; undefined before there is one. */
  executedRequest(n: number): number | undefined {
    return [...this.#done.keys()][n % Math.max(1, this.#done.size)];
  }

  /** The epoch in which a request was executed. */
  epochOf(request: number): number | undefined {
    return this.#done.get(request);
  }

  apply(candidate: Candidate): Execution {
    const block = readBlock(candidate.bytes);
    const below = this.#states.at(-1) as StateAt;
    const restarts = below.restarts || this.#execute(block);
    const execution = this.#home.executions.run(below.state, candidate.hash, block, (said) =>
      this.#elect(block.header.height, below.record, said, restarts),
    );
    const { state } = execution;
    const record = state.epoch;
    this.#states.push({ state, record, restarts: restarts && record.epoch === below.record.epoch });
    if (record.epoch !== below.record.epoch) {
      this.#sets.push(record.validators);
      this.#bases.push(block.header.height);
    }
    this.#hashes.push(candidate.hash);
    return execution;
  }

  #execute(block: SimBlock): boolean {
    let restarts = false;
    for (const id of block.ids) {
      const request = this.#home.requests.numberOf(id);
      if (request === undefined || this.#done.has(request)) continue;
      this.#done.set(request, block.header.epoch);
      restarts ||= isRestart(request);
    }
    return restarts;
  }

  /** The plan in place of the votes: another set, or the same one again for somebody's fresh start. */
  #elect(at: number, before: EpochRecord, said: EpochRecord, restarts: boolean): EpochRecord {
    if (!electsAt(height(at)) || before.next !== undefined) return said;
    const closes = height(at + LIMITS.pipelineDepth);
    const elected = this.#home.elections.get(closes / LIMITS.checkpointInterval);
    if (elected === undefined && !restarts)
      return said.next === undefined ? said : { ...said, next: undefined };
    return { ...said, next: { validators: elected ?? before.validators, closes } };
  }
}
