import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { decodeCommand, encodeAcknowledgement, type Acknowledgement } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type ContentType,
} from '@itc/core/ledger/payload.js';
import { buildCommand, parseAnswer } from './commands.ts';
import { seedSigner, type SeedSigner } from './keys.ts';

const chain = asHash(new Uint8Array(32).fill(5));
const user = seedSigner(new Uint8Array(32).fill(1));
const lamp = seedSigner(new Uint8Array(32).fill(2));
const other = seedSigner(new Uint8Array(32).fill(3));

test('CLIENT-3.3: a command is a payload of its sender to its device, under the id it is known by', async () => {
  for (const action of [{ kind: 'on' }, { kind: 'off' }, { kind: 'level', level: 200 }] as const) {
    const { id, bytes } = await buildCommand({
      chain,
      signer: user,
      device: lamp.address,
      action,
      sequence: 9,
      notAfter: millis(77),
    });
    const parsed = parsePayload(chain, bytes);
    assert.ok(parsed.ok);
    const payload = parsed.value;
    assert.deepEqual(payload.id, id);
    assert.deepEqual(
      [payload.signer, payload.device, payload.sequence, payload.contentType],
      [user.publicKey, lamp.address, 9, 'command'],
    );
    assert.equal(verifySignature(payload.signer, payload.signedBytes, payload.signature), true);
    assert.deepEqual(decodeCommand(payload.content), {
      ok: true,
      value: { device: lamp.address, action, notAfter: 77 },
    });
  }
});

const answer: Acknowledgement = {
  command: chain,
  outcome: { kind: 'refused', reason: 'expired' },
  on: true,
  level: 3,
  time: millis(5),
};

function signedBy(
  signer: SeedSigner,
  contentType: ContentType = 'ack',
  content = encodeAcknowledgement(answer),
): Uint8Array {
  const unsigned = { signer: signer.publicKey, device: signer.address, sequence: 1, contentType, content };
  return encodePayload(unsigned, signer.sign(payloadSigningBytes(chain, unsigned)));
}

test('CLIENT-3.4: an answer is believed when the device itself signed it', () => {
  const parsed = parseAnswer({ chain, device: lamp.address, verify: verifySignature }, signedBy(lamp));
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.acknowledgement, answer);
});

test('CLIENT-3.4: an answer of another device, with a broken signature, or of another kind is refused', () => {
  const codeOf = (bytes: Uint8Array, on = chain): string => {
    const parsed = parseAnswer({ chain: on, device: lamp.address, verify: verifySignature }, bytes);
    return parsed.ok ? 'ok' : parsed.code;
  };
  assert.equal(codeOf(signedBy(other)), 'payload.unknown-device');
  const broken = signedBy(lamp);
  broken[broken.length - 1] = (broken.at(-1) as number) ^ 1;
  assert.equal(codeOf(broken), 'payload.signature');
  assert.equal(codeOf(signedBy(lamp), asHash(new Uint8Array(32))), 'payload.signature');
  assert.equal(codeOf(signedBy(lamp, 'senml+json')), 'payload.malformed');
  assert.equal(codeOf(signedBy(lamp, 'ack', new Uint8Array(3))), 'payload.malformed');
  assert.equal(codeOf(new Uint8Array(3)), 'payload.malformed');
});
