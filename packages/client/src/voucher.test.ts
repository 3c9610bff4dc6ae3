import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { amount } from '@itc/core/ledger/ids.js';
import { claimSigningBytes } from '@itc/core/ledger/transaction.js';
import { fromBase64Url, toBase64Url } from './base64url.ts';
import { seedSigner } from './keys.ts';
import { claim } from './transactions.ts';
import {
  buildBatch,
  formatVoucher,
  parseVoucher,
  VOUCHER_PREFIX,
  voucherFits,
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
  },
  { noNullPrototype: true },
);

const maker = seedSigner(new Uint8Array(32).fill(9));
const model = asHash(new Uint8Array(32).fill(8));

function built(count: number): ReturnType<typeof buildBatch> {
  let counter = 0;
  const devices = Array.from(
    { length: count },
    (_, i) => seedSigner(new Uint8Array(32).fill(i + 1)).publicKey,
  );
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

test('CLIENT-1.2: a slip in any character is noticed', () => {
  const text = formatVoucher(built(3).vouchers[1] as Voucher);
  for (let at = VOUCHER_PREFIX.length; at < text.length; at += 1) {
    const slipped = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    assert.equal(parseVoucher(slipped).ok, false, `character ${at}`);
    assert.equal(parseVoucher(text.slice(0, at)).ok, false, `cut at ${at}`);
  }
});

test('CLIENT-1.2: each refusal says what is wrong', () => {
  const codeOf = (text: string): string => {
    const parsed = parseVoucher(text);
    return parsed.ok ? 'ok' : parsed.code;
  };
  const text = formatVoucher(built(2).vouchers[0] as Voucher);
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

test('CLIENT-1.3: every voucher of a batch leads to its root, and to no other place', () => {
  for (const count of [1, 2, 3, 6]) {
    const { batch, vouchers: list } = built(count);
    assert.equal(batch.count, count);
    for (const voucher of list) {
      assert.equal(voucherFits(voucher, batch), true);
      assert.equal(voucherFits({ ...voucher, index: voucher.index + 1 }, batch), false);
      assert.equal(voucherFits({ ...voucher, claimSeed: new Uint8Array(32) }, batch), false);
    }
  }
});

test('CLIENT-1.3: an empty batch and a device twice in it are mistakes of the maker', () => {
  const random = (length: number): Uint8Array => new Uint8Array(length);
  const o = { maker: maker.address, model, depositPerDevice: amount(0n), random };
  assert.throws(() => buildBatch({ ...o, devices: [] }), RangeError);
  assert.throws(() => buildBatch({ ...o, devices: [maker.publicKey, maker.publicKey] }), RangeError);
});

test('CLIENT-1.4: a claim is made out to one owner on one chain', () => {
  const chain = asHash(new Uint8Array(32).fill(3));
  const owner = seedSigner(new Uint8Array(32).fill(4)).address;
  const voucher = built(2).vouchers[1] as Voucher;
  const body = claim({ chain, voucher, owner });
  assert.equal(body.kind, 'claim');
  if (body.kind !== 'claim') return;
  const { claimKey, proof, device } = body.claim;
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
