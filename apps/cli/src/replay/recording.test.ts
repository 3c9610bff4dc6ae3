import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { parseSenml } from '@itc/edge/2-conversion/senml.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { SeededRandom } from '@itc/node/random.js';
import { loadRecordings, packRecording, parseRecording } from './recording.ts';

const chain = sha256(Uint8Array.of(1));
const keys = KeyPair.generate(new SeededRandom(1));

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof LedgerError, String(error));
    return `${error.code}: ${error.message}`;
  }
  return 'nothing was thrown';
}

test('NODE-7.6: a recording is lines of UNIX seconds, a tab, a value; the unit follows from its name', () => {
  const recording = parseRecording('Kitchen_Temperature', '1425211200\t20.5\n1425211260.25\t-1e1\n', 10);
  assert.deepEqual(recording, {
    name: 'Kitchen_Temperature',
    quantity: 'temperature',
    unit: 'Cel',
    times: [1_425_211_200_000, 1_425_211_260_250],
    values: [20.5, -10],
  });
  assert.equal(parseRecording('Odd', '1\t2\n', 10).unit, undefined);
  assert.equal(parseRecording('Odd', '1\t2\n3\t4\n5\t6', 2).values.length, 2);
});

test('NODE-7.6: a line that is no reading is named with its file', () => {
  for (const line of ['x\t1', '1', '1\t2\t3', '1\tNaN', '1\tInfinity', 'a b c']) {
    assert.match(
      code(() => parseRecording('Bath', `1\t2\n${line}\n`, 10)),
      /^request\.malformed: Bath\.csv, line 2/,
    );
  }
  assert.match(
    code(() => loadRecordings('/nonexistent-folder', 1)),
    /^not-found/,
  );
});

test('NODE-7.6: a folder is read in order of names, files of other kinds left out', () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-recording-'));
  try {
    for (const name of ['b.csv', 'a.csv', 'notes.txt']) writeFileSync(join(folder, name), '1\t2\n');
    assert.deepEqual(
      loadRecordings(folder, 5).map(({ name }) => name),
      ['a', 'b'],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('NODE-7.7: packing is deterministic, signed by the device, in sequence, and loses no reading', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 2_000_000_000 }), fc.integer({ min: -500, max: 500 })), {
        maxLength: 70,
      }),
      fc.integer({ min: 1, max: 32 }),
      (rows, chunk) => {
        const text = rows.map(([time, value]) => `${time}\t${value / 10}\n`).join('');
        const recording = parseRecording('Room_Humidity', text, 1_000);
        const packed = packRecording(chain, keys, recording, chunk);
        assert.deepEqual(packRecording(chain, keys, recording, chunk), packed);
        const values: unknown[] = [];
        for (const [i, { bytes, id, readings }] of packed.entries()) {
          const parsed = parsePayload(chain, bytes);
          assert.ok(parsed.ok);
          const { value: payload } = parsed;
          assert.ok(equalBytes(payload.id, id));
          assert.equal(payload.sequence, i + 1);
          assert.ok(equalBytes(payload.device, keys.address));
          const records = parseSenml('senml+cbor', payload.content, 0);
          assert.ok(records.ok && records.value.length === readings);
          values.push(...records.value.map(({ value }) => value));
        }
        assert.deepEqual(values, recording.values);
      },
    ),
    { numRuns: 25 },
  );
  const [first] = packRecording(chain, keys, parseRecording('a', '1\t2\n', 1), 1);
  const parsed = parsePayload(chain, (first as { bytes: Uint8Array }).bytes);
  assert.ok(parsed.ok);
  const { signer, signedBytes, signature } = parsed.value;
  assert.ok(verifySignature(signer, signedBytes, signature));
});
