/** Certified headers, one after another: from the trusted set over hops to the newest (spec LIGHT-1, LIGHT-4, LIGHT-7). */
import {
  BAD_CERTIFICATE_HEADER,
  BAD_CERTIFICATE_SIGNERS,
  BAD_CERTIFICATE_WEIGHT,
  BAD_EPOCH,
  BAD_FORMAT,
  BAD_TIME,
  BAD_VALIDATORS,
  CONFLICT,
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
  FIELD,
  FLAG_CLOSES,
  H_EPOCH,
  H_FLAGS,
  H_HEIGHT,
  H_NEXT_SET,
  H_SET,
  H_STATE_ROOT,
  H_TIME,
  HEADER,
  HEADER_HASH,
  I_FORM,
  I_SIGNER,
  intAt,
  isEqual,
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
import { isKnown, isQuorum, signerCount, trustShown } from './sets.ts';
import { hashHeader, hasKnownForm, writeVote } from './tags.ts';

/** Values of `I_FORM`. */
export const ADJACENT: i32 = 0;
export const SKIPPING: i32 = 1;
export const NEWEST: i32 = 2;

const HASH_BYTES: i32 = 32;
/** Milliseconds a header may be ahead of the client's clock, as validators allow (`clockSkewMsMax`). */
const AHEAD_MS: f64 = 5000;

/** The header at `HEADER`, before anything that costs: whether it can lead on from what is trusted. */
export function judgeHeader(m: LightMachine): i32 {
  if (!hasKnownForm(m, HEADER)) return BAD_FORMAT;
  const height: f64 = u53At(m, HEADER + H_HEIGHT);
  const time: f64 = u53At(m, HEADER + H_TIME);
  if (height < 1 || time < 0) return BAD_FORMAT;
  const form: i32 = intAt(m, I_FORM);
  const epoch: f64 = u32At(m, HEADER + H_EPOCH);
  const trusted: f64 = u32At(m, TRUST_EPOCH);
  const last: f64 = u53At(m, TRUST_HEIGHT);
  if (height < last) return STALE;
  if (form === SKIPPING) {
    if (epoch <= trusted) return BAD_EPOCH;
    if (height === last) return STALE;
    if (time <= u53At(m, TRUST_TIME)) return BAD_TIME;
    // `NODE` has the hash of the set that was shown.
    if (!isEqual(m, HEADER + H_SET, NODE, HASH_BYTES)) return BAD_VALIDATORS;
  } else {
    if (epoch !== trusted) return BAD_EPOCH;
    if (!isEqual(m, HEADER + H_SET, TRUST_SET, HASH_BYTES)) return BAD_VALIDATORS;
    if (form === ADJACENT) {
      if ((byteAt(m, HEADER + H_FLAGS) & FLAG_CLOSES) === 0) return NOT_CLOSING;
      if (!isEqual(m, HEADER + H_NEXT_SET, NODE, HASH_BYTES)) return BAD_VALIDATORS;
    }
    if (height > last) {
      if (byteAt(m, TRUST_ENDED) !== 0) return BAD_EPOCH;
      if (time <= u53At(m, TRUST_TIME)) return BAD_TIME;
    }
  }
  m.ints[I_SIGNER] = form === SKIPPING ? SHOWN_SET : TRUSTED_SET;
  hashHeader(m, HEADER, HEADER_HASH);
  return MORE;
}

/** Epoch u32 ‖ view u53 ‖ height u53 ‖ hash 32 at `FIELD`: of this header, or refused. */
export function judgeCertificate(m: LightMachine): i32 {
  const isSame: boolean =
    isEqual(m, FIELD, HEADER + H_EPOCH, 4) &&
    isEqual(m, FIELD + 12, HEADER + H_HEIGHT, 8) &&
    isEqual(m, FIELD + 20, HEADER_HASH, HASH_BYTES);
  if (!isSame) return BAD_CERTIFICATE_HEADER;
  if (u53At(m, FIELD + 4) < 0) return BAD_FORMAT;
  writeVote(m);
  return MORE;
}

/** Who signed: how many, or why they are too few. Judged before any signature is. */
export function judgeSigners(m: LightMachine, bitmapBytes: i32): i32 {
  const set: i32 = intAt(m, I_SIGNER);
  const signers: i32 = signerCount(m, set, bitmapBytes);
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

/** Keeps bits of the bitmap, which is shorter than its place, from a longer one before it. */
export function clearBitmap(m: LightMachine): void {
  for (let i: i32 = 0; i < 16; i += 1) setByte(m, BITMAP + i, 0);
}
