/** What a stream proves under the newest header, or under an earlier one of its history (spec LIGHT-9.4 to 9.9). */
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
  FIELD_BYTES_MAX,
  H_HEIGHT,
  H_HISTORY_ROOT,
  H_STATE_ROOT,
  H_TX_ROOT,
  HEADER,
  HEADER_BYTES,
  I_CHECKPOINT_BYTES,
  I_ITEM,
  I_KEY_BYTES,
  I_NEED,
  I_PATH_LEFT,
  I_VALUE_BYTES,
  ID,
  intAt,
  isEqual,
  KEY,
  KEY_BYTES_MAX,
  KEY_HASH,
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
  u53At,
  VALUE,
  VALUE_BYTES_MAX,
  type LightMachine,
} from './layout.ts';
import { beginPath, beginState, climbPath, climbState, isAtRoot, keyBit } from './paths.ts';
import { shaBegin, shaEnd, shaTake } from './sha256.ts';
import {
  expect,
  S_APPLIED,
  S_CHECKPOINT,
  S_CHECKPOINT_LENGTH,
  S_DEPTH,
  S_FRESH,
  S_HISTORY,
  S_ITEM,
  S_KEY,
  S_KEY_LENGTH,
  S_OTHER,
  S_PATH_COUNT,
  S_PRESENCE,
  S_SIBLING,
  S_STATE_FLAG,
  S_STATE_SIBLING,
  S_TRANSACTION,
  S_VALUE,
  S_VALUE_LENGTH,
} from './states.ts';
import { hashHeader, hasKnownForm, isCountedRoot, shaTag, writeFreshness } from './tags.ts';

/** Kinds of items; 0 ends the stream. */
export const ITEM_HISTORY: i32 = 1;
export const ITEM_TRANSACTION: i32 = 2;
export const ITEM_STATE: i32 = 3;
export const ITEM_APPLIED: i32 = 4;
export const ITEM_FRESH: i32 = 5;

const HASH_BYTES: i32 = 32;
/** Siblings of a Merkle path: more than any count of 2^53 needs. */
const PATH_MAX: i32 = 64;
const DEPTH_MAX: i32 = 256;
/** Kind byte of a subnet's record (spec STATE-1.1). */
const SUBNET_KIND: i32 = 6;
/** Id, index u32, count u32. */
const TRANSACTION_BYTES: i32 = 40;
/** Id, index u32. */
const APPLIED_BYTES: i32 = 36;
/** Gateway's key, time u53, signature. */
const FRESH_BYTES: i32 = 104;
/** Values of the presence byte. */
const EMPTY: i32 = 0;
const OTHER: i32 = 1;
const PRESENT: i32 = 2;

/** The kind lies at `FIELD`. */
export function beginItem(m: LightMachine): i32 {
  const kind: i32 = byteAt(m, FIELD);
  const before: i32 = intAt(m, I_ITEM);
  m.ints[I_ITEM] = kind;
  if (kind === ITEM_HISTORY) return expect(m, S_HISTORY, TARGET, HEADER_BYTES);
  if (kind === ITEM_TRANSACTION) return expect(m, S_TRANSACTION, FIELD, TRANSACTION_BYTES);
  if (kind === ITEM_STATE) return expect(m, S_KEY_LENGTH, FIELD, 1);
  if (kind === ITEM_APPLIED) {
    // It is judged by the record of a subnet, which the item before has proved.
    const isSubnet: boolean = before === ITEM_STATE && byteAt(m, KEY) === SUBNET_KIND;
    if (!isSubnet || intAt(m, I_VALUE_BYTES) < 0) return BAD_APPLIED;
    return expect(m, S_CHECKPOINT_LENGTH, FIELD, 2);
  }
  if (kind === ITEM_FRESH) return expect(m, S_FRESH, FIELD, FRESH_BYTES);
  return BAD_FORMAT;
}

export function onItem(m: LightMachine, state: i32): i32 {
  if (state === S_HISTORY) return onHistory(m);
  if (state === S_TRANSACTION) return onTransaction(m);
  if (state === S_PATH_COUNT) return onPathCount(m);
  if (state === S_SIBLING) return climbPath(m) ? nextSibling(m) : pathCode(m);
  if (state === S_KEY_LENGTH) return onKeyLength(m);
  if (state === S_KEY) return onKey(m);
  if (state === S_PRESENCE) return onPresence(m);
  if (state === S_OTHER) return onOther(m);
  if (state === S_VALUE_LENGTH) return onValueLength(m);
  if (state === S_VALUE) return onValue(m);
  if (state === S_DEPTH) return onDepth(m);
  if (state === S_STATE_FLAG) return onStateFlag(m);
  if (state === S_STATE_SIBLING) return onStateSibling(m);
  if (state === S_CHECKPOINT_LENGTH) return onCheckpointLength(m);
  if (state === S_CHECKPOINT) return onCheckpoint(m);
  if (state === S_APPLIED) return onApplied(m);
  if (state === S_FRESH) return onFresh(m);
  return BAD_FORMAT;
}

function proved(m: LightMachine): i32 {
  expect(m, S_ITEM, FIELD, 1);
  return PROVED;
}

/** An earlier header: the newest commits all below it. Items from here on are judged under this one. */
function onHistory(m: LightMachine): i32 {
  const height: f64 = u53At(m, TARGET + H_HEIGHT);
  if (!hasKnownForm(m, TARGET) || height < 1) return BAD_FORMAT;
  hashHeader(m, TARGET, TARGET_HASH);
  const below: f64 = u53At(m, HEADER + H_HEIGHT) - 1;
  if (!beginPath(m, TARGET_HASH, height - 1, below)) return BAD_HISTORY;
  return expect(m, S_PATH_COUNT, FIELD, 1);
}

function onTransaction(m: LightMachine): i32 {
  copyWithin(m, ID, FIELD, HASH_BYTES);
  if (!beginPath(m, ID, u32At(m, FIELD + 32), u32At(m, FIELD + 36))) return BAD_TRANSACTION;
  return expect(m, S_PATH_COUNT, FIELD, 1);
}

function onPathCount(m: LightMachine): i32 {
  const count: i32 = byteAt(m, FIELD);
  if (count > PATH_MAX) return BAD_FORMAT;
  m.ints[I_PATH_LEFT] = count + 1;
  return nextSibling(m);
}

function nextSibling(m: LightMachine): i32 {
  const left: i32 = intAt(m, I_PATH_LEFT) - 1;
  m.ints[I_PATH_LEFT] = left;
  if (left > 0) return expect(m, S_SIBLING, FIELD, HASH_BYTES);
  return isAtRoot(m) && isPathRoot(m) ? proved(m) : pathCode(m);
}

/** Why a path does not hold, by what it was for. */
function pathCode(m: LightMachine): i32 {
  const item: i32 = intAt(m, I_ITEM);
  if (item === ITEM_HISTORY) return BAD_HISTORY;
  return item === ITEM_TRANSACTION ? BAD_TRANSACTION : BAD_APPLIED;
}

function isPathRoot(m: LightMachine): boolean {
  const item: i32 = intAt(m, I_ITEM);
  const count: f64 = numberAt(m, N_COUNT);
  if (item === ITEM_HISTORY) return isCountedRoot(m, 'ITC1:mmr', count, 8, HEADER + H_HISTORY_ROOT);
  if (item === ITEM_TRANSACTION) return isCountedRoot(m, 'ITC1:transactions', count, 4, TARGET + H_TX_ROOT);
  return isEqual(m, NODE, OTHER_KEY, HASH_BYTES);
}

function onKeyLength(m: LightMachine): i32 {
  const length: i32 = byteAt(m, FIELD);
  if (length < 1 || length > KEY_BYTES_MAX) return BAD_FORMAT;
  m.ints[I_KEY_BYTES] = length;
  return expect(m, S_KEY, KEY, length);
}

function onKey(m: LightMachine): i32 {
  shaTag(m, 'ITC1:state-key');
  shaTake(m, KEY, intAt(m, I_KEY_BYTES));
  shaEnd(m, KEY_HASH);
  return expect(m, S_PRESENCE, FIELD, 1);
}

function onPresence(m: LightMachine): i32 {
  const presence: i32 = byteAt(m, FIELD);
  m.ints[I_VALUE_BYTES] = -1;
  if (presence === OTHER) return expect(m, S_OTHER, OTHER_KEY, HASH_BYTES);
  if (presence === PRESENT) return expect(m, S_VALUE_LENGTH, FIELD, 2);
  if (presence !== EMPTY) return BAD_FORMAT;
  for (let i: i32 = 0; i < HASH_BYTES; i += 1) setByte(m, NODE + i, 0);
  return expect(m, S_DEPTH, FIELD, 2);
}

/** The key of another leaf, then the hash of its value: that it sits on the way of the key is judged with the depth. */
function onOther(m: LightMachine): i32 {
  if (intAt(m, I_VALUE_BYTES) === -1) {
    if (isEqual(m, OTHER_KEY, KEY_HASH, HASH_BYTES)) return BAD_STATE;
    m.ints[I_VALUE_BYTES] = -2;
    return expect(m, S_OTHER, FIELD, HASH_BYTES);
  }
  beginState(m, OTHER_KEY, FIELD);
  return expect(m, S_DEPTH, FIELD, 2);
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
  return expect(m, S_DEPTH, FIELD, 2);
}

function onDepth(m: LightMachine): i32 {
  const depth: i32 = u16At(m, FIELD);
  if (depth > DEPTH_MAX) return BAD_FORMAT;
  if (intAt(m, I_VALUE_BYTES) === -2) {
    for (let i: i32 = 0; i < depth; i += 1)
      if (keyBit(m, OTHER_KEY, i) !== keyBit(m, KEY_HASH, i)) return BAD_STATE;
    m.ints[I_VALUE_BYTES] = -1;
  }
  m.ints[I_PATH_LEFT] = depth;
  return nextStateSibling(m);
}

function nextStateSibling(m: LightMachine): i32 {
  if (intAt(m, I_PATH_LEFT) > 0) return expect(m, S_STATE_FLAG, FIELD, 1);
  return isEqual(m, NODE, TARGET + H_STATE_ROOT, HASH_BYTES) ? proved(m) : BAD_STATE;
}

/** 0: the other side is empty; 1: its hash follows. */
function onStateFlag(m: LightMachine): i32 {
  const flag: i32 = byteAt(m, FIELD);
  if (flag > 1) return BAD_FORMAT;
  if (flag === 1) return expect(m, S_STATE_SIBLING, FIELD, HASH_BYTES);
  for (let i: i32 = 0; i < HASH_BYTES; i += 1) setByte(m, FIELD + i, 0);
  return climb(m);
}

function onStateSibling(m: LightMachine): i32 {
  let any: i32 = 0;
  for (let i: i32 = 0; i < HASH_BYTES; i += 1) any |= byteAt(m, FIELD + i);
  // An empty side has one form only.
  return any === 0 ? BAD_FORMAT : climb(m);
}

function climb(m: LightMachine): i32 {
  const depth: i32 = intAt(m, I_PATH_LEFT) - 1;
  m.ints[I_PATH_LEFT] = depth;
  climbState(m, depth);
  return nextStateSibling(m);
}

function onCheckpointLength(m: LightMachine): i32 {
  const length: i32 = u16At(m, FIELD);
  if (length < 1 || length > FIELD_BYTES_MAX) return BAD_FORMAT;
  m.ints[I_CHECKPOINT_BYTES] = length;
  return expect(m, S_CHECKPOINT, FIELD, length);
}

/** The last checkpoint of the subnet whose record was proved: its hash is in the record. */
function onCheckpoint(m: LightMachine): i32 {
  const length: i32 = intAt(m, I_CHECKPOINT_BYTES);
  shaTag(m, 'ITC1:checkpoint');
  shaTake(m, FIELD, length);
  shaEnd(m, DIGEST);
  const last: i32 = lastHashIn(m);
  if (last < 0 || !isEqual(m, last, DIGEST, HASH_BYTES)) return BAD_APPLIED;
  // Subnet 32, sequence 8, previous 32, time 8, anchors, inclusion root 32, applied root 32, state root 32, two counts.
  const anchors: i32 = 82 + HASH_BYTES * u16At(m, FIELD + 80);
  if (anchors + 104 > length) return BAD_APPLIED;
  copyWithin(m, OTHER_KEY, FIELD + anchors + HASH_BYTES, HASH_BYTES);
  m.numbers[N_COUNT] = u32At(m, FIELD + anchors + 100);
  return expect(m, S_APPLIED, FIELD, APPLIED_BYTES);
}

/** Place of the last checkpoint's hash in a subnet's record: name, members, work bits and sequence come before. −1: none. */
function lastHashIn(m: LightMachine): i32 {
  const length: i32 = intAt(m, I_VALUE_BYTES);
  const name: f64 = u32At(m, VALUE);
  if (name > 64 || length < 80) return -1;
  const members: i32 = VALUE + 4 + (name as i32);
  const at: i32 = members + 2 + 37 * u16At(m, members) + 1 + 8;
  return at + HASH_BYTES > VALUE + length ? -1 : at;
}

function onApplied(m: LightMachine): i32 {
  copyWithin(m, ID, FIELD, HASH_BYTES);
  if (!beginPath(m, ID, u32At(m, FIELD + 32), numberAt(m, N_COUNT))) return BAD_APPLIED;
  return expect(m, S_PATH_COUNT, FIELD, 1);
}

/** A gateway's word that it knows no newer header. Whether its key is one the client knows, the client says. */
function onFresh(m: LightMachine): i32 {
  const length: i32 = writeFreshness(m, FIELD + 32);
  copyWithin(m, ID, FIELD, HASH_BYTES);
  if (u53At(m, FIELD + 32) < 0) return BAD_FORMAT;
  return hostVerify(m, ID, MESSAGE, length, FIELD + 40) ? proved(m) : BAD_FRESHNESS;
}
