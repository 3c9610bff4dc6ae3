/**
 * What executed blocks leave in the tables: pages of the state, receipts, header hashes, places of checkpoints,
 * epochs. Written a pipeline depth behind the block log, so what is not written yet is answered from here.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { decodeBlock } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { height, type Height, type Millis } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import { decodeTransaction, transactionId, senderOf } from '@itc/core/ledger/transaction.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import { LedgerState } from '@itc/core/state/ledger-state.js';
import { PagedRecords } from '@itc/core/state/paged-records.js';
import { idText } from '@itc/core/state/record-map.js';
import type { Change, Tables } from '../ports.ts';
import { StatePages, type SealedPages } from '../storage/state-pages.ts';
import type { EventLog, LoggedBlock } from './event-log.ts';
import { epochChange, type EpochStart } from './epoch-table.ts';
import { decodeReceipts, encodeReceipts, type StoredReceipt } from './receipt-codec.ts';
import { stateName } from './snapshot-base.ts';
import { TransactionIndex, type BlockIds, type TransactionPlace, type Written } from './transaction-index.ts';

export type { TransactionPlace };

export interface ExecutedBlock {
  readonly height: Height;
  readonly hash: Hash;
  /** Undefined where they are stored with those of a height above. */
  readonly pages: SealedPages | undefined;
  readonly receipts: readonly Receipt[];
  readonly events: readonly LedgerEvent[];
  /** For the log of events, where one is kept: time of the block, and who sent and paid each transaction. */
  readonly time: Millis;
  readonly senders: LoggedBlock['senders'];
  /** The epoch that begins above it, when it closes one. */
  readonly opens: EpochStart | undefined;
}

/** Height and transaction count up to which the tables are written. */
export interface Applied {
  readonly height: number;
  readonly transactions: number;
}

interface LookedBlock {
  readonly height: Height;
  readonly transactions: readonly Uint8Array[];
  readonly receipts: readonly StoredReceipt[];
}

const APPLIED = Uint8Array.of(0);

export class ExecutedBlocks {
  readonly #tables: Tables;
  readonly #pages: StatePages;
  /** What genesis put there, until it is written with the first block. */
  #genesis: SealedPages | undefined;
  #waiting: ExecutedBlock[] = [];
  readonly #blockAt: (of: Height) => Uint8Array | undefined;
  readonly #index: TransactionIndex;
  readonly #log: EventLog | undefined;
  /** The last block looked into: who asks for one receipt often asks for its neighbours. */
  #looked: LookedBlock | undefined;
  readonly #checkpoints = new Map<string, TransactionPlace>();
  /** Made when somebody asks. */
  readonly #receipts = new WeakMap<ExecutedBlock, ReadonlyMap<string, Receipt>>();

  constructor(tables: Tables, blockAt: (of: Height) => Uint8Array | undefined, log?: EventLog) {
    this.#tables = tables;
    this.#blockAt = blockAt;
    this.#log = log;
    this.#index = new TransactionIndex(tables);
    this.#pages = StatePages.open(tables, stateName(tables));
  }

  /** What the tables stand for; undefined before the first write. */
  applied(): Applied | undefined {
    const meta = this.#tables.table('meta').get(APPLIED);
    if (meta === undefined) return undefined;
    const reader = new Reader(meta);
    return { height: reader.u53(), transactions: reader.u53() };
  }

  /** The state the tables stand for, of which nothing is loaded but the top. Errors: `storage.corrupt`. */
  openState(genesis: Genesis): LedgerState {
    const applied = this.applied();
    if (applied === undefined) {
      const state = LedgerState.fromGenesis(genesis, PagedRecords.open(this.#pages));
      this.#genesis = this.#pages.seal((state.records as PagedRecords).top, 0);
      return state;
    }
    const { stored } = this.#pages;
    if (stored === undefined || stored.at !== applied.height)
      throw new LedgerError(
        'storage.corrupt',
        `blocks are applied up to ${applied.height}, the state is that of ${stored?.at ?? 'no height'}`,
      );
    const records = PagedRecords.open(this.#pages, stored.top);
    const state = LedgerState.of(records);
    if (!state.ok || !records.tree.isWhole)
      throw new LedgerError(
        'storage.corrupt',
        `the stored state cannot be read: ${state.ok ? 'its top is another one' : state.message}`,
      );
    return state.value;
  }

  /** Ends the pages of a height, if they do not wait for another one. The state may come back with pages moved. */
  seal(
    state: LedgerState,
    at: number,
  ): { readonly state: LedgerState; readonly pages: SealedPages | undefined } {
    const records = this.#pages.tidy(state.records as PagedRecords);
    const pages = this.#pages.isDue(at) ? this.#pages.seal(records.top, at) : undefined;
    if (pages === undefined) this.#pages.pass(at);
    if (records === state.records) return { state, pages };
    const moved = LedgerState.of(records);
    if (!moved.ok) throw new RangeError(`a state that was only moved: ${moved.message}`);
    return { state: moved.value, pages };
  }

  receipt(id: Hash): Receipt | undefined {
    const name = idText(id);
    for (const block of this.#waiting) {
      const recent = this.#named(block).get(name);
      if (recent !== undefined) return recent;
    }
    const place = this.#index.find(id, (at) => {
      const encoded = this.#look(at.height)?.transactions[at.index];
      return encoded !== undefined && equalBytes(transactionId(encoded), id);
    });
    if (place === undefined) return undefined;
    const looked = this.#look(place.height);
    const stored = looked?.receipts[place.index];
    const opened = decodeTransaction(looked?.transactions[place.index] ?? new Uint8Array(0));
    if (stored === undefined || !opened.ok) return undefined;
    const { sponsor, body } = opened.value;
    return {
      transaction: id,
      account: senderOf(opened.value),
      ...(sponsor && { sponsor }),
      height: place.height,
      index: place.index,
      kind: body.kind,
      ...stored,
    };
  }

  /** Receipts of a block that waits, by the text of the transaction's id: dozens of full blocks may wait. */
  #named(block: ExecutedBlock): ReadonlyMap<string, Receipt> {
    let named = this.#receipts.get(block);
    if (named === undefined) {
      named = new Map(block.receipts.map((receipt) => [idText(receipt.transaction), receipt]));
      this.#receipts.set(block, named);
    }
    return named;
  }

  /** A written block with its receipts; undefined when it was pruned. */
  #look(of: Height): LookedBlock | undefined {
    if (this.#looked?.height === of) return this.#looked;
    const block = this.#blockAt(of);
    const receipts = this.#tables.table('receipts').get(heightKey(of));
    const decoded = block && decodeBlock(block);
    if (receipts === undefined || decoded?.ok !== true) return undefined;
    this.#looked = {
      height: of,
      transactions: decoded.value.transactions,
      receipts: decodeReceipts(receipts),
    };
    return this.#looked;
  }

  /** What to remove once the blocks below a height are gone, besides their receipts; `written` when that is done. */
  prune(below: number): Written {
    this.#looked = undefined;
    return this.#index.prune(below);
  }

  /** Where the checkpoint of this subnet and sequence was accepted. */
  checkpointPlace(subnet: Hash, sequence: number): TransactionPlace | undefined {
    const key = checkpointKey(subnet, sequence);
    const recent = this.#checkpoints.get(toHex(key));
    if (recent !== undefined) return recent;
    const stored = this.#tables.table('checkpoints').get(key);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    return { height: height(reader.u53()), index: reader.u32() };
  }

  /** Of blocks not written yet, what stays true when their state is passed over for a later one. */
  traces(): Change[] {
    return [
      ...this.#waiting.flatMap((block) => this.#tracesOf(block)),
      ...this.#index.add(idsOf(this.#waiting)).changes,
    ];
  }

  add(block: ExecutedBlock): void {
    this.#waiting.push(block);
    for (const { key, place } of checkpointsOf(block)) this.#checkpoints.set(toHex(key), place);
  }

  /**
   * Writes the blocks up to a height in one batch, or as many of them as end with pages that are stored. `transactions` counts those
   * of every block added so far and before; states below `keepFrom` are looked at no more. Gives the height up to which all is
   * written now, undefined when nothing was.
   */
  async write(upTo: number, transactions: number, keepFrom: number): Promise<number | undefined> {
    const last = this.#waiting.findLast((block) => block.height <= upTo && block.pages !== undefined);
    if (last === undefined) return undefined;
    const due = this.#waiting.filter((block) => block.height <= last.height);
    const left = this.#waiting.filter((block) => block.height > last.height);
    const pages = due.flatMap((block) => block.pages ?? []);
    if (this.#genesis !== undefined) pages.unshift(this.#genesis);
    const changes: Change[] = [
      ...due.flatMap((block) => this.#tracesOf(block)),
      ...this.#pages.changes(pages, keepFrom),
    ];
    const index = this.#index.add(idsOf(due));
    changes.push(...index.changes);
    const above = left.reduce((sum, { receipts }) => sum + receipts.length, 0);
    changes.push(appliedChange({ height: last.height, transactions: transactions - above }));
    await this.#tables.commit(changes);
    index.written();
    this.#pages.written(pages, keepFrom);
    this.#genesis = undefined;
    // Blocks may have been added while the batch was written.
    this.#waiting = this.#waiting.filter((block) => block.height > last.height);
    for (const block of due) for (const { key } of checkpointsOf(block)) this.#checkpoints.delete(toHex(key));
    return last.height;
  }

  /** What a block leaves besides the state. */
  #tracesOf(block: ExecutedBlock): Change[] {
    const changes: Change[] = [{ table: 'hashes', key: heightKey(block.height), value: block.hash }];
    for (const { key, place } of checkpointsOf(block)) {
      const value = new Writer(12).u53(place.height).u32(place.index).finish();
      changes.push({ table: 'checkpoints', key, value });
    }
    if (block.receipts.length > 0)
      changes.push({
        table: 'receipts',
        key: heightKey(block.height),
        value: encodeReceipts(block.receipts),
      });
    if (block.opens !== undefined) changes.push(epochChange(block.opens));
    if (this.#log !== undefined) changes.push(...this.#log.changesOf(block));
    return changes;
  }
}

/** Key of a height in a table, in the order of heights. */
export function heightKey(of: number): Uint8Array {
  return new Writer(8).u53(of).finish();
}

export function appliedChange(applied: Applied): Change {
  const value = new Writer(16).u53(applied.height).u53(applied.transactions).finish();
  return { table: 'meta', key: APPLIED, value };
}

function idsOf(blocks: readonly ExecutedBlock[]): BlockIds[] {
  return blocks.map(({ height: of, receipts }) => ({
    height: of,
    ids: receipts.map(({ transaction }) => transaction),
  }));
}

function checkpointsOf({
  height: of,
  events,
}: ExecutedBlock): { readonly key: Uint8Array; readonly place: TransactionPlace }[] {
  return events.flatMap((event) =>
    event.kind === 'checkpoint-committed'
      ? [{ key: checkpointKey(event.subnet, event.sequence), place: { height: of, index: event.index } }]
      : [],
  );
}

function checkpointKey(subnet: Hash, sequence: number): Uint8Array {
  return new Writer(40).fixed(subnet, HASH_BYTES).u53(sequence).finish();
}
