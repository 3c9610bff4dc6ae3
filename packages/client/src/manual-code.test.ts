import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { seedSigner } from './keys.ts';
import { claimSeedOf, formatManualCode, isCodeFor, parseManualCode } from './manual-code.ts';
import { birthOf, buildBatch, formatBirth, parseBirth, voucherFits, voucherOf } from './voucher.ts';
import { amount } from '@itc/core/ledger/ids.js';
import { asHash } from '@itc/core/crypto/hash.js';

const device = (fill: number): PublicKey => seedSigner(new Uint8Array(32).fill(fill)).publicKey;
const secrets = fc.uint8Array({ minLength: 10, maxLength: 10 });
const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const codeOf = (text: string): string => {
  const parsed = parseManualCode(text);
  return parsed.ok ? 'ok' : parsed.code;
};

test('CLIENT-1.6: a code is five groups of four, and comes back however it is typed', () => {
  fc.assert(
    fc.property(secrets, (secret) => {
      const code = formatManualCode(device(1), secret);
      assert.match(code, /^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}$/);
      const sloppy = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
      for (const text of [code, ` ${sloppy} `]) {
        const parsed = parseManualCode(text);
        assert.ok(parsed.ok);
        assert.deepEqual(parsed.value.secret, new Uint8Array(secret));
        assert.ok(isCodeFor(parsed.value, device(1)));
      }
    }),
  );
});

test('CLIENT-1.6: any one or two wrong symbols are found, and any two that changed places', () => {
  fc.assert(
    fc.property(
      secrets,
      fc.uniqueArray(fc.nat(19), { minLength: 2, maxLength: 2 }),
      fc.tuple(fc.nat(31), fc.integer({ min: 1, max: 31 })),
      (secret, [i, j], [x, y]) => {
        const symbols = formatManualCode(device(1), secret).replaceAll('-', '').split('');
        const other = (at: number, by: number): string =>
          SYMBOLS[(SYMBOLS.indexOf(symbols[at] as string) + by) % 32] as string;
        const wrong = symbols
          .with(i as number, other(i as number, x))
          .with(j as number, other(j as number, y));
        assert.equal(codeOf(wrong.join('')), 'voucher.checksum');
        const swapped = symbols
          .with(i as number, symbols[j as number] as string)
          .with(j as number, symbols[i as number] as string);
        assert.equal(
          codeOf(swapped.join('')),
          symbols[i as number] === symbols[j as number] ? 'ok' : 'voucher.checksum',
        );
      },
    ),
    { numRuns: 500 },
  );
});

test('CLIENT-1.6: what is no code is malformed', () => {
  for (const text of ['', '1234', `${'0'.repeat(19)}U`, '0'.repeat(21)])
    assert.equal(codeOf(text), 'voucher.malformed');
});

test('CLIENT-1.7: the secret is bound to its device: the same code makes another claim key for another one', () => {
  const secret = new Uint8Array(10).fill(7);
  assert.notDeepEqual(claimSeedOf(device(1), secret), claimSeedOf(device(2), secret));
  const parsed = parseManualCode(formatManualCode(device(1), secret));
  assert.ok(parsed.ok);
  assert.equal(isCodeFor(parsed.value, device(2)), false);
});

test('CLIENT-1.7: a birth certificate and the code make the voucher; it claims nothing by itself', async () => {
  const devices = [1, 2, 3].map((fill) => {
    const signer = seedSigner(new Uint8Array(32).fill(fill));
    return { key: signer.publicKey, endorse: (bytes: Uint8Array) => signer.sign(bytes) };
  });
  let counter = 0;
  const { batch, vouchers, codes } = await buildBatch({
    maker: seedSigner(new Uint8Array(32).fill(9)).address,
    devices,
    model: asHash(new Uint8Array(32)),
    depositPerDevice: amount(1n),
    random: (length) => new Uint8Array(length).fill((counter += 1)),
  });
  for (const [i, voucher] of vouchers.entries()) {
    const text = formatBirth(birthOf(voucher));
    const birth = parseBirth(text);
    assert.ok(birth.ok);
    assert.equal(formatBirth(birth.value), text);
    const code = parseManualCode(codes[i] as string);
    assert.ok(code.ok);
    const made = voucherOf(birth.value, claimSeedOf(birth.value.device, code.value.secret));
    assert.deepEqual(made, voucher);
    assert.ok(made && voucherFits(made, batch));
    assert.equal(voucherOf(birth.value, new Uint8Array(32)), undefined);
    assert.ok(!parseBirth(text.replace(/.$/, text.endsWith('A') ? 'B' : 'A')).ok);
  }
});
