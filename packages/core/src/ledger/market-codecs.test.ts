import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, type Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { assertStrict, anyHash } from '../testing/arbitraries.ts';
import { releasers, role, version } from '../testing/firmware.ts';
import { anyFirmwareBody, anyRentalBody, anyRentalTerms } from '../testing/market-arbitraries.ts';
import { verificationCost } from '../crypto/cost.ts';
import { ML_DSA_44, P256 } from '../crypto/signature.ts';
import { signaturesCost } from './bodies/firmware.ts';
import { readBody, writeBody, type Body } from './body.ts';
import {
  readReleaseForm,
  readRole,
  readRoleSignatures,
  readRolloutStep,
  writeReleaseForm,
  writeRole,
  writeRoleSignatures,
  writeRolloutStep,
  type ReleaseForm,
} from './firmware.ts';
import { readRentalTerms, rentalId, termsHash, writeRentalTerms } from './rental.ts';
import { toHex } from '../bytes/hex.ts';
import { asAddress } from './address.ts';

function codec<T>(
  write: (writer: Writer, value: T) => unknown,
  read: (reader: Reader) => T,
): {
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => ReturnType<typeof decode<T>>;
} {
  return {
    encode: (value) => {
      const writer = new Writer(256);
      write(writer, value);
      return writer.finish();
    },
    decode: (bytes) => decode(read, bytes),
  };
}

const codeOf = <T>(read: (reader: Reader) => T, write: (writer: Writer) => unknown): string => {
  const writer = new Writer(256);
  write(writer);
  const found = decode(read, writer.finish());
  return found.ok ? 'ok' : found.code;
};

test('WIRE-10.1: rental terms have one encoding; two hash the same only when they are the same', () => {
  assertStrict(anyRentalTerms, codec(writeRentalTerms, readRentalTerms));
  assertStrict<Body>(anyRentalBody, codec<Body>(writeBody, readBody));
  fc.assert(
    fc.property(anyRentalTerms, anyRentalTerms, (a, b) => {
      const { encode } = codec(writeRentalTerms, readRentalTerms);
      assert.equal(toHex(termsHash(a)) === toHex(termsHash(b)), toHex(encode(a)) === toHex(encode(b)));
    }),
  );
});

test('WIRE-10.1: rentals of one renter have a name each, by lane and nonce', () => {
  fc.assert(
    fc.property(
      anyHash,
      fc.nat(15),
      fc.nat(9),
      fc.nat(15),
      fc.nat(9),
      (bytes, lane, nonce, otherLane, otherNonce) => {
        const renter = asAddress(bytes);
        const same = lane === otherLane && nonce === otherNonce;
        const a = toHex(rentalId({ renter, lane, nonce }));
        assert.equal(a === toHex(rentalId({ renter, lane: otherLane, nonce: otherNonce })), same);
      },
    ),
  );
});

test('WIRE-10.2: roles and signatures of roles: keys ascend and sign once, the threshold is within their number', () => {
  const of = role(releasers);
  assert.equal(
    codeOf(readRole, (w) => writeRole(w, of)),
    'ok',
  );
  assert.equal(
    codeOf(readRole, (w) => writeRole(w, { ...of, keys: of.keys.toReversed() })),
    'decode.not-canonical',
  );
  const [first] = of.keys;
  assert.ok(first);
  assert.equal(
    codeOf(readRole, (w) => writeRole(w, { keys: [first, first], threshold: 1 })),
    'decode.not-canonical',
  );
  for (const threshold of [0, 4])
    assert.equal(
      codeOf(readRole, (w) => writeRole(w, { ...of, threshold })),
      'decode.out-of-range',
    );
  assert.equal(
    codeOf(readRole, (w) => writeRole(w, { keys: [], threshold: 1 })),
    'decode.out-of-range',
  );
  const signature = new Uint8Array(64);
  const signed = (...places: number[]): string =>
    codeOf(readRoleSignatures, (w) =>
      writeRoleSignatures(
        w,
        places.map((index) => ({ index, signature })),
      ),
    );
  assert.equal(signed(0, 2), 'ok');
  assert.equal(signed(2, 0), 'decode.not-canonical');
  assert.equal(signed(1, 1), 'decode.not-canonical', 'one key twice');
  assertStrict<Body>(anyFirmwareBody, codec<Body>(writeBody, readBody));
});

test('WIRE-10.3: dependencies ascend and occur once; a share is of ten thousand', () => {
  const [a, b] = [1, 2].map((byte) => new Uint8Array(32).fill(byte) as ReleaseForm['image']);
  assert.ok(a && b);
  const form = (...channels: ReleaseForm['image'][]): ReleaseForm => ({
    version: version(1),
    manifest: a,
    image: a,
    size: 1,
    counter: 0,
    minimum: version(0),
    dependencies: channels.map((channel) => ({ channel, minimum: version(1) })),
  });
  const code = (...channels: ReleaseForm['image'][]): string =>
    codeOf(readReleaseForm, (w) => writeReleaseForm(w, form(...channels)));
  assert.equal(code(a, b), 'ok');
  assert.equal(code(b, a), 'decode.not-canonical');
  assert.equal(code(a, a), 'decode.not-canonical');
  const share = (value: number): string =>
    codeOf(readRolloutStep, (w) => writeRolloutStep(w, { step: 1, share: value, halted: false }));
  assert.equal(share(10_000), 'ok');
  assert.equal(share(10_001), 'decode.out-of-range');
});

test('STATE-23.1: signatures of roles count towards what checking a block may cost, at the price of the dearest scheme of their length', () => {
  const signed = (...lengths: number[]): Body => ({
    kind: 'approve-release',
    channel: new Uint8Array(32) as ReleaseForm['image'],
    number: 1,
    signatures: lengths.map((length, index) => ({ index, signature: new Uint8Array(length) })),
  });
  assert.equal(signaturesCost(signed()), 0);
  assert.equal(signaturesCost(signed(64, 64)), 2 * verificationCost(P256));
  assert.equal(signaturesCost(signed(64, 2420)), verificationCost(P256) + verificationCost(ML_DSA_44));
  assert.equal(signaturesCost({ kind: 'restart' }), 0);
});
