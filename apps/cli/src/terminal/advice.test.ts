import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CODES } from '@itc/core/ledger/errors.js';
import { fileTrouble, nextStep, readable } from './advice.ts';

test('an error says what to do next, unless its message does', async () => {
  assert.match((await nextStep('not-found', 'no device is known as lamp-9')) ?? '', /itc device list/);
  assert.match((await nextStep('transaction.balance', 'the fee is 162000')) ?? '', /itc transfer/);
  assert.equal(await nextStep('not-found', 'no key is called x; make one with: itc key new x'), undefined);
  assert.equal(await nextStep('not-found', 'g.csv cannot be read'), undefined, 'nothing is known of files');
  for (const code of Object.keys(ERROR_CODES)) {
    const step = await nextStep(code, 'anything');
    assert.ok(
      step === undefined ? ['not-found', 'config.invalid', 'deposit.amount'].includes(code) : step !== '',
      code,
    );
  }
});

test('a file that cannot be read is told by its path, and is no bug', () => {
  const caught = (path: string): unknown => {
    try {
      return readFileSync(path);
    } catch (error) {
      return error;
    }
  };
  assert.equal(fileTrouble(caught('no/such.json')), 'no/such.json: there is no such file or folder');
  assert.equal(fileTrouble(new Error('ENOENT')), undefined);
  assert.equal(fileTrouble('ENOENT'), undefined);
});

test('people read moments as dates and base units as ITC; counts of bytes stay counts', () => {
  assert.equal(
    readable('recovery.early', 'possible from 1796038167490, this block is of 1795433370732'),
    'possible from 2026-11-30T11:29:27.490Z, this block is of 2026-11-23T11:29:30.732Z',
  );
  assert.equal(
    readable('transaction.balance', 'the fee is 162000, the balance is 0'),
    'the fee is 0.000162 ITC, the balance is 0',
  );
  assert.equal(
    readable('transaction.fee', 'expected at least 3932000 for 3932 bytes, got 1000'),
    'expected at least 0.003932 ITC for 3932 bytes, got 0.000001 ITC',
  );
  assert.equal(
    readable('rental.maximum', 'expected 3 to 30000, got 31000'),
    'expected 3 to 30000, got 31000',
  );
});
