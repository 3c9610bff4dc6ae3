/**
 * A voucher to be typed (spec CLIENT-1): twenty symbols in groups of four. Eighty bits of secret are nothing that anybody tries
 * out, not even offline against the leaf of a batch, because each guess costs a key pair and serves one device alone: the device's
 * key is part of the derivation. All else a voucher holds is public and comes from the birth certificate.
 */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';

/** Of the secret: 16 symbols. Two more name the device, the last two check all others. */
export const CODE_SECRET_BYTES = 10;
const SECRET_SYMBOLS = 16;
const TAG_SYMBOLS = 2;
const CODE_SYMBOLS = SECRET_SYMBOLS + TAG_SYMBOLS + 2;
const GROUP = 4;

/** Crockford's: no I, L, O or U. Where they are typed, 1 and 0 are meant. */
const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const MEANT: Readonly<Record<string, string>> = { I: '1', L: '1', O: '0' };

export interface ManualCode {
  readonly secret: Uint8Array;
  /** Ten bits of the device's key: which of the devices nearby it is for. */
  readonly tag: number;
}

/** The seed of the claim key, from the secret and the device it is for. */
export function claimSeedOf(device: PublicKey, secret: Uint8Array): Uint8Array {
  return sha256(
    concatBytes(utf8Encode('ITC1:manual-code'), Uint8Array.of(0, device.algorithm), device.bytes, secret),
  );
}

/** Whether a code can be for this device: the wrong one of 1 024 passes. */
export function isCodeFor({ tag }: ManualCode, device: PublicKey): boolean {
  return tag === tagOf(device);
}

function tagOf(device: PublicKey): number {
  const digest = sha256(concatBytes(utf8Encode('ITC1:manual-code-tag'), Uint8Array.of(0), device.bytes));
  return ((digest[0] as number) << 2) | ((digest[1] as number) >> 6);
}

export function formatManualCode(device: PublicKey, secret: Uint8Array): string {
  if (secret.length !== CODE_SECRET_BYTES)
    throw new RangeError(`a code has ${CODE_SECRET_BYTES} bytes of secret, got ${secret.length}`);
  const tag = tagOf(device);
  const values = [...symbolsOf(secret), tag >> 5, tag & 31];
  values.push(...checkOf(values));
  const text = values.map((value) => SYMBOLS[value]).join('');
  return (text.match(new RegExp(`.{${GROUP}}`, 'g')) ?? []).join('-');
}

/** Spaces, hyphens and case are forgiven; any one or two wrong symbols, and two that changed places, are found. */
export function parseManualCode(text: string): Result<ManualCode, 'voucher.malformed' | 'voucher.checksum'> {
  const typed = text.toUpperCase().replaceAll(/[\s-]/g, '');
  const values = typed.split('').map((symbol) => SYMBOLS.indexOf(MEANT[symbol] ?? symbol));
  if (values.length !== CODE_SYMBOLS || values.includes(-1))
    return refused('voucher.malformed', `expected ${CODE_SYMBOLS} letters and digits`);
  const body = values.slice(0, -2);
  const [first, second] = checkOf(body);
  if (values.at(-2) !== first || values.at(-1) !== second)
    return refused('voucher.checksum', 'a symbol is wrong, or two have changed places: type it again');
  const tag = ((values[SECRET_SYMBOLS] as number) << 5) | (values[SECRET_SYMBOLS + 1] as number);
  return ok({ secret: bytesOf(values.slice(0, SECRET_SYMBOLS)), tag });
}

/** Five bits each, highest first. */
function symbolsOf(bytes: Uint8Array): number[] {
  const values: number[] = [];
  for (let bit = 0; bit < 8 * bytes.length; bit += 5) {
    const at = bit >> 3;
    const two = ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0);
    values.push((two >> (11 - (bit & 7))) & 31);
  }
  return values;
}

function bytesOf(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array((values.length * 5) / 8);
  for (const [i, value] of values.entries()) {
    for (let k = 0; k < 5; k += 1) {
      const bit = 5 * i + k;
      if (((value >> (4 - k)) & 1) === 1) bytes[bit >> 3] = (bytes[bit >> 3] as number) | (0x80 >> (bit & 7));
    }
  }
  return bytes;
}

/**
 * Two symbols of a Reed–Solomon code over GF(32) with roots α and α²: of fewer than 32 symbols its words differ in three places at
 * least, so two errors are always found.
 */
function checkOf(values: readonly number[]): readonly [number, number] {
  let [high, low] = [0, 0];
  for (const value of values) {
    const feedback = value ^ high;
    // x² + (α + α²)x + α³ divides every word.
    high = low ^ times(feedback, ALPHA ^ times(ALPHA, ALPHA));
    low = times(feedback, times(ALPHA, times(ALPHA, ALPHA)));
  }
  return [high, low];
}

const ALPHA = 2;

/** In GF(32) by x⁵ + x² + 1. */
function times(a: number, b: number): number {
  let product = 0;
  for (let i = 0; i < 5; i += 1) if (((b >> i) & 1) === 1) product ^= a << i;
  for (let i = 8; i >= 5; i -= 1) if (((product >> i) & 1) === 1) product ^= 0b100101 << (i - 5);
  return product;
}
