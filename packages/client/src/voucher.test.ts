import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { asHash, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { amount } from '@itc/core/ledger/ids.js';
import { claimSigningBytes, endorsementSigningBytes } from '@itc/core/ledger/bodies/device.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { seedSigner, type SeedSigner } from './keys.ts';
import { claim } from './transactions.ts';
import {
  buildBatch,
  formatVoucher,
  parseVoucher,
  VOUCHER_PREFIX,
  voucherFits,
  type BuiltBatch,
  type Newborn,
  type Voucher,
} from './voucher.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const hash: fc.Arbitrary<Hash> = bytes32.map(asHash);
const vouchers: fc.Arbitrary<Voucher> = fc.record(
  {
    batch: hash,
    device: bytes32.map((bytes) => ({ algorithm: 1 as const, bytes })),
    claimSeed: bytes32,
    index: fc.nat(0xffff_ffff),
    path: fc.array(hash, { maxLength: 32 }),
    endorsement: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  },
  { noNullPrototype: true },
);

const maker = seedSigner(new Uint8Array(32).fill(9));
const model = asHash(new Uint8Array(32).fill(8));

/** A device in the factory; one that signs with a wrong key is told which. */
function newborn(seed: number, signsAs = seed): Newborn {
  const of = (fill: number): SeedSigner => seedSigner(new Uint8Array(32).fill(fill));
  return { key: of(seed).publicKey, endorse: (bytes) => of(signsAs).sign(bytes) };
}

function built(count: number): Promise<BuiltBatch> {
  let counter = 0;
  const devices = Array.from({ length: count }, (_, i) => newborn(i + 1));
  const random = (length: number): Uint8Array => new Uint8Array(length).fill((counter += 1) + 100);
  return buildBatch({ maker: maker.address, devices, model, depositPerDevice: amount(5n), random });
}

test('CLIENT-1.1: a voucher comes back from its text, also with space around it', () => {
  fc.assert(
    fc.property(vouchers, (voucher) => {
      const text = formatVoucher(voucher);
      assert.ok(text.startsWith(VOUCHER_PREFIX));
      assert.deepEqual(parseVoucher(` ${text}\n`), { ok: true, value: voucher });
    }),
    { numRuns: 30 },
  );
});

test('CLIENT-1.2: a slip in any character is noticed', async () => {
  const text = formatVoucher((await built(3)).vouchers[1] as Voucher);
  for (let at = VOUCHER_PREFIX.length; at < text.length; at += 1) {
    const slipped = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    assert.equal(parseVoucher(slipped).ok, false, `character ${at}`);
    assert.equal(parseVoucher(text.slice(0, at)).ok, false, `cut at ${at}`);
  }
});

test('CLIENT-1.2: each refusal says what is wrong', async () => {
  const codeOf = (text: string): string => {
    const parsed = parseVoucher(text);
    return parsed.ok ? 'ok' : parsed.code;
  };
  const text = formatVoucher((await built(2)).vouchers[0] as Voucher);
  assert.equal(codeOf(text), 'ok');
  assert.equal(codeOf(''), 'voucher.malformed');
  assert.equal(codeOf(VOUCHER_PREFIX), 'voucher.checksum');
  assert.equal(codeOf(text.replace('itc-voucher', 'itc-Voucher')), 'voucher.malformed');
  assert.equal(codeOf(`${text}=`), 'voucher.malformed');
  assert.equal(codeOf(`${VOUCHER_PREFIX}${'A'.repeat(100_000)}`), 'voucher.malformed');
  assert.equal(
    codeOf(text.slice(0, 30) + (text[30] === 'A' ? 'B' : 'A') + text.slice(31)),
    'voucher.checksum',
  );
});

test('CLIENT-1.3: every voucher of a batch leads to its root, and to no other place', async () => {
  for (const count of [1, 2, 3, 6]) {
    const { batch, vouchers: list } = await built(count);
    assert.equal(batch.count, count);
    for (const voucher of list) {
      assert.equal(voucherFits(voucher, batch), true);
      assert.equal(voucherFits({ ...voucher, index: voucher.index + 1 }, batch), false);
      assert.equal(voucherFits({ ...voucher, claimSeed: new Uint8Array(32) }, batch), false);
    }
  }
});

test('CLIENT-1.3: an empty batch and a device twice in it are mistakes of the maker', async () => {
  const random = (length: number): Uint8Array => new Uint8Array(length);
  const o = { maker: maker.address, model, depositPerDevice: amount(0n), random };
  await assert.rejects(buildBatch({ ...o, devices: [] }), RangeError);
  await assert.rejects(buildBatch({ ...o, devices: [newborn(1), newborn(1)] }), RangeError);
});

test('CLIENT-1.5: each device endorses the claim key of its own voucher', async () => {
  const { batch, vouchers: list } = await built(3);
  const [first, second] = list as [Voucher, Voucher];
  for (const { device, claimSeed, endorsement } of list) {
    const claimKey = seedSigner(claimSeed).publicKey;
    assert.equal(verifySignature(device, endorsementSigningBytes(device, claimKey), endorsement), true);
  }
  assert.equal(voucherFits({ ...first, endorsement: second.endorsement }, batch), false);
  assert.equal(voucherFits({ ...first, endorsement: new Uint8Array(64) }, batch), false);
});

test('CLIENT-1.5: a device that signs with another key than its own stops the batch, before it is printed', async () => {
  const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);
  const devices = [newborn(1), newborn(2, 3)];
  await assert.rejects(
    buildBatch({ maker: maker.address, model, depositPerDevice: amount(0n), random, devices }),
    { code: 'claim.endorsement' },
  );
});

test('CLIENT-1.1: a voucher of version 1, which has no endorsement, is not taken', async () => {
  const text = formatVoucher((await built(2)).vouchers[0] as Voucher);
  const bytes = fromBase64Url(text.slice(VOUCHER_PREFIX.length));
  assert.ok(bytes.ok);
  assert.equal(bytes.value[0], 2);
  const body = concatBytes(Uint8Array.of(1), bytes.value.subarray(1, -4 - 64));
  const sum = sha256(concatBytes(utf8Encode('ITC1:voucher'), Uint8Array.of(0), body)).subarray(0, 4);
  const parsed = parseVoucher(VOUCHER_PREFIX + toBase64Url(concatBytes(body, sum)));
  assert.equal(parsed.ok ? 'ok' : parsed.code, 'voucher.malformed');
});

test('CLIENT-1.4: a claim is made out to one owner on one chain', async () => {
  const chain = asHash(new Uint8Array(32).fill(3));
  const owner = seedSigner(new Uint8Array(32).fill(4)).address;
  const voucher = (await built(2)).vouchers[1] as Voucher;
  const body = claim({ chain, voucher, owner });
  assert.equal(body.kind, 'claim');
  if (body.kind !== 'claim') return;
  const { claimKey, proof, device, endorsement } = body.claim;
  assert.equal(endorsement, voucher.endorsement);
  assert.equal(verifySignature(claimKey, claimSigningBytes(chain, device, owner), proof), true);
  assert.equal(verifySignature(claimKey, claimSigningBytes(chain, device, maker.address), proof), false);
});

test('CLIENT-1.1: base64url agrees with the platform’s, and takes one text per value', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      const text = toBase64Url(bytes);
      assert.equal(text, Buffer.from(bytes).toString('base64url'));
      const back = fromBase64Url(text);
      assert.ok(back.ok);
      assert.deepEqual(back.value, bytes);
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      const bytes = fromBase64Url(text);
      if (bytes.ok) assert.equal(toBase64Url(bytes.value), text);
    }),
  );
  for (const wrong of ['A', 'AB', 'A=', 'AA==', 'A+', 'AAAAA'])
    assert.equal(fromBase64Url(wrong).ok, false, wrong);
});
