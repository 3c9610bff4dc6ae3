import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { hashTagged } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import type { Outcome } from '@itc/core/ledger/command.js';
import { millis } from '@itc/core/ledger/ids.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import {
  command,
  guest,
  lampKey,
  newFlash,
  openGateway,
  owner,
  type TestGateway,
} from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';

const RENTAL = hashTagged('rental');
const DONE: Outcome = { kind: 'done' };
const NOT_BEGUN: Outcome = { kind: 'refused', reason: 'not-begun' };
const device = formatAddress(lampKey.address);

/** A gateway whose guest rents the lamp. */
async function rented(lasts = 3_600_000): Promise<TestGateway> {
  const t = await openGateway();
  t.ledger.grant(lampKey, guest, {
    rental: RENTAL,
    notBefore: millis(t.ledger.time - 1000),
    expiresAt: millis(t.ledger.time + lasts),
  });
  t.ledger.rental(lampKey, { id: RENTAL });
  t.ledger.block();
  return t;
}

async function asked(
  t: TestGateway,
  kind: 'begin' | 'end' | 'on' | 'off',
  by = guest,
): Promise<Outcome | undefined> {
  const submitted = await t.gateway.submitCommand(command(t, by, { kind }).bytes);
  assert.ok(submitted.ok);
  const { id } = submitted.value;
  await until(() => t.gateway.command(id)?.outcome !== undefined, `an answer to ${kind}`);
  return t.gateway.command(id)?.outcome;
}

/** Blocks until the chain's time has passed a moment, which a lamp's own clock may have reached already. */
function pass(t: TestGateway, moment: number): void {
  while (t.ledger.time <= moment) t.ledger.block();
}

const said = (t: TestGateway): readonly string[] =>
  t.gateway.rentalWords(device).map(({ event, uses }) => `${event} ${uses}`);

test('EDGE-13.1: a renter’s lamp obeys from begin to end, and signs both for the chain', async () => {
  await using t = await rented();
  const lamp = await t.lamp();
  await until(() => lamp.connected, 'the lamp');
  assert.deepEqual(await asked(t, 'on'), NOT_BEGUN);
  assert.equal(lamp.state.on, false);
  assert.deepEqual(await asked(t, 'begin'), DONE);
  assert.deepEqual(await asked(t, 'on'), DONE);
  await until(() => said(t).length === 2, 'start and use');
  assert.deepEqual(await asked(t, 'end'), DONE);
  assert.equal(lamp.state.on, false, 'nobody pays for the light any more');
  await until(() => said(t).length === 3, 'the stop');
  assert.deepEqual(said(t), ['started 0', 'used 1', 'stopped 1']);
  assert.deepEqual(await asked(t, 'on'), NOT_BEGUN);
  assert.deepEqual(await asked(t, 'on', owner), DONE);
  for (const word of t.gateway.rentalWords(device)) {
    const payload = parsePayload(t.ledger.chain, word.bytes);
    assert.ok(payload.ok);
    assert.equal(toHex(payload.value.device), toHex(lampKey.address));
    assert.deepEqual(word.rental, RENTAL);
  }
});

test('EDGE-13.4: a lamp that lost power in between says again that it began, and serves on', async () => {
  await using t = await rented();
  const flash = newFlash();
  const first = await t.lamp({ flash });
  await until(() => first.connected, 'the lamp');
  assert.deepEqual(await asked(t, 'begin'), DONE);
  await until(() => said(t).length === 1, 'the start');
  const [before] = t.gateway.rentalWords(device);
  await first.stop();
  const second = await t.lamp({ flash });
  await until(() => second.connected, 'the lamp again');
  await until(() => t.gateway.rentalWords(device)[0] !== before, 'the start again');
  const [again] = t.gateway.rentalWords(device);
  assert.equal(again?.at, before?.at, 'of the same moment');
  assert.deepEqual(await asked(t, 'on'), DONE);
});

test('EDGE-13.3: when the time is over the lamp says the stop by itself', async () => {
  await using t = await rented(30_000);
  const end = t.ledger.time + 30_000;
  const lamp = await t.lamp();
  await until(() => lamp.connected, 'the lamp');
  assert.deepEqual(await asked(t, 'begin'), DONE);
  pass(t, end);
  await until(() => said(t).includes('stopped 0'), 'the stop');
  assert.deepEqual((await asked(t, 'on'))?.kind, 'refused');
});

test('EDGE-13.6: a lamp learns from the ledger that its renter gave it back, and stops then, not when his time is over', async () => {
  await using t = await rented();
  const lamp = await t.lamp();
  await until(() => lamp.connected, 'the lamp');
  assert.deepEqual(await asked(t, 'begin'), DONE);
  assert.deepEqual(await asked(t, 'on'), DONE);
  await until(() => said(t).length === 2, 'start and use');
  const startedAt = t.gateway.rentalWords(device)[0]?.at ?? millis(0);
  const end = millis(startedAt + 2_500);
  t.ledger.rental(lampKey, { id: RENTAL, running: { startedAt, end, uses: 1, counter: 2 } });
  t.ledger.block();
  assert.deepEqual(said(t), ['started 0', 'used 1'], 'it is not over yet');
  pass(t, end);
  await until(() => said(t).includes('stopped 1'), 'the stop');
  assert.equal(t.gateway.rentalWords(device).at(-1)?.at, end);
  assert.deepEqual((await asked(t, 'off'))?.kind, 'refused');
});

test('EDGE-13.6: a lamp that was away when its rental was settled says so when it is back, and serves the owner', async () => {
  await using t = await rented();
  const flash = newFlash();
  const first = await t.lamp({ flash });
  await until(() => first.connected, 'the lamp');
  assert.deepEqual(await asked(t, 'begin'), DONE);
  await first.stop();
  t.ledger.rental(lampKey, undefined);
  t.ledger.grant(lampKey, guest, undefined);
  t.ledger.block();
  const back = await t.lamp({ flash });
  await until(() => said(t).includes('stopped 0'), 'the stop');
  assert.deepEqual(await asked(t, 'begin'), { kind: 'refused', reason: 'not-granted' });
  assert.deepEqual(await asked(t, 'on', owner), DONE);
  assert.equal(back.state.on, true);
});
