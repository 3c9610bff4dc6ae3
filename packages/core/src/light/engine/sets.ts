/** Validator sets as they lie in memory, and what their weights decide (spec PBFT-1, LIGHT-1, LIGHT-7.4). */
import type { f64, i32 } from './integers.ts';
import {
  BITMAP,
  byteAt,
  copyWithin,
  FIELD,
  I_SHOWN_COUNT,
  I_TRUSTED_COUNT,
  intAt,
  MEMBER_BYTES,
  MEMBERS_MAX,
  N_GREATEST,
  N_TOTAL,
  numberAt,
  order,
  SHOWN_SET,
  TRUSTED_SET,
  u32At,
  type LightMachine,
} from './layout.ts';

const KEY_BYTES: i32 = 32;

/** Key 32 ‖ weight u32 at `FIELD` becomes member `index` of the set. False when it may not be there. */
export function addMember(m: LightMachine, set: i32, index: i32): boolean {
  const weight: f64 = u32At(m, FIELD + KEY_BYTES);
  if (weight < 1) return false;
  const at: i32 = set + index * MEMBER_BYTES;
  if (index > 0 && order(m, at - MEMBER_BYTES, FIELD, KEY_BYTES) >= 0) return false;
  copyWithin(m, at, FIELD, MEMBER_BYTES);
  if (index === 0) {
    m.numbers[N_TOTAL] = 0;
    m.numbers[N_GREATEST] = 0;
  }
  m.numbers[N_TOTAL] = numberAt(m, N_TOTAL) + weight;
  if (weight > numberAt(m, N_GREATEST)) m.numbers[N_GREATEST] = weight;
  return true;
}

/** Whether no member alone is beyond the fault bound, of the set that was read last. */
export function isBalanced(m: LightMachine, count: i32): boolean {
  return count < 4 || numberAt(m, N_GREATEST) * 3 < numberAt(m, N_TOTAL);
}

/** Whether all weights of the set that was read last are the same. */
export function isEven(m: LightMachine, count: i32): boolean {
  return numberAt(m, N_GREATEST) * (count as f64) === numberAt(m, N_TOTAL);
}

export function countOf(m: LightMachine, set: i32): i32 {
  return set === TRUSTED_SET ? intAt(m, I_TRUSTED_COUNT) : intAt(m, I_SHOWN_COUNT);
}

function weightAt(m: LightMachine, set: i32, index: i32): f64 {
  return u32At(m, set + index * MEMBER_BYTES + KEY_BYTES);
}

export function signs(m: LightMachine, index: i32): boolean {
  return ((byteAt(m, BITMAP + (index >> 3)) >> (index & 7)) & 1) === 1;
}

/** Bits of the bitmap; −1 when one lies beyond the set. */
export function signerCount(m: LightMachine, set: i32): i32 {
  const count: i32 = countOf(m, set);
  let signers: i32 = 0;
  for (let i: i32 = 0; i < MEMBERS_MAX; i += 1) {
    if (!signs(m, i)) continue;
    if (i >= count) return -1;
    signers += 1;
  }
  return signers;
}

/** Whether those the bitmap names are a strong quorum of the set: Q = W − ⌊(W − 1) / 3⌋. */
export function isQuorum(m: LightMachine, set: i32): boolean {
  const count: i32 = countOf(m, set);
  let total: f64 = 0;
  let signed: f64 = 0;
  for (let i: i32 = 0; i < count; i += 1) {
    const weight: f64 = weightAt(m, set, i);
    total += weight;
    if (signs(m, i)) signed += weight;
  }
  return signed >= total - Math.floor((total - 1) / 3);
}

/**
 * Whether signers of the shown set hold more than `thirds` thirds of the trusted weight, each counted once and at the
 * weight that was trusted. Both sets ascend by key, so one walk over both finds who is in both.
 */
export function isKnown(m: LightMachine, thirds: i32): boolean {
  const trusted: i32 = intAt(m, I_TRUSTED_COUNT);
  const shown: i32 = intAt(m, I_SHOWN_COUNT);
  let total: f64 = 0;
  let signed: f64 = 0;
  let at: i32 = 0;
  for (let i: i32 = 0; i < trusted; i += 1) {
    const weight: f64 = weightAt(m, TRUSTED_SET, i);
    total += weight;
    while (at < shown) {
      const difference: i32 = order(
        m,
        SHOWN_SET + at * MEMBER_BYTES,
        TRUSTED_SET + i * MEMBER_BYTES,
        KEY_BYTES,
      );
      if (difference === 0 && signs(m, at)) signed += weight;
      if (difference > 0) break;
      at += 1;
      if (difference === 0) break;
    }
  }
  return signed * 3 > total * thirds;
}

/** The set that was shown is the one that is trusted from here on. */
export function trustShown(m: LightMachine): void {
  const count: i32 = intAt(m, I_SHOWN_COUNT);
  copyWithin(m, TRUSTED_SET, SHOWN_SET, count * MEMBER_BYTES);
  m.ints[I_TRUSTED_COUNT] = count;
}
