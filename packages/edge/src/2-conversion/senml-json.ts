/** SenML in JSON (RFC 8428 §5): text ↔ typed entries. */
import { ok, type Result } from '@itc/core/bytes/result.js';
import { EDGE_LIMITS } from '../limits.ts';
import {
  fieldFlaw,
  fieldOfLabel,
  mustUnderstand,
  notSenml,
  type SenmlEntry,
  type SenmlRefused,
} from './senml-fields.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BASE64URL = /^[A-Za-z0-9_-]*={0,2}$/;

export function parseSenmlJson(bytes: Uint8Array): Result<SenmlEntry[], 'payload.not-senml'> {
  let text: string;
  let parsed: unknown;
  try {
    text = utf8.decode(bytes);
    const shape = shapeOf(text);
    if (shape.depth > EDGE_LIMITS.senmlDepthMax) return notSenml('nested too deep');
    parsed = JSON.parse(text);
    // JSON.parse keeps the last of two equal names. Signed bytes that two readers read differently are refused.
    if (namesIn(parsed) !== shape.names) return notSenml('a name appears twice in one object');
  } catch (error) {
    return notSenml(`not JSON: ${error instanceof Error ? error.message.slice(0, 80) : 'unreadable'}`);
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
  if (typeof record !== 'object' || record === null || Array.isArray(record))
    return notSenml(`record ${i}: expected an object`);
  const entry: Record<string, unknown> = {};
  for (const [label, raw] of Object.entries(record as Record<string, unknown>)) {
    const field = fieldOfLabel(label);
    if (field === undefined) {
      if (mustUnderstand(label))
        return notSenml(`record ${i}: ${label.slice(0, 32)} must be understood and is not`);
      continue;
    }
    const value = field.type === 'data' ? fromBase64url(raw) : raw;
    const flaw = fieldFlaw(field, value);
    if (flaw !== undefined) return notSenml(`record ${i}: ${flaw}`);
    entry[label] = value;
  }
  return entry;
}

function fromBase64url(raw: unknown): unknown {
  if (typeof raw !== 'string' || !BASE64URL.test(raw)) return undefined;
  const bytes = new Uint8Array(Buffer.from(raw, 'base64url'));
  // One text per value: bits that the decoder would drop must be zero.
  return Buffer.from(bytes).toString('base64url') === raw.replace(/=+$/, '') ? bytes : undefined;
}

/** Depth of nesting and number of names, found without building anything: checked before and after JSON.parse. */
function shapeOf(text: string): { depth: number; names: number } {
  let depth = 0;
  let depthMax = 0;
  let names = 0;
  for (let i = 0; i < text.length; i += 1) {
    switch (text.charCodeAt(i)) {
      case 0x22: // A string: skip to its end, minding escapes.
        for (i += 1; i < text.length && text.charCodeAt(i) !== 0x22; i += 1)
          if (text.charCodeAt(i) === 0x5c) i += 1;
        break;
      case 0x3a:
        names += 1;
        break;
      case 0x5b:
      case 0x7b:
        depth += 1;
        if (depth > depthMax) depthMax = depth;
        break;
      case 0x5d:
      case 0x7d:
        depth -= 1;
        break;
    }
  }
  return { depth: depthMax, names };
}

/** Recursion is bounded: the depth was checked before. */
function namesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + namesIn(item), 0);
  let names = 0;
  for (const item of Object.values(value)) names += 1 + namesIn(item);
  return names;
}

export function writeSenmlJson(entries: readonly SenmlEntry[]): Uint8Array {
  const plain = entries.map((entry) =>
    entry.vd === undefined ? entry : { ...entry, vd: Buffer.from(entry.vd).toString('base64url') },
  );
  return new TextEncoder().encode(JSON.stringify(plain));
}
