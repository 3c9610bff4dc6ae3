/**
 * The verifier of a light stream (spec LIGHT-9), fed with bytes as they come: the trusted set, hops, the newest header,
 * then items under it. Whatever its length, it is judged in the memory of one `LightMachine`.
 */
import {
  ADJACENT,
  believe,
  clearBitmap,
  judgeCertificate,
  judgeHeader,
  judgeSigners,
  NEWEST,
  SKIPPING,
} from './believe.ts';
import {
  BAD_CERTIFICATE_SIGNATURE,
  BAD_CERTIFICATE_SIGNERS,
  BAD_FORMAT,
  BAD_TRUST_SET,
  BAD_VALIDATORS,
  BELIEVED,
  DONE,
  MORE,
} from './codes.ts';
import { hostVerify } from './host.ts';
import type { f64, i32, u8 } from './integers.ts';
import { beginItem, onItem } from './items.ts';
import {
  BEFORE,
  BITMAP,
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
  u32At,
  VOTE_BYTES,
  type LightMachine,
} from './layout.ts';
import { addMember, isBalanced, signs } from './sets.ts';
import { shaEnd, shaTake } from './sha256.ts';
import {
  expect,
  S_BITMAP,
  S_CERTIFICATE,
  S_END,
  S_FORM,
  S_HEADER,
  S_HOP_COUNT,
  S_ITEM,
  S_MEMBER,
  S_MEMBER_COUNT,
  S_REFUSED,
  S_SIGNATURE,
  S_SIGNATURE_COUNT,
  S_VERSION,
} from './states.ts';
import { shaTag } from './tags.ts';

/** Of the stream. */
export const STREAM_VERSION: i32 = 1;
/** More would take a client hours; it asks again from where it has got to. */
export const STREAM_HOPS_MAX: i32 = 4096;

const HASH_BYTES: i32 = 32;
const SIGNATURE_BYTES: i32 = 64;
/** Epoch, view, height and hash; then the length of the bitmap. */
const CERTIFICATE_BYTES: i32 = 56;
/** Algorithm, key, weight. */
const SHOWN_MEMBER_BYTES: i32 = MEMBER_BYTES + 1;

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
    return expect(m, S_MEMBER_COUNT, FIELD, 2);
  }
  if (state === S_MEMBER_COUNT) return onMemberCount(m);
  if (state === S_MEMBER) return onMember(m);
  if (state === S_HOP_COUNT) return onHopCount(m);
  if (state === S_FORM) return onForm(m);
  if (state === S_HEADER) {
    const code: i32 = judgeHeader(m);
    return code < 0 ? code : expect(m, S_CERTIFICATE, FIELD, CERTIFICATE_BYTES);
  }
  if (state === S_CERTIFICATE) return onCertificate(m);
  if (state === S_BITMAP) return onBitmap(m);
  if (state === S_SIGNATURE_COUNT) {
    if (u16At(m, FIELD) !== intAt(m, I_SIGNATURES_LEFT)) return BAD_CERTIFICATE_SIGNERS;
    return nextSignature(m, 0);
  }
  if (state === S_SIGNATURE) return onSignature(m);
  if (state === S_ITEM) {
    if (byteAt(m, FIELD) !== 0) return beginItem(m);
    expect(m, S_END, FIELD, 1);
    return DONE;
  }
  return onItem(m, state);
}

function onMemberCount(m: LightMachine): i32 {
  const count: i32 = u16At(m, FIELD);
  if (count < 1 || count > MEMBERS_MAX) return BAD_FORMAT;
  m.ints[I_MEMBERS_LEFT] = count;
  m.ints[intAt(m, I_SET) === TRUSTED_SET ? I_TRUSTED_COUNT : I_SHOWN_COUNT] = count;
  shaTag(m, 'ITC1:validators');
  shaTake(m, FIELD, 2);
  return expect(m, S_MEMBER, FIELD, SHOWN_MEMBER_BYTES);
}

function onMember(m: LightMachine): i32 {
  const isTrusted: boolean = intAt(m, I_SET) === TRUSTED_SET;
  const count: i32 = intAt(m, isTrusted ? I_TRUSTED_COUNT : I_SHOWN_COUNT);
  const left: i32 = intAt(m, I_MEMBERS_LEFT);
  if (!addMember(m, intAt(m, I_SET), count - left)) return BAD_VALIDATORS;
  shaTake(m, FIELD, SHOWN_MEMBER_BYTES);
  m.ints[I_MEMBERS_LEFT] = left - 1;
  if (left > 1) return expect(m, S_MEMBER, FIELD, SHOWN_MEMBER_BYTES);
  if (!isBalanced(m, count)) return BAD_VALIDATORS;
  shaEnd(m, NODE);
  if (!isTrusted) return expect(m, S_HEADER, HEADER, HEADER_BYTES);
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
  return expect(m, S_HEADER, HEADER, HEADER_BYTES);
}

function onForm(m: LightMachine): i32 {
  const form: i32 = byteAt(m, FIELD);
  if (form !== ADJACENT && form !== SKIPPING) return BAD_FORMAT;
  m.ints[I_FORM] = form;
  m.ints[I_SET] = SHOWN_SET;
  return expect(m, S_MEMBER_COUNT, FIELD, 2);
}

function onCertificate(m: LightMachine): i32 {
  const code: i32 = judgeCertificate(m);
  if (code < 0) return code;
  const length: f64 = u32At(m, FIELD + CERTIFICATE_BYTES - 4);
  if (length < 1 || length > MEMBERS_MAX / 8) return BAD_CERTIFICATE_SIGNERS;
  clearBitmap(m);
  return expect(m, S_BITMAP, BITMAP, length as i32);
}

function onBitmap(m: LightMachine): i32 {
  const signers: i32 = judgeSigners(m, intAt(m, I_NEED));
  if (signers < 0) return signers;
  m.ints[I_SIGNATURES_LEFT] = signers;
  return expect(m, S_SIGNATURE_COUNT, FIELD, 2);
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
