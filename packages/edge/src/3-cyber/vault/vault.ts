/**
 * The owner's store of payloads on the gateway (spec EDGE-4): durable before anything is acknowledged, many
 * publishes per fsync. What is not final is never dropped; of what is, the oldest goes when the size bound is reached.
 */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { laneKey, type Payload } from '@itc/core/ledger/payload.js';
import type { Change, Tables } from '@itc/node/ports.js';
import { BATCH_READINGS_MAX } from '../../device-sdk/reading-batch.ts';
import { EDGE_LIMITS } from '../../limits.ts';
import { Lane } from './lane.ts';
import { decodeStatus, encodeStatus, stageReached, type PayloadStatus, type Stage } from './status.ts';

export interface VaultOptions {
  readonly tables: Tables;
  /** Payloads and their index together, about. Default 8 GiB. */
  readonly bytesMax?: number;
}

export interface VaultEntry {
  readonly payload: Payload;
  readonly readings: number;
  readonly receivedAt: number;
  readonly timeMin: number;
  readonly timeMax: number;
  /** Of a batch: what its payload holds the root of. */
  readonly batch?: readonly Uint8Array[];
  /** Rows that must be stored with it or not at all. */
  readonly rows?: readonly Row[];
}

/** A small record of the gateway's own, as JSON: never hashed, never signed. `value: undefined` removes it. */
export interface Row {
  readonly table: 'devices' | 'commands' | 'attestations';
  readonly key: Uint8Array;
  readonly value: object | undefined;
}

export interface Progress {
  readonly payloads: readonly Hash[];
  readonly stage: Exclude<Stage, 'received'>;
  readonly envelope?: Hash;
  readonly checkpoint?: number;
  readonly height?: number;
  readonly time: number;
}

export interface Indexed {
  readonly id: Hash;
  readonly timeMin: number;
  readonly timeMax: number;
}

const TABLE = {
  bytes: 'vault-payloads',
  batches: 'vault-batches',
  status: 'vault-status',
  index: 'vault-index',
  open: 'vault-open',
  arrival: 'vault-arrival',
  lanes: 'vault-lanes',
  meta: 'vault-meta',
  devices: 'edge-devices',
  commands: 'edge-commands',
  attestations: 'edge-attestations',
} as const;
const META = Uint8Array.of(0);
/** Rows of status, index and arrival with their share of pages. */
const OVERHEAD_BYTES = 512;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Vault {
  readonly #tables: Tables;
  readonly #bytesMax: number;
  readonly #lanes: Map<string, Lane> = new Map();
  /** Stored, but not yet on disk: status by id. */
  readonly #fresh: Map<string, { readonly status: PayloadStatus; readonly done: Promise<void> }> = new Map();
  /** Accepted is not worth a write: it lasts a second, and after a restart the member says it again. */
  readonly #accepted: Set<string> = new Set();
  #pending: Change[] = [];
  #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;
  #arrivals: number;
  #bytes: number;
  #openCount: number;
  #closed = false;

  private constructor(options: VaultOptions) {
    this.#tables = options.tables;
    this.#bytesMax = options.bytesMax ?? EDGE_LIMITS.vaultBytesDefault;
    const stored = this.#tables.table(TABLE.meta).get(META);
    const meta = stored && decode((reader) => ({ arrivals: reader.u53(), bytes: reader.u53() }), stored);
    if (meta !== undefined && !meta.ok) throw corrupt('meta', meta.message);
    this.#arrivals = meta?.value.arrivals ?? 0;
    this.#bytes = meta?.value.bytes ?? 0;
    this.#openCount = this.#tables.table(TABLE.open).count();
  }

  static open(options: VaultOptions): Vault {
    return new Vault(options);
  }

  /** Payloads that are not final. */
  get openCount(): number {
    return this.#openCount;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get payloadCount(): number {
    return this.#tables.table(TABLE.status).count();
  }

  /** After the last write is on disk. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  /** The lane as it is with everything stored so far. Take sequences by `put` only. */
  lane(payload: Pick<Payload, 'signer' | 'device'>): Lane {
    return this.#laneOf(laneKey(payload));
  }

  #laneOf(key: Hash): Lane {
    const text = hex(key);
    let lane = this.#lanes.get(text);
    if (lane === undefined) {
      const stored = this.#tables.table(TABLE.lanes).get(key);
      const decoded = stored && Lane.decode(stored);
      if (decoded !== undefined && !decoded.ok) throw corrupt('lanes', decoded.message);
      lane = decoded?.value ?? new Lane();
      this.#lanes.set(text, lane);
    }
    return lane;
  }

  /**
   * Stores a payload and takes its sequence; resolves when it is on disk. The caller has checked that id and sequence are new.
   * Rejects with `storage.full` or `storage.failed`; then nothing is stored.
   */
  async put(entry: VaultEntry): Promise<void> {
    if (this.#closed) throw new LedgerError('not-ready', 'the vault is closed');
    if (this.#bytes > this.#bytesMax * 1.25)
      throw new LedgerError('storage.full', 'the vault is full of payloads that are not final', {
        bytes: this.#bytes,
      });
    const { payload, receivedAt } = entry;
    const batch = entry.batch && encodeBatch(entry.batch);
    this.#arrivals += 1;
    const status: PayloadStatus = {
      device: payload.device,
      contentType: payload.contentType,
      readings: entry.readings,
      arrival: this.#arrivals,
      receivedAt,
      timeMin: entry.timeMin,
      timeMax: entry.timeMax,
      bytes: payload.bytes.length + (batch?.length ?? 0),
      stage: 'received',
    };
    const laneId = laneKey(payload);
    const lane = this.#laneOf(laneId);
    lane.take(payload.sequence);
    this.#bytes += status.bytes + OVERHEAD_BYTES;
    this.#openCount += 1;
    const arrival = counterKey(status.arrival);
    const text = hex(payload.id);
    const done = this.#write([
      { table: TABLE.bytes, key: payload.id, value: payload.bytes },
      ...(batch === undefined ? [] : [{ table: TABLE.batches, key: payload.id, value: batch }]),
      { table: TABLE.status, key: payload.id, value: encodeStatus(status) },
      {
        table: TABLE.index,
        key: indexKey(status),
        value: concatBytes(payload.id, counterKey(status.timeMin)),
      },
      { table: TABLE.open, key: arrival, value: payload.id },
      { table: TABLE.arrival, key: arrival, value: payload.id },
      { table: TABLE.lanes, key: laneId, value: lane.encode() },
      ...(entry.rows ?? []).map(rowChange),
    ]);
    this.#overlay(text, status, done);
    try {
      await done;
    } catch (error) {
      // Nothing of it is on disk: forget what memory took in advance.
      this.#lanes.delete(hex(laneId));
      this.#bytes -= status.bytes + OVERHEAD_BYTES;
      this.#openCount -= 1;
      throw error;
    }
  }

  /** What is being written counts already; writes keep their order, so the last one is the one to wait for. */
  #overlay(text: string, status: PayloadStatus, done: Promise<void>): void {
    const entry = { status, done };
    this.#fresh.set(text, entry);
    const settled = (): void => {
      if (this.#fresh.get(text) === entry) this.#fresh.delete(text);
    };
    done.then(settled, settled);
  }

  /** Resolves once a payload that is known is also on disk: the answer to a duplicate must be as good as the first. */
  async settled(id: Hash): Promise<void> {
    await this.#fresh.get(hex(id))?.done;
  }

  status(id: Hash): PayloadStatus | undefined {
    const text = hex(id);
    const fresh = this.#fresh.get(text);
    const status = fresh?.status ?? this.#stored(id);
    if (status?.stage === 'in-dag' && this.#accepted.has(text)) return { ...status, stage: 'accepted' };
    return status;
  }

  #stored(id: Hash): PayloadStatus | undefined {
    const stored = this.#tables.table(TABLE.status).get(id);
    if (stored === undefined) return undefined;
    const status = decodeStatus(stored);
    if (!status.ok) throw corrupt('status', status.message);
    return status.value;
  }

  /** The COSE_Sign1 as received. */
  payload(id: Hash): Uint8Array | undefined {
    return this.#tables.table(TABLE.bytes).get(id);
  }

  /** The readings of a batch, where they came with it. */
  batch(id: Hash): readonly Uint8Array[] | undefined {
    const stored = this.#tables.table(TABLE.batches).get(id);
    const batch = stored && decode((reader) => reader.list(BATCH_READINGS_MAX, readBytes), stored);
    if (batch?.ok === false) throw corrupt('batches', batch.message);
    return batch?.value;
  }

  /** The readings of a batch that was heard of through the subnet before; resolves when they are on disk. */
  async putBatch(
    id: Hash,
    o: Pick<VaultEntry, 'readings' | 'timeMin' | 'timeMax'> & { readonly batch: readonly Uint8Array[] },
  ): Promise<void> {
    const before = this.status(id);
    if (before === undefined) throw new RangeError('the payload of the batch is not here');
    const { readings, timeMin, timeMax } = o;
    const batch = encodeBatch(o.batch);
    const status = { ...before, readings, timeMin, timeMax, bytes: before.bytes + batch.length };
    this.#bytes += batch.length;
    const done = this.#write([
      { table: TABLE.batches, key: id, value: batch },
      { table: TABLE.status, key: id, value: encodeStatus(status) },
      { table: TABLE.index, key: indexKey(before), value: undefined },
      { table: TABLE.index, key: indexKey(status), value: concatBytes(id, counterKey(timeMin)) },
    ]);
    this.#overlay(hex(id), status, done);
    await done;
  }

  /** What the subnet says; payloads of other gateways are passed over. Returns those of ours that got further. */
  progress(progress: Progress): { id: Hash; status: PayloadStatus }[] {
    const moved: { id: Hash; status: PayloadStatus }[] = [];
    const changes: Change[] = [];
    const written: [string, PayloadStatus][] = [];
    for (const id of progress.payloads) {
      const before = this.status(id);
      if (before === undefined || stageReached(before.stage, progress.stage)) continue;
      const { stage, envelope, checkpoint, height } = progress;
      const status: PayloadStatus = {
        ...before,
        stage,
        ...(envelope === undefined ? {} : { envelope }),
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(height === undefined ? {} : { height }),
        ...(stage === 'final' ? { finalAt: progress.time } : {}),
      };
      moved.push({ id, status });
      const text = hex(id);
      if (stage === 'accepted') {
        this.#accepted.add(text);
        if (before.stage !== 'received') continue;
      }
      written.push([text, status]);
      changes.push({ table: TABLE.status, key: id, value: encodeStatus(status) });
      if (stage !== 'final') continue;
      this.#accepted.delete(text);
      this.#openCount -= 1;
      changes.push({ table: TABLE.open, key: counterKey(before.arrival), value: undefined });
    }
    // Lost in a crash, the subnet's own log says it again, or the payload is offered again: no need to wait.
    if (changes.length > 0) {
      const done = this.#write(changes);
      for (const [text, status] of written) this.#overlay(text, status, done);
      done.catch(() => {});
    }
    return moved;
  }

  /** Not final, oldest first, from an arrival on: after a restart these are offered again. */
  *openPayloads(o: {
    from?: number;
    limit: number;
  }): Generator<{ id: Hash; status: PayloadStatus; bytes: Uint8Array }> {
    const range = { start: counterKey(o.from ?? 0), limit: o.limit };
    for (const { value } of this.#tables.table(TABLE.open).range(range)) {
      const id = asHash(value);
      const status = this.status(id);
      const bytes = this.payload(id);
      if (status !== undefined && bytes !== undefined) yield { id, status, bytes };
    }
  }

  /** Payloads of a device whose latest reading is not after `upTo`, latest first. */
  *payloadsOf(device: Address, upTo: number = Number.MAX_SAFE_INTEGER - 1): Generator<Indexed> {
    const range = {
      start: concatBytes(device, counterKey(0)),
      end: concatBytes(device, counterKey(Math.min(upTo, Number.MAX_SAFE_INTEGER - 1) + 1)),
      reverse: true,
      limit: EDGE_LIMITS.scanPayloadsMax,
    };
    for (const { key, value } of this.#tables.table(TABLE.index).range(range))
      yield { id: asHash(value.slice(0, 32)), timeMin: counterAt(value, 32), timeMax: counterAt(key, 32) };
  }

  row(table: Row['table'], key: Uint8Array): unknown {
    const stored = this.#tables.table(TABLE[table]).get(key);
    return stored === undefined ? undefined : parseRow(stored);
  }

  *rows(
    table: Row['table'],
    o: { reverse?: boolean; limit: number },
  ): Generator<{ key: Uint8Array; value: unknown }> {
    for (const { key, value } of this.#tables.table(TABLE[table]).range(o))
      yield { key, value: parseRow(value) };
  }

  /** Resolves when they are on disk. */
  putRows(rows: readonly Row[]): Promise<void> {
    return this.#write(rows.map(rowChange));
  }

  /** Joins the next group: everything that comes while one is being written shares the fsync after it. */
  #write(changes: readonly Change[]): Promise<void> {
    return new Promise((resolve, reject) => {
      for (const change of changes) this.#pending.push(change);
      this.#waiters.push({ resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    while (this.#waiters.length > 0) {
      // One turn of the event loop first, so that publishes of one read from a socket share the group.
      await new Promise((resolve) => setImmediate(resolve));
      const waiters = this.#waiters;
      const changes = this.#pending;
      this.#waiters = [];
      this.#pending = [];
      this.#retain(changes);
      const meta = new Writer(16).u53(this.#arrivals).u53(this.#bytes).finish();
      changes.push({ table: TABLE.meta, key: META, value: meta });
      try {
        await this.#tables.commit(changes);
        await this.#tables.flush();
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        for (const { reject } of waiters) reject(error);
      }
      this.#forgetLanes();
    }
    this.#running = undefined;
  }

  /** Only lanes with nothing on its way to disk may be read again from there. */
  #forgetLanes(): void {
    if (this.#lanes.size > EDGE_LIMITS.lanesCachedMax && this.#waiters.length === 0) this.#lanes.clear();
  }

  /** Adds removals of the oldest final payloads while the vault is above its bound. */
  #retain(changes: Change[]): void {
    if (this.#bytes <= this.#bytesMax) return;
    for (const { key, value } of this.#tables
      .table(TABLE.arrival)
      .range({ limit: EDGE_LIMITS.retentionStepMax })) {
      if (this.#bytes <= this.#bytesMax) return;
      const id = asHash(value);
      const status = this.#stored(id);
      // The oldest that is not final ends the step: order of arrival is nearly order of finality.
      if (status !== undefined && status.stage !== 'final') return;
      changes.push({ table: TABLE.arrival, key, value: undefined });
      if (status === undefined) continue;
      this.#bytes -= status.bytes + OVERHEAD_BYTES;
      changes.push(
        { table: TABLE.bytes, key: id, value: undefined },
        { table: TABLE.batches, key: id, value: undefined },
        { table: TABLE.status, key: id, value: undefined },
        { table: TABLE.index, key: indexKey(status), value: undefined },
      );
    }
  }
}

function encodeBatch(readings: readonly Uint8Array[]): Uint8Array {
  return new Writer(1024).list(readings, (w, reading) => w.bytes(reading)).finish();
}

function readBytes(reader: Reader): Uint8Array {
  return reader.bytes(EDGE_LIMITS.packetBytesMax).slice();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function counterKey(counter: number): Uint8Array {
  return new Writer(8).u53(counter).finish();
}

function counterAt(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

/** Device, latest reading, arrival: newest readings of a device are one walk backwards. */
function indexKey(status: PayloadStatus): Uint8Array {
  return concatBytes(status.device, counterKey(status.timeMax), counterKey(status.arrival));
}

function rowChange(row: Row): Change {
  const value = row.value === undefined ? undefined : new TextEncoder().encode(JSON.stringify(row.value));
  return { table: TABLE[row.table], key: row.key, value };
}

function parseRow(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw corrupt('rows', error instanceof Error ? error.message : 'unreadable');
  }
}

function corrupt(table: string, reason: string): LedgerError {
  return new LedgerError('storage.corrupt', `the vault's table ${table} holds bytes that do not decode`, {
    table,
    reason,
  });
}
