/** Lamps of accounts whose keys are in several hands: gateway and lamp together, over real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import type { Cosigner } from '@itc/core/ledger/cosigners.js';
import { millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { keyPair, type KeyPair } from '@itc/core/testing/keys.js';
import { schemeKeyPair } from '@itc/core/testing/schemes.js';
import { sharedCommand, sharesOf, type SharedCommand } from '@itc/core/testing/shared-command.js';
import type { CommandView } from '../gateway/views.ts';
import { EDGE_LIMITS } from '../limits.ts';
import {
  guest,
  lampKey,
  newFlash,
  openGateway,
  owner,
  stranger,
  type TestGateway,
} from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';

const [alice, bob, carol] = [keyPair(40), keyPair(41), keyPair(42)] as [KeyPair, KeyPair, KeyPair];

let sequence = 0;

function wanted(t: TestGateway, by: KeyPair, changes: Partial<SharedCommand> = {}): SharedCommand {
  sequence += 1;
  return {
    chain: t.ledger.chain,
    by,
    account: owner.address,
    device: lampKey.address,
    action: { kind: 'on' },
    sequence,
    notAfter: millis(t.ledger.time + 60_000),
    ...changes,
  };
}

function together(t: TestGateway, by: KeyPair, others: readonly KeyPair[], changes = {}): Uint8Array {
  const place = wanted(t, by, changes);
  return sharedCommand(place, sharesOf(place, others));
}

async function answered(t: TestGateway, bytes: Uint8Array): Promise<CommandView> {
  const submitted = await t.gateway.submitCommand(bytes);
  assert.ok(submitted.ok, submitted.ok ? '' : `${submitted.code}: ${submitted.message}`);
  const { id } = submitted.value;
  await until(() => t.gateway.command(id)?.outcome !== undefined, `an answer to ${id}`);
  return t.gateway.command(id) as CommandView;
}

async function told(t: TestGateway, bytes: Uint8Array): Promise<string> {
  const { outcome } = await answered(t, bytes);
  return outcome?.kind === 'refused' ? outcome.reason : (outcome?.kind ?? 'none');
}

async function codeOf(t: TestGateway, bytes: Uint8Array): Promise<string> {
  const submitted = await t.gateway.submitCommand(bytes);
  return submitted.ok ? 'ok' : submitted.code;
}

test('EDGE-11.13: two of three holders switch the lamp of their account; one alone is told that it takes more', async () => {
  await using t = await openGateway();
  t.ledger.keys(owner.address, keySetOf([alice.key, bob.key, carol.key], 2));
  t.ledger.block();
  const flash = newFlash();
  const lamp = await t.lamp({ flash });
  await until(() => lamp.connected, 'the lamp');
  assert.equal(await told(t, sharedCommand(wanted(t, alice))), 'below-threshold');
  assert.equal(lamp.state.on, false);
  const on = together(t, alice, [carol]);
  const view = await answered(t, on);
  assert.deepEqual([view.outcome, view.state?.on], [{ kind: 'done' }, true]);
  assert.equal(lamp.state.on, true);
  assert.equal(await told(t, together(t, carol, [alice, bob], { action: { kind: 'off' } })), 'done');
  assert.equal(await told(t, together(t, alice, [guest])), 'not-granted');
  assert.equal(lamp.state.on, false);
  // Changed in the ledger: what bob has signed before counts for nothing any more.
  const before = together(t, bob, [carol]);
  t.ledger.keys(owner.address, keySetOf([alice.key, carol.key], 2));
  t.ledger.block();
  assert.equal(await told(t, before), 'not-granted');
  assert.equal(lamp.state.on, false);
  assert.equal(await codeOf(t, on), 'ok', 'the same command again is the same command');
});

test('EDGE-9.5: of a command of several keys the gateway checks every signature, and carries what holds', async () => {
  await using t = await openGateway();
  const place = wanted(t, alice);
  const taken = sharesOf(wanted(t, alice), [bob]);
  assert.equal(await codeOf(t, sharedCommand(place, taken)), 'payload.signature', 'of another command');
  const [share] = sharesOf(place, [bob]) as [Cosigner];
  assert.equal(await codeOf(t, sharedCommand(place, [share, share])), 'payload.malformed');
  assert.equal(await codeOf(t, sharedCommand(place, sharesOf(place, [alice]))), 'payload.malformed');
  const crowd = Array.from({ length: 8 }, (_, i) => keyPair(50 + i));
  assert.equal(await codeOf(t, sharedCommand(place, sharesOf(place, crowd))), 'payload.malformed');
  const good = sharedCommand(place, [share]);
  assert.equal(await codeOf(t, good.with(good.length - 1, (good.at(-1) as number) ^ 1)), 'payload.signature');
  assert.equal(t.subnet.offered.length, 0);
  assert.equal(await codeOf(t, good), 'ok');
  const [offered] = t.subnet.offered;
  assert.deepEqual(offered && toHex(offered.bytes), toHex(good));
  assert.equal(
    await codeOf(t, together(t, alice, [bob], { sequence: place.sequence, action: { kind: 'off' } })),
    'payload.stale',
  );
});

test('EDGE-9.5: of signatures that are dear to check each counts, so what anybody makes a gateway compute is bounded', async () => {
  let calls = 0;
  const verify: SignatureVerifier = () => {
    calls += 1;
    return false;
  };
  const at = Date.now();
  await using t = await openGateway({ verify, clock: () => at });
  const keys = [1, 2, 3].map((seed) => schemeKeyPair(3, seed)) as [KeyPair, KeyPair, KeyPair];
  const place = wanted(t, keys[0], { account: stranger.address });
  const bytes = sharedCommand(place, sharesOf(place, keys.slice(1)));
  assert.ok(bytes.length < LIMITS.payloadBytesMax);
  const codes: string[] = [];
  for (let i = 0; i < 20; i += 1) codes.push(await codeOf(t, bytes));
  const full = Math.floor(EDGE_LIMITS.commandsPerSecondOwner / 3);
  assert.equal(codes.lastIndexOf('payload.signature'), full - 1);
  assert.equal(codes[full], 'pool.full');
  assert.equal(calls, full, 'the sender’s own is looked at first');
});
