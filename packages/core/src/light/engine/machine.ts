/**
 * The verifier of a light stream (spec LIGHT-9), fed with bytes as they come: the trusted set, hops, the newest header,
 * then items under it. Whatever its length, it is judged in the memory of one `LightMachine`.
 */
import {
  ADJACENT,
  beginHeader,
  beginHeight,
  beginRoots,
  beginSigners,
  believe,
  EARLIER,
  judgeHeader,
  judgeSigners,
  NEWEST,
  onFlags,
  onOtherSet,
  onRoots,
  SKIPPING,
} from './believe.ts';
import {
  BAD_CERTIFICATE_SIGNATURE,
  BAD_FORMAT,
  BAD_TRUST_SET,
  BAD_VALIDATORS,
  BELIEVED,
  DONE,
  MORE,
} from './codes.ts';
import { hostVerify } from './host.ts';
import type { f64, i32, u8 } from './integers.ts';
import { beginItem, onHistory, onItem } from './items.ts';
import {
  BEFORE,
  byteAt,
  copyWithin,
  FIELD,
  HEADER,
  HEADER_BYTES,
  HEADER_HASH,
  I_CODE,
  I_DEST,
  I_FORM,
  I_HAVE,
  I_HOPS,
  I_HOPS_LEFT,
  I_MEMBERS_LEFT,
  I_NEED,
  I_READ,
  I_SET,
  I_SHOWN_COUNT,
  I_SIGNATURES_LEFT,
  I_SIGNER,
  I_STATE,
  I_TRUSTED_COUNT,
  I_VERIFIED,
  intAt,
  isEqual,
  MEMBER_BYTES,
  MEMBERS_MAX,
  MESSAGE,
  N_NOW,
  N_TRUSTING,
  NODE,
  SHOWN_SET,
  TARGET,
  TARGET_HASH,
  TRUST,
  TRUST_BYTES,
  TRUST_SET,
  TRUSTED_SET,
  u16At,
  VOTE_BYTES,
  type LightMachine,
} from './layout.ts';
import { addMember, isBalanced, isEven, signs } from './sets.ts';
import { shaByte, shaEnd, shaTake } from './sha256.ts';
import {
  expect,
  S_BITMAP,
  S_END,
  S_EPOCH,
  S_FLAGS,
  S_FORM,
  S_HEADER,
  S_HEIGHT,
  S_HOP_COUNT,
  S_ITEM,
  S_MEMBER,
  S_MEMBER_COUNT,
  S_NEXT_SET,
  S_OTHER_SET,
  S_REFUSED,
  S_SIGNATURE,
  S_VERSION,
  S_VIEW,
  S_WEIGHT,
  S_WEIGHTS,
} from './states.ts';
import { shaTag } from './tags.ts';

/** Of the stream. */
export const STREAM_VERSION: i32 = 2;
/** More would take a client hours; it asks again from where it has got to. */
export const STREAM_HOPS_MAX: i32 = 4096;

const HASH_BYTES: i32 = 32;
const SIGNATURE_BYTES: i32 = 64;
const ED25519: i32 = 1;
/** Six bytes, see `u48At`. */
const VIEW_BYTES: i32 = 6;

/**
 * Before the first byte. The trust lies at `TRUST` and, for statements of freshness, the nonce at `NONCE`. `now` is the
 * client's clock in milliseconds, or 0; for `trusting` milliseconds a third of the trusted weight is enough.
 */
export function begin(m: LightMachine, now: f64, trusting: f64): void {
  copyWithin(m, BEFORE, TRUST, TRUST_BYTES);
  m.numbers[N_NOW] = now;
  m.numbers[N_TRUSTING] = trusting;
  m.ints[I_CODE] = MORE;
  m.ints[I_HOPS] = 0;
  m.ints[I_VERIFIED] = 0;
  m.ints[I_SET] = TRUSTED_SET;
  m.ints[I_TRUSTED_COUNT] = 0;
  m.ints[I_SHOWN_COUNT] = 0;
  expect(m, S_VERSION, FIELD, 1);
}

/**
 * Reads bytes `from` … `to` − 1 of the input, up to the next event. `I_READ` tells how many were read: after an event go
 * on behind them. Once refused, or done, it takes nothing more; trust is then what it was, or what was proved.
 */
export function push(m: LightMachine, input: Uint8Array, from: i32, to: i32): i32 {
  let at: i32 = from;
  while (at < to) {
    const state: i32 = intAt(m, I_STATE);
    if (state === S_REFUSED) return intAt(m, I_CODE);
    if (state === S_END) return refuse(m, BAD_FORMAT);
    const have: i32 = intAt(m, I_HAVE);
    const missing: i32 = intAt(m, I_NEED) - have;
    const length: i32 = missing < to - at ? missing : to - at;
    const place: i32 = intAt(m, I_DEST) + have;
    for (let i: i32 = 0; i < length; i += 1) m.bytes[place + i] = input[at + i] as u8;
    at += length;
    m.ints[I_HAVE] = have + length;
    m.ints[I_READ] = at - from;
    if (length < missing) return MORE;
    const code: i32 = onField(m, state);
    if (code < 0) return refuse(m, code);
    if (code > 0) return code;
  }
  return MORE;
}

/** Whether the stream ended where it may. */
export function isDone(m: LightMachine): boolean {
  return intAt(m, I_STATE) === S_END;
}

function refuse(m: LightMachine, code: i32): i32 {
  copyWithin(m, TRUST, BEFORE, TRUST_BYTES);
  m.ints[I_CODE] = code;
  m.ints[I_STATE] = S_REFUSED;
  return code;
}

function onField(m: LightMachine, state: i32): i32 {
  if (state === S_VERSION) {
    if (byteAt(m, FIELD) !== STREAM_VERSION) return BAD_FORMAT;
    return expect(m, S_MEMBER_COUNT, FIELD, 1);
  }
  if (state === S_MEMBER_COUNT) return onMemberCount(m);
  if (state === S_WEIGHTS) return onWeights(m);
  if (state === S_WEIGHT) return expect(m, S_MEMBER, FIELD, HASH_BYTES);
  if (state === S_MEMBER) return onMember(m);
  if (state === S_HOP_COUNT) return onHopCount(m);
  if (state === S_FORM) return onForm(m);
  if (state === S_FLAGS) return onFlags(m);
  if (state === S_EPOCH) return beginHeight(m);
  if (state === S_HEIGHT) return beginRoots(m);
  if (state === S_HEADER) return headerCode(m, onRoots(m));
  if (state === S_OTHER_SET) return headerCode(m, onOtherSet(m));
  if (state === S_NEXT_SET) return headerCode(m, DONE);
  if (state === S_VIEW) return beginSigners(m);
  if (state === S_BITMAP) return onBitmap(m);
  if (state === S_SIGNATURE) return onSignature(m);
  if (state === S_ITEM) {
    if (byteAt(m, FIELD) !== 0) return beginItem(m);
    expect(m, S_END, FIELD, 1);
    return DONE;
  }
  return onItem(m, state);
}

/** A whole header is judged; one that is not goes on, or is refused. */
function headerCode(m: LightMachine, code: i32): i32 {
  if (code !== DONE) return code;
  if (intAt(m, I_FORM) === EARLIER) return onHistory(m);
  const verdict: i32 = judgeHeader(m);
  return verdict < 0 ? verdict : expect(m, S_VIEW, FIELD, VIEW_BYTES);
}

/** The hash of a set is over its canonical form, which says more than the stream: u16 count, then algorithm, key and weight of each. */
function onMemberCount(m: LightMachine): i32 {
  const count: i32 = byteAt(m, FIELD);
  if (count < 1 || count > MEMBERS_MAX) return BAD_FORMAT;
  m.ints[I_MEMBERS_LEFT] = count;
  m.ints[intAt(m, I_SET) === TRUSTED_SET ? I_TRUSTED_COUNT : I_SHOWN_COUNT] = count;
  shaTag(m, 'ITC1:validators');
  shaByte(m, 0);
  shaByte(m, count);
  return expect(m, S_WEIGHTS, FIELD, 1);
}

/** 0: each member has its weight behind its key; 1: one weight is that of all, and comes first. */
function onWeights(m: LightMachine): i32 {
  const weights: i32 = byteAt(m, FIELD);
  if (weights > 1) return BAD_FORMAT;
  // Behind the place of the keys, none of which is long enough to write over it.
  if (weights === 1) return expect(m, S_WEIGHT, FIELD + HASH_BYTES, MEMBER_BYTES - HASH_BYTES);
  return expect(m, S_MEMBER, FIELD, MEMBER_BYTES);
}

function onMember(m: LightMachine): i32 {
  const isTrusted: boolean = intAt(m, I_SET) === TRUSTED_SET;
  const count: i32 = intAt(m, isTrusted ? I_TRUSTED_COUNT : I_SHOWN_COUNT);
  const left: i32 = intAt(m, I_MEMBERS_LEFT);
  if (!addMember(m, intAt(m, I_SET), count - left)) return BAD_VALIDATORS;
  shaByte(m, ED25519);
  shaTake(m, FIELD, MEMBER_BYTES);
  m.ints[I_MEMBERS_LEFT] = left - 1;
  const bytes: i32 = intAt(m, I_NEED);
  if (left > 1) return expect(m, S_MEMBER, FIELD, bytes);
  // Equal weights have one form only.
  if (bytes === MEMBER_BYTES && isEven(m, count)) return BAD_FORMAT;
  if (!isBalanced(m, count)) return BAD_VALIDATORS;
  shaEnd(m, NODE);
  if (!isTrusted) return beginHeader(m, HEADER);
  if (!isEqual(m, NODE, TRUST_SET, HASH_BYTES)) return BAD_TRUST_SET;
  return expect(m, S_HOP_COUNT, FIELD, 2);
}

function onHopCount(m: LightMachine): i32 {
  const hops: i32 = u16At(m, FIELD);
  if (hops > STREAM_HOPS_MAX) return BAD_FORMAT;
  m.ints[I_HOPS] = hops;
  m.ints[I_HOPS_LEFT] = hops;
  return nextHop(m);
}

function nextHop(m: LightMachine): i32 {
  if (intAt(m, I_HOPS_LEFT) > 0) return expect(m, S_FORM, FIELD, 1);
  m.ints[I_FORM] = NEWEST;
  return beginHeader(m, HEADER);
}

function onForm(m: LightMachine): i32 {
  const form: i32 = byteAt(m, FIELD);
  if (form !== ADJACENT && form !== SKIPPING) return BAD_FORMAT;
  m.ints[I_FORM] = form;
  m.ints[I_SET] = SHOWN_SET;
  return expect(m, S_MEMBER_COUNT, FIELD, 1);
}

/** As many signatures as bits: nothing says so twice. */
function onBitmap(m: LightMachine): i32 {
  const signers: i32 = judgeSigners(m);
  if (signers < 0) return signers;
  m.ints[I_SIGNATURES_LEFT] = signers;
  return nextSignature(m, 0);
}

/** The next signer from a place on; `I_MEMBERS_LEFT` remembers whose signature comes. */
function nextSignature(m: LightMachine, place: i32): i32 {
  let index: i32 = place;
  while (!signs(m, index)) index += 1;
  m.ints[I_MEMBERS_LEFT] = index;
  return expect(m, S_SIGNATURE, FIELD, SIGNATURE_BYTES);
}

function onSignature(m: LightMachine): i32 {
  const index: i32 = intAt(m, I_MEMBERS_LEFT);
  const key: i32 = intAt(m, I_SIGNER) + index * MEMBER_BYTES;
  m.ints[I_VERIFIED] = intAt(m, I_VERIFIED) + 1;
  if (!hostVerify(m, key, MESSAGE, VOTE_BYTES, FIELD)) return BAD_CERTIFICATE_SIGNATURE;
  const left: i32 = intAt(m, I_SIGNATURES_LEFT) - 1;
  m.ints[I_SIGNATURES_LEFT] = left;
  if (left > 0) return nextSignature(m, index + 1);
  const code: i32 = believe(m);
  if (code < 0) return code;
  if (intAt(m, I_FORM) !== NEWEST) {
    m.ints[I_HOPS_LEFT] = intAt(m, I_HOPS_LEFT) - 1;
    return nextHop(m);
  }
  copyWithin(m, TARGET, HEADER, HEADER_BYTES);
  copyWithin(m, TARGET_HASH, HEADER_HASH, HASH_BYTES);
  expect(m, S_ITEM, FIELD, 1);
  return BELIEVED;
}
