/** Where in the stream a verifier is: what the field means that is being read. */
import { MORE } from './codes.ts';
import type { i32 } from './integers.ts';
import { I_DEST, I_HAVE, I_NEED, I_STATE, type LightMachine } from './layout.ts';

export const S_REFUSED: i32 = 0;
export const S_VERSION: i32 = 1;
export const S_MEMBER_COUNT: i32 = 2;
export const S_WEIGHTS: i32 = 3;
export const S_WEIGHT: i32 = 4;
export const S_MEMBER: i32 = 5;
export const S_HOP_COUNT: i32 = 6;
export const S_FORM: i32 = 7;
export const S_FLAGS: i32 = 8;
export const S_EPOCH: i32 = 9;
export const S_HEIGHT: i32 = 10;
export const S_HEADER: i32 = 11;
export const S_OTHER_SET: i32 = 12;
export const S_NEXT_SET: i32 = 13;
export const S_VIEW: i32 = 14;
export const S_BITMAP: i32 = 15;
export const S_SIGNATURE: i32 = 16;
export const S_ITEM: i32 = 17;
export const S_END: i32 = 18;
export const S_TRANSACTION: i32 = 19;
export const S_SIBLING: i32 = 20;
export const S_KEY_LENGTH: i32 = 21;
export const S_KEY: i32 = 22;
export const S_PRESENCE: i32 = 23;
export const S_OTHER: i32 = 24;
export const S_VALUE_LENGTH: i32 = 25;
export const S_VALUE: i32 = 26;
export const S_DEPTH: i32 = 27;
export const S_LEVELS: i32 = 28;
export const S_STATE_SIBLING: i32 = 29;
export const S_APPLIED: i32 = 30;
export const S_CHECKPOINT: i32 = 31;
export const S_FRESH: i32 = 32;

/** The next `need` bytes, at least one, go to `dest` and mean `state`. */
export function expect(m: LightMachine, state: i32, dest: i32, need: i32): i32 {
  m.ints[I_STATE] = state;
  m.ints[I_DEST] = dest;
  m.ints[I_NEED] = need;
  m.ints[I_HAVE] = 0;
  return MORE;
}
