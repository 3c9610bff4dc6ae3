/** The labels of RFC 8428 table 1 and 6, and the types their values must have in either form. */
import { refused, type Refused } from '@itc/core/bytes/result.js';
import { EDGE_LIMITS } from '../limits.ts';

/** One record as written, fields typed but base values not applied. Times in seconds. */
export interface SenmlEntry {
  readonly bver?: number;
  readonly bn?: string;
  readonly bt?: number;
  readonly bu?: string;
  readonly bv?: number;
  readonly bs?: number;
  readonly n?: string;
  readonly u?: string;
  readonly v?: number;
  readonly vs?: string;
  readonly vb?: boolean;
  readonly vd?: Uint8Array;
  readonly s?: number;
  readonly t?: number;
  readonly ut?: number;
}

export type SenmlRefused = Refused<'payload.not-senml'>;

export function notSenml(message: string): SenmlRefused {
  return refused('payload.not-senml', message);
}

type Label = keyof SenmlEntry;
type FieldType = 'number' | 'text' | 'unit' | 'name' | 'bool' | 'data';

interface Field {
  readonly label: Label;
  /** Integer label in CBOR. */
  readonly key: number;
  readonly type: FieldType;
}

export const FIELDS: readonly Field[] = [
  { label: 'bver', key: -1, type: 'number' },
  { label: 'bn', key: -2, type: 'name' },
  { label: 'bt', key: -3, type: 'number' },
  { label: 'bu', key: -4, type: 'unit' },
  { label: 'bv', key: -5, type: 'number' },
  { label: 'bs', key: -6, type: 'number' },
  { label: 'n', key: 0, type: 'name' },
  { label: 'u', key: 1, type: 'unit' },
  { label: 'v', key: 2, type: 'number' },
  { label: 'vs', key: 3, type: 'text' },
  { label: 'vb', key: 4, type: 'bool' },
  { label: 's', key: 5, type: 'number' },
  { label: 't', key: 6, type: 'number' },
  { label: 'ut', key: 7, type: 'number' },
  { label: 'vd', key: 8, type: 'data' },
];

const BY_LABEL: ReadonlyMap<unknown, Field> = new Map(FIELDS.map((field) => [field.label, field]));
const BY_KEY: ReadonlyMap<unknown, Field> = new Map(FIELDS.map((field) => [field.key, field]));

export function fieldOfLabel(label: unknown): Field | undefined {
  return BY_LABEL.get(label);
}

export function fieldOfKey(key: unknown): Field | undefined {
  return BY_KEY.get(key);
}

/** Why a value does not suit its field, or undefined. NaN, infinities and integers beyond a double are refused. */
export function fieldFlaw(field: Field, value: unknown): string | undefined {
  switch (field.type) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
        ? undefined
        : `${field.label} is not a finite number`;
    case 'bool':
      return typeof value === 'boolean' ? undefined : `${field.label} is not true or false`;
    case 'data':
      return value instanceof Uint8Array ? undefined : `${field.label} is not binary data`;
    case 'text':
      return textFlaw(field, value, EDGE_LIMITS.senmlTextBytesMax);
    case 'unit':
      return textFlaw(field, value, EDGE_LIMITS.senmlUnitBytesMax);
    case 'name':
      return textFlaw(field, value, EDGE_LIMITS.senmlNameBytesMax);
  }
}

function textFlaw(field: Field, value: unknown, max: number): string | undefined {
  if (typeof value !== 'string') return `${field.label} is not text`;
  return value.length > max ? `${field.label} is longer than ${max}` : undefined;
}

/** RFC 8428 §4.4: a label ending in `_` must be understood or the whole pack refused. We know none. */
export function mustUnderstand(label: unknown): boolean {
  return typeof label === 'string' && label.endsWith('_');
}
