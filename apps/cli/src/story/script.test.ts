import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { Difference, refusalOf, Script } from './script.ts';

test('NODE-7.20: the story ends at the first difference, which is told with what was expected', async () => {
  const lines: string[] = [];
  const script = new Script((line) => lines.push(line));
  await script.step('goes well', async (expect) => {
    await Promise.resolve();
    expect('a thing', 'so', 'so');
  });
  const broken = script.step('goes wrong', async (expect) => {
    await Promise.resolve();
    expect('a thing', 'so', 'other');
    expect('what follows', 'never', 'never');
  });
  await assert.rejects(broken, Difference);
  assert.deepEqual(
    script.steps.map(({ ok, checks }) => [ok, checks.length]),
    [
      [true, 1],
      [false, 1],
    ],
  );
  assert.ok(lines.some((line) => line.includes('✗ a thing: expected so, got other')));
});

test('NODE-7.20: what goes wrong otherwise is a difference, too, by its code', async () => {
  const script = new Script(() => {});
  const step = script.step('fails', () => Promise.reject(new LedgerError('not-ready', 'no node answers')));
  await assert.rejects(step, Difference);
  assert.match(script.steps[0]?.checks[0]?.happened ?? '', /^not-ready: /);
});

test('NODE-7.20: a refusal is its code, and anything unknown is not taken for one', async () => {
  assert.equal(await refusalOf(Promise.resolve()), 'accepted');
  assert.equal(await refusalOf(Promise.reject(new LedgerError('device.retired', 'over'))), 'device.retired');
  await assert.rejects(refusalOf(Promise.reject(new TypeError('a mistake of ours'))), TypeError);
});
