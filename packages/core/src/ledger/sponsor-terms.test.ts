import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { anySponsorshipTerms } from '../testing/arbitraries.ts';
import { readTerms, writeTerms, type SponsorshipTerms } from './bodies/sponsor.ts';
import { asAddress } from './address.ts';
import { amount, millis } from './ids.ts';
import { LIMITS } from './limits.ts';

const encoded = (terms: SponsorshipTerms): Uint8Array => {
  const writer = new Writer();
  writeTerms(writer, terms);
  return writer.finish();
};

test('WIRE-3.20: terms of a sponsorship come back as they were written', () => {
  fc.assert(
    fc.property(anySponsorshipTerms, (terms) => {
      const read = decode(readTerms, encoded(terms));
      assert.ok(read.ok);
      assert.deepEqual(read.value, terms);
    }),
  );
});

test('WIRE-3.20: kinds and lists that are empty, too long, unordered or doubled, and an unknown scope, are refused', () => {
  const [one, two] = [1, 2].map((n) => asAddress(new Uint8Array(32).fill(n)));
  assert.ok(one && two);
  const terms: SponsorshipTerms = {
    kinds: [4, 5],
    scope: { kind: 'devices', devices: [one, two] },
    perDevicePerDay: amount(1n),
    perDay: amount(2n),
    expiresAt: millis(3),
    paysState: true,
  };
  const codeOf = (changes: Partial<SponsorshipTerms>): string => {
    const read = decode(readTerms, encoded({ ...terms, ...changes }));
    return read.ok ? 'ok' : read.code;
  };
  assert.equal(codeOf({}), 'ok');
  assert.equal(codeOf({ kinds: [] }), 'decode.out-of-range');
  assert.equal(codeOf({ kinds: [5, 4] }), 'decode.not-canonical');
  assert.equal(codeOf({ kinds: [4, 4] }), 'decode.not-canonical');
  const many = Array.from({ length: LIMITS.sponsoredKindsMax + 1 }, (_, i) => i);
  assert.equal(codeOf({ kinds: many }), 'decode.too-long');
  assert.equal(codeOf({ scope: { kind: 'accounts', accounts: [] } }), 'decode.out-of-range');
  assert.equal(codeOf({ scope: { kind: 'accounts', accounts: [two, one] } }), 'decode.not-canonical');
  assert.equal(codeOf({ scope: { kind: 'devices', devices: [one, one] } }), 'decode.not-canonical');
  const bytes = encoded(terms);
  // Behind a count and two kinds.
  bytes[4] = 5;
  const unknown = decode(readTerms, bytes);
  assert.equal(!unknown.ok && unknown.code, 'decode.unknown-kind');
});
