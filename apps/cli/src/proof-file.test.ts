import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { formatProofFile, parseProofFile, type ProofFile } from './proof-file.ts';

const hex64 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

const readings = fc
  .record(
    {
      payload: hex64,
      index: fc.nat(511),
      device: fc.constant('itc1qqqq'),
      name: fc.string(),
      value: fc.oneof(
        fc.integer().map((value) => value / 8),
        fc.boolean(),
        fc.string(),
      ),
      time: fc.nat(),
      unit: fc.option(fc.string(), { nil: undefined }),
    },
    { noNullPrototype: true },
  )
  .map(({ unit, ...rest }) => (unit === undefined ? rest : { ...rest, unit }));

const files: fc.Arbitrary<ProofFile> = fc
  .record(
    {
      format: fc.constant('itc-proof-1' as const),
      genesis: hex64,
      reading: readings,
      proof: fc
        .uint8Array({ minLength: 1, maxLength: 400 })
        .map((bytes) => Buffer.from(bytes).toString('base64url')),
      coSigned: fc.option(
        fc
          .uint8Array({ minLength: 1, maxLength: 100 })
          .map((bytes) => Buffer.from(bytes).toString('base64url')),
        { nil: undefined },
      ),
    },
    { noNullPrototype: true },
  )
  .map(({ coSigned, ...rest }) => (coSigned === undefined ? rest : { ...rest, coSigned }));

function refused(text: string): void {
  assert.throws(
    () => parseProofFile(text),
    (error) => error instanceof LedgerError && error.code === 'request.malformed',
  );
}

test('NODE-8.1: what was written is read back, and writing it again gives the same bytes', () => {
  fc.assert(
    fc.property(files, (file) => {
      const text = formatProofFile(file);
      const { file: read, proof } = parseProofFile(text);
      assert.deepEqual(read, file);
      assert.equal(Buffer.from(proof).toString('base64url'), file.proof);
      assert.equal(formatProofFile(read), text);
    }),
  );
});

test('NODE-8.2: another form of the same content is refused: spaces, order, members, encodings', () => {
  const [file] = fc.sample(files, { numRuns: 1, seed: 7 }) as [ProofFile];
  const text = formatProofFile(file);
  parseProofFile(text);
  refused(JSON.stringify(JSON.parse(text)));
  refused(`${text}\n`);
  refused(`\ufeff${text}`);
  refused(text.replace('{\n', '{\n  "extra": 1,\n'));
  refused(text.replace('"format"', '"\\u0066ormat"'));
  refused(text.replace(`"proof": "${file.proof}"`, `"proof": "${file.proof}="`));
  refused(text.replaceAll('\n', '\r\n'));
  refused(
    `${JSON.stringify({ genesis: file.genesis, format: file.format, reading: file.reading, proof: file.proof }, null, 2)}\n`,
  );
});

test('NODE-8.3: every form-breaking change of one character is refused or changes what is read', () => {
  const [file] = fc.sample(files, { numRuns: 1, seed: 11 }) as [ProofFile];
  const text = formatProofFile(file);
  for (let at = 0; at < text.length; at += 1) {
    for (const other of ['0', ' ', '"', 'é']) {
      if (text[at] === other) continue;
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      try {
        assert.notDeepEqual(parseProofFile(changed).file, file, `position ${at} → ${other}`);
      } catch (error) {
        assert.ok(error instanceof LedgerError && error.code === 'request.malformed', String(error));
      }
    }
  }
});

test('a file that is too long is refused before it is parsed', () => {
  refused(' '.repeat(1 << 20));
});
