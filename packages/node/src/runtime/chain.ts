/**
 * The main chain as one process holds it: block log, executed state, recent states for proofs. Validators
 * and observers share it. It decides nothing: what it commits was certified.
 *
 * Writes to the tables lag the log, by the pipeline depth at least, and by some more where blocks change much: after a restart
 * the last blocks are executed again from the log, so that every state a header may refer to is in memory, also with all peers gone.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { EMPTY_MMR, MmrLog, mmrAppend, mmrRoot, type Mmr } from '@itc/core/crypto/mmr.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import {
  closesEpoch,
  decodeBlock,
  encodeCertificate,
  headerHash,
  HEADER_FLAGS,
  HEADER_VERSION,
  readHeader,
  type Certificate,
  type Header,
} from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epochAt } from '@itc/core/ledger/epoch.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { epoch, height, millis, type Epoch, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import { validatorsHash, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { VerifyContext } from '@itc/core/pbft/verify.js';
import { applyBlock } from '@itc/core/state/apply.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import { LedgerState } from '@itc/core/state/ledger-state.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import type { HashPiece } from '@itc/core/state/snapshot.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Change, Tables } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import { admissible, NO_HEADS, type HeadContext } from './checkpoint-heads.ts';
import { EpochTable, type EpochStart } from './epoch-table.ts';
import { EventLog, type LogQuery, type PlacedEntry } from './event-log.ts';
import { ExecutedBlocks, heightKey, type TransactionPlace } from './executed-blocks.ts';
import { InFlightBlocks, type InFlight } from './in-flight.ts';
import { includedIn, KeptBlocks, type Included } from './kept-blocks.ts';
import { assembleBlock, type PreparedBlock } from './prepared-block.ts';
import { storedBlock, storedBytes } from './stored-block.ts';
import { snapshotBase, type SnapshotBase } from './snapshot-base.ts';

const LAG = LIMITS.pipelineDepth;
/** Heights whose states stay in memory for proofs. */
const STATES_KEPT = 256;

export interface CommittedBlock {
  readonly block: PreparedBlock;
  readonly certificate: Certificate;
  readonly receipts: readonly Receipt[];
  readonly events: readonly LedgerEvent[];
}

export interface ChainOptions {
  readonly genesis: Genesis;
  readonly log: BlockLog;
  readonly tables: Tables;
  readonly verify: SignatureVerifier;
  /** Keep what happened by whom it concerns. */
  readonly eventLog?: boolean;
}

export class Chain {
  readonly genesis: Genesis;
  readonly id: Hash;
  readonly #log: BlockLog;
  readonly #tables: Tables;
  readonly #verify: SignatureVerifier;
  readonly #kept: KeptBlocks;
  #epochs: EpochTable;
  #executed: ExecutedBlocks;
  readonly #events: EventLog | undefined;
  /** Sets live as long as their epoch and are hashed once. */
  readonly #setHashes = new WeakMap<ValidatorSet, Hash>();
  #history = new MmrLog();
  #hashes: Hash[] = [];
  /** The committed block; undefined at height 0. */
  #tip: InFlight | undefined;
  #states = new Map<number, LedgerState>();
  #height = height(0);
  /** Heights whose states somebody holds beyond that. */
  #held: readonly number[] = [];
  #inFlight = new InFlightBlocks();
  /** What the state was taken over from; there are no states below it. */
  #base: SnapshotBase | undefined;
  readonly #listeners = new Set<(committed: CommittedBlock) => void>();
  readonly #replacedListeners = new Set<() => void>();
  #transactions = 0;

  private constructor(options: ChainOptions) {
    this.genesis = options.genesis;
    this.id = genesisHash(options.genesis);
    this.#log = options.log;
    this.#tables = options.tables;
    this.#verify = options.verify;
    this.#kept = new KeptBlocks(options.tables);
    this.#events = options.eventLog === true ? new EventLog(options.tables) : undefined;
    this.#executed = new ExecutedBlocks(options.tables, (of) => this.#log.get(of)?.block, this.#events);
    this.#epochs = new EpochTable(options.tables, {
      epoch: epoch(0),
      since: height(1),
      validators: options.genesis.validators,
      stateRoot: LedgerState.fromGenesis(options.genesis).root,
      closing: undefined,
    });
  }

  /** Loads what is stored and executes again what the tables lag behind. Throws `storage.corrupt` when the two disagree. */
  static async open(options: ChainOptions): Promise<Chain> {
    const chain = new Chain(options);
    await chain.#load();
    return chain;
  }

  /**
   * Goes on with what is stored now, after something else than a block has changed it: a snapshot was taken over.
   * Until then everybody is answered from what was there before.
   */
  async reopen(): Promise<void> {
    const { genesis } = this;
    const next = new Chain({
      genesis,
      log: this.#log,
      tables: this.#tables,
      verify: this.#verify,
      eventLog: this.#events !== undefined,
    });
    await next.#load();
    this.#epochs = next.#epochs;
    this.#executed = next.#executed;
    this.#history = next.#history;
    this.#hashes = next.#hashes;
    this.#tip = next.#tip;
    this.#states = next.#states;
    this.#height = next.#height;
    this.#inFlight = next.#inFlight;
    this.#base = next.#base;
    this.#transactions = next.#transactions;
    for (const listener of this.#replacedListeners) listener();
  }

  get height(): Height {
    return this.#height;
  }

  /** The block whose state was taken over from peers; undefined when everything was executed here. */
  get anchor(): StableCertificate | undefined {
    return this.#base?.anchor;
  }

  /** Lowest height from which every block up to the committed one is kept here; 1 above that when there is none. */
  get floor(): Height {
    const first = this.#log.first === 0 ? this.#height + 1 : this.#log.first;
    return height(Math.max(first, this.#base?.anchor.height ?? 0));
  }

  /** Of the newest blocks, what is not in the tables yet and stays true when their state is passed over for a later one. */
  traces(): Change[] {
    return this.#executed.traces();
  }

  /** State after the committed block. */
  get state(): LedgerState {
    return this.#states.get(this.#height) as LedgerState;
  }

  get tip(): Header | undefined {
    return this.#tip?.header;
  }

  /** Hash of the committed block; the genesis hash at height 0. */
  get tipHash(): Hash {
    return this.#hashes[this.#height - 1] ?? this.id;
  }

  /** Time of the committed block; genesis time at height 0. */
  get time(): Millis {
    return this.#tip?.header.time ?? this.genesis.time;
  }

  get transactionCount(): number {
    return this.#transactions;
  }

  /** State after an executed block; asserted to be kept. */
  stateAt(of: number): LedgerState {
    const state = this.#states.get(of);
    if (state === undefined) throw new RangeError(`the state at height ${of} is not kept`);
    return state;
  }

  /** Keeps what the state at a height refers to readable for one who holds that state, until the returned is called. */
  hold(of: Height): () => void {
    this.#held = [...this.#held, of];
    return () => {
      const at = this.#held.indexOf(of);
      if (at >= 0) this.#held = this.#held.toSpliced(at, 1);
    };
  }

  /** The state a header of this height commits to, while it is kept. */
  stateUnder(of: Height): LedgerState | undefined {
    return this.#states.get(Math.max(0, of - LAG));
  }

  hashAt(of: number): Hash | undefined {
    return of === 0 ? this.id : this.#hashes[of - 1];
  }

  blockAt(of: number): { readonly block: Uint8Array; readonly certificate: Certificate } | undefined {
    return of >= 1 && of <= this.#height ? storedBytes(this.#log, of) : undefined;
  }

  /** Header and certificate of a block, whether it is kept or was pruned. */
  headerAt(of: number): CertifiedHeader | undefined {
    const stored = this.blockAt(of);
    if (stored === undefined) return this.#kept.at(of);
    return { header: readHeader(new Reader(stored.block)), certificate: stored.certificate };
  }

  /** A transaction with what proves it, from its block; for subnet checkpoints also from what pruning has left of it. */
  included(place: TransactionPlace): Included | undefined {
    const stored = this.blockAt(place.height);
    if (stored === undefined) return this.#kept.included(place.height, place.index);
    const block = decodeBlock(stored.block);
    if (!block.ok) throw new LedgerError('storage.corrupt', `block ${place.height} does not decode`);
    return includedIn(block.value, stored.certificate, place.index);
  }

  /** The epoch of the block above the committed one. */
  get epoch(): EpochStart {
    return this.#epochs.latest;
  }

  epochStart(of: Epoch): EpochStart | undefined {
    return this.#epochs.at(of);
  }

  /** Last height of an epoch; undefined while it goes on. */
  closingHeight(of: Epoch): Height | undefined {
    const next = this.#epochs.at(of + 1);
    return next === undefined ? undefined : height(next.since - 1);
  }

  /**
   * Who certifies a height. Above the committed block it is who decides now: right up to the block that closes
   * the epoch, and unknown beyond it.
   */
  contextAt(of: Height): VerifyContext {
    const { epoch: its, validators } = this.#epochs.of(of);
    return { chain: this.id, epoch: its, validators, verify: this.#verify };
  }

  /** Whether the certificate of the committed block is here, or it closed an epoch, or is genesis. */
  get isTipProved(): boolean {
    return this.#height < this.epoch.since || this.#log.get(this.#height) !== undefined;
  }

  receipt(id: Hash): Receipt | undefined {
    return this.#executed.receipt(id);
  }

  /** What happened to an account, a device or anything else with an id; undefined where no log is kept. */
  events(query: LogQuery): PlacedEntry[] | undefined {
    return this.#events?.find(query);
  }

  /** What to remove from that log with a block. */
  forgetEvents(of: number): Change[] {
    return this.#events?.removalOf(of) ?? [];
  }

  /** What to remove once the blocks below a height are gone: places nobody can look at any more. */
  forgetPlaces(below: number): ReturnType<ExecutedBlocks['prune']> {
    return this.#executed.prune(below);
  }

  /** Where the checkpoint of this subnet and sequence was accepted. */
  checkpointPlace(subnet: Hash, sequence: number): TransactionPlace | undefined {
    return this.#executed.checkpointPlace(subnet, sequence);
  }

  /** The state has become another one without the blocks between: what was derived from events is to be read anew. */
  onReplaced(listener: () => void): () => void {
    this.#replacedListeners.add(listener);
    return () => this.#replacedListeners.delete(listener);
  }

  onCommitted(listener: (committed: CommittedBlock) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A proposal on top of `parentHash`: the committed block or one that `check` has accepted. */
  propose(
    of: Height,
    parentHash: Hash,
    now: Millis,
    transactions: readonly VerifiedTransaction[],
  ): PreparedBlock | undefined {
    const parent = this.#parentOf(of, parentHash);
    const state = this.stateUnder(of);
    if (parent === undefined || state === undefined) return undefined;
    const time = millis(Math.max(now, (parent.header?.time ?? this.genesis.time) + 1));
    const { admitted } = admissible(this.#headContext(of, parentHash, state), transactions);
    return assembleBlock(this.#headerOf(of, parentHash, parent.history, state, time), admitted);
  }

  /**
   * Whether a block may follow its parent (spec STATE-7). The verdict depends on the chain alone, except for
   * the clock of a fresh proposal; a parent that is not known here yet, or a state not executed, gives `later`.
   */
  check(block: PreparedBlock, fresh: boolean, now: Millis): 'valid' | 'invalid' | 'later' {
    const { header, candidate } = block;
    if (header.height <= this.#height)
      return equalBytes(this.#hashes[header.height - 1] as Hash, candidate.hash) ? 'valid' : 'invalid';
    const parent = this.#parentOf(header.height, header.parentHash);
    if (parent === undefined) return 'later';
    if (fresh && header.time > now + LIMITS.clockSkewMsMax) return 'later';
    if (header.time <= (parent.header?.time ?? this.genesis.time)) return 'invalid';
    const state = this.stateUnder(header.height);
    if (state === undefined) {
      // Neither executed yet, nor known below a snapshot: its quorum decides without this voice (SNAPSHOT-9).
      const lagging = header.height - LAG;
      return lagging > this.#height || lagging < (this.anchor?.height ?? 0) ? 'later' : 'invalid';
    }
    const expected = {
      ...this.#headerOf(header.height, header.parentHash, parent.history, state, header.time),
      txRoot: header.txRoot,
    };
    if (!equalBytes(headerHash(expected), candidate.hash)) return 'invalid';
    const { admitted, heads } = admissible(
      this.#headContext(header.height, header.parentHash, state),
      block.transactions,
    );
    if (admitted.length !== block.transactions.length) return 'invalid';
    this.#inFlight.remember(candidate.hash, {
      header,
      history: mmrAppend(parent.history, candidate.hash),
      heads,
    });
    return 'valid';
  }

  /** Whether a checkpoint could stand in the block above the committed one. */
  admits(checkpoint: VerifiedTransaction): boolean {
    const of = height(this.#height + 1);
    const state = this.stateUnder(of);
    if (state === undefined) return false;
    return admissible(this.#headContext(of, this.tipHash, state), [checkpoint]).admitted.length > 0;
  }

  /**
   * Makes certified blocks durable, executes them in order and tells the listeners. One fsync for all of them.
   * Blocks at or below the committed height are passed over.
   */
  async commit(
    blocks: readonly { readonly block: PreparedBlock; readonly certificate: Certificate }[],
  ): Promise<void> {
    const fresh = blocks.filter(({ block }) => block.header.height > this.#height);
    if (fresh.length === 0) return;
    for (const { block, certificate } of fresh) {
      // A full disk may have ended the last attempt behind some of them.
      if (block.header.height <= this.#log.last) continue;
      this.#log.append(block.header.height, block.candidate.bytes, encodeCertificate(certificate));
    }
    await this.#log.sync();
    for (const { block, certificate } of fresh) {
      const committed = { block, certificate, ...this.#execute(block) };
      for (const listener of this.#listeners) listener(committed);
    }
    await this.#writeLagging();
  }

  /** A stretch of header hashes, from leaf `start` to `end` − 1 of the history below `under`, with its path (SNAPSHOT-4). */
  hashPiece(start: number, end: number, under: Height): HashPiece {
    const siblings = this.#history.rangePath(start, end, under - 1);
    return { start, hashes: this.#hashes.slice(start, end), siblings };
  }

  /** Membership path of a header in the history a later header commits. */
  historyPath(of: Height, under: Height): ReturnType<MmrLog['path']> {
    return this.#history.path(of - 1, under - 1);
  }

  #parentOf(
    of: Height,
    parentHash: Hash,
  ): { readonly header: Header | undefined; readonly history: Mmr } | undefined {
    if (of === this.#height + 1) {
      if (!equalBytes(parentHash, this.tipHash)) return undefined;
      return { header: this.#tip?.header, history: this.#tip?.history ?? EMPTY_MMR };
    }
    return this.#inFlight.get(parentHash);
  }

  #headerOf(
    of: Height,
    parentHash: Hash,
    history: Mmr,
    state: LedgerState,
    time: Millis,
  ): Omit<Header, 'txRoot'> {
    const at = epochAt(state.epoch, of);
    return {
      version: HEADER_VERSION,
      flags: at.closes ? HEADER_FLAGS.closes : 0,
      epoch: at.epoch,
      height: of,
      time,
      parentHash,
      stateRoot: state.root,
      historyRoot: mmrRoot(history),
      validatorsHash: this.#hashOf(at.validators),
      nextValidatorsHash: this.#hashOf(at.nextValidators),
    };
  }

  #hashOf(set: ValidatorSet): Hash {
    let hash = this.#setHashes.get(set);
    if (hash === undefined) this.#setHashes.set(set, (hash = validatorsHash(set)));
    return hash;
  }

  #headContext(of: Height, parentHash: Hash, state: LedgerState): HeadContext {
    const between = this.#inFlight.headsBelow(of, parentHash, this.#height);
    return { chain: this.id, state, between, height: of, verify: this.#verify };
  }

  #execute(block: PreparedBlock): { receipts: readonly Receipt[]; events: readonly LedgerEvent[] } {
    const { header, candidate, transactions } = block;
    const context = {
      chain: this.id,
      height: header.height,
      time: header.time,
      verify: this.#verify,
    };
    const applied = applyBlock(this.state, context, transactions);
    const { receipts, events } = applied;
    const { state, pages } = this.#executed.seal(applied.state, header.height);
    const history = mmrAppend(this.#tip?.history ?? EMPTY_MMR, candidate.hash);
    this.#tip = { header, history, heads: NO_HEADS };
    this.#history.append(candidate.hash);
    this.#hashes.push(candidate.hash);
    this.#height = header.height;
    this.#states.set(header.height, state);
    this.#states.delete(header.height - STATES_KEPT);
    this.#transactions += transactions.length;
    this.#inFlight.committed(header.height, events);
    const opens = closesEpoch(header) ? this.#openEpoch(header, state) : undefined;
    this.#executed.add({
      height: header.height,
      hash: candidate.hash,
      time: header.time,
      pages,
      receipts,
      events,
      opens,
      senders: transactions.map(({ sender, tx: { sponsor } }) => ({ sender, ...(sponsor && { sponsor }) })),
    });
    return { receipts, events };
  }

  #openEpoch(closing: Header, state: LedgerState): EpochStart {
    const { epoch: its, since, validators } = state.epoch;
    if (its !== closing.epoch + 1 || since !== closing.height + 1)
      throw new RangeError(
        `block ${closing.height} closes epoch ${closing.epoch}, but the state is in ${its}`,
      );
    // In the log before it was executed.
    const certificate = this.blockAt(closing.height)?.certificate;
    if (certificate === undefined) throw new RangeError(`block ${closing.height} is not in the log`);
    const start = {
      epoch: its,
      since,
      validators,
      stateRoot: state.root,
      closing: { header: closing, certificate },
    };
    this.#epochs.add(start);
    return start;
  }

  async #writeLagging(): Promise<void> {
    const upTo = this.#height - LAG;
    const oldest = Math.min(this.#height - STATES_KEPT + 1, ...this.#held);
    const written = await this.#executed.write(upTo, this.#transactions, Math.max(0, oldest));
    if (written !== undefined) this.#epochs.stored(written + 1);
  }

  async #load(): Promise<void> {
    const { height: applied, transactions } = this.#executed.applied() ?? { height: 0, transactions: 0 };
    this.#transactions = transactions;
    const state = this.#executed.openState(this.genesis);
    if (!equalBytes(state.parameters.chain, this.id)) {
      throw new LedgerError(
        'config.invalid',
        'the data folder belongs to another chain than the genesis file',
      );
    }
    this.#base = snapshotBase(this.#tables);
    await this.#log.dropBehindGap(applied);
    // Hashes above may have been gathered for a snapshot that was not taken over.
    for (const { value } of this.#tables.table('hashes').range({ end: heightKey(applied + 1) })) {
      const hash = asHash(value.slice());
      this.#hashes.push(hash);
      this.#history.append(hash);
    }
    if (this.#hashes.length !== applied || this.#log.last < applied) {
      throw new LedgerError(
        'storage.corrupt',
        `state at height ${applied}, ${this.#hashes.length} hashes, ${this.#log.last} blocks`,
      );
    }
    this.#height = height(applied);
    this.#states.set(applied, state);
    if (applied > 0) {
      const header = storedBlock(this.id, this.#log, applied).header;
      this.#tip = { header, history: this.#peaks(), heads: NO_HEADS };
    }
    for (let at = applied + 1; at <= this.#log.last; at += 1)
      this.#execute(storedBlock(this.id, this.#log, at));
    await this.#writeLagging();
    this.#checkRoots();
  }

  #peaks(): Mmr {
    let history = EMPTY_MMR;
    for (const hash of this.#hashes) history = mmrAppend(history, hash);
    return history;
  }

  /** The newest header commits the state executed `LAG` heights below it: a wrong table shows here, at start. */
  #checkRoots(): void {
    const header = this.#tip?.header;
    const state = header === undefined ? undefined : this.stateUnder(header.height);
    if (header === undefined || state === undefined || equalBytes(state.root, header.stateRoot)) return;
    throw new LedgerError(
      'storage.corrupt',
      `the stored state does not have the root that header ${header.height} commits`,
    );
  }
}
