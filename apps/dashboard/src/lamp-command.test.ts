import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { decodeCommand } from '@itc/core/ledger/command.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { browserLabel, type Identity } from './identity.ts';
import { COMMAND_LIFE_MS, nextSequence, signCommand } from './lamp-command.ts';
import { proofFile } from './proof-file.ts';
import { seededRandom } from './testing/random.ts';

const random = seededRandom(7);
const chain = random.hash();
const device = random.address();

function nodeIdentity(): {
  readonly identity: Identity;
  readonly check: (bytes: Uint8Array, signature: Uint8Array) => boolean;
} {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
  const key = { algorithm: 1, bytes: raw } as const;
  const identity: Identity = {
    key,
    publicKey: toHex(raw),
    address: formatAddress(addressOf(key)),
    protection: 'stored',
    sign: (bytes) => Promise.resolve(new Uint8Array(sign(null, bytes, privateKey))),
  };
  return {
    identity,
    check: (bytes, signature) => verify(null, bytes, createPublicKey(privateKey), signature),
  };
}

test('a command signed in the browser is a payload that a gateway parses and a lamp verifies', async () => {
  const { identity, check } = nodeIdentity();
  const signed = await signCommand({
    identity,
    chain,
    device,
    action: { kind: 'level', level: 200 },
    sequence: 5,
    now: 1_700_000_000_123.4,
  });
  const bytes = fromHex(signed.payload);
  const chainBytes = fromHex(chain);
  assert.ok(bytes.ok && chainBytes.ok);
  const parsed = parsePayload(asHash(chainBytes.value), bytes.value);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
  assert.equal(toHex(parsed.value.id), signed.id);
  assert.equal(formatAddress(parsed.value.device), device);
  assert.equal(parsed.value.sequence, 5);
  assert.ok(check(parsed.value.signedBytes, parsed.value.signature));
  const command = decodeCommand(parsed.value.content);
  assert.ok(command.ok);
  assert.deepEqual(command.value.action, { kind: 'level', level: 200 });
  assert.equal(command.value.notAfter, 1_700_000_000_123 + COMMAND_LIFE_MS);
});

test('on another chain the same payload has another signed text, so its signature does not verify there', async () => {
  const { identity, check } = nodeIdentity();
  const signed = await signCommand({ identity, chain, device, action: { kind: 'on' }, sequence: 1, now: 1 });
  const bytes = fromHex(signed.payload);
  assert.ok(bytes.ok);
  const parsed = parsePayload(asHash(new Uint8Array(32)), bytes.value);
  assert.ok(parsed.ok);
  assert.equal(check(parsed.value.signedBytes, parsed.value.signature), false);
});

test('sequence numbers rise with a clock that stands still or goes back, per lane', () => {
  const held = new Map<string, string>();
  const store = {
    getItem: (key: string): string | null => held.get(key) ?? null,
    setItem: (key: string, value: string): void => void held.set(key, value),
  };
  assert.equal(nextSequence(store, 'a', 1000), 1000);
  assert.equal(nextSequence(store, 'a', 1000), 1001);
  assert.equal(nextSequence(store, 'a', 400), 1002);
  assert.equal(nextSequence(store, 'b', 400), 400);
  held.set('itc-sequence:a', 'rubbish');
  assert.equal(nextSequence(store, 'a', 2000), 2000);
});

test('without storage the clock alone gives the sequence', () => {
  const broken = {
    getItem: (): string => {
      throw new Error('denied');
    },
    setItem: (): void => {
      throw new Error('denied');
    },
  };
  assert.equal(nextSequence(broken, 'a', 1234.9), 1234);
  assert.equal(nextSequence(undefined, 'a', 0), 1);
});

test('a proof file has the form the command line reads, and the command names file and genesis', () => {
  const reading = {
    id: `${'ab'.repeat(32)}:1`,
    payload: 'ab'.repeat(32),
    index: 1,
    device,
    name: 'temperature',
    unit: 'Cel',
    value: 21.5,
    time: 5,
    status: 'final',
  } as const;
  const file = proofFile(reading, { proof: 'AAEC', genesis: chain });
  assert.equal(file.command, `itc verify reading-abababababab-1.json --genesis ${chain}`);
  assert.equal(file.bytes, 3);
  // To the byte what `itc proof` writes: `itc verify` accepts no other form (apps/cli/src/proof-file.ts).
  const golden = [
    '{',
    '  "format": "itc-proof-1",',
    `  "genesis": "${chain}",`,
    '  "reading": {',
    `    "payload": "${'ab'.repeat(32)}",`,
    '    "index": 1,',
    `    "device": "${device}",`,
    '    "name": "temperature",',
    '    "unit": "Cel",',
    '    "value": 21.5,',
    '    "time": 5',
    '  },',
    '  "proof": "AAEC"',
    '}',
    '',
  ].join('\n');
  assert.equal(file.text, golden);
  const batched = proofFile(
    reading,
    { proof: 'AAEC', genesis: chain },
    { proof: 'AQID', index: 7, record: 1 },
  );
  assert.equal(
    batched.text,
    golden
      .replace('"index": 1', '"index": 7')
      .replace(
        '  "proof": "AAEC"\n',
        '  "proof": "AAEC",\n  "batch": {\n    "record": 1,\n    "proof": "AQID"\n  }\n',
      ),
  );
  const { unit: _, ...bare } = reading;
  assert.equal(
    proofFile(bare, { proof: 'AAEC', genesis: chain }).text,
    golden.replace('    "unit": "Cel",\n', ''),
  );
});

test('a browser is named as its owner would', () => {
  assert.equal(
    browserLabel('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36'),
    'Chrome on Linux',
  );
  assert.equal(
    browserLabel('Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1'),
    'Safari on iOS',
  );
});
