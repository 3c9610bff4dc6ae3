/** Addresses: SHA-256 of algorithm and key, written as bech32m `itc1…` (BIP-350). Spec CRYPTO-4. */
import { ok, refused, type Brand, type Result } from '../bytes/result.ts';
import { HASH_BYTES, hashTagged } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';

/** 32 bytes naming an account or a device. */
export type Address = Brand<Uint8Array, 'Address'>;

export const ADDRESS_PREFIX = 'itc';

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const BECH32M = 0x2bc830a3;
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;

export function addressOf(key: PublicKey): Address {
  return hashTagged('address', Uint8Array.of(key.algorithm), key.bytes) as Uint8Array as Address;
}

export function asAddress(bytes: Uint8Array): Address {
  if (bytes.length !== HASH_BYTES)
    throw new RangeError(`an address has ${HASH_BYTES} bytes, got ${bytes.length}`);
  return bytes as Address;
}

export function formatAddress(address: Address): string {
  const words = regroup(address, 8, 5, true) as number[];
  const checksum = polymod([...expandedPrefix(), ...words, 0, 0, 0, 0, 0, 0]) ^ BECH32M;
  const tail = [0, 1, 2, 3, 4, 5].map((i) => (checksum >>> (5 * (5 - i))) & 31);
  return `${ADDRESS_PREFIX}1${[...words, ...tail].map((word) => CHARSET[word]).join('')}`;
}

export function parseAddress(text: string): Result<Address, 'address.malformed'> {
  // Before any change of case: some letters outside ASCII become ASCII ones by it.
  if (!/^[0-9A-Za-z]*$/.test(text)) return refused('address.malformed', 'expected letters and digits only');
  const lower = text.toLowerCase();
  if (text !== lower && text !== text.toUpperCase())
    return refused('address.malformed', 'upper and lower case are mixed');
  if (!lower.startsWith(`${ADDRESS_PREFIX}1`))
    return refused('address.malformed', `expected an address beginning with ${ADDRESS_PREFIX}1`);
  const words = Array.from(lower.slice(ADDRESS_PREFIX.length + 1), (character) => CHARSET.indexOf(character));
  if (words.length !== 52 + 6 || words.includes(-1))
    return refused('address.malformed', 'expected 58 bech32 characters after itc1');
  if (polymod([...expandedPrefix(), ...words]) !== BECH32M)
    return refused('address.malformed', 'the checksum does not match: a character is wrong');
  const bytes = regroup(words.slice(0, -6), 5, 8, false);
  if (bytes === undefined) return refused('address.malformed', 'the padding bits are not zero');
  return ok(asAddress(Uint8Array.from(bytes)));
}

function expandedPrefix(): number[] {
  const codes = Array.from(ADDRESS_PREFIX, (character) => character.charCodeAt(0));
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
}

function polymod(values: readonly number[]): number {
  let checksum = 1;
  for (const value of values) {
    const top = checksum >>> 25;
    checksum = ((checksum & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, i) => {
      if ((top >>> i) & 1) checksum ^= generator;
    });
  }
  return checksum >>> 0;
}

/** Regroups bits; without padding, left-over bits must be fewer than `from` and zero. */
function regroup(values: Iterable<number>, from: number, to: number, pad: boolean): number[] | undefined {
  const out: number[] = [];
  let bits = 0;
  let held = 0;
  for (const value of values) {
    held = (held << from) | value;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((held >>> bits) & ((1 << to) - 1));
    }
    held &= (1 << bits) - 1;
  }
  if (pad) {
    if (bits > 0) out.push((held << (to - bits)) & ((1 << to) - 1));
  } else if (bits >= from || held !== 0) return undefined;
  return out;
}
