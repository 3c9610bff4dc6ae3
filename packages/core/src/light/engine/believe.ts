/** Certified headers, one after another: from the trusted set over hops to the newest (spec LIGHT-1, LIGHT-4, LIGHT-7). */
import {
  BAD_CERTIFICATE_SIGNERS,
  BAD_CERTIFICATE_WEIGHT,
  BAD_EPOCH,
  BAD_FORMAT,
  BAD_TIME,
  CONFLICT,
  DONE,
  MORE,
  NOT_CLOSING,
  STALE,
  TOO_LITTLE_KNOWN,
} from './codes.ts';
import type { f64, i32 } from './integers.ts';
import {
  BITMAP,
  byteAt,
  copyWithin,
  FLAG_CLOSES,
  FLAG_OTHER_SET,
  H_EPOCH,
  H_FLAGS,
  H_HEIGHT,
  H_NEXT_SET,
  H_SET,
  H_STATE_ROOT,
  H_TIME,
  HEADER,
  HEADER_HASH,
  HEADER_VERSION,
  I_FORM,
  I_HEADER,
  I_SIGNER,
  intAt,
  isEqual,
  MEMBERS_MAX,
  N_NOW,
  N_TRUSTING,
  NODE,
  numberAt,
  setByte,
  SHOWN_SET,
  TRUST_ENDED,
  TRUST_EPOCH,
  TRUST_HASH,
  TRUST_HEIGHT,
  TRUST_SET,
  TRUST_STATE_ROOT,
  TRUST_TIME,
  TRUSTED_SET,
  u32At,
  u53At,
  type LightMachine,
} from './layout.ts';
import { countOf, isKnown, isQuorum, signerCount, trustShown } from './sets.ts';
import { expect, S_BITMAP, S_EPOCH, S_FLAGS, S_HEADER, S_HEIGHT, S_NEXT_SET, S_OTHER_SET } from './states.ts';
import { hashHeader, writeVote } from './tags.ts';

/** Values of `I_FORM`. */
export const ADJACENT: i32 = 0;
export const SKIPPING: i32 = 1;
export const NEWEST: i32 = 2;
/** One of history, below the newest. */
export const EARLIER: i32 = 3;

const HASH_BYTES: i32 = 32;
/** Milliseconds a header may be ahead of the client's clock, as validators allow (`clockSkewMsMax`). */
const AHEAD_MS: f64 = 5000;

/** The next bytes are a header for this place. What the client knows of it already is not in the stream. */
export function beginHeader(m: LightMachine, at: i32): i32 {
  m.ints[I_HEADER] = at;
  setByte(m, at, 0);
  setByte(m, at + 1, HEADER_VERSION);
  for (let i: i32 = 0; i < 2; i += 1) {
    setByte(m, at + H_HEIGHT + i, 0);
    setByte(m, at + H_TIME + i, 0);
  }
  return expect(m, S_FLAGS, at + H_FLAGS, 1);
}

export function onFlags(m: LightMachine): i32 {
  const at: i32 = intAt(m, I_HEADER);
  const form: i32 = intAt(m, I_FORM);
  const flags: i32 = byteAt(m, at + H_FLAGS);
  if (flags > (form === EARLIER ? FLAG_CLOSES | FLAG_OTHER_SET : FLAG_CLOSES)) return BAD_FORMAT;
  if (form === ADJACENT && flags !== FLAG_CLOSES) return NOT_CLOSING;
  if (form === EARLIER || form === SKIPPING) return expect(m, S_EPOCH, at + H_EPOCH, 4);
  copyWithin(m, at + H_EPOCH, TRUST_EPOCH, 4);
  return beginHeight(m);
}

export function beginHeight(m: LightMachine): i32 {
  return expect(m, S_HEIGHT, intAt(m, I_HEADER) + H_HEIGHT + 2, 6);
}

/** Time and four hashes lie side by side. */
export function beginRoots(m: LightMachine): i32 {
  return expect(m, S_HEADER, intAt(m, I_HEADER) + H_TIME + 2, 6 + 4 * HASH_BYTES);
}

/** The set follows from what the header is for. */
export function onRoots(m: LightMachine): i32 {
  const at: i32 = intAt(m, I_HEADER);
  const form: i32 = intAt(m, I_FORM);
  if (form === EARLIER && (byteAt(m, at + H_FLAGS) & FLAG_OTHER_SET) !== 0)
    return expect(m, S_OTHER_SET, at + H_SET, HASH_BYTES);
  // `NODE` has the hash of the set that was shown.
  const known: i32 = form === EARLIER ? HEADER + H_SET : form === SKIPPING ? NODE : TRUST_SET;
  copyWithin(m, at + H_SET, known, HASH_BYTES);
  return onSetKnown(m);
}

/** The set of an earlier header, shown because it is not the newest one's. */
export function onOtherSet(m: LightMachine): i32 {
  const at: i32 = intAt(m, I_HEADER);
  if (isEqual(m, at + H_SET, HEADER + H_SET, HASH_BYTES)) return BAD_FORMAT;
  setByte(m, at + H_FLAGS, byteAt(m, at + H_FLAGS) & FLAG_CLOSES);
  return onSetKnown(m);
}

/** `DONE` when the header is whole, `MORE` when the next set of one that closes its epoch is still to come. */
function onSetKnown(m: LightMachine): i32 {
  const at: i32 = intAt(m, I_HEADER);
  const closes: boolean = (byteAt(m, at + H_FLAGS) & FLAG_CLOSES) !== 0;
  const isAdjacent: boolean = intAt(m, I_FORM) === ADJACENT;
  if (closes && !isAdjacent) return expect(m, S_NEXT_SET, at + H_NEXT_SET, HASH_BYTES);
  copyWithin(m, at + H_NEXT_SET, isAdjacent ? NODE : at + H_SET, HASH_BYTES);
  return DONE;
}

/** The header at `HEADER`, before anything that costs: whether it can lead on from what is trusted. */
export function judgeHeader(m: LightMachine): i32 {
  const height: f64 = u53At(m, HEADER + H_HEIGHT);
  if (height < 1) return BAD_FORMAT;
  const form: i32 = intAt(m, I_FORM);
  const last: f64 = u53At(m, TRUST_HEIGHT);
  if (height < last) return STALE;
  if (form === SKIPPING) {
    if (u32At(m, HEADER + H_EPOCH) <= u32At(m, TRUST_EPOCH)) return BAD_EPOCH;
    if (height === last) return STALE;
  }
  if (height > last) {
    if (form !== SKIPPING && byteAt(m, TRUST_ENDED) !== 0) return BAD_EPOCH;
    if (u53At(m, HEADER + H_TIME) <= u53At(m, TRUST_TIME)) return BAD_TIME;
  }
  m.ints[I_SIGNER] = form === SKIPPING ? SHOWN_SET : TRUSTED_SET;
  hashHeader(m, HEADER, HEADER_HASH);
  return MORE;
}

/** The view lies at `FIELD`: who signed comes next. */
export function beginSigners(m: LightMachine): i32 {
  writeVote(m);
  for (let i: i32 = 0; i < MEMBERS_MAX / 8; i += 1) setByte(m, BITMAP + i, 0);
  return expect(m, S_BITMAP, BITMAP, (countOf(m, intAt(m, I_SIGNER)) + 7) >> 3);
}

/** Who signed: how many, or why they are too few. Judged before any signature is. */
export function judgeSigners(m: LightMachine): i32 {
  const set: i32 = intAt(m, I_SIGNER);
  const signers: i32 = signerCount(m, set);
  if (signers < 0) return BAD_CERTIFICATE_SIGNERS;
  // What is trusted first: the new set may be anybody's.
  if (intAt(m, I_FORM) === SKIPPING && !isKnown(m, isWithinTrustingPeriod(m) ? 1 : 2))
    return TOO_LITTLE_KNOWN;
  return isQuorum(m, set) ? signers : BAD_CERTIFICATE_WEIGHT;
}

/**
 * Whether a third of the trusted weight is enough: what was believed last is younger than the period for which those who
 * signed it can still be punished, by the client's own clock, and the header is not from the future. A client without a
 * clock wants two thirds.
 */
function isWithinTrustingPeriod(m: LightMachine): boolean {
  const now: f64 = numberAt(m, N_NOW);
  const period: f64 = numberAt(m, N_TRUSTING);
  if (now === 0 || period === 0) return false;
  return now < u53At(m, TRUST_TIME) + period && u53At(m, HEADER + H_TIME) <= now + AHEAD_MS;
}

/** All signatures held. Trust moves to the header, and across the hop. */
export function believe(m: LightMachine): i32 {
  const form: i32 = intAt(m, I_FORM);
  const closes: boolean = (byteAt(m, HEADER + H_FLAGS) & FLAG_CLOSES) !== 0;
  const isRepeated: boolean = isEqual(m, HEADER + H_HEIGHT, TRUST_HEIGHT, 8);
  if (isRepeated && !isEqual(m, HEADER_HASH, TRUST_HASH, HASH_BYTES)) return CONFLICT;
  if (!isRepeated) {
    copyWithin(m, TRUST_HEIGHT, HEADER + H_HEIGHT, 8);
    copyWithin(m, TRUST_TIME, HEADER + H_TIME, 8);
    copyWithin(m, TRUST_HASH, HEADER_HASH, HASH_BYTES);
    copyWithin(m, TRUST_STATE_ROOT, HEADER + H_STATE_ROOT, HASH_BYTES);
    setByte(m, TRUST_ENDED, closes ? 1 : 0);
  }
  if (form === NEWEST) return MORE;
  copyWithin(m, TRUST_SET, NODE, HASH_BYTES);
  if (form === SKIPPING) copyWithin(m, TRUST_EPOCH, HEADER + H_EPOCH, 4);
  else {
    raiseEpoch(m);
    setByte(m, TRUST_ENDED, 0);
  }
  trustShown(m);
  return MORE;
}

function raiseEpoch(m: LightMachine): void {
  for (let i: i32 = 3; i >= 0; i -= 1) {
    const digit: i32 = byteAt(m, TRUST_EPOCH + i) + 1;
    setByte(m, TRUST_EPOCH + i, digit & 0xff);
    if (digit < 256) return;
  }
}
