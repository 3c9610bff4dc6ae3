/**
 * Paths to every checkpoint of a subnet under the range its record in the state commits (spec STATE-8.10, LIGHT-10.3). Nodes of the
 * range are rows of a table, two for each checkpoint; all of them follow from the main chain, so what is lost is made again.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import {
  nodesOfLeaf,
  nodesOfPeaks,
  pathOfNodes,
  type MmrNode,
  type MmrPath,
  type NodeAt,
} from '@itc/core/crypto/mmr.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { checkpointLeaf } from '@itc/core/state/checkpoint-range.js';
import type { Change, Tables } from '../ports.ts';
import type { Chain } from './chain.ts';
import { committedCheckpoint } from './subnet-chain.ts';

type RangeChain = Pick<Chain, 'state' | 'checkpointPlace' | 'included' | 'onCommitted' | 'onReplaced'>;

export interface AppliedRangeOptions {
  readonly chain: RangeChain;
  readonly subnet: Hash;
  readonly tables: Tables;
}

const TABLE = 'subnet-range';
/** Level u8 ‖ index u53. No node has this level: here is how many checkpoints there are nodes for. */
const COUNT_LEVEL = 255;
/** Checkpoints of one batch. */
const BATCH = 256;

export class AppliedRange {
  readonly #o: AppliedRangeOptions;
  /** Nodes on their way into the table. */
  #pending = new Map<string, Hash>();
  #count: number;
  #following = false;
  #closed = false;
  readonly #stop: readonly (() => void)[];

  constructor(options: AppliedRangeOptions) {
    this.#o = options;
    const { chain, tables } = options;
    const stored = tables.table(TABLE).get(keyOf(COUNT_LEVEL, 0));
    this.#count = stored === undefined ? 0 : new Reader(stored).u53();
    const follow = (): void => void this.#follow();
    this.#stop = [chain.onCommitted(follow), chain.onReplaced(follow)];
    follow();
  }

  /** Checkpoints whose paths are here, the newest among them. */
  get count(): number {
    return this.#count;
  }

  /** Of the checkpoint with this sequence among the first `count`; undefined where its neighbours are not known here. */
  path(sequence: number, count: number): MmrPath | undefined {
    if (sequence < 1 || sequence > count || count > this.#count) return undefined;
    return pathOfNodes(this.#nodeAt, sequence - 1, count);
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stop) stop();
  }

  readonly #nodeAt: NodeAt = (level, index) => {
    const key = keyOf(level, index);
    const pending = this.#pending.get(toHex(key));
    if (pending !== undefined) return pending;
    const stored = this.#o.tables.table(TABLE).get(key);
    return stored && asHash(stored);
  };

  /** One at a time: blocks that come meanwhile are found at the end. A full disk is tried again with the next block. */
  async #follow(): Promise<void> {
    if (this.#following) return;
    this.#following = true;
    try {
      while (this.#count < this.#wanted && !this.#closed) await this.#store(this.#next());
    } catch (error) {
      // Tables that are closed take nothing more.
      if (!(error instanceof LedgerError) && !this.#closed) throw error;
      this.#pending = new Map();
    } finally {
      this.#following = false;
    }
  }

  get #wanted(): number {
    return this.#o.chain.state.checkpointPeaks(this.#o.subnet)?.count ?? 0;
  }

  /** Nodes of the next checkpoints; where one of them is not on this node any more, or none before, the peaks are begun from. */
  #next(): { readonly nodes: readonly MmrNode[]; readonly count: number } {
    const { chain, subnet } = this.#o;
    const nodes: MmrNode[] = [];
    const until = Math.min(this.#wanted, this.#count + BATCH);
    for (let count = this.#count; count < until; count += 1) {
      const committed = committedCheckpoint(chain, subnet, count + 1);
      const leaf = committed && checkpointLeaf(committed.certificate.checkpoint);
      const made = leaf && nodesOfLeaf(leaf, count, this.#nodeAt);
      if (made === undefined) {
        this.#pending = new Map();
        const peaks = chain.state.checkpointPeaks(subnet);
        return { nodes: peaks === undefined ? [] : nodesOfPeaks(peaks), count: peaks?.count ?? 0 };
      }
      for (const { level, index, hash } of made) this.#pending.set(toHex(keyOf(level, index)), hash);
      nodes.push(...made);
    }
    return { nodes, count: until };
  }

  async #store({
    nodes,
    count,
  }: {
    readonly nodes: readonly MmrNode[];
    readonly count: number;
  }): Promise<void> {
    const changes: Change[] = nodes.map(({ level, index, hash }) => ({
      table: TABLE,
      key: keyOf(level, index),
      value: hash,
    }));
    changes.push({ table: TABLE, key: keyOf(COUNT_LEVEL, 0), value: new Writer(8).u53(count).finish() });
    await this.#o.tables.commit(changes);
    this.#count = count;
    this.#pending = new Map();
  }
}

function keyOf(level: number, index: number): Uint8Array {
  return new Writer(16).u8(level).u53(index).finish();
}
