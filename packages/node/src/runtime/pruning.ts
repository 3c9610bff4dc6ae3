/**
 * Lets go of old blocks (spec SNAPSHOT-10): whole segments of the block log below the newest stable checkpoint, as far as the
 * configuration says. What proofs need of them is durable elsewhere before a segment is unlinked.
 */
import { decodeBlock } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Change, Tables } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import type { Chain } from './chain.ts';
import { Drain } from './drain.ts';
import { isFull } from './full-disk.ts';
import { heightKey } from './executed-blocks.ts';
import { keptChange } from './kept-blocks.ts';
import type { Logger } from './logger.ts';

export interface PruningOptions {
  readonly chain: Chain;
  readonly log: BlockLog;
  readonly tables: Tables;
  readonly logger: Logger;
  /** Blocks kept below the newest stable checkpoint; undefined: no number is too high. */
  readonly retainBlocks?: number;
  /** Bytes of the block log; undefined: no size is too large. */
  readonly retainBytes?: number;
}

/** Blocks whose remains are written in one batch. */
const BLOCKS_AT_ONCE = 128;

export class Pruning {
  readonly #o: PruningOptions;
  /** Height of the newest stable checkpoint. */
  #stable = 0;
  /** What remains of pruned blocks found no room: it is tried again at the next stable checkpoint. */
  #waits = false;
  readonly #work = new Drain({
    work: () => this.#pruneSegment().catch((error: unknown) => this.#wait(error)),
    hasWork: () => !this.#waits && this.#isDue(),
    failed: (error) => this.#o.logger.error({ err: error }, 'blocks are not pruned any more'),
  });

  constructor(options: PruningOptions) {
    this.#o = options;
  }

  /** Quorum weight has executed and stored this height: it is needed by nobody who could not fetch a state instead. */
  noteStable(of: number): void {
    this.#stable = Math.max(this.#stable, of);
    this.#waits = false;
    this.#work.kick();
  }

  #wait(error: unknown): void {
    if (!isFull(error)) throw error;
    this.#waits = true;
    this.#o.logger.warn({}, `pruning waits: ${error.message}`);
  }

  idle(): Promise<void> {
    return this.#work.idle();
  }

  /** The lowest segment may go: it is whole, below the stable checkpoint, and more than is to be retained. */
  #isDue(): boolean {
    const { log, retainBlocks = Number.POSITIVE_INFINITY, retainBytes = Number.POSITIVE_INFINITY } = this.#o;
    const end = log.firstEnd;
    // Above the executed height nothing may go, whatever others have signed.
    const stable = Math.min(this.#stable, this.#o.chain.height);
    if (end === 0 || end > stable) return false;
    return end <= stable - retainBlocks || log.size > retainBytes;
  }

  async #pruneSegment(): Promise<void> {
    const { chain, log, tables, logger } = this.#o;
    const [first, end] = [log.first, log.firstEnd];
    for (let from = first; from < end; from += BLOCKS_AT_ONCE) {
      const changes: Change[] = [];
      for (let at = from; at < Math.min(from + BLOCKS_AT_ONCE, end); at += 1)
        changes.push(...this.#remains(at));
      await tables.commit(changes);
    }
    const places = chain.forgetPlaces(end);
    await tables.commit(places.changes);
    places.written();
    await tables.flush();
    const floor = await log.dropBelow(end);
    logger.info({ from: first, floor }, 'blocks were pruned');
  }

  /** Receipts go with their block: a transaction that old is proved by whoever kept it. */
  #remains(at: number): Change[] {
    const stored = this.#o.chain.blockAt(at);
    const block = stored === undefined ? undefined : decodeBlock(stored.block);
    if (stored === undefined || block?.ok !== true)
      throw new LedgerError('storage.corrupt', `block ${at} cannot be read`, { height: at });
    const receipts: Change = { table: 'receipts', key: heightKey(at), value: undefined };
    return [keptChange(block.value, stored.certificate), receipts, ...this.#o.chain.forgetEvents(at)];
  }
}
