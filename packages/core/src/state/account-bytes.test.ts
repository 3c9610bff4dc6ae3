import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { amount } from '../ledger/ids.ts';
import { accountLength, readAccountAt, writeAccountAt } from './account-bytes.ts';
import { encodeRecord } from './records.ts';

test('PAGES-6: an account that is read and written where it lies has the bytes of its codec', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      fc.array(fc.maxSafeNat(), { maxLength: 16 }),
      fc.nat(9),
      (balance, nonces, at) => {
        const account = { balance: amount(balance), nonces };
        const encoded = encodeRecord('account', account);
        assert.equal(accountLength(account), encoded.length);
        const bytes = new Uint8Array(at + encoded.length + 3).fill(0x5a);
        writeAccountAt(bytes, at, account);
        assert.deepEqual(bytes.slice(at, at + encoded.length), encoded);
        assert.ok(bytes.subarray(at + encoded.length).every((byte) => byte === 0x5a));
        assert.deepEqual(readAccountAt(bytes, at, encoded.length), account);
        assert.throws(() => readAccountAt(bytes, at, encoded.length + 1), RangeError);
      },
    ),
  );
});
