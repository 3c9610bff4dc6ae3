import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { p256 } from '@noble/curves/nist.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { unlessVectors, vectorJson } from '@itc/core/testing/vectors.js';
import { deriveKey, entropyOf, phraseOf, secretOfPhrase, seedOfPhrase } from './phrase.ts';

const hex = (text: string): Uint8Array => {
  const bytes = fromHex(text);
  assert.ok(bytes.ok);
  return bytes.value;
};

test('CLIENT-20.4: phrases and seeds are those of BIP-39', { skip: unlessVectors('bip39') }, () => {
  const { english } = vectorJson('bip39/vectors.json') as { english: [string, string, string, string][] };
  assert.ok(english.length >= 24);
  for (const [entropy, phrase, seed] of english) {
    assert.equal(phraseOf(hex(entropy)), phrase);
    const read = entropyOf(`  ${phrase.toUpperCase().replaceAll(' ', '  ')}\n`);
    assert.ok(read.ok);
    assert.equal(toHex(read.value), entropy);
    // The vectors are made with this password.
    assert.equal(toHex(seedOfPhrase(read.value, 'TREZOR')), seed);
  }
});

test('CLIENT-20.4: a wrong word, a wrong order and a wrong length are told apart', () => {
  const phrase = phraseOf(new Uint8Array(16).fill(9));
  const words = phrase.split(' ');
  const said = (text: string): string => {
    const read = entropyOf(text);
    return read.ok ? 'ok' : read.message;
  };
  assert.equal(said(phrase), 'ok');
  assert.match(said(words.slice(1).join(' ')), /got 11/);
  assert.match(said([...words.slice(1), 'lamplight'].join(' ')), /"lamplight" is not a word/);
  assert.match(said(['abandon', ...words.slice(1)].join(' ')), /does not fit/);
  assert.throws(() => phraseOf(new Uint8Array(17)));
});

test('CLIENT-20.4: keys follow from a seed as SLIP-0010 says', () => {
  // Test vector 1 of SLIP-0010, for both curves: chain, secret, public key.
  const seed = hex('000102030405060708090a0b0c0d0e0f');
  const cases = [
    ['ed25519', [], '90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb', '2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7', 'a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed'],
    ['ed25519', [0], '8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69', '68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3', '8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c'],
    ['ed25519', [0, 1, 2, 2, 1_000_000_000], '68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230', '8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793', '3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a'],
    ['nist256p1', [], 'beeb672fe4621673f722f38529c07392fecaa61015c80c34f29ce8b41b3cb6ea', '612091aaa12e22dd2abef664f8a01a82cae99ad7441b7ef8110424915c268bc2', '0266874dc6ade47b3ecd096745ca09bcd29638dd52c2c12117b11ed3e458cfa9e8'],
    ['nist256p1', [0], '3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11', '6939694369114c67917a182c59ddb8cafc3004e63ca5d3b84403ba8613debc0c', '0384610f5ecffe8fda089363a41f56a5c7ffc1d81b59a612d0d649b2d22355590c'],
  ] as const; // prettier-ignore
  for (const [curve, path, chain, secret, publicKey] of cases) {
    const key = deriveKey(curve, seed, path);
    assert.equal(toHex(key.chainCode), chain);
    assert.equal(toHex(key.secret), secret);
    const made = curve === 'ed25519' ? ed25519.getPublicKey(key.secret) : p256.getPublicKey(key.secret, true);
    assert.equal(toHex(made), publicKey);
  }
  assert.throws(() => deriveKey('ed25519', seed, [2 ** 31]), RangeError);
});

test('CLIENT-20.4: a digest that is no key of P-256 is hashed on', () => {
  // SLIP-0010, "Test derivation retry for nist256p1" and "Test seed retry for nist256p1".
  const retried = deriveKey('nist256p1', hex('000102030405060708090a0b0c0d0e0f'), [28578]);
  assert.equal(toHex(retried.secret), '06f0db126f023755d0b8d86d4591718a5210dd8d024e3e14b6159d63f53aa669');
  const seeded = deriveKey(
    'nist256p1',
    hex('a7305bc8df8d0951f0cb224c0e95d7707cbdf2c6ce7e8d481fec69c7ff5e9446'),
    [],
  );
  assert.equal(toHex(seeded.secret), '3b8c18469a4634517d6d0b65448f8e6c62091b45540a1743c5846be55d47d88f');
});

test('CLIENT-20.4: accounts and schemes of one phrase share nothing', () => {
  const entropy = new Uint8Array(32).fill(1);
  const secrets = [1, 2, 3].flatMap((algorithm) =>
    [0, 1].flatMap((account) =>
      ['', 'password'].map((password) =>
        toHex(secretOfPhrase({ entropy, algorithm: algorithm as 1 | 2 | 3, account, password })),
      ),
    ),
  );
  assert.equal(new Set(secrets).size, 12);
});

test('CLIENT-20.4: any entropy comes back from its words', () => {
  fc.assert(
    fc.property(fc.constantFrom(16, 20, 24, 28, 32), fc.infiniteStream(fc.nat(255)), (length, stream) => {
      const entropy = Uint8Array.from({ length }, () => stream.next().value as number);
      const read = entropyOf(phraseOf(entropy));
      return read.ok && toHex(read.value) === toHex(entropy);
    }),
    { numRuns: 30 },
  );
});
