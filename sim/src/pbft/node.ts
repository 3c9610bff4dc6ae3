/** A validator of the simulator: the real replica, and a shell that does what the contract of `Effects` says. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Certificate } from '@itc/core/ledger/block.js';
import { epoch, millis } from '@itc/core/ledger/ids.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CommittedBlock, Effects, Input, Want } from '@itc/core/pbft/effects.js';
import { decodeLogRecord, encodeLogRecord } from '@itc/core/pbft/log.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate, Message, VerifiedMessage } from '@itc/core/pbft/messages.js';
import { Replica, type ReplicaOptions, type ReplicaStatus } from '@itc/core/pbft/replica.js';
import type { Rules } from '@itc/core/pbft/rules.js';
import type { Timing } from '@itc/core/pbft/timing.js';
import { verifyCertificate, verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import type { Disk, LogFile } from '../disk.ts';
import { fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import type { Action, Actor, World } from '../world.ts';
import { Execution, FRESHNESS_MS, makeBlock, parseSimBlock, readBlock, REQUESTS_MAX } from './sim-block.ts';

export type SimMessage =
  | { readonly kind: 'pbft'; readonly message: Message }
  | { readonly kind: 'blocks-wanted'; readonly first: number; readonly last: number }
  | { readonly kind: 'blocks'; readonly blocks: readonly CommittedBlock[] };

/** Certified blocks in one answer. */
const BLOCKS_SERVED_MAX = 32;

/** What the checkers see of a node. All of it is called at the moment the thing happens. */
export interface Observer {
  delivered(node: number, committed: CommittedBlock): void;
  executed(node: number, height: number, root: Hash): void;
  sends(node: number, message: Message, wal: readonly WalRecord[]): void;
  started(node: number, tip: number): void;
}

export interface WalRecord {
  readonly bytes: Uint8Array;
  readonly truncates: boolean;
}

/** Changes what a correct replica would do; the identity for a correct one. */
export type Disguise = (effects: Effects, now: number, input: Input) => Effects;

/** Wrong on purpose: see mutations.ts. */
export interface Sabotage {
  readonly rules?: Rules;
  /** Turns effects into actions in another order, or leaves some out. */
  readonly actions?: (actions: Action<SimMessage>[]) => Action<SimMessage>[];
  readonly keepRecord?: (record: WalRecord, kind: string) => boolean;
}

export interface NodeOptions {
  readonly node: number;
  /** Index in the validator set; two nodes may have the same one (twins). */
  readonly self: number;
  /** Validator index of every node of the world. */
  readonly identities: readonly number[];
  readonly chain: Hash;
  readonly validators: ValidatorSet;
  readonly timing: Partial<Timing>;
  readonly random: Random;
  readonly observer: Observer;
  readonly requests: { readonly known: ReadonlySet<number> };
  readonly disguise: Disguise;
  readonly sabotage: Sabotage;
  /** Messages go through their bytes, as on a real wire. */
  readonly encoded: boolean;
  readonly executionMs: number;
}

export class SimReplica implements Actor<SimMessage> {
  readonly #options: NodeOptions;
  readonly #world: World<SimMessage>;
  readonly #replica: Replica;
  readonly #wal: LogFile<WalRecord>;
  readonly #blocks: LogFile<CommittedBlock>;
  readonly #execution: Execution;
  readonly #done: Set<number> = new Set();
  #standing: Extract<Want, { kind: 'proposal' }> | undefined;
  #salt = 0;
  #executedAt = 0;

  constructor(options: NodeOptions, disk: Disk, world: World<SimMessage>) {
    this.#options = options;
    this.#world = world;
    this.#wal = disk.file('write-ahead log');
    this.#blocks = disk.file('blocks');
    this.#execution = new Execution(options.chain);
    // A real node reads its state; this one is so quick that it executes its blocks again.
    for (const { block } of this.#blocks.durable) this.#execute(block);
    const tip = this.#blocks.durable.at(-1)?.certificate;
    options.observer.started(options.node, tip?.height ?? 0);
    this.#replica = new Replica(this.#replicaOptions(tip), options.sabotage.rules);
  }

  tick(now: number): Action<SimMessage>[] {
    let waiting = 0;
    for (const request of this.#options.requests.known) if (!this.#done.has(request)) waiting += 1;
    return [
      ...this.#step({ kind: 'pending', count: waiting, overdue: [] }, now),
      ...this.#step({ kind: 'tick', now: millis(now) }, now),
    ];
  }

  receive(now: number, from: number, message: SimMessage): Action<SimMessage>[] {
    switch (message.kind) {
      case 'pbft': {
        const verified = verifiedOnce(this.#context, message.message);
        if (verified === undefined) return [];
        return this.#step(
          { kind: 'message', from: this.#options.identities[from] ?? -1, message: verified },
          now,
        );
      }
      case 'blocks-wanted': {
        const first = Math.max(1, message.first);
        const blocks = this.#blocks.all.slice(
          first - 1,
          Math.min(message.last, first - 1 + BLOCKS_SERVED_MAX),
        );
        return blocks.length === 0 ? [] : [{ kind: 'send', to: [from], message: { kind: 'blocks', blocks } }];
      }
      case 'blocks':
        return message.blocks.flatMap(({ block, certificate }) =>
          verifyCertificate(this.#context, certificate) && equalBytes(block.hash, certificate.hash)
            ? this.#step({ kind: 'certified', block, certificate }, now)
            : [],
        );
    }
  }

  status(): ReplicaStatus {
    return this.#replica.status();
  }

  get #context(): VerifyContext {
    return contextOf(this.#options);
  }

  #replicaOptions(tip: Certificate | undefined): ReplicaOptions {
    const { chain, validators, self, random, timing } = this.#options;
    const key = validators[self]?.key;
    return {
      chain,
      epoch: epoch(0),
      validators,
      self,
      application: { check: (block, fresh, now) => this.#check(block, fresh, now) },
      sign: (bytes) => {
        if (key === undefined) throw new RangeError(`validator ${self} has no key`);
        return fakeSign(key, bytes);
      },
      random: () => random.next(),
      timing,
      restore: this.#wal.durable.map(({ bytes }) => {
        const record = decodeLogRecord(bytes, parseSimBlock);
        if (!record.ok) throw new Error(`write-ahead log: ${record.message}`);
        return record.value;
      }),
      ...(tip === undefined ? {} : { tip }),
    };
  }

  #check(candidate: Candidate, fresh: boolean, now: number): 'valid' | 'invalid' | 'later' {
    const block = readBlock(candidate.bytes);
    if (block.invalid) return 'invalid';
    const root = this.#execution.laggingRoot(block.height);
    if (root === undefined) return 'later';
    if (!equalBytes(root, block.stateRoot)) return 'invalid';
    // Clocks differ: only what every correct replica finds the same is 'invalid'.
    return fresh && Math.abs(now - block.time) > FRESHNESS_MS ? 'later' : 'valid';
  }

  /** One step of the replica, and its effects as actions in the order the contract demands. */
  #step(input: Input, now: number): Action<SimMessage>[] {
    const { disguise, sabotage } = this.#options;
    const effects = disguise(this.#replica.step(input), now, input);
    const actions: Action<SimMessage>[] = [];
    for (const record of effects.persist) {
      const kept: WalRecord = { bytes: encodeLogRecord(record), truncates: record.kind === 'truncate' };
      if (sabotage.keepRecord !== undefined && !sabotage.keepRecord(kept, record.kind)) continue;
      actions.push({ kind: 'do', what: 'append', run: () => this.#wal.append(kept) });
    }
    if (effects.persist.length > 0) actions.push({ kind: 'do', what: 'sync', run: () => this.#sync() });
    for (const outgoing of effects.send) {
      const message = this.#options.encoded ? throughBytes(outgoing.message) : outgoing.message;
      actions.push({ kind: 'send', to: this.#nodesOf(outgoing.to), message: { kind: 'pbft', message } });
    }
    for (const committed of effects.deliver)
      actions.push({ kind: 'do', what: 'deliver', run: () => this.#deliver(committed) });
    for (const want of effects.want) actions.push(...this.#want(want));
    return sabotage.actions === undefined ? actions : sabotage.actions(actions);
  }

  #sync(): void {
    this.#wal.sync();
    const mark = this.#wal.durable.findLastIndex((record) => record.truncates);
    if (mark > 0) this.#wal.dropBefore(mark);
  }

  #nodesOf(to: number | 'all'): number[] {
    const { identities, self } = this.#options;
    return [...identities.keys()].filter((node) =>
      to === 'all' ? identities[node] !== self : identities[node] === to,
    );
  }

  /** The block log has its own file and its own sync, a little later: a crash in between must be survived. */
  #deliver(committed: CommittedBlock): void {
    const { node, observer, random, executionMs } = this.#options;
    observer.delivered(node, committed);
    this.#blocks.append(committed);
    // Blocks are executed one after the other, however long each takes.
    this.#executedAt = Math.max(this.#executedAt, this.#world.now + Math.round(random.next() * executionMs));
    this.#world.later(node, this.#executedAt - this.#world.now, () => {
      const actions: Action<SimMessage>[] = [
        { kind: 'do', what: 'sync blocks', run: () => this.#blocks.sync() },
      ];
      const { block } = committed;
      actions.push({
        kind: 'do',
        what: 'execute',
        run: () => {
          const root = this.#execute(block);
          observer.executed(node, block.height, root);
          this.#world.later(node, 0, (later) =>
            this.#step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: root }, later),
          );
        },
      });
      return actions;
    });
  }

  #execute(block: Candidate): Hash {
    for (const request of readBlock(block.bytes).requests) this.#done.add(request);
    return this.#execution.apply(block);
  }

  #want(want: Want): Action<SimMessage>[] {
    const { node, random } = this.#options;
    switch (want.kind) {
      case 'include':
        return [];
      case 'sync': {
        const first = this.#blocks.length + 1;
        return [
          {
            kind: 'send',
            to: this.#nodesOf(want.from),
            message: { kind: 'blocks-wanted', first, last: want.target },
          },
        ];
      }
      case 'proposal':
        this.#standing = want;
        this.#world.later(node, random.next() * 50, (now) => this.#propose(now));
        return [];
    }
  }

  #propose(now: number): Action<SimMessage>[] {
    const want = this.#standing;
    if (want === undefined) return [];
    const stateRoot = this.#execution.laggingRoot(want.height);
    // Not executed that far yet: the want stands and comes again with a tick.
    if (stateRoot === undefined) return [];
    this.#standing = undefined;
    const requests = [...this.#options.requests.known]
      .filter((request) => !this.#done.has(request))
      .slice(0, REQUESTS_MAX);
    this.#salt += 1;
    const { height, parentHash } = want;
    const block = makeBlock({
      height,
      parentHash,
      proposer: this.#options.self,
      time: now,
      stateRoot,
      requests,
      invalid: false,
      salt: this.#salt,
    });
    return this.#step({ kind: 'proposal', block }, now);
  }
}

function contextOf(options: Pick<NodeOptions, 'chain' | 'validators'>): VerifyContext {
  return { chain: options.chain, epoch: epoch(0), validators: options.validators, verify: fakeVerify };
}

/** Verification gives the same for everyone, so each message is verified once, not once per receiver. */
const verdicts = new WeakMap<Message, VerifiedMessage | 'refused'>();

function verifiedOnce(context: VerifyContext, message: Message): VerifiedMessage | undefined {
  let verdict = verdicts.get(message);
  if (verdict === undefined) {
    const result = verifyMessage(context, message);
    verdict = result.ok ? result.value : 'refused';
    verdicts.set(message, verdict);
  }
  return verdict === 'refused' ? undefined : verdict;
}

function throughBytes(message: Message): Message {
  const decoded = decodeMessage(encodeMessage(message), parseSimBlock);
  if (!decoded.ok) throw new Error(`a message of our own does not decode: ${decoded.message}`);
  return decoded.value;
}
