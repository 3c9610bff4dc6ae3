/** What a verifier answers. Positive: it goes on; negative: refused, and why (spec LIGHT-3, LIGHT-7, LIGHT-9). */
import type { i32 } from './integers.ts';

export const MORE: i32 = 0;
/** The newest header is believed: trust has moved. */
export const BELIEVED: i32 = 1;
/** An item was proved; what it says lies in the machine until the next byte. */
export const PROVED: i32 = 2;
export const DONE: i32 = 3;

export const BAD_FORMAT: i32 = -1;
export const BAD_TRUST_SET: i32 = -2;
export const BAD_VALIDATORS: i32 = -3;
export const BAD_CERTIFICATE_SIGNERS: i32 = -5;
export const BAD_CERTIFICATE_WEIGHT: i32 = -6;
export const BAD_CERTIFICATE_SIGNATURE: i32 = -7;
export const STALE: i32 = -8;
export const CONFLICT: i32 = -9;
export const BAD_TIME: i32 = -10;
export const BAD_EPOCH: i32 = -11;
export const NOT_CLOSING: i32 = -12;
export const TOO_LITTLE_KNOWN: i32 = -13;
export const BAD_HISTORY: i32 = -14;
export const BAD_TRANSACTION: i32 = -15;
export const BAD_STATE: i32 = -16;
export const BAD_APPLIED: i32 = -17;
export const BAD_FRESHNESS: i32 = -18;
