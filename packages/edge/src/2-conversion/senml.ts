/**
 * SenML (RFC 8428): packs of sensor records, in JSON and CBOR, to resolved records and back. Spec EDGE-2.
 * A pack is refused as a whole: half of one would be a reading nobody sent.
 */
import { ok, type Result } from '@itc/core/bytes/result.js';
import { EDGE_LIMITS } from '../limits.ts';
import { notSenml, type SenmlEntry } from './senml-fields.ts';
import { parseSenmlCbor, writeSenmlCbor } from './senml-cbor.ts';
import { parseSenmlJson, writeSenmlJson } from './senml-json.ts';

export type SenmlFormat = 'senml+json' | 'senml+cbor';

export type SenmlValue = number | string | boolean | Uint8Array;

/** RFC 8428 §4.6: complete in itself. At least one of `value` and `sum` is there. */
export interface SenmlRecord {
  readonly name: string;
  readonly unit?: string;
  /** Milliseconds since 1970, rounded. */
  readonly time: number;
  readonly value?: SenmlValue;
  readonly sum?: number;
  /** Seconds until the next reading at the latest, where the sender says so. */
  readonly updateTime?: number;
}

/** Below this a time is relative to now (RFC 8428 §4.5.3). */
const RELATIVE_BELOW = 2 ** 28;
/** RFC 8428 §4.4: a higher version must not be used. */
const VERSION = 10;
const NAME = /^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/;

/**
 * Bytes → resolved records.
 * @param now milliseconds; relative times count from here, so give the time of reception again when reading stored bytes.
 */
export function parseSenml(
  format: SenmlFormat,
  bytes: Uint8Array,
  now: number,
): Result<SenmlRecord[], 'payload.not-senml'> {
  const entries = format === 'senml+json' ? parseSenmlJson(bytes) : parseSenmlCbor(bytes);
  return entries.ok ? resolveSenml(entries.value, now) : entries;
}

/** Applies base name, time, unit, value, sum and version (RFC 8428 §4.6). Records without any value only set bases. */
export function resolveSenml(
  entries: readonly SenmlEntry[],
  now: number,
): Result<SenmlRecord[], 'payload.not-senml'> {
  const base = { name: '', time: 0, unit: undefined as string | undefined, value: 0, sum: 0 };
  let version: number | undefined;
  const records: SenmlRecord[] = [];
  for (const [i, entry] of entries.entries()) {
    if (entry.bver !== undefined) {
      if (!Number.isInteger(entry.bver) || entry.bver < 1 || entry.bver > VERSION)
        return notSenml(`record ${i}: expected a version from 1 to ${VERSION}, got ${entry.bver}`);
      if (version !== undefined && version !== entry.bver)
        return notSenml(`record ${i}: the version changes within the pack`);
      version = entry.bver;
    }
    base.name = entry.bn ?? base.name;
    base.time = entry.bt ?? base.time;
    base.unit = entry.bu ?? base.unit;
    base.value = entry.bv ?? base.value;
    base.sum = entry.bs ?? base.sum;
    const values = [entry.v, entry.vs, entry.vb, entry.vd].filter((value) => value !== undefined);
    if (values.length > 1) return notSenml(`record ${i}: expected one value, got ${values.length}`);
    if (values.length === 0 && entry.s === undefined) continue;

    const name = base.name + (entry.n ?? '');
    if (!NAME.test(name) || name.length > EDGE_LIMITS.senmlNameBytesMax)
      return notSenml(`record ${i}: the name is empty, too long, or has characters outside RFC 8428 §4.5.1`);
    const seconds = base.time + (entry.t ?? 0);
    const time = Math.round(seconds * 1000) + (seconds < RELATIVE_BELOW ? now : 0);
    if (!Number.isSafeInteger(time) || time < 0) return notSenml(`record ${i}: the time is out of range`);
    if (entry.ut !== undefined && entry.ut < 0) return notSenml(`record ${i}: the update time is negative`);
    const value = entry.v === undefined ? values[0] : entry.v + base.value;
    const sum = entry.s === undefined ? undefined : entry.s + base.sum;
    // The parts are finite, their sum need not be.
    if (
      (typeof value === 'number' && !Number.isFinite(value)) ||
      (sum !== undefined && !Number.isFinite(sum))
    )
      return notSenml(`record ${i}: base and value add up beyond the range of a number`);
    const unit = entry.u ?? base.unit;
    records.push({
      name,
      time,
      ...(unit === undefined || unit === '' ? {} : { unit }),
      ...(value === undefined ? {} : { value }),
      ...(sum === undefined ? {} : { sum }),
      ...(entry.ut === undefined ? {} : { updateTime: entry.ut }),
    });
  }
  return records.length === 0 ? notSenml('no record holds a value') : ok(records);
}

/** Resolved records → the bytes of a pack with one base time, names in full. What it gives, `parseSenml` reads back. */
export function encodeSenml(format: SenmlFormat, records: readonly SenmlRecord[]): Uint8Array {
  const first = records[0];
  if (first === undefined || records.length > EDGE_LIMITS.senmlRecordsMax)
    throw new RangeError(`expected 1 to ${EDGE_LIMITS.senmlRecordsMax} records, got ${records.length}`);
  // With the base at zero every record's own time may be absolute; near 1970 that would read as relative.
  const shared = records.every((record) => record.time === first.time);
  const entries = records.map((record, i) => toEntry(record, shared, i === 0));
  return format === 'senml+json' ? writeSenmlJson(entries) : writeSenmlCbor(entries);
}

function toEntry(record: SenmlRecord, sharedTime: boolean, first: boolean): SenmlEntry {
  const { value } = record;
  return {
    ...(sharedTime && first ? { bt: record.time / 1000 } : {}),
    n: record.name,
    ...(record.unit === undefined ? {} : { u: record.unit }),
    ...(sharedTime ? {} : { t: record.time / 1000 }),
    ...(typeof value === 'number' ? { v: value } : {}),
    ...(typeof value === 'string' ? { vs: value } : {}),
    ...(typeof value === 'boolean' ? { vb: value } : {}),
    ...(value instanceof Uint8Array ? { vd: value } : {}),
    ...(record.sum === undefined ? {} : { s: record.sum }),
    ...(record.updateTime === undefined ? {} : { ut: record.updateTime }),
  };
}
