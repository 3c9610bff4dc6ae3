/** The blocks of the simulator: real ones, whose hash commits everything they say. */
import { idText } from '@itc/core/bytes/id-text.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { EMPTY_MMR, mmrAppend, mmrRoot, type Mmr } from '@itc/core/crypto/mmr.js';
import {
  closesEpoch,
  decodeBlock,
  encodeBlock,
  HEADER_FLAGS,
  HEADER_VERSION,
  headerHash,
  transactionsRoot,
  type Block,
  type Header,
} from '@itc/core/ledger/block.js';
import type { EpochAt } from '@itc/core/ledger/epoch.js';
import { height, millis } from '@itc/core/ledger/ids.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { validatorsHash, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Candidate, ParseBlock } from '@itc/core/pbft/messages.js';

export interface SimBlock extends Block {
  /** Of its transactions, in order. */
  readonly ids: readonly Hash[];
}

/** What the clocks of the chain show where that of the world shows 0. */
export const GENESIS_MS = 1_000_000;
/** They run faster, so that a run of seconds sees recoveries, rentals and streams come to their end. */
const CHAIN_RATE = 20;

/** By the world's clock, or one that is wrong. */
export function chainTime(now: number): number {
  return GENESIS_MS + Math.round(now * CHAIN_RATE);
}

/** Transactions of one block. */
export const TRANSACTIONS_MAX = 16;

/** Where a block stands: its time, and the hashes of all headers up to its own. */
export interface Place {
  readonly header: Header | undefined;
  readonly hash: Hash;
  readonly ids: readonly Hash[];
  readonly time: number;
  readonly history: Mmr;
  /** Root of that: what the block above says. */
  readonly historyRoot: Hash;
}

export interface Proposal extends EpochAt {
  readonly height: number;
  readonly parentHash: Hash;
  readonly stateRoot: Hash;
  /** Of the proposer's clock; the block's is later than its parent's in any case. */
  readonly now: number;
  readonly transactions: readonly Uint8Array[];
}

/**
 * All blocks anybody has made, by hash. What a block says of the ones below it (times, history) follows from its hash
 * alone, so that one memory serves all nodes.
 */
export class BlockTree {
  readonly #places: Map<string, Place> = new Map();

  constructor(genesis: Hash) {
    this.#places.set(idText(genesis), {
      header: undefined,
      hash: genesis,
      ids: [],
      time: GENESIS_MS,
      history: EMPTY_MMR,
      historyRoot: mmrRoot(EMPTY_MMR),
    });
  }

  at(hash: Hash): Place | undefined {
    return this.#places.get(idText(hash));
  }

  /** Every header that was made, also those nobody decided on. */
  *headers(): Iterable<{ readonly header: Header; readonly hash: Hash }> {
    for (const { header, hash } of this.#places.values()) if (header !== undefined) yield { header, hash };
  }

  /** Transactions of a block and those below it, down to a height: they are on their way already. */
  idsAbove(height: number, hash: Hash): Set<string> {
    const ids = new Set<string>();
    for (let place = this.at(hash); place?.header !== undefined && place.header.height > height;) {
      for (const id of place.ids) ids.add(idText(id));
      place = this.at(place.header.parentHash);
    }
    return ids;
  }

  /** As an honest proposer makes it. The parent must be one of the tree. */
  propose(of: Proposal): Candidate {
    const parent = this.at(of.parentHash);
    if (parent === undefined) throw new Error('a proposal above a block nobody has made');
    return this.make(
      {
        version: HEADER_VERSION,
        flags: of.closes ? HEADER_FLAGS.closes : 0,
        epoch: of.epoch,
        height: height(of.height),
        time: millis(Math.max(Math.round(of.now), parent.time + 1)),
        parentHash: of.parentHash,
        stateRoot: of.stateRoot,
        historyRoot: parent.historyRoot,
        validatorsHash: setHash(of.validators),
        nextValidatorsHash: setHash(of.nextValidators),
      },
      of.transactions,
    );
  }

  /** Whatever the header says. */
  make(header: Omit<Header, 'txRoot'>, transactions: readonly Uint8Array[]): Candidate {
    const ids = transactions.map(idOf);
    const whole: Header = { ...header, txRoot: transactionsRoot(ids) };
    const candidate = candidateOf({ header: whole, transactions, ids });
    const parent = this.at(header.parentHash);
    if (parent !== undefined) {
      const history = mmrAppend(parent.history, candidate.hash);
      this.#places.set(idText(candidate.hash), {
        header: whole,
        hash: candidate.hash,
        ids,
        time: header.time,
        history,
        historyRoot: mmrRoot(history),
      });
    }
    return candidate;
  }
}

const setHashes = new WeakMap<ValidatorSet, Hash>();

export function setHash(set: ValidatorSet): Hash {
  let hash = setHashes.get(set);
  if (hash === undefined) setHashes.set(set, (hash = validatorsHash(set)));
  return hash;
}

const hashes = new WeakMap<Header, Hash>();

export function hashOf(header: Header): Hash {
  let hash = hashes.get(header);
  if (hash === undefined) hashes.set(header, (hash = headerHash(header)));
  return hash;
}

const ids = new WeakMap<Uint8Array, Hash>();

/** Transactions go from block to block as the same bytes, so each is named once. */
function idOf(transaction: Uint8Array): Hash {
  let id = ids.get(transaction);
  if (id === undefined) ids.set(transaction, (id = transactionId(transaction)));
  return id;
}

const known = new WeakMap<Uint8Array, SimBlock>();

function candidateOf(block: SimBlock, bytes: Uint8Array = encodeBlock(block)): Candidate {
  known.set(bytes, block);
  const { header, ids: named } = block;
  return {
    height: header.height,
    parentHash: header.parentHash,
    hash: hashOf(header),
    bytes,
    closes: closesEpoch(header),
    count: named.length,
  };
}

/** Of bytes that are a block. */
export function readBlock(bytes: Uint8Array): SimBlock {
  const held = known.get(bytes);
  if (held !== undefined) return held;
  const block = decodeBlock(bytes);
  if (!block.ok) throw new Error(block.message);
  return { ...block.value, ids: block.value.transactions.map(idOf) };
}

export const parseSimBlock: ParseBlock = (bytes) => {
  const copy = bytes.slice();
  const block = readBlock(copy);
  return equalBytes(block.header.txRoot, transactionsRoot(block.ids)) ? candidateOf(block, copy) : undefined;
};
