/** SenML in CBOR (RFC 8428 §6): the only file that imports cborg. */
import { decode, encode } from 'cborg';
import { ok, type Result } from '@itc/core/bytes/result.js';
import { EDGE_LIMITS } from '../limits.ts';
import {
  fieldFlaw,
  fieldOfKey,
  fieldOfLabel,
  FIELDS,
  mustUnderstand,
  notSenml,
  type SenmlEntry,
  type SenmlRefused,
} from './senml-fields.ts';

export function parseSenmlCbor(bytes: Uint8Array): Result<SenmlEntry[], 'payload.not-senml'> {
  let parsed: unknown;
  try {
    parsed = decode(bytes, {
      useMaps: true,
      rejectDuplicateMapKeys: true,
      allowNaN: false,
      allowInfinity: false,
      allowUndefined: false,
      tags: { 4: (inner) => decimalFraction(inner()) },
    });
  } catch (error) {
    // Also the stack's end: nesting is bounded by the size of a payload, and the caller loses nothing.
    return notSenml(`not CBOR: ${error instanceof Error ? error.message.slice(0, 80) : 'unreadable'}`);
  }
  if (!Array.isArray(parsed)) return notSenml('expected an array of records');
  if (parsed.length === 0 || parsed.length > EDGE_LIMITS.senmlRecordsMax)
    return notSenml(`expected 1 to ${EDGE_LIMITS.senmlRecordsMax} records, got ${parsed.length}`);
  const entries: SenmlEntry[] = [];
  for (const [i, record] of parsed.entries()) {
    const entry = parseRecord(record, i);
    if ('ok' in entry) return entry;
    entries.push(entry);
  }
  return ok(entries);
}

function parseRecord(record: unknown, i: number): SenmlEntry | SenmlRefused {
  if (!(record instanceof Map)) return notSenml(`record ${i}: expected a map`);
  const entry: Record<string, unknown> = {};
  for (const [key, value] of record as Map<unknown, unknown>) {
    const field = fieldOfKey(key);
    if (field === undefined) {
      if (mustUnderstand(key))
        return notSenml(`record ${i}: ${String(key).slice(0, 32)} must be understood and is not`);
      // In CBOR the known labels are integers; the same name as text could be read as a second value.
      if (fieldOfLabel(key) !== undefined)
        return notSenml(`record ${i}: the label ${String(key)} is an integer in CBOR`);
      if (typeof key !== 'string' && typeof key !== 'number')
        return notSenml(`record ${i}: a label is neither text nor integer`);
      continue;
    }
    const flaw = fieldFlaw(field, value);
    if (flaw !== undefined) return notSenml(`record ${i}: ${flaw}`);
    entry[field.label] = value;
  }
  return entry;
}

/** RFC 8949 §3.4.4: [exponent, mantissa]; both small, so that no giant number is computed. */
function decimalFraction(pair: unknown): number {
  const [exponent, mantissa] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
  if (
    !Number.isSafeInteger(exponent) ||
    !Number.isSafeInteger(mantissa) ||
    Math.abs(exponent as number) > 308
  )
    throw new RangeError('expected a small decimal fraction');
  return Number(`${mantissa as number}e${exponent as number}`);
}

export function writeSenmlCbor(entries: readonly SenmlEntry[]): Uint8Array {
  const maps = entries.map((entry) => {
    const map = new Map<number, unknown>();
    for (const { label, key } of FIELDS) {
      const value = entry[label];
      if (value !== undefined) map.set(key, value);
    }
    return map;
  });
  return encode(maps);
}
