import { test } from 'node:test';
import assert from 'node:assert/strict';
import { repositoryText } from '../testing/vectors.ts';
import { ERROR_CODES, LedgerError } from './errors.ts';
import { PBFT_LIMITS } from '../pbft/limits.ts';
import { STATE_LIMITS } from '../state/limits.ts';
import { RECORD_KINDS } from '../state/keys.ts';
import { BODY_CODES } from './body.ts';
import { LIMITS } from './limits.ts';

/** First two cells of every row whose first cell is a code span. */
function rows(markdown: string): (readonly [name: string, cell: string])[] {
  const found: (readonly [string, string])[] = [];
  for (const line of markdown.split('\n')) {
    const match = /^\| `([^`]+)` +\| ([^|]+?) +\|/.exec(line);
    if (match !== null) found.push([match[1] as string, match[2] as string]);
  }
  return found;
}

/** Of the table under the nth heading of second level, 0 for what comes before the first. */
function limitRows(section: number): string[][] {
  const text = repositoryText('spec/limits.md').split(/^## /m)[section] ?? '';
  return rows(text).map(([name, value]) => [name, value.replaceAll(/[\s_]/g, '')]);
}

test('LIMITS-1: the table of spec/limits.md is the code’s, row by row in the same order', () => {
  const expected = Object.entries(LIMITS).map(([name, value]) => [name, String(value)]);
  assert.deepEqual(limitRows(0), expected);
});

test('LIMITS-4: so are those of the state machine and of the replica', () => {
  const expected = (limits: object): string[][] =>
    Object.entries(limits).map(([name, value]) => [name, String(value)]);
  assert.deepEqual(limitRows(1), expected(STATE_LIMITS));
  assert.deepEqual(limitRows(2), expected(PBFT_LIMITS));
});

test('LIMITS-2: every limit is a positive safe integer', () => {
  for (const [name, value] of Object.entries({ ...LIMITS, ...STATE_LIMITS, ...PBFT_LIMITS }))
    assert.ok(Number.isSafeInteger(value) && value > 0, name);
});

test('LIMITS-3: the limits fit each other', () => {
  // Weights add as plain numbers, and the largest messages fit what carries them.
  assert.ok(LIMITS.validatorsMax * LIMITS.weightMax < Number.MAX_SAFE_INTEGER);
  assert.ok(LIMITS.subnetMembersMax <= LIMITS.validatorsMax);
  // Those who decide have a bond each; a bond outlives the epoch in which its owner stops deciding, and any vote.
  assert.ok(LIMITS.validatorsMax <= LIMITS.candidatesMax);
  assert.ok(STATE_LIMITS.voteBlocks < LIMITS.unbondBlocks);
  assert.ok(LIMITS.checkpointInterval < STATE_LIMITS.restartBlocks);
  const checkpointTransaction = 512 + 32 * LIMITS.anchorsMax + 64 * LIMITS.subnetMembersMax;
  assert.ok(checkpointTransaction <= LIMITS.transactionBytesMax);
  const proof =
    LIMITS.payloadBytesMax +
    LIMITS.transactionBytesMax +
    64 * LIMITS.validatorsMax +
    2 * 32 * LIMITS.merklePathMax;
  assert.ok(proof + 16_384 <= LIMITS.proofBytesMax);
  assert.ok(LIMITS.envelopePayloadsMax * 64 < LIMITS.envelopeBytesMax);
  assert.ok(LIMITS.transactionBytesMax < LIMITS.blockBytesMax);
  assert.ok(
    LIMITS.pipelineDepth < LIMITS.checkpointInterval && LIMITS.checkpointInterval <= LIMITS.watermarkWindow,
  );
});

test('ERRORS-1: the table of spec/errors.md is the code’s, row by row in the same order', () => {
  assert.deepEqual(rows(repositoryText('spec/errors.md')), Object.entries(ERROR_CODES));
});

test('ERRORS-2: codes are lower-case words with hyphens behind the thing they are about; meanings are sentences', () => {
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    assert.match(code, /^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?$/);
    assert.match(meaning, /^[A-Z].*\.$/);
  }
});

test('ERRORS-3: trouble in a shell carries its code, its fields and its cause', () => {
  const cause = new Error('ENOSPC');
  const error = new LedgerError('storage.full', 'no room for block 7', { height: 7 }, cause);
  assert.equal(error.code, 'storage.full');
  assert.equal(error.cause, cause);
  assert.deepEqual(error.fields, { height: 7 });
  assert.ok(!('cause' in new LedgerError('internal', 'x')));
});

test('STATE-1.1: the table of records in spec/state.md has every kind with its byte, in their order', () => {
  const told = [...repositoryText('spec/state.md').matchAll(/^\| ([a-z-]+) +\| (\d+) +\|/gm)].map(
    ([, kind, byte]) => [kind, Number(byte)],
  );
  assert.deepEqual(
    told,
    Object.entries(RECORD_KINDS).sort(([, a], [, b]) => a - b),
  );
});

test('WIRE-3.1: the table of bodies in spec/wire.md has every kind with its number', () => {
  const told = [...repositoryText('spec/wire.md').matchAll(/^\| (\d+) +\| ([a-z-]+) +\|/gm)].map(
    ([, code, kind]) => [kind, Number(code)] as const,
  );
  const missing = Object.entries(BODY_CODES).filter(
    ([kind, code]) => !told.some(([name, number]) => name === kind && number === code),
  );
  assert.deepEqual(missing, []);
});
