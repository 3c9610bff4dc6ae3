/** What `docs/guide/c-client.md` tells people who write firmware is what the engine does. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fromHex, toHex } from '../bytes/hex.ts';
import { encodeCommand } from '../ledger/command.ts';
import { millis } from '../ledger/ids.ts';
import { signedPayload, world } from '../testing/chain.ts';
import { keyPair } from '../testing/keys.ts';
import * as codes from './engine/codes.ts';
import { INTS, MEMBERS_MAX, NUMBERS, STATE_BYTES, VOTE_BYTES, WORDS } from './engine/layout.ts';
import { STREAM_HOPS_MAX } from './engine/machine.ts';

const guide = readFileSync(new URL('../../../../docs/guide/c-client.md', import.meta.url), 'utf8');

test('LIGHT-9.11: the guide for C has the engine’s sizes and every one of its codes', () => {
  for (const text of [
    `bytes[${STATE_BYTES}]`,
    `ints[${INTS}]`,
    `numbers[${NUMBERS}]`,
    `words[${WORDS}]`,
    `${MEMBERS_MAX} members`,
    `these ${VOTE_BYTES} bytes`,
    `at most ${STREAM_HOPS_MAX.toLocaleString('en').replace(',', ' ')}`,
  ])
    assert.ok(guide.includes(text), text);
  for (const code of Object.values(codes))
    assert.match(guide, new RegExp(`\\| ${String(code).replace('-', '−')} +\\|`), `code ${code}`);
});

test('WIRE-5.3: the guide for C shows the bytes of a payload and of a command as they are', () => {
  const { chain } = world();
  const hexOf = (lines: string): string => lines.replaceAll(/\s/g, '');
  const key = toHex(keyPair(50).key.bytes);
  const reading = signedPayload(chain, keyPair(50), {
    sequence: 300,
    contentType: 'senml+cbor',
    content: new Uint8Array([0x80]),
  });
  const start = hexOf(`d284 5831 a40127 031870 045820${key} 3a00011170 19012c a0 41 80 5840`);
  assert.ok(toHex(reading.bytes).startsWith(start));
  assert.ok(guide.includes('3a 00 01 11 70 19 01 2c') && guide.includes('58 31'));
  assert.ok(toHex(reading.signedBytes).startsWith(hexOf('846a 5369676e617475726531 5831')));
  const lamp = keyPair(51).address;
  const command = signedPayload(chain, keyPair(50), {
    sequence: 1,
    device: lamp,
    contentType: 'command',
    content: encodeCommand({ device: lamp, action: { kind: 'on' }, notAfter: millis(1) }),
  });
  const media = Buffer.from('application/vnd.itc.command').toString('hex');
  const head = hexOf(`a5012703781b${media}045820${key}3a00011170013a000111715820${toHex(lamp)}`);
  assert.ok(toHex(command.bytes).includes(head));
  assert.ok(fromHex(head).ok);
});
