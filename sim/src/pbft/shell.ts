/** What passes between the nodes of the simulator, and what their makers and watchers agree on. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CommittedBlock, Effects, Evidence, Input } from '@itc/core/pbft/effects.js';
import { encodeLogRecord, type LogRecord } from '@itc/core/pbft/log.js';
import type { Message, VerifiedMessage } from '@itc/core/pbft/messages.js';
import type { Rules } from '@itc/core/pbft/rules.js';
import type { Timing } from '@itc/core/pbft/timing.js';
import type { MakeReader } from '../light/watch.ts';
import type { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import type { Action } from '../world.ts';
import type { Machine } from './executions.ts';
import type { Home } from './home.ts';

export type SimMessage =
  | { readonly kind: 'pbft'; readonly message: Message }
  | { readonly kind: 'blocks-wanted'; readonly first: number; readonly last: number }
  | { readonly kind: 'blocks'; readonly blocks: readonly CommittedBlock[] }
  /** For those who follow without a replica. */
  | { readonly kind: 'tip'; readonly height: number };

/** One record of the write-ahead log; its bytes are made when somebody reads them. */
export class WalRecord {
  readonly record: LogRecord;
  #bytes: Uint8Array | undefined;

  constructor(record: LogRecord) {
    this.record = record;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= encodeLogRecord(this.record);
    return this.#bytes;
  }
}

/** What the checkers see of a node. All of it is called at the moment the thing happens. */
export interface Observer {
  delivered(node: number, committed: CommittedBlock): void;
  executed(node: number, height: number, root: Hash): void;
  persists(node: number, record: LogRecord): void;
  sends(node: number, message: Message, wal: readonly WalRecord[]): void;
  started(node: number, tip: number): void;
  /** The node begins to take part in an epoch, or to watch it. */
  enters(node: number, epoch: number, validators: ValidatorSet, base: { height: number; hash: Hash }): void;
  evidence(node: number, evidence: Evidence): void;
}

/** Changes what a correct replica would do; the identity for a correct one. */
export interface Disguise {
  readonly effects: (effects: Effects, now: number, input: Input) => Effects;
  /** How long a proposal is held back. */
  readonly delayMs: number;
  /** Requests that never get into its blocks. */
  readonly censors: (request: number) => boolean;
  /** Puts transactions into its blocks that were executed before. */
  readonly repeats: boolean;
}

export const HONEST: Disguise = {
  effects: (effects) => effects,
  delayMs: 0,
  censors: () => false,
  repeats: false,
};

/** Wrong on purpose: see mutations.ts. */
export interface Sabotage {
  readonly rules?: Rules;
  /** Turns effects into actions in another order, or leaves some out. */
  readonly actions?: (actions: Action<SimMessage>[]) => Action<SimMessage>[];
  readonly keepRecord?: (record: LogRecord) => boolean;
  /** What a restarted replica is shown of its log. */
  readonly restore?: (records: readonly LogRecord[]) => readonly LogRecord[];
  /** Changes what verification found. */
  readonly verified?: (verified: VerifiedMessage) => VerifiedMessage;
  /** Signs a PREPARE for every proposal it hears of. */
  readonly votesForAll?: boolean;
  /** Votes of older epochs are taken for votes of this one. */
  readonly anyEpoch?: boolean;
  /** Blocks from synchronisation go to the ledger past the replica. */
  readonly deliverTwice?: boolean;
  /** A node whose disk was lost votes at once. */
  readonly votesWithoutLog?: boolean;
  /** Reports a block as executed before it is durable. */
  readonly executesEarly?: boolean;
  /** A state machine that does something else. */
  readonly machine?: Machine;
  /** What light clients read answers with. */
  readonly reader?: MakeReader;
  /** In place of SHA-256. */
  readonly hash?: (bytes: Uint8Array) => Uint8Array;
}

export interface NodeOptions {
  readonly node: number;
  /** Identity of this node: the number of its key. Two nodes may have the same one (twins). */
  readonly self: number;
  /** Key number of every node of the world. */
  readonly identities: readonly number[];
  readonly home: Home;
  readonly timing: Partial<Timing>;
  readonly random: Random;
  readonly observer: Observer;
  readonly tally: Tally;
  /** Dies for good in the moment the epoch that leaves it out begins. */
  readonly diesWhenLeaving: boolean;
  readonly disguise: Disguise;
  readonly sabotage: Sabotage;
  /** Messages and log records go through their bytes, as on a real wire and disk. */
  readonly encoded: boolean;
  readonly executionMs: number;
}
