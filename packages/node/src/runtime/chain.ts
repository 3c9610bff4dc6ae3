/**
 * The main chain as one process holds it: block log, executed state, recent states for proofs. Validators
 * and observers share it. It decides nothing: what it commits was certified.
 *
 * Writes to the tables lag the log by the pipeline depth: after a restart the last blocks are executed again
 * from the log, so that every state a header may refer to is in memory, also with all peers gone.
 */
import { toHex, equalBytes } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { EMPTY_MMR, MmrLog, mmrAppend, mmrRoot, type Mmr } from '@itc/core/crypto/mmr.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import {
  decodeBlock,
  encodeCertificate,
  decodeCertificate,
  headerHash,
  HEADER_VERSION,
  type Certificate,
  type Header,
} from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { epoch, height, millis, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import { validatorsHash } from '@itc/core/ledger/validators.js';
import { applyBlock } from '@itc/core/state/apply.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import { LedgerState, type RecordChange } from '@itc/core/state/ledger-state.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import type { Change, Tables } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import { admissible, NO_HEADS, type Head, type HeadChanges, type HeadContext } from './checkpoint-heads.ts';
import { assembleBlock, type PreparedBlock } from './prepared-block.ts';
import { encodeReceipt, decodeReceipt } from './receipt-codec.ts';

const LAG = LIMITS.pipelineDepth;
/** Heights whose states stay in memory for proofs. */
const STATES_KEPT = 256;
const APPLIED = Uint8Array.of(0);

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
}

interface Pending {
  readonly height: Height;
  readonly hash: Hash;
  readonly changes: readonly RecordChange[];
  readonly receipts: readonly Receipt[];
  /** Subnet checkpoints accepted in the block, by the key of `checkpointKey`. */
  readonly checkpoints: readonly { readonly key: Uint8Array; readonly place: TransactionPlace }[];
}

export interface TransactionPlace {
  readonly height: Height;
  /** Position in the block. */
  readonly index: number;
}

/** A block above the committed ones that passed `check`, with the history a child must commit. */
interface InFlight {
  readonly header: Header;
  readonly history: Mmr;
  /** Checkpoints its block brought. */
  readonly heads: HeadChanges;
}

export class Chain {
  readonly genesis: Genesis;
  readonly id: Hash;
  readonly #log: BlockLog;
  readonly #tables: Tables;
  readonly #verify: SignatureVerifier;
  readonly #validatorsHash: Hash;
  readonly #history = new MmrLog();
  readonly #hashes: Hash[] = [];
  /** Peaks over the headers up to the committed one. */
  #tip: InFlight | undefined;
  readonly #states = new Map<number, LedgerState>();
  /** Checkpoints of the newest committed blocks, by height. */
  readonly #heads = new Map<number, HeadChanges>();
  #height = height(0);
  readonly #inFlight = new Map<string, InFlight>();
  #pending: Pending[] = [];
  readonly #recent = new Map<string, Receipt>();
  readonly #recentCheckpoints = new Map<string, TransactionPlace>();
  readonly #listeners = new Set<(committed: CommittedBlock) => void>();
  #transactions = 0;

  private constructor(options: ChainOptions) {
    this.genesis = options.genesis;
    this.id = genesisHash(options.genesis);
    this.#log = options.log;
    this.#tables = options.tables;
    this.#verify = options.verify;
    this.#validatorsHash = validatorsHash(options.genesis.validators);
  }

  /** Loads what is stored and executes again what the tables lag behind. Throws `storage.corrupt` when the two disagree. */
  static async open(options: ChainOptions): Promise<Chain> {
    const chain = new Chain(options);
    await chain.#load();
    return chain;
  }

  get height(): Height {
    return this.#height;
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

  /** The state a header of this height commits to, while it is kept. */
  stateUnder(of: Height): LedgerState | undefined {
    return this.#states.get(Math.max(0, of - LAG));
  }

  hashAt(of: number): Hash | undefined {
    return of === 0 ? this.id : this.#hashes[of - 1];
  }

  blockAt(of: number): { readonly block: Uint8Array; readonly certificate: Certificate } | undefined {
    const stored = of >= 1 && of <= this.#height ? this.#log.get(of) : undefined;
    if (stored === undefined) return undefined;
    const certificate = decodeCertificate(stored.certificate);
    if (!certificate.ok)
      throw new LedgerError(
        'storage.corrupt',
        `the certificate of block ${of} does not decode: ${certificate.message}`,
      );
    return { block: stored.block, certificate: certificate.value };
  }

  receipt(id: Hash): Receipt | undefined {
    const recent = this.#recent.get(toHex(id));
    if (recent !== undefined) return recent;
    const stored = this.#tables.table('receipts').get(id);
    return stored === undefined ? undefined : decodeReceipt(stored);
  }

  /** Where the checkpoint of this subnet and sequence was accepted. */
  checkpointPlace(subnet: Hash, sequence: number): TransactionPlace | undefined {
    const key = checkpointKey(subnet, sequence);
    const recent = this.#recentCheckpoints.get(toHex(key));
    if (recent !== undefined) return recent;
    const stored = this.#tables.table('checkpoints').get(key);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    return { height: height(reader.u53()), index: reader.u32() };
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
    if (fresh && header.time > now + LIMITS.clockSkewMsMax) return 'invalid';
    if (header.time <= (parent.header?.time ?? this.genesis.time)) return 'invalid';
    const state = this.stateUnder(header.height);
    if (state === undefined) return header.height - LAG > this.#height ? 'later' : 'invalid';
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
    this.#remember(candidate, { header, history: mmrAppend(parent.history, candidate.hash), heads });
    return 'valid';
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
      this.#log.append(block.header.height, block.candidate.bytes, encodeCertificate(certificate));
    }
    await this.#log.sync();
    for (const { block, certificate } of fresh) {
      const committed = { block, certificate, ...this.#execute(block) };
      for (const listener of this.#listeners) listener(committed);
    }
    await this.#writeLagging();
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
    return this.#inFlight.get(toHex(parentHash));
  }

  #headerOf(
    of: Height,
    parentHash: Hash,
    history: Mmr,
    state: LedgerState,
    time: Millis,
  ): Omit<Header, 'txRoot'> {
    return {
      version: HEADER_VERSION,
      flags: 0,
      epoch: epoch(0),
      height: of,
      time,
      parentHash,
      stateRoot: state.root,
      historyRoot: mmrRoot(history),
      validatorsHash: this.#validatorsHash,
      nextValidatorsHash: this.#validatorsHash,
    };
  }

  #remember(candidate: Candidate, inFlight: InFlight): void {
    // Candidates of abandoned views leave with their height; until then their number is the window's.
    if (this.#inFlight.size < 4 * LIMITS.watermarkWindow) this.#inFlight.set(toHex(candidate.hash), inFlight);
  }

  #headContext(of: Height, parentHash: Hash, state: LedgerState): HeadContext {
    const between: HeadChanges[] = [];
    let hash = parentHash;
    for (let at = of - 1; at > Math.max(0, of - LAG); at -= 1) {
      const inFlight = at > this.#height ? this.#inFlight.get(toHex(hash)) : undefined;
      between.push(inFlight?.heads ?? this.#heads.get(at) ?? NO_HEADS);
      if (inFlight !== undefined) hash = inFlight.header.parentHash;
    }
    return { chain: this.id, state, between: between.reverse(), height: of, verify: this.#verify };
  }

  #execute(block: PreparedBlock): { receipts: readonly Receipt[]; events: readonly LedgerEvent[] } {
    const { header, candidate, transactions } = block;
    const { validators } = this.genesis;
    // The view is not part of a block, so the fee goes to a validator that the height alone names.
    const proposer = validators[header.height % validators.length];
    if (proposer === undefined) throw new RangeError('no validators');
    const context = {
      chain: this.id,
      height: header.height,
      time: header.time,
      proposer: addressOf(proposer.key),
      verify: this.#verify,
    };
    const { state, receipts, changes, events } = applyBlock(this.state, context, transactions);
    const history = mmrAppend(this.#tip?.history ?? EMPTY_MMR, candidate.hash);
    this.#tip = { header, history, heads: NO_HEADS };
    this.#history.append(candidate.hash);
    this.#hashes.push(candidate.hash);
    this.#height = header.height;
    this.#states.set(header.height, state);
    this.#states.delete(header.height - STATES_KEPT);
    this.#transactions += transactions.length;
    for (const receipt of receipts) this.#recent.set(toHex(receipt.transaction), receipt);
    const checkpoints = events.flatMap((event) =>
      event.kind === 'checkpoint-committed'
        ? [
            {
              key: checkpointKey(event.subnet, event.sequence),
              place: { height: header.height, index: event.index },
            },
          ]
        : [],
    );
    this.#heads.set(header.height, headsOf(events));
    this.#heads.delete(header.height - 2 * LAG);
    for (const { key, place } of checkpoints) this.#recentCheckpoints.set(toHex(key), place);
    this.#pending.push({ height: header.height, hash: candidate.hash, changes, receipts, checkpoints });
    for (const [key, other] of this.#inFlight)
      if (other.header.height < header.height) this.#inFlight.delete(key);
    return { receipts, events };
  }

  async #writeLagging(): Promise<void> {
    const due = this.#pending.filter((pending) => pending.height <= this.#height - LAG);
    if (due.length === 0) return;
    const changes: Change[] = [];
    // Blocks tell what they changed; what genesis put there is written with the first of them.
    if (this.#tables.table('meta').get(APPLIED) === undefined) {
      for (const { key, value } of LedgerState.fromGenesis(this.genesis).entries())
        changes.push({ table: 'state', key, value });
    }
    for (const { height: of, hash, changes: records, receipts, checkpoints } of due) {
      for (const { key, place } of checkpoints) {
        changes.push({
          table: 'checkpoints',
          key,
          value: new Writer(12).u53(place.height).u32(place.index).finish(),
        });
      }
      for (const record of records) changes.push({ table: 'state', key: record.key, value: record.value });
      for (const receipt of receipts)
        changes.push({ table: 'receipts', key: receipt.transaction, value: encodeReceipt(receipt) });
      changes.push({ table: 'hashes', key: new Writer(8).u53(of).finish(), value: hash });
    }
    const last = due[due.length - 1] as Pending;
    changes.push({
      table: 'meta',
      key: APPLIED,
      value: new Writer(16).u53(last.height).u53(this.#appliedTransactions(last)).finish(),
    });
    await this.#tables.commit(changes);
    this.#pending = this.#pending.filter((pending) => pending.height > last.height);
    for (const { receipts, checkpoints } of due) {
      for (const receipt of receipts) this.#recent.delete(toHex(receipt.transaction));
      for (const { key } of checkpoints) this.#recentCheckpoints.delete(toHex(key));
    }
  }

  #appliedTransactions(last: Pending): number {
    const above = this.#pending.filter((pending) => pending.height > last.height);
    return this.#transactions - above.reduce((sum, pending) => sum + pending.receipts.length, 0);
  }

  async #load(): Promise<void> {
    const meta = this.#tables.table('meta').get(APPLIED);
    const view = meta && new DataView(meta.buffer, meta.byteOffset, meta.byteLength);
    const applied = view === undefined ? 0 : Number(view.getBigUint64(0));
    this.#transactions = view === undefined ? 0 : Number(view.getBigUint64(8));
    let state = LedgerState.fromGenesis(this.genesis);
    if (applied > 0) {
      const loaded = LedgerState.fromRecords(this.#tables.table('state').range());
      if (!loaded.ok)
        throw new LedgerError('storage.corrupt', `the stored state does not decode: ${loaded.message}`);
      state = loaded.value;
      if (!equalBytes(state.parameters.chain, this.id)) {
        throw new LedgerError(
          'config.invalid',
          'the data folder belongs to another chain than the genesis file',
        );
      }
    }
    for (const { value } of this.#tables.table('hashes').range()) {
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
      const header = this.#decodeStored(applied).header;
      this.#tip = { header, history: this.#peaks(), heads: NO_HEADS };
    }
    for (let at = applied + 1; at <= this.#log.last; at += 1) this.#execute(this.#decodeStored(at));
    await this.#writeLagging();
    this.#checkRoots();
  }

  #peaks(): Mmr {
    let history = EMPTY_MMR;
    for (const hash of this.#hashes) history = mmrAppend(history, hash);
    return history;
  }

  /** Stored blocks were certified and carry a checksum: their signatures are not checked again. */
  #decodeStored(at: number): PreparedBlock {
    const bytes = this.#log.get(at)?.block;
    const decoded = bytes === undefined ? undefined : decodeBlock(bytes);
    if (bytes === undefined || decoded === undefined || !decoded.ok)
      throw new LedgerError('storage.corrupt', `block ${at} cannot be read`);
    const transactions = decoded.value.transactions.map((encoded) => {
      const verified = verifyTransaction(this.id, encoded, () => true);
      if (!verified.ok)
        throw new LedgerError(
          'storage.corrupt',
          `a transaction of block ${at} does not decode: ${verified.message}`,
        );
      return verified.value;
    });
    return assembleBlock(decoded.value.header, transactions);
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

function checkpointKey(subnet: Hash, sequence: number): Uint8Array {
  return new Writer(40).fixed(subnet, HASH_BYTES).u53(sequence).finish();
}

function headsOf(events: readonly LedgerEvent[]): HeadChanges {
  const heads = new Map<string, Head>();
  for (const event of events) {
    if (event.kind === 'checkpoint-committed')
      heads.set(toHex(event.subnet), { sequence: event.sequence, hash: event.hash, time: event.time });
  }
  return heads.size === 0 ? NO_HEADS : heads;
}
