import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { hashTagged } from '../crypto/hash.ts';
import { anyAddress } from '../testing/arbitraries.ts';
import { keyPair } from '../testing/keys.ts';
import { addressOf, formatAddress, parseAddress, type Address } from './address.ts';
import { formatItc, parseItc } from './ids.ts';

/** Bech32m as BIP-350 states it, for any prefix, to check ours against its published valid strings. */
function bech32mHolds(text: string): boolean {
  const lower = text.toLowerCase();
  const at = lower.lastIndexOf('1');
  const prefix = Array.from(lower.slice(0, at), (c) => c.charCodeAt(0));
  const words = Array.from(lower.slice(at + 1), (c) => 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'.indexOf(c));
  let checksum = 1;
  for (const value of [...prefix.map((c) => c >> 5), 0, ...prefix.map((c) => c & 31), ...words]) {
    const top = checksum >>> 25;
    checksum = ((checksum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((g, i) => {
      if ((top >>> i) & 1) checksum ^= g;
    });
  }
  return checksum >>> 0 === 0x2bc830a3;
}

test('CRYPTO-4.1: an address is the hash of algorithm and key', () => {
  const { key } = keyPair(1);
  assert.equal(toHex(addressOf(key)), toHex(hashTagged('address', Uint8Array.of(1), key.bytes)));
});

test('CRYPTO-4.2: the text form is bech32m, reads back in either case, and is 62 characters', () => {
  // Valid strings of BIP-350 hold under the reference, so it may judge ours.
  for (const text of [
    'A1LQFN3A',
    'a1lqfn3a',
    'abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx',
    'split1checkupstagehandshakeupstreamerranterredcaperredlc445v',
  ]) {
    assert.ok(bech32mHolds(text), text);
  }
  fc.assert(
    fc.property(anyAddress, (address) => {
      const text = formatAddress(address);
      assert.match(text, /^itc1[02-9ac-hj-np-z]{58}$/);
      assert.ok(bech32mHolds(text));
      for (const form of [text, text.toUpperCase()]) {
        const back = parseAddress(form);
        assert.ok(back.ok && equalBytes(back.value, address));
      }
    }),
  );
});

test('CRYPTO-4.3: up to four wrong characters are always noticed', () => {
  const charset = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
  const places = fc.uniqueArray(fc.integer({ min: 4, max: 61 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(anyAddress, places, fc.integer({ min: 1, max: 31 }), (address, positions, shift) => {
      const characters = formatAddress(address).split('');
      for (const at of positions) {
        const old = charset.indexOf(characters[at] as string);
        characters[at] = charset[(old + shift) % 32] as string;
      }
      assert.ok(!parseAddress(characters.join('')).ok);
    }),
    { numRuns: 300 },
  );
});

test('CRYPTO-4.3: mixed case, another prefix, other lengths, letters of other alphabets and set padding bits are refused', () => {
  const text = formatAddress(new Uint8Array(32).fill(7) as Address);
  const upper = text.toUpperCase();
  assert.ok(parseAddress(upper).ok);
  const wrong = [
    '',
    'itc1',
    text.slice(0, -1),
    `${text}q`,
    `I${text.slice(1)}`,
    text.replace('itc1', 'btc1'),
    ` ${text}`,
    // The Kelvin sign turns into an ASCII k by lower-casing.
    upper.includes('K') ? upper.replace('K', '\u212a') : '\u212a',
    'split1checkupstagehandshakeupstreamerranterredcaperredlc445v',
  ];
  for (const each of wrong) assert.ok(!parseAddress(each).ok, each);
});

test('CRYPTO-4.3: attack of a look-alike letter: a Kelvin sign in place of K is refused', () => {
  const withK = fc
    .sample(anyAddress, { numRuns: 50, seed: 1 })
    .map((address) => formatAddress(address).toUpperCase())
    .find((text) => text.includes('K'));
  assert.ok(withK !== undefined && parseAddress(withK).ok);
  assert.ok(!parseAddress(withK.replace('K', '\u212a')).ok);
});

test('WIRE-1.7: amounts of ITC are written with up to nine decimals and read back exactly', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }), (value) =>
      assert.equal(parseItc(formatItc(value)), value),
    ),
  );
  assert.equal(formatItc(1_500_000_000n), '1.5');
  for (const text of ['', '1.', '.5', '-1', '1e3', '1.0000000001', '1,5', '1234567890'])
    assert.equal(parseItc(text), undefined, text);
});
