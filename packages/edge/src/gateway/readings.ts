/** Answers about stored readings. Every question decodes a bounded number of payloads. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { addressOf, formatAddress, type Address } from '@itc/core/ledger/address.js';
import { isAttested, parsePayload, type Payload } from '@itc/core/ledger/payload.js';
import type { SenmlRecord } from '../2-conversion/senml.ts';
import type { Stage } from '../3-cyber/vault/status.ts';
import type { Vault } from '../3-cyber/vault/vault.ts';
import { EDGE_LIMITS } from '../limits.ts';
import { proveRecord, type ProvenRecord } from './batches.ts';
import { readingsIn, shown } from './decode-readings.ts';
import type { Visible } from './owners.ts';
import type { PayloadView, ReadingView, SeriesView, StatusesView } from './views.ts';

export class Readings {
  readonly #vault: Vault;
  readonly #chain: Hash;

  constructor(o: { vault: Vault; chain: Hash }) {
    this.#vault = o.vault;
    this.#chain = o.chain;
  }

  /** Newest first by their own time; `before` leaves out what is not earlier. */
  list(o: {
    device: Address;
    limit: number;
    before?: number;
    name?: string;
    /** Readings of other moments are passed over. */
    visible?: Visible;
  }): ReadingView[] {
    const limit = Math.min(o.limit, EDGE_LIMITS.readingsAskedMax);
    const before = o.before ?? Number.MAX_SAFE_INTEGER;
    const found: ReadingView[] = [];
    const newestFirst = (a: ReadingView, b: ReadingView): number => b.time - a.time || b.index - a.index;
    let settled = 0;
    for (const { id, timeMax, timeMin } of this.#vault.payloadsOf(o.device)) {
      // All that follow end at or before `timeMax`: once enough found ones are not earlier, nothing can come between.
      settled = found.filter((reading) => reading.time >= timeMax).length;
      if (settled >= limit) break;
      if (timeMin >= before) continue;
      found.push(
        ...this.#readingsOf(id).filter(
          (reading) =>
            reading.time < before &&
            (o.name === undefined || reading.name === o.name) &&
            (o.visible === undefined || o.visible(reading.time)),
        ),
      );
    }
    return found.toSorted(newestFirst).slice(0, limit);
  }

  /** Means over equal spans of the newest numeric readings of one name, oldest first. */
  series(o: { device: Address; name: string; points: number; visible?: Visible }): SeriesView {
    const points = Math.max(1, Math.min(o.points, EDGE_LIMITS.seriesPointsMax));
    const values: { time: number; value: number }[] = [];
    let unit: string | undefined;
    for (const { id } of this.#vault.payloadsOf(o.device)) {
      for (const reading of this.#readingsOf(id)) {
        if (reading.name !== o.name || typeof reading.value !== 'number') continue;
        if (o.visible !== undefined && !o.visible(reading.time)) continue;
        unit ??= reading.unit;
        values.push({ time: reading.time, value: reading.value });
      }
      if (values.length >= 16 * points) break;
    }
    values.sort((a, b) => a.time - b.time);
    const means = values.length <= points ? values : meansOf(values, points);
    return {
      name: o.name,
      ...(unit === undefined ? {} : { unit }),
      times: means.map(({ time }) => time),
      values: means.map(({ value }) => value),
    };
  }

  payload(id: Hash): PayloadView | undefined {
    const status = this.#vault.status(id);
    const payload = this.#parsed(id);
    if (status === undefined || payload === undefined) return undefined;
    const { envelope, checkpoint, height, finalAt } = status;
    return {
      id: toHex(id),
      device: formatAddress(payload.device),
      signer: formatAddress(addressOf(payload.signer)),
      attested: isAttested(payload),
      sequence: payload.sequence,
      contentType: payload.contentType,
      receivedAt: status.receivedAt,
      status: status.stage,
      ...(envelope === undefined ? {} : { envelope: toHex(envelope) }),
      ...(checkpoint === undefined ? {} : { checkpoint }),
      ...(height === undefined ? {} : { height }),
      ...(finalAt === undefined ? {} : { finalAt }),
      readings: status.readings,
    };
  }

  statuses(ids: readonly Hash[]): StatusesView {
    const statuses: Record<string, Stage | 'unknown'> = {};
    const final: Record<string, { height: number; time: number; finalAt: number }> = {};
    for (const id of ids) {
      const text = toHex(id);
      const status = this.#vault.status(id);
      statuses[text] = status?.stage ?? 'unknown';
      if (status?.stage === 'final')
        final[text] = { height: status.height ?? 0, time: status.receivedAt, finalAt: status.finalAt ?? 0 };
    }
    return { statuses, final };
  }

  /** Of a reading that came in a batch: that it is under the root its device signed. */
  batchProof(id: Hash, index: number): ProvenRecord | undefined {
    const payload = this.#vault.payload(id);
    const batch = this.#vault.batch(id);
    return payload && batch && proveRecord(payload, batch, index);
  }

  views(o: {
    id: Hash;
    device: Address;
    records: readonly SenmlRecord[];
    status: Stage;
    isBatch?: boolean;
  }): ReadingView[] {
    const payload = toHex(o.id);
    const device = formatAddress(o.device);
    return o.records.map((record, index) => ({
      id: `${payload}:${index}`,
      payload,
      index,
      device,
      ...shown(record),
      status: o.status,
      ...(o.isBatch === true && { batch: true as const }),
    }));
  }

  #readingsOf(id: Hash): ReadingView[] {
    const status = this.#vault.status(id);
    const payload = this.#parsed(id);
    if (status === undefined || payload === undefined) return [];
    const batch = this.#vault.batch(id);
    const records = readingsIn(payload, status.receivedAt, batch);
    const isBatch = batch !== undefined;
    return this.views({ id, device: status.device, records, status: status.stage, isBatch });
  }

  #parsed(id: Hash): Payload | undefined {
    const bytes = this.#vault.payload(id);
    const parsed = bytes && parsePayload(this.#chain, bytes);
    return parsed?.ok === true ? parsed.value : undefined;
  }
}

function meansOf(
  values: readonly { time: number; value: number }[],
  points: number,
): { time: number; value: number }[] {
  const first = (values[0] as { time: number }).time;
  const span = (values.at(-1) as { time: number }).time - first + 1;
  const buckets = new Map<number, { time: number; value: number; count: number }>();
  for (const { time, value } of values) {
    const at = Math.floor(((time - first) / span) * points);
    const bucket = buckets.get(at) ?? { time: 0, value: 0, count: 0 };
    buckets.set(at, { time: bucket.time + time, value: bucket.value + value, count: bucket.count + 1 });
  }
  return [...buckets.values()].map(({ time, value, count }) => ({
    time: Math.round(time / count),
    value: value / count,
  }));
}
