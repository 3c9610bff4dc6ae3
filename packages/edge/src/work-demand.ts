/** The refusal that asks for work, as it travels (spec EDGE-15.3): in a PUBACK as one property, in a notice as three fields. */
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';

export interface WorkDemand {
  readonly bits: number;
  /** Of the newest header the gateway knows; older ones do as well, for some minutes. */
  readonly height: number;
  /** Its hash. */
  readonly anchor: Hash;
}

/** `bits height hash`, in decimal, decimal and hex. */
export const WORK_PROPERTY = 'itc-work';

export function formatWorkDemand({ bits, height, anchor }: WorkDemand): string {
  return `${bits} ${height} ${toHex(anchor)}`;
}

export function parseWorkDemand(text: string): WorkDemand | undefined {
  const match = /^(\d{1,2}) (\d{1,15}) ([0-9a-f]{64})$/.exec(text);
  const anchor = match === null ? undefined : fromHex(match[3] as string);
  if (match === null || anchor?.ok !== true || anchor.value.length !== HASH_BYTES) return undefined;
  const bits = Number(match[1]);
  if (bits < 1 || bits > LIMITS.powBitsMax) return undefined;
  return { bits, height: Number(match[2]), anchor: asHash(anchor.value) };
}
