/** Vouchers as people have them: the text of a QR code, or the manual code with the birth certificate it belongs to. */
import { existsSync, readFileSync } from 'node:fs';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { claimSeedOf, isCodeFor, parseManualCode } from '@itc/client/manual-code.js';
import {
  BIRTH_PREFIX,
  parseBirth,
  parseVoucher,
  voucherOf,
  VOUCHER_PREFIX,
  type BirthCertificate,
  type Voucher,
} from '@itc/client/voucher.js';
import { textOption, UsageError, type Call } from '../terminal/command.ts';

/** A voucher, or a code together with `--birth`. */
export function voucherFrom(call: Call, text: string | undefined): Voucher {
  if (text === undefined) throw new UsageError('expected a voucher, or a code with --birth');
  if (text.trim().startsWith(VOUCHER_PREFIX)) {
    const voucher = parseVoucher(text);
    if (!voucher.ok) throw new LedgerError(voucher.code, voucher.message);
    return voucher.value;
  }
  const code = parseManualCode(text);
  if (!code.ok) throw new LedgerError(code.code, code.message);
  const birth = birthOption(call);
  const { secret } = code.value;
  const voucher = isCodeFor(code.value, birth.device)
    ? voucherOf(birth, claimSeedOf(birth.device, secret))
    : undefined;
  if (voucher === undefined)
    throw new LedgerError('voucher.malformed', 'the code is for another device than the birth certificate');
  return voucher;
}

/** `--birth`: the text, or a file that holds it. */
function birthOption(call: Call): BirthCertificate {
  const given = textOption(call, 'birth');
  if (given === undefined)
    throw new UsageError('a code needs --birth TEXT or FILE: the birth certificate of the device');
  return birthFrom(given);
}

export function birthFrom(given: string): BirthCertificate {
  const text = !given.startsWith(BIRTH_PREFIX) && existsSync(given) ? readFileSync(given, 'utf8') : given;
  const birth = parseBirth(text);
  if (!birth.ok) throw new LedgerError(birth.code, birth.message);
  return birth.value;
}
