/** What a stream proves under the newest header, or under an earlier one of its history (spec LIGHT-9.4 to 9.9). */
import { beginHeader, EARLIER } from './believe.ts';
import {
  BAD_APPLIED,
  BAD_FORMAT,
  BAD_FRESHNESS,
  BAD_HISTORY,
  BAD_STATE,
  BAD_TRANSACTION,
  PROVED,
} from './codes.ts';
import { hostVerify } from './host.ts';
import type { f64, i32 } from './integers.ts';
import {
  byteAt,
  copyWithin,
  DIGEST,
  FIELD,
  H_HEIGHT,
  H_HISTORY_ROOT,
  H_STATE_ROOT,
  H_TX_ROOT,
  HEADER,
  I_CLIMBED,
  I_DEPTH,
  I_FORM,
  I_ITEM,
  I_KEY_BYTES,
  I_NEED,
  I_VALUE_BYTES,
  ID,
  intAt,
  isEqual,
  KEY,
  KEY_BYTES_MAX,
  KEY_HASH,
  LEVELS,
  MESSAGE,
  N_COUNT,
  NODE,
  numberAt,
  OTHER_KEY,
  setByte,
  TARGET,
  TARGET_HASH,
  u16At,
  u32At,
  u48At,
  u53At,
  VALUE,
  VALUE_BYTES_MAX,
  type LightMachine,
} from './layout.ts';
import { beginPath, beginState, climbPath, climbState, isAtRoot, keyBit } from './paths.ts';
import { shaBegin, shaByte, shaEnd, shaTake } from './sha256.ts';
import {
  expect,
  S_APPLIED,
  S_CHECKPOINT,
  S_DEPTH,
  S_FRESH,
  S_ITEM,
  S_KEY,
  S_KEY_LENGTH,
  S_LEVELS,
  S_OTHER,
  S_PRESENCE,
  S_SIBLING,
  S_STATE_SIBLING,
  S_TRANSACTION,
  S_VALUE,
  S_VALUE_LENGTH,
} from './states.ts';
import { countedRoot, hashHeader, shaTag, writeFreshness } from './tags.ts';

/** Kinds of items; 0 ends the stream. */
export const ITEM_HISTORY: i32 = 1;
export const ITEM_TRANSACTION: i32 = 2;
export const ITEM_STATE: i32 = 3;
export const ITEM_APPLIED: i32 = 4;
export const ITEM_FRESH: i32 = 5;

const HASH_BYTES: i32 = 32;
/** Kind byte of the range of a subnet's checkpoints (spec STATE-1.1). */
const RANGE_KIND: i32 = 39;
/** Id, index u32, count u32. */
const TRANSACTION_BYTES: i32 = 40;
/** Subnet, payload id, index u32, count u32. */
const APPLIED_BYTES: i32 = 72;
/** Time, sequence, and how many checkpoints there are: six bytes each. */
const CHECKPOINT_BYTES: i32 = 18;
/** Gateway's key, time u53, signature. */
const FRESH_BYTES: i32 = 104;
/** Values of the presence byte. */
const EMPTY: i32 = 0;
const OTHER: i32 = 1;
const PRESENT: i32 = 2;

/** The kind lies at `FIELD`. */
export function beginItem(m: LightMachine): i32 {
  const kind: i32 = byteAt(m, FIELD);
  m.ints[I_ITEM] = kind;
  m.ints[I_VALUE_BYTES] = -1;
  if (kind === ITEM_HISTORY) {
    m.ints[I_FORM] = EARLIER;
    return beginHeader(m, TARGET);
  }
  if (kind === ITEM_TRANSACTION) return expect(m, S_TRANSACTION, FIELD, TRANSACTION_BYTES);
  if (kind === ITEM_STATE) return expect(m, S_KEY_LENGTH, FIELD, 1);
  if (kind === ITEM_APPLIED) return expect(m, S_APPLIED, FIELD, APPLIED_BYTES);
  if (kind === ITEM_FRESH) return expect(m, S_FRESH, FIELD, FRESH_BYTES);
  return BAD_FORMAT;
}

export function onItem(m: LightMachine, state: i32): i32 {
  if (state === S_TRANSACTION) return onTransaction(m);
  if (state === S_SIBLING) {
    climbPath(m);
    return nextSibling(m);
  }
  if (state === S_KEY_LENGTH) return onKeyLength(m);
  if (state === S_KEY) return onKey(m);
  if (state === S_PRESENCE) return onPresence(m);
  if (state === S_OTHER) return onOther(m);
  if (state === S_VALUE_LENGTH) return onValueLength(m);
  if (state === S_VALUE) return onValue(m);
  if (state === S_DEPTH) return onDepth(m);
  if (state === S_LEVELS) return onLevels(m);
  if (state === S_STATE_SIBLING) return onStateSibling(m);
  if (state === S_APPLIED) return onApplied(m);
  if (state === S_CHECKPOINT) return onCheckpoint(m);
  if (state === S_FRESH) return onFresh(m);
  return BAD_FORMAT;
}

function proved(m: LightMachine): i32 {
  expect(m, S_ITEM, FIELD, 1);
  return PROVED;
}

/** An earlier header, whole: the newest commits all below it. Items from here on are judged under this one. */
export function onHistory(m: LightMachine): i32 {
  hashHeader(m, TARGET, TARGET_HASH);
  const index: f64 = u53At(m, TARGET + H_HEIGHT) - 1;
  if (!beginPath(m, TARGET_HASH, index, u53At(m, HEADER + H_HEIGHT) - 1)) return BAD_HISTORY;
  return nextSibling(m);
}

function onTransaction(m: LightMachine): i32 {
  copyWithin(m, ID, FIELD, HASH_BYTES);
  if (!beginPath(m, ID, u32At(m, FIELD + 32), u32At(m, FIELD + 36))) return BAD_TRANSACTION;
  return nextSibling(m);
}

/** How long a path is follows from its place: nothing in the stream says so. */
function nextSibling(m: LightMachine): i32 {
  if (!isAtRoot(m)) return expect(m, S_SIBLING, FIELD, HASH_BYTES);
  const item: i32 = intAt(m, I_ITEM);
  const count: f64 = numberAt(m, N_COUNT);
  if (item === ITEM_APPLIED) {
    if (intAt(m, I_VALUE_BYTES) < 0) return expect(m, S_CHECKPOINT, VALUE, CHECKPOINT_BYTES);
    // All checkpoints: their root is the whole record.
    countedRoot(m, 'ITC1:mmr', count, 8);
    shaBegin(m);
    shaTake(m, DIGEST, HASH_BYTES);
    shaEnd(m, DIGEST);
    beginState(m, KEY_HASH, DIGEST);
    return expect(m, S_DEPTH, FIELD, 1);
  }
  const isHistory: boolean = item === ITEM_HISTORY;
  if (isHistory) countedRoot(m, 'ITC1:mmr', count, 8);
  else countedRoot(m, 'ITC1:transactions', count, 4);
  if (isEqual(m, DIGEST, isHistory ? HEADER + H_HISTORY_ROOT : TARGET + H_TX_ROOT, HASH_BYTES))
    return proved(m);
  return isHistory ? BAD_HISTORY : BAD_TRANSACTION;
}

function onKeyLength(m: LightMachine): i32 {
  const length: i32 = byteAt(m, FIELD);
  if (length < 1 || length > KEY_BYTES_MAX) return BAD_FORMAT;
  m.ints[I_KEY_BYTES] = length;
  return expect(m, S_KEY, KEY, length);
}

function hashKey(m: LightMachine): void {
  shaTag(m, 'ITC1:state-key');
  shaTake(m, KEY, intAt(m, I_KEY_BYTES));
  shaEnd(m, KEY_HASH);
}

function onKey(m: LightMachine): i32 {
  hashKey(m);
  return expect(m, S_PRESENCE, FIELD, 1);
}

function onPresence(m: LightMachine): i32 {
  const presence: i32 = byteAt(m, FIELD);
  if (presence === OTHER) return expect(m, S_OTHER, OTHER_KEY, HASH_BYTES);
  if (presence === PRESENT) return expect(m, S_VALUE_LENGTH, FIELD, 2);
  if (presence !== EMPTY) return BAD_FORMAT;
  for (let i: i32 = 0; i < HASH_BYTES; i += 1) setByte(m, NODE + i, 0);
  return expect(m, S_DEPTH, FIELD, 1);
}

/** The key of another leaf, then the hash of its value: that it sits on the way of the key is judged with the depth. */
function onOther(m: LightMachine): i32 {
  if (intAt(m, I_VALUE_BYTES) === -1) {
    if (isEqual(m, OTHER_KEY, KEY_HASH, HASH_BYTES)) return BAD_STATE;
    m.ints[I_VALUE_BYTES] = -2;
    return expect(m, S_OTHER, FIELD, HASH_BYTES);
  }
  beginState(m, OTHER_KEY, FIELD);
  return expect(m, S_DEPTH, FIELD, 1);
}

function onValueLength(m: LightMachine): i32 {
  const length: i32 = u16At(m, FIELD);
  if (length < 1 || length > VALUE_BYTES_MAX) return BAD_FORMAT;
  return expect(m, S_VALUE, VALUE, length);
}

function onValue(m: LightMachine): i32 {
  const length: i32 = intAt(m, I_NEED);
  m.ints[I_VALUE_BYTES] = length;
  shaBegin(m);
  shaTake(m, VALUE, length);
  shaEnd(m, DIGEST);
  beginState(m, KEY_HASH, DIGEST);
  return expect(m, S_DEPTH, FIELD, 1);
}

function onDepth(m: LightMachine): i32 {
  const depth: i32 = byteAt(m, FIELD);
  if (intAt(m, I_VALUE_BYTES) === -2) {
    for (let i: i32 = 0; i < depth; i += 1)
      if (keyBit(m, OTHER_KEY, i) !== keyBit(m, KEY_HASH, i)) return BAD_STATE;
    m.ints[I_VALUE_BYTES] = -1;
  }
  m.ints[I_DEPTH] = depth;
  m.ints[I_CLIMBED] = 0;
  return depth === 0 ? nextLevel(m) : expect(m, S_LEVELS, LEVELS, (depth + 7) >> 3);
}

function onLevels(m: LightMachine): i32 {
  const depth: i32 = intAt(m, I_DEPTH);
  // Bits beyond the levels are zero.
  if ((depth & 7) !== 0 && byteAt(m, LEVELS + (depth >> 3)) >> (depth & 7) !== 0) return BAD_FORMAT;
  return nextLevel(m);
}

/** Where the other side is empty there is nothing to read. */
function nextLevel(m: LightMachine): i32 {
  let climbed: i32 = intAt(m, I_CLIMBED);
  const depth: i32 = intAt(m, I_DEPTH);
  while (climbed < depth) {
    if (((byteAt(m, LEVELS + (climbed >> 3)) >> (climbed & 7)) & 1) === 1)
      return expect(m, S_STATE_SIBLING, FIELD, HASH_BYTES);
    for (let i: i32 = 0; i < HASH_BYTES; i += 1) setByte(m, FIELD + i, 0);
    climbed += 1;
    climbState(m, depth - climbed);
    m.ints[I_CLIMBED] = climbed;
  }
  if (isEqual(m, NODE, TARGET + H_STATE_ROOT, HASH_BYTES)) return proved(m);
  return intAt(m, I_ITEM) === ITEM_APPLIED ? BAD_APPLIED : BAD_STATE;
}

function onStateSibling(m: LightMachine): i32 {
  let any: i32 = 0;
  for (let i: i32 = 0; i < HASH_BYTES; i += 1) any |= byteAt(m, FIELD + i);
  // An empty side has one form only.
  if (any === 0) return BAD_FORMAT;
  const climbed: i32 = intAt(m, I_CLIMBED) + 1;
  m.ints[I_CLIMBED] = climbed;
  climbState(m, intAt(m, I_DEPTH) - climbed);
  return nextLevel(m);
}

/** A payload, from its id up: to what its checkpoint applied, to all checkpoints of the subnet, to the state. */
function onApplied(m: LightMachine): i32 {
  setByte(m, KEY, RANGE_KIND);
  copyWithin(m, KEY + 1, FIELD, HASH_BYTES);
  m.ints[I_KEY_BYTES] = 1 + HASH_BYTES;
  hashKey(m);
  copyWithin(m, ID, FIELD + 32, HASH_BYTES);
  // How many payloads there are is in the leaf of the checkpoint.
  copyWithin(m, OTHER_KEY, FIELD + 68, 4);
  if (!beginPath(m, ID, u32At(m, FIELD + 64), u32At(m, FIELD + 68))) return BAD_APPLIED;
  return nextSibling(m);
}

/** `NODE` is the root over what the checkpoint applied. */
function onCheckpoint(m: LightMachine): i32 {
  m.ints[I_VALUE_BYTES] = CHECKPOINT_BYTES;
  shaTag(m, 'ITC1:checkpoint-leaf');
  // Six bytes of time hash as eight.
  shaByte(m, 0);
  shaByte(m, 0);
  shaTake(m, VALUE, 6);
  shaTake(m, OTHER_KEY, 4);
  shaTake(m, NODE, HASH_BYTES);
  shaEnd(m, NODE);
  if (!beginPath(m, NODE, u48At(m, VALUE + 6) - 1, u48At(m, VALUE + 12))) return BAD_APPLIED;
  return nextSibling(m);
}

/** A gateway's word that it knows no newer header. Whether its key is one the client knows, the client says. */
function onFresh(m: LightMachine): i32 {
  const length: i32 = writeFreshness(m, FIELD + 32);
  copyWithin(m, ID, FIELD, HASH_BYTES);
  if (u53At(m, FIELD + 32) < 0) return BAD_FORMAT;
  return hostVerify(m, ID, MESSAGE, length, FIELD + 40) ? proved(m) : BAD_FRESHNESS;
}
