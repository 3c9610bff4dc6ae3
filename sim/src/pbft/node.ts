/** A validator of the simulator: the real replica, one per epoch, and a shell that does what the contract of `Effects` says. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { height as heightOf, millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { bitmapOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CommittedBlock, Effects, Input, Want } from '@itc/core/pbft/effects.js';
import { decodeLogRecord, type LogRecord } from '@itc/core/pbft/log.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate, Message, VerifiedMessage } from '@itc/core/pbft/messages.js';
import {
  Replica,
  type Application,
  type ReplicaOptions,
  type ReplicaStatus,
} from '@itc/core/pbft/replica.js';
import { voteBytes } from '@itc/core/pbft/signing.js';
import { verifyCertificate, verifyMessage, type VerifyContext } from '@itc/core/pbft/verify.js';
import type { Disk, LogFile } from '../disk.ts';
import { fakeKey, fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { Action, Actor, World } from '../world.ts';
import { WalRecord, type NodeOptions, type SimMessage } from './shell.ts';
import { restartRequest } from './requests.ts';
import { chainTime, parseSimBlock, readBlock, setHash, TRANSACTIONS_MAX } from './sim-block.ts';
import { SimLedger } from './sim-ledger.ts';

/** Names of the files. The log is made when a node is set up; when it is missing later, the disk was lost. */
export const WAL = 'write-ahead log';
export const BLOCKS = 'blocks';

/** Certified blocks in one answer. */
const BLOCKS_SERVED_MAX = 32;
const ANNOUNCE_MS = 500;
/** A peer of an older epoch is told how it ended this often. */
const HELP_MS = 250;
const OVERDUE_MS = 1_500;
const OVERDUE_MAX = 16;

export class SimReplica implements Actor<SimMessage> {
  readonly #options: NodeOptions;
  readonly #world: World<SimMessage>;
  readonly #disk: Disk;
  readonly #blocks: LogFile<CommittedBlock>;
  readonly #ledger: SimLedger;
  #context: VerifyContext;
  /** Undefined in an epoch that does not hold this node. */
  #replica: Replica | undefined;
  /** The request that, once executed, lets a node without memory of its votes vote again in the epoch after. */
  #restart: number | undefined;
  #standing: Extract<Want, { kind: 'proposal' }> | undefined;
  #include: readonly Hash[] = [];
  /** Since when each request waits here. */
  readonly #seen: Map<number, number> = new Map();
  readonly #helpedAt: Map<number, number> = new Map();
  #announcedAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #executedAt = 0;

  constructor(options: NodeOptions, disk: Disk, world: World<SimMessage>) {
    this.#options = options;
    this.#world = world;
    this.#disk = disk;
    this.#blocks = disk.file(BLOCKS);
    this.#repair();
    this.#ledger = new SimLedger(options.home);
    // A real node reads its state; this one is so quick that it executes its blocks again.
    for (const { block } of this.#blocks.durable) this.#ledger.apply(block);
    this.#context = this.#present();
    options.observer.started(options.node, this.#ledger.height);
    this.#begin();
  }

  tick(now: number): Action<SimMessage>[] {
    const { home, self } = this.#options;
    const { requests } = home;
    if (this.#restart !== undefined && !this.#ledger.isDone(this.#restart))
      home.restart(this.#restart, self, this.#ledger.state);
    let count = 0;
    const overdue: Hash[] = [];
    for (const request of requests.waiting) {
      if (this.#ledger.isDone(request)) continue;
      count += 1;
      const since = this.#seen.get(request);
      if (since === undefined) this.#seen.set(request, now);
      else if (now - since >= OVERDUE_MS && overdue.length < OVERDUE_MAX) overdue.push(requests.id(request));
    }
    for (const request of this.#seen.keys()) if (!requests.waiting.has(request)) this.#seen.delete(request);
    return [
      ...this.#step({ kind: 'pending', count, overdue }, now),
      ...this.#step({ kind: 'tick', now: millis(Math.max(0, Math.round(now))) }, now),
      ...this.#announce(now),
    ];
  }

  receive(now: number, from: number, message: SimMessage): Action<SimMessage>[] {
    switch (message.kind) {
      case 'pbft':
        return this.#receive(now, from, message.message);
      case 'tip':
        return this.#replica === undefined || this.#isObserving ? this.#ask(now, from, message.height) : [];
      case 'blocks-wanted': {
        const first = Math.max(1, message.first);
        const blocks = this.#blocks.all.slice(
          first - 1,
          Math.min(message.last, first - 1 + BLOCKS_SERVED_MAX),
        );
        return blocks.length === 0 ? [] : [{ kind: 'send', to: [from], message: { kind: 'blocks', blocks } }];
      }
      case 'blocks':
        return this.#accept(now, message.blocks);
    }
  }

  status(): ReplicaStatus | undefined {
    return this.#replica?.status();
  }

  get height(): number {
    return this.#ledger.height;
  }

  get ledger(): SimLedger {
    return this.#ledger;
  }

  get committed(): readonly CommittedBlock[] {
    return this.#blocks.all;
  }

  get epoch(): number {
    return this.#context.epoch;
  }

  get #isObserving(): boolean {
    return this.#replica?.status().phase === 'observer';
  }

  #receive(now: number, from: number, message: Message): Action<SimMessage>[] {
    const { sabotage, identities } = this.#options;
    if (message.epoch < this.#context.epoch && sabotage.anyEpoch !== true)
      return this.#tellEnd(now, from, message.epoch);
    if (message.epoch > this.#context.epoch) return this.#ask(now, from, Number.MAX_SAFE_INTEGER);
    const verified = verifiedOnce(
      sabotage.anyEpoch === true ? { ...this.#context, epoch: message.epoch } : this.#context,
      message,
    );
    if (verified === undefined) return [];
    const input: Input = {
      kind: 'message',
      from: this.#indexOf(identities[from] ?? -1),
      message: sabotage.verified === undefined ? verified : sabotage.verified(verified),
    };
    return [...this.#step(input, now), ...this.#voteForAll(message)];
  }

  #voteForAll(message: Message): Action<SimMessage>[] {
    const { sabotage, home, self } = this.#options;
    if (sabotage.votesForAll !== true || message.kind !== 'pre-prepare') return [];
    const { epoch, view, block } = message;
    const sender = this.#indexOf(self);
    if (sender < 0) return [];
    const { height, hash } = block;
    const unsigned = { kind: 'prepare', sender, epoch, view, height, hash } as const;
    const vote = { ...unsigned, signature: fakeSign(fakeKey(self), voteBytes(home.chain, unsigned)) };
    return [{ kind: 'send', to: this.#others(() => true), message: { kind: 'pbft', message: vote } }];
  }

  /** Shows a peer that its epoch is over: the certificate of the closing block, which its own set has signed. */
  #tellEnd(now: number, to: number, ended: number): Action<SimMessage>[] {
    const last = this.#helpedAt.get(to) ?? Number.NEGATIVE_INFINITY;
    if (now >= last && now - last < HELP_MS) return [];
    this.#helpedAt.set(to, now);
    const closing = this.#blocks.durable.find(
      ({ block, certificate }) => block.closes && certificate.epoch === ended,
    );
    if (closing === undefined) return [];
    const { certificate } = closing;
    const set = this.#ledger.validatorsOf(ended) ?? [];
    const { self, identities, tally } = this.#options;
    // In the name of the own key, or, for one who was no member, of anyone but the peer itself.
    const own = set.findIndex(({ key }) => key.bytes[0] === self);
    const other = set.findIndex(({ key }) => key.bytes[0] !== identities[to]);
    tally.add('laggard told that its epoch is over');
    const message: Message = {
      kind: 'status',
      sender: own >= 0 ? own : other,
      epoch: certificate.epoch,
      view: certificate.view,
      changing: false,
      committed: certificate.height,
      stable: certificate.height,
      committedCertificate: certificate,
      stableCertificate: undefined,
      suspects: bitmapOf([], set.length),
    };
    return [{ kind: 'send', to: [to], message: { kind: 'pbft', message: this.#throughBytes(message) } }];
  }

  #announce(now: number): Action<SimMessage>[] {
    if (now >= this.#announcedAt && now - this.#announcedAt < ANNOUNCE_MS) return [];
    this.#announcedAt = now;
    const others = this.#others(() => true);
    return [{ kind: 'send', to: others, message: { kind: 'tip', height: this.#blocks.length } }];
  }

  #ask(now: number, from: number, target: number): Action<SimMessage>[] {
    const first = this.#blocks.length + 1;
    if (target < first || (now >= this.#askedAt && now - this.#askedAt < HELP_MS)) return [];
    this.#askedAt = now;
    return [
      {
        kind: 'send',
        to: [from],
        message: { kind: 'blocks-wanted', first, last: first + BLOCKS_SERVED_MAX },
      },
    ];
  }

  /** Blocks from synchronisation, up to the end of the present epoch; what lies above is asked for again. */
  #accept(now: number, blocks: readonly CommittedBlock[]): Action<SimMessage>[] {
    const actions: Action<SimMessage>[] = [];
    let next = this.#blocks.length + 1;
    for (const committed of blocks) {
      const { block, certificate } = committed;
      if (certificate.epoch !== this.#context.epoch || !equalBytes(block.hash, certificate.hash)) continue;
      if (!verifyCertificate(this.#context, certificate)) continue;
      if (this.#replica !== undefined)
        actions.push(...this.#step({ kind: 'certified', block, certificate }, now));
      if (this.#replica === undefined || this.#options.sabotage.deliverTwice === true) {
        if (block.height !== next && this.#replica === undefined) continue;
        next += 1;
        actions.push({ kind: 'do', what: 'deliver', run: () => this.#deliver(committed) });
      }
      if (block.closes) break;
    }
    return actions;
  }

  /** What a checksum shows to be damaged is cut off; a damaged write-ahead log is a lost one: who knows what it held. */
  #repair(): void {
    const readable = this.#blocks.readable;
    if (readable !== undefined) this.#blocks.truncate(readable);
    if (this.#disk.has(WAL) && this.#disk.file(WAL).readable !== undefined) this.#disk.remove(WAL);
  }

  #present(): VerifyContext {
    const { epoch, validators } = this.#ledger.present;
    return { chain: this.#options.home.chain, epoch, validators, verify: fakeVerify };
  }

  #indexOf(key: number): number {
    return this.#context.validators.findIndex((validator) => validator.key.bytes[0] === key);
  }

  /** Takes up the present epoch, after a start or because the one before has ended. */
  #begin(): void {
    const { node, self, observer, home, sabotage, diesWhenLeaving, random } = this.#options;
    const { epoch, since, validators } = this.#ledger.present;
    this.#context = this.#present();
    this.#standing = undefined;
    const base = { height: heightOf(since - 1), hash: this.#ledger.hashAt(since - 1) };
    observer.enters(node, epoch, validators, base);
    const index = this.#indexOf(self);
    const wasMember = epoch > 0;
    if (index < 0) {
      this.#replica = undefined;
      if (diesWhenLeaving && wasMember) this.#world.retire(node);
      return;
    }
    if (!this.#disk.has(WAL)) this.#recover(epoch);
    const isObserver = !this.#disk.has(WAL) && sabotage.votesWithoutLog !== true;
    const tip = this.#ledger.height >= since ? this.#blocks.durable[this.#ledger.height - 1] : undefined;
    const options: ReplicaOptions = {
      chain: home.chain,
      epoch,
      validators,
      self: index,
      observer: isObserver,
      application: this.#application(),
      sign: (bytes) => fakeSign(fakeKey(self), bytes),
      random: () => random.next(),
      timing: this.#options.timing,
      restore: this.#disk.has(WAL) ? this.#restored() : [],
      ...(epoch === 0 ? {} : { base: { ...base, stateRoot: this.#ledger.rootAt(since - 1) } }),
      ...(tip === undefined ? {} : { tip: tip.certificate }),
    };
    this.#replica = new Replica(options, sabotage.rules);
  }

  /**
   * A log is begun anew only in an epoch that came after the chain has executed this node's wish for it: an epoch the
   * node merely meets on its way up may be one in which it has voted before it lost its memory.
   */
  #recover(epoch: number): void {
    const { self, tally, random } = this.#options;
    const wished = this.#restart === undefined ? undefined : this.#ledger.epochOf(this.#restart);
    if (wished !== undefined && wished < epoch) {
      this.#disk.file(WAL);
      this.#restart = undefined;
      tally.add('voted again after a lost disk');
    } else this.#restart ??= restartRequest(self, random.below(65_536));
  }

  #restored(): LogRecord[] {
    const { encoded, sabotage } = this.#options;
    const records = this.#disk.file<WalRecord>(WAL).durable.map((kept) => {
      if (!encoded) return kept.record;
      const record = decodeLogRecord(kept.bytes, parseSimBlock);
      if (!record.ok) throw new Error(`write-ahead log: ${record.message}`);
      return record.value;
    });
    return sabotage.restore === undefined ? records : [...sabotage.restore(records)];
  }

  #application(): Application {
    return { check: (block, fresh, now) => this.#check(block, fresh, now) };
  }

  #check(candidate: Candidate, fresh: boolean, now: number): ReturnType<Application['check']> {
    const { header } = readBlock(candidate.bytes);
    const { tree } = this.#options.home;
    const demands = this.#ledger.demands(header.height);
    if (demands === undefined) return 'later';
    const parent = tree.at(header.parentHash);
    const { stateRoot, epoch, closes, validators, nextValidators } = demands;
    if (parent === undefined || header.epoch !== epoch || candidate.closes !== closes) return 'invalid';
    const isSame =
      equalBytes(stateRoot, header.stateRoot) &&
      equalBytes(setHash(validators), header.validatorsHash) &&
      equalBytes(setHash(nextValidators), header.nextValidatorsHash) &&
      equalBytes(parent.historyRoot, header.historyRoot);
    if (!isSame || header.time <= parent.time) return 'invalid';
    // Another clock, or a later moment, may find it right: no last word.
    return fresh && header.time > chainTime(now) + LIMITS.clockSkewMsMax ? 'later' : 'valid';
  }

  /** One step of the replica, and its effects as actions in the order the contract demands. */
  #step(input: Input, now: number): Action<SimMessage>[] {
    const { disguise, sabotage, node, observer } = this.#options;
    if (this.#replica === undefined) return [];
    const validators = this.#context.validators;
    const effects: Effects = disguise.effects(this.#replica.step(input), now, input);
    for (const evidence of effects.evidence) observer.evidence(node, evidence);
    const wal = this.#disk.has(WAL) ? this.#disk.file<WalRecord>(WAL) : undefined;
    const actions: Action<SimMessage>[] = [];
    for (const record of effects.persist) {
      if (wal === undefined || (sabotage.keepRecord !== undefined && !sabotage.keepRecord(record))) continue;
      const run = (): void => {
        wal.append(new WalRecord(record));
        observer.persists(node, record);
      };
      actions.push({ kind: 'do', what: 'append', run });
    }
    if (effects.persist.length > 0 && wal !== undefined) {
      actions.push({ kind: 'do', what: 'sync', run: () => wal.sync() });
      if (effects.persist.some(({ kind }) => kind === 'truncate'))
        actions.push({ kind: 'do', what: 'drop old records', run: () => dropOld(wal) });
    }
    for (const { to, message } of effects.send) {
      const nodes = this.#others((key) => to === 'all' || key === validators[to]?.key.bytes[0], validators);
      actions.push({
        kind: 'send',
        to: nodes,
        message: { kind: 'pbft', message: this.#throughBytes(message) },
      });
    }
    for (const committed of effects.deliver)
      actions.push({ kind: 'do', what: 'deliver', run: () => this.#deliver(committed) });
    for (const want of effects.want) actions.push(...this.#want(want));
    return sabotage.actions === undefined ? actions : sabotage.actions(actions);
  }

  /** Other nodes whose key fits; of a set when one is given. */
  #others(fits: (key: number) => boolean, validators?: ValidatorSet): number[] {
    const { identities, self } = this.#options;
    const members = validators?.map(({ key }) => key.bytes[0]);
    return [...identities.keys()].filter((node) => {
      const key = identities[node] ?? -1;
      return key !== self && fits(key) && (members === undefined || members.includes(key));
    });
  }

  #throughBytes(message: Message): Message {
    if (!this.#options.encoded) return message;
    const decoded = decodeMessage(encodeMessage(message), parseSimBlock);
    if (!decoded.ok) throw new Error(`a message of our own does not decode: ${decoded.message}`);
    return decoded.value;
  }

  /** The block log has its own file and its own sync, a little later: a crash in between must be survived. */
  #deliver(committed: CommittedBlock): void {
    const { node, observer, random, executionMs, sabotage } = this.#options;
    observer.delivered(node, committed);
    this.#blocks.append(committed);
    // Blocks are executed one after the other, however long each takes.
    this.#executedAt = Math.max(this.#executedAt, this.#world.now + Math.round(random.next() * executionMs));
    this.#world.later(node, this.#executedAt - this.#world.now, () => {
      const execute: Action<SimMessage> = {
        kind: 'do',
        what: 'execute',
        run: () => this.#execute(committed),
      };
      const store: Action<SimMessage> = { kind: 'do', what: 'sync blocks', run: () => this.#blocks.sync() };
      return sabotage.executesEarly === true ? [execute] : [store, execute];
    });
  }

  #execute({ block }: CommittedBlock): void {
    const { node, observer } = this.#options;
    const { epoch } = this.#ledger.present;
    const stateRoot = this.#ledger.apply(block).state.root;
    observer.executed(node, block.height, stateRoot);
    if (this.#ledger.present.epoch !== epoch) {
      // What the log says of the old epoch binds nobody any more.
      if (this.#disk.has(WAL)) this.#disk.file<WalRecord>(WAL).restore([]);
      this.#begin();
      return;
    }
    const { height, hash } = block;
    this.#world.later(node, 0, (later) => this.#step({ kind: 'executed', height, hash, stateRoot }, later));
  }

  #want(want: Want): Action<SimMessage>[] {
    const { node, random, disguise } = this.#options;
    switch (want.kind) {
      case 'include':
        this.#include = want.ids;
        return [];
      case 'sync': {
        const key = this.#context.validators[want.from]?.key.bytes[0];
        const first = this.#blocks.length + 1;
        return [
          {
            kind: 'send',
            to: this.#others((other) => other === key),
            message: { kind: 'blocks-wanted', first, last: want.target },
          },
        ];
      }
      case 'proposal':
        this.#standing = want;
        this.#world.later(node, random.next() * 50 + disguise.delayMs, (now) => this.#propose(now));
        return [];
    }
  }

  #propose(now: number): Action<SimMessage>[] {
    const { home, disguise } = this.#options;
    const { requests } = home;
    const want = this.#standing;
    if (want === undefined) return [];
    const demands = this.#ledger.demands(want.height);
    // Not executed that far yet: the want stands and comes again with a tick.
    if (demands === undefined) return [];
    this.#standing = undefined;
    const isUrgent = (request: number): boolean => {
      const id = requests.id(request);
      return this.#include.some((known) => equalBytes(known, id));
    };
    const ahead = home.tree.idsAbove(this.#ledger.height, want.parentHash);
    const open = [...requests.waiting].filter(
      (request) =>
        !this.#ledger.isDone(request) &&
        !disguise.censors(request) &&
        !ahead.has(idText(requests.id(request))),
    );
    const urgent = this.#include.length === 0 ? [] : open.filter(isUrgent);
    const chosen = [...new Set([...urgent, ...open])].slice(0, TRANSACTIONS_MAX);
    const { height, parentHash } = want;
    const again = disguise.repeats ? this.#ledger.executedRequest(height) : undefined;
    const put = again === undefined ? chosen : [...chosen.slice(0, TRANSACTIONS_MAX - 1), again];
    const transactions = put.map((request) => requests.transaction(request));
    const block = home.tree.propose({ height, parentHash, ...demands, now: chainTime(now), transactions });
    return this.#step({ kind: 'proposal', block }, now);
  }
}

/**
 * What follows the mark stands for what lies before it, once all of the batch is durable. A mark that a crash has
 * cut off from its batch is never acted upon.
 */
function dropOld(wal: LogFile<WalRecord>): void {
  const mark = wal.durable.findLastIndex(({ record }) => record.kind === 'truncate');
  if (mark > 0) wal.dropBefore(mark);
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
