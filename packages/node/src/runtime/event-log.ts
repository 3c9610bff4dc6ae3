/**
 * What happened, by whom it concerns: accounts, devices, batches, subnets, sponsorships and all else that has an id of 32
 * bytes. Written with the block it is of, so the log has what the chain has, no more and no less.
 *
 *   `event-log`    height u53 → JSON array of the block's entries
 *   `event-index`  first 16 bytes of the id ‖ height u53 ‖ position u32 → nothing
 */
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { utf8Encode, Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { asAddress, formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import type { Change, Tables } from '../ports.ts';
import { heightKey } from './executed-blocks.ts';

/** Values as they are stored and served: amounts as decimal text, addresses and hashes as text. */
export type Told = string | number | boolean | null | readonly Told[] | { readonly [name: string]: Told };

/** One per transaction, accepted or not, and one for each thing the end of a block brought. */
export interface LogEntry {
  /** Milliseconds, of the block. */
  readonly time: number;
  readonly transaction?: string;
  readonly sender?: string;
  readonly fee?: string;
  /** The sponsorship that paid the fee. */
  readonly sponsorship?: string;
  readonly refused?: { readonly code: string; readonly message: string };
  /** Kind and fields of the event, costs among them. */
  readonly event?: { readonly kind: string; readonly [name: string]: Told };
}

export interface PlacedEntry extends LogEntry {
  readonly height: Height;
  /** Among the entries of its block. */
  readonly position: number;
}

/** What the log needs of a block. */
export interface LoggedBlock {
  readonly height: Height;
  readonly time: number;
  readonly receipts: readonly Receipt[];
  readonly events: readonly LedgerEvent[];
  /** Who sent each transaction, and whose budget paid its fee; in order. */
  readonly senders: readonly { readonly sender: Address; readonly sponsor?: Hash }[];
}

export interface LogQuery {
  /** 32 bytes: an address or another id. */
  readonly about: Uint8Array;
  /** Only entries before this one; the newest when left out. */
  readonly before?: { readonly height: number; readonly position: number };
  readonly limit: number;
}

const LOG = 'event-log';
const INDEX = 'event-index';
const PREFIX_BYTES = 16;
const ID_BYTES = 32;
const PRESENT = Uint8Array.of(1);
/** An entry is in the index once per id; a transfer to 64 has 65. */
const IDS_MAX = 80;

type HashFieldsOf<T> = T extends unknown
  ? { [K in keyof T]-?: NonNullable<T[K]> extends Hash ? K : never }[keyof T]
  : never;

/** Fields of events whose 32 bytes are a hash and no address; the compiler wants all of them here. */
const HASH_FIELDS: Readonly<Record<HashFieldsOf<LedgerEvent>, true>> = {
  transaction: true,
  appliedRoot: true,
  batch: true,
  channel: true,
  group: true,
  hash: true,
  model: true,
  rental: true,
  root: true,
  sponsorship: true,
  stream: true,
  subnet: true,
};

/** They name no one: nobody asks what happened to a root. */
const NO_IDS: ReadonlySet<string> = new Set([
  'transaction',
  'appliedRoot',
  'hash',
  'root',
  // Text that senders choose.
  'name',
  'message',
]);

/** Told once for the entry. */
const ENTRY_FIELDS: ReadonlySet<string> = new Set(['height', 'at', 'transaction', 'index']);

export class EventLog {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** What to write with the block. */
  changesOf(block: LoggedBlock): Change[] {
    const entries = entriesOf(block);
    if (entries.length === 0) return [];
    const key = heightKey(block.height);
    const changes: Change[] = [{ table: LOG, key, value: utf8Encode(JSON.stringify(entries)) }];
    for (const [position, entry] of entries.entries())
      for (const id of idsIn(entry))
        changes.push({ table: INDEX, key: indexKey(id, block.height, position), value: PRESENT });
    return changes;
  }

  /** Newest first. */
  find({ about, before, limit }: LogQuery): PlacedEntry[] {
    const start = indexKey(about, 0, 0);
    const end = indexKey(about, before?.height ?? Number.MAX_SAFE_INTEGER, before?.position ?? 0);
    const found: PlacedEntry[] = [];
    let block: { readonly at: number; readonly entries: readonly LogEntry[] } | undefined;
    for (const { key } of this.#tables.table(INDEX).range({ start, end, reverse: true, limit })) {
      const reader = new Reader(key.subarray(PREFIX_BYTES));
      const [at, position] = [reader.u53(), reader.u32()];
      if (block?.at !== at) block = { at, entries: this.#entriesAt(at) };
      const entry = block.entries[position];
      // Ids that begin alike share a stretch of the index.
      if (entry === undefined || !idsIn(entry).some((id) => equalBytes(id, about))) continue;
      found.push({ height: height(at), position, ...entry });
    }
    return found;
  }

  /** What to remove once a block is gone. */
  removalOf(of: number): Change[] {
    const entries = this.#entriesAt(of);
    if (entries.length === 0) return [];
    const changes: Change[] = [{ table: LOG, key: heightKey(of), value: undefined }];
    for (const [position, entry] of entries.entries())
      for (const id of idsIn(entry))
        changes.push({ table: INDEX, key: indexKey(id, of, position), value: undefined });
    return changes;
  }

  #entriesAt(of: number): readonly LogEntry[] {
    const stored = this.#tables.table(LOG).get(heightKey(of));
    return stored === undefined ? [] : (JSON.parse(new TextDecoder().decode(stored)) as LogEntry[]);
  }
}

function entriesOf({ time, receipts, events, senders }: LoggedBlock): LogEntry[] {
  const byIndex = new Map(events.map((event) => [event.index, event]));
  const entries = receipts.map((receipt, i): LogEntry => {
    const { sender, sponsor } = senders[i] as LoggedBlock['senders'][number];
    const { outcome } = receipt;
    const event = byIndex.get(i);
    return {
      time,
      transaction: toHex(receipt.transaction),
      sender: formatAddress(sender),
      fee: String(receipt.fee),
      ...(sponsor !== undefined && { sponsorship: toHex(sponsor) }),
      ...(!outcome.ok && { refused: { code: outcome.code, message: outcome.message } }),
      ...(event !== undefined && { event: eventTold(event) }),
    };
  });
  for (const event of events)
    if (event.index >= receipts.length) entries.push({ time, event: eventTold(event) });
  return entries;
}

function eventTold(event: LedgerEvent): LogEntry['event'] & object {
  const fields = Object.entries(event).filter(([name]) => !ENTRY_FIELDS.has(name));
  return Object.fromEntries(fields.map(([name, value]) => [name, told(name, value)])) as LogEntry['event'] &
    object;
}

function told(name: string, value: unknown): Told {
  if (value instanceof Uint8Array) {
    const isAddress = value.length === ID_BYTES && !Object.hasOwn(HASH_FIELDS, name) && name !== 'bytes';
    return isAddress ? formatAddress(asAddress(value)) : toHex(value);
  }
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map((item) => told(name, item));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, inner]) => inner !== undefined)
        .map(([inner, of]) => [inner, told(inner, of)]),
    );
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return null;
}

/** Everyone an entry concerns, each once, as bytes. Read from the text, so that removing finds what adding wrote. */
function idsIn(entry: LogEntry): Uint8Array[] {
  const texts = new Set<string>();
  const collect = (name: string, value: Told | undefined): void => {
    if (typeof value === 'string') {
      if (isId(name, value)) texts.add(value);
    } else if (Array.isArray(value)) for (const item of value as readonly Told[]) collect(name, item);
    else if (typeof value === 'object' && value !== null)
      for (const [inner, of] of Object.entries(value)) collect(inner, of as Told);
  };
  collect('sender', entry.sender);
  collect('sponsorship', entry.sponsorship);
  collect('event', entry.event);
  return [...texts].slice(0, IDS_MAX).flatMap(bytesOf);
}

function isId(name: string, text: string): boolean {
  if (NO_IDS.has(name)) return false;
  return Object.hasOwn(HASH_FIELDS, name) ? text.length === 2 * ID_BYTES : text.startsWith('itc1');
}

function bytesOf(text: string): Uint8Array[] {
  const read = text.startsWith('itc1') ? parseAddress(text) : fromHex(text);
  return read.ok ? [read.value] : [];
}

function indexKey(id: Uint8Array, of: number, position: number): Uint8Array {
  return new Writer(32).raw(id.subarray(0, PREFIX_BYTES)).u53(of).u32(position).finish();
}
