/**
 * What a subnet member keeps of the finished past: envelope bodies in segments by checkpoint, and tables that
 * lead from a payload to its checkpoint. Everything a proof of a reading needs beyond the main chain. What is older
 * than it has room for goes checkpoint by checkpoint: rows first, then whole segments by unlink (spec SUBNET-1).
 */
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import { decodeEnvelopeWithPayloads } from '@itc/core/ledger/envelope.js';
import type { Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { parsePayload, payloadIds, type Payload } from '@itc/core/ledger/payload.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Change, Tables } from '../ports.ts';
import type { SegmentStore } from '../storage/segment-store.ts';
import { IgnoredPayloads } from './subnet-ignored.ts';
import { SubnetLevels } from './subnet-levels.ts';
import { SubnetWithdrawals } from './subnet-withdrawals.ts';
import { SubnetPlaces } from './subnet-places.ts';

export interface PayloadPlace {
  readonly checkpoint: number;
  /** Among the applied payloads of the checkpoint, in canonical order. */
  readonly index: number;
  readonly envelope: Hash;
}

/** What is remembered of a checkpoint that is kept. */
export interface KeptCheckpoint {
  readonly sequence: number;
  /** Of the checkpoint, milliseconds since 1970. */
  readonly time: number;
  readonly envelopes: number;
  readonly payloads: number;
  /** Of its envelopes with their payloads. */
  readonly bytes: number;
}

export interface FinalPlace {
  readonly hash: Hash;
  readonly checkpoint: number;
  readonly time: number;
}

const APPLIED = 'subnet-applied';
const ORDER = 'subnet-order';
/** By checkpoint: of each envelope with applied payloads its number in the order and how many they are, in their order. */
const RUNS = 'subnet-runs';
const FINAL = 'subnet-final';
const CHECKPOINTS = 'subnet-checkpoints';
/** Final envelopes below the floor that a lane goes on from: their successors name them. */
const HEADS = 'subnet-heads';
const PAST = 'subnet-past';
const PAST_KEY = Uint8Array.of(0);
/** A crash loses a listener at most what was told in its last moments. */
const RECENT_CHECKPOINTS = 32;

/** What a member has to remember of itself beside its log, because a snapshot replaces the log. */
export interface OwnPast {
  /** Our records were lost: others have to tell what they hold of us before we issue. */
  readonly uncertain: boolean;
  /** Lanes in which envelopes of ours were given up; bit by lane. Going on in one could put two into one slot. */
  readonly burntLanes: number;
  /** A snapshot of this checkpoint is being taken over; 0: none. */
  readonly adopting: number;
}

/**
 * Bytes of table per payload (in the list of its checkpoint, and where it is found by its id), and per envelope: key, value,
 * the node of the tree, and pages two thirds full, as random keys leave them; with its share in the order.
 */
const PAYLOAD_ROW_BYTES = 64;
const ENVELOPE_ROW_BYTES = 120;

export class SubnetStore {
  readonly ignored: IgnoredPayloads;
  readonly withdrawals: SubnetWithdrawals;
  readonly levels: SubnetLevels;
  readonly #chain: Hash;
  readonly #tables: Tables;
  readonly #segments: SegmentStore;
  readonly #places: SubnetPlaces;
  /** In the checkpoints that are kept, up to the last noted one. */
  #payloads = 0;
  #noted = 0;

  constructor(options: { readonly chain: Hash; readonly tables: Tables; readonly segments: SegmentStore }) {
    this.#chain = options.chain;
    this.#tables = options.tables;
    this.#segments = options.segments;
    this.ignored = new IgnoredPayloads(options.tables);
    this.withdrawals = new SubnetWithdrawals(options.tables);
    this.levels = new SubnetLevels(options.tables);
    this.#places = new SubnetPlaces(options.tables);
    for (const { sequence, payloads } of this.checkpoints(0)) {
      this.#payloads += payloads;
      this.#noted = sequence;
      if (sequence <= this.#places.grouped) continue;
      const ids = this.#tables.table(APPLIED).get(sequenceKey(sequence));
      if (ids !== undefined) this.#places.remember(sequence, ids);
    }
  }

  /**
   * Writing the same delivery again changes nothing, so it may come once more after a crash or a full disk. What was
   * pruned stays so.
   */
  async deliver(delivery: Delivery): Promise<void> {
    const { checkpoint } = delivery.committed.certificate;
    const floor = this.oldest()?.sequence;
    // Its row is written when everything else is on the disk.
    if (floor !== undefined && checkpoint.sequence < floor) return;
    const ids = payloadIds(delivery.applied.map(({ payload }) => payload));
    if (this.has(checkpoint.sequence)) return this.#note(checkpoint.sequence, ids);
    const sequence = sequenceKey(checkpoint.sequence);
    const changes: Change[] = [];
    let bytes = 0;
    for (const envelope of delivery.envelopes) {
      this.#segments.put(envelope.hash, envelope.encoded);
      bytes += envelope.encoded.length;
      changes.push(
        finalChange({ ...envelope, checkpoint: checkpoint.sequence, time: envelope.envelope.time }),
      );
    }
    const kept = new Writer(32)
      .u53(checkpoint.time)
      .u32(delivery.envelopes.length)
      .u32(delivery.applied.length)
      .u53(bytes);
    changes.push(
      ...this.ignored.changes(delivery),
      ...this.withdrawals.changes(delivery),
      { table: APPLIED, key: sequence, value: ids },
      { table: ORDER, key: sequence, value: joined(delivery.envelopes.map(({ hash }) => hash)) },
      { table: RUNS, key: sequence, value: runsOf(delivery) },
      { table: CHECKPOINTS, key: sequence, value: kept.finish() },
    );
    await this.#segments.seal(checkpoint.sequence);
    const group = this.#places.due();
    if (group !== undefined) changes.push(...group.changes);
    await this.#tables.commit(changes);
    group?.written();
    this.#note(checkpoint.sequence, ids);
    await this.#tables.flush();
  }

  /** Once for each checkpoint, also when its rows were written and what came after that failed. */
  #note(checkpoint: number, ids: Uint8Array): void {
    if (checkpoint <= this.#noted) return;
    this.#noted = checkpoint;
    this.#payloads += ids.length / HASH_BYTES;
    this.#places.remember(checkpoint, ids);
  }

  /** Whether this checkpoint was delivered here. */
  has(sequence: number): boolean {
    return this.#tables.table(ORDER).has(sequenceKey(sequence));
  }

  /** Bytes on disk: bodies with their indexes, and an estimate of the rows. */
  get size(): { readonly bodies: number; readonly rows: number } {
    const envelopes = this.#tables.table(FINAL).count();
    return {
      bodies: this.#segments.size,
      rows: this.#payloads * PAYLOAD_ROW_BYTES + envelopes * ENVELOPE_ROW_BYTES + this.ignored.bytes,
    };
  }

  /** The first checkpoint that is kept. */
  oldest(): KeptCheckpoint | undefined {
    for (const { key, value } of this.#tables.table(CHECKPOINTS).range({ limit: 1 }))
      return keptOf(key, value);
    return undefined;
  }

  newest(): KeptCheckpoint | undefined {
    for (const { key, value } of this.#tables.table(CHECKPOINTS).range({ limit: 1, reverse: true }))
      return keptOf(key, value);
    return undefined;
  }

  kept(sequence: number): KeptCheckpoint | undefined {
    const key = sequenceKey(sequence);
    const value = this.#tables.table(CHECKPOINTS).get(key);
    return value && keptOf(key, value);
  }

  /** Checkpoints kept from `sequence` on. */
  *checkpoints(sequence: number): Generator<KeptCheckpoint> {
    for (const { key, value } of this.#tables.table(CHECKPOINTS).range({ start: sequenceKey(sequence) }))
      yield keptOf(key, value);
  }

  /**
   * Forgets the rows of the oldest checkpoint. `heads` are the envelopes that lanes go on from: that they are final stays
   * known, whoever follows them next names them. Their bodies go with the others.
   */
  async pruneOldest(heads: ReadonlySet<string>): Promise<void> {
    const oldest = this.oldest();
    if (oldest === undefined) return;
    const key = sequenceKey(oldest.sequence);
    const changes: Change[] = [];
    for (const hash of this.envelopeOrder(oldest.sequence) ?? []) {
      const isHead = heads.has(toHex(hash));
      changes.push(
        isHead
          ? { table: HEADS, key: hash, value: new Uint8Array(1) }
          : { table: FINAL, key: hash, value: undefined },
      );
    }
    for (const { key: hash } of this.#tables.table(HEADS).range()) {
      if (heads.has(toHex(hash))) continue;
      changes.push(
        { table: HEADS, key: hash, value: undefined },
        { table: FINAL, key: hash, value: undefined },
      );
    }
    const places = this.#places.forget(oldest.sequence);
    changes.push(...places.changes, ...this.ignored.forget(oldest.sequence));
    for (const table of [APPLIED, ORDER, RUNS, CHECKPOINTS]) changes.push({ table, key, value: undefined });
    await this.#tables.commit(changes);
    places.written();
    this.#payloads -= oldest.payloads;
  }

  /** Unlinks the segments whose bodies all belong to checkpoints below `floor`; returns the bytes set free. */
  pruneSegments(floor: number): number {
    return this.#segments.prune(floor);
  }

  /** Notes what a snapshot tells of envelopes that became final before it. */
  async adopt(finals: readonly FinalPlace[], heads: ReadonlySet<string>): Promise<void> {
    const changes = finals.flatMap((final): Change[] => [
      finalChange(final),
      ...(heads.has(toHex(final.hash)) ? [{ table: HEADS, key: final.hash, value: new Uint8Array(1) }] : []),
    ]);
    await this.#tables.commit(changes);
    await this.#tables.flush();
  }

  get past(): OwnPast {
    const stored = this.#tables.table(PAST).get(PAST_KEY);
    if (stored === undefined) return { uncertain: false, burntLanes: 0, adopting: 0 };
    const reader = new Reader(stored);
    return { uncertain: reader.bool(), burntLanes: reader.u32(), adopting: reader.u53() };
  }

  /** Durable when it resolves. */
  async setPast(past: OwnPast): Promise<void> {
    const value = new Writer(16).bool(past.uncertain).u32(past.burntLanes).u53(past.adopting).finish();
    await this.#tables.commit([{ table: PAST, key: PAST_KEY, value }]);
    await this.#tables.flush();
  }

  place(payload: Hash): PayloadPlace | undefined {
    for (const { checkpoint, index } of this.#places.candidates(payload)) {
      const key = sequenceKey(checkpoint);
      const isIt = this.#tables
        .table(APPLIED)
        .view(key, (ids) => equalBytes(ids.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES), payload));
      const envelope = isIt === true ? this.#envelopeOf(key, index) : undefined;
      if (envelope !== undefined) return { checkpoint, index, envelope };
    }
    return undefined;
  }

  /** The envelope an applied payload came in. */
  #envelopeOf(key: Uint8Array, index: number): Hash | undefined {
    const runs = this.#tables.table(RUNS).get(key);
    if (runs === undefined) return undefined;
    const reader = new Reader(runs);
    for (let before = 0; reader.remaining > 0;) {
      const envelope = reader.u32();
      before += reader.u32();
      if (index >= before) continue;
      const at = envelope * HASH_BYTES;
      const cut = (order: Uint8Array): Hash => asHash(new Uint8Array(order.subarray(at, at + HASH_BYTES)));
      return this.#tables.table(ORDER).view(key, cut);
    }
    return undefined;
  }

  /** Ids of a checkpoint's applied payloads, in canonical order. */
  appliedIds(sequence: number): Hash[] | undefined {
    return split(this.#tables.table(APPLIED).get(sequenceKey(sequence)));
  }

  /** Hashes of a checkpoint's envelopes, in canonical order. */
  envelopeOrder(sequence: number): Hash[] | undefined {
    return split(this.#tables.table(ORDER).get(sequenceKey(sequence)));
  }

  finalised(envelope: Hash): { readonly checkpoint: number; readonly time: number } | undefined {
    const stored = this.#tables.table(FINAL).get(envelope);
    if (stored === undefined) return undefined;
    const reader = new Reader(stored);
    return { checkpoint: reader.u53(), time: reader.u53() };
  }

  envelope(hash: Hash): Uint8Array | undefined {
    return this.#segments.get(hash);
  }

  /** Payloads in the envelopes of a checkpoint, in canonical order; none when it is not stored. */
  *payloadsOf(sequence: number): Generator<Payload> {
    for (const hash of this.envelopeOrder(sequence) ?? []) {
      const encoded = this.#segments.get(hash);
      const whole = encoded === undefined ? undefined : decodeEnvelopeWithPayloads(encoded);
      if (whole?.ok !== true) continue;
      for (const bytes of whole.value.payloads) {
        const payload = parsePayload(this.#chain, bytes);
        if (payload.ok) yield payload.value;
      }
    }
  }

  /** Those of the newest checkpoints, up to the one named, oldest first. */
  *recentPayloads(newest: number): Generator<Payload> {
    for (let sequence = Math.max(1, newest - RECENT_CHECKPOINTS); sequence <= newest; sequence += 1)
      yield* this.payloadsOf(sequence);
  }

  /** Whose payload an applied one is; undefined when it is not known here, or its body was pruned. */
  deviceOf(id: Hash): Address | undefined {
    const place = this.place(id);
    const bytes = place && this.payloadBytes(id, place);
    const payload = bytes && parsePayload(this.#chain, bytes);
    return payload?.ok === true ? payload.value.device : undefined;
  }

  /** The COSE_Sign1 of an applied payload; undefined when its body was pruned. */
  payloadBytes(id: Hash, place: PayloadPlace): Uint8Array | undefined {
    const encoded = this.#segments.get(place.envelope);
    if (encoded === undefined) return undefined;
    const whole = decodeEnvelopeWithPayloads(encoded);
    if (!whole.ok)
      throw new LedgerError('storage.corrupt', `a stored envelope does not decode: ${whole.message}`);
    return whole.value.payloads.find((bytes) => {
      const payload = parsePayload(this.#chain, bytes);
      return payload.ok && equalBytes(payload.value.id, id);
    });
  }
}

const sequenceKey = (sequence: number): Uint8Array => new Writer(8).u53(sequence).finish();

function runsOf({ envelopes, applied }: Delivery): Uint8Array {
  const writer = new Writer(256);
  let at = 0;
  for (const [number, { hash }] of envelopes.entries()) {
    let count = 0;
    const isIn = (envelope: Hash | undefined): boolean =>
      envelope === hash || (envelope !== undefined && equalBytes(envelope, hash));
    for (; isIn(applied[at]?.envelope); at += 1) count += 1;
    if (count > 0) writer.u32(number).u32(count);
  }
  return writer.finish();
}

function finalChange({ hash, checkpoint, time }: FinalPlace): Change {
  return { table: FINAL, key: hash, value: new Writer(16).u53(checkpoint).u53(time).finish() };
}

function keptOf(key: Uint8Array, value: Uint8Array): KeptCheckpoint {
  const reader = new Reader(value);
  return {
    sequence: new Reader(key).u53(),
    time: reader.u53(),
    envelopes: reader.u32(),
    payloads: reader.u32(),
    bytes: reader.u53(),
  };
}

function joined(hashes: readonly Hash[]): Uint8Array {
  const writer = new Writer(Math.max(1, hashes.length * HASH_BYTES));
  for (const hash of hashes) writer.fixed(hash, HASH_BYTES);
  return writer.finish();
}

function split(stored: Uint8Array | undefined): Hash[] | undefined {
  if (stored === undefined) return undefined;
  const hashes: Hash[] = [];
  for (let at = 0; at < stored.length; at += HASH_BYTES)
    hashes.push(asHash(stored.slice(at, at + HASH_BYTES)));
  return hashes;
}
