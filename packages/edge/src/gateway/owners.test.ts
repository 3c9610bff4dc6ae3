import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import { ACTIONS } from '@itc/core/ledger/terms.js';
import { keyPair, type KeyPair } from '@itc/core/testing/keys.js';
import { guest, lampKey, openGateway, owner, stranger, type TestGateway } from '../testing/gateway.ts';
import type { DeviceRecord } from '../ports.ts';
import { ownMoments, presentOf, visibleTo, withOwner, type OwnerSpan } from './owners.ts';

const [a, b, c] = [1, 2, 3].map((n) => keyPair(n)) as [KeyPair, KeyPair, KeyPair];
const record = (who: KeyPair, transfers: number, since: number): DeviceRecord => ({
  owner: who.address,
  transfers,
  ownedSince: millis(since),
  state: 'owned',
});

/** a until 100, b until 200, then c. */
function spans(): readonly OwnerSpan[] {
  return [record(a, 0, 50), record(b, 1, 100), record(c, 2, 200)].reduce<readonly OwnerSpan[]>(withOwner, []);
}

const moments = (visible: ((time: number) => boolean) | undefined): number[] =>
  [10, 50, 99, 100, 199, 200, 300].filter((time) => visible?.(time) === true);

test('EDGE-7.3: each owner has the readings of their own time, the first one also what was said before', () => {
  assert.deepEqual(moments(ownMoments(spans(), a.address)), [10, 50, 99]);
  assert.deepEqual(moments(ownMoments(spans(), b.address)), [100, 199]);
  assert.deepEqual(moments(ownMoments(spans(), c.address)), [200, 300]);
  assert.deepEqual(moments(ownMoments(spans(), stranger.address)), []);
  assert.deepEqual(moments(presentOf(spans())), [200, 300]);
});

test('EDGE-7.3: where owners in between are not known, their readings are nobody’s', () => {
  const known = withOwner(withOwner([], record(a, 0, 50)), record(c, 2, 200));
  assert.deepEqual(moments(ownMoments(known, a.address)), []);
  assert.deepEqual(moments(ownMoments(known, c.address)), [200, 300]);
});

test('EDGE-7.3: an owner who comes back has both times; the same record changes nothing', () => {
  const back = withOwner(withOwner(withOwner([], record(a, 0, 50)), record(b, 1, 100)), record(a, 2, 200));
  assert.deepEqual(moments(ownMoments(back, a.address)), [10, 50, 99, 200, 300]);
  assert.equal(withOwner(back, record(a, 2, 200)), back);
});

test('EDGE-7.3: a grant to read opens the present owner’s time, and no other', () => {
  const now = record(c, 2, 200);
  const see = (caller: KeyPair | undefined, mayRead: boolean, isSignedOnly = false): number[] =>
    moments(visibleTo(now, spans(), { ...(caller && { caller: caller.address }), mayRead }, isSignedOnly));
  assert.deepEqual(see(stranger, true), [200, 300]);
  assert.deepEqual(see(stranger, false), []);
  assert.deepEqual(see(a, true), [10, 50, 99, 200, 300]);
  assert.deepEqual(see(c, true), [200, 300]);
  assert.deepEqual(see(undefined, false), [200, 300]);
  assert.deepEqual(see(undefined, false, true), []);
});

/** Names of the lamp's readings that somebody is shown. */
function shownTo(t: TestGateway, caller?: KeyPair): number {
  const asked = t.gateway.readings({
    device: formatAddress(lampKey.address),
    limit: 100,
    ...(caller && { caller: caller.address }),
  });
  assert.ok(asked.ok, asked.ok ? '' : asked.message);
  return asked.value.length;
}

test('EDGE-7.3, EDGE-7.4: attack: the new owner reads the old one’s past, the old one the new one’s present', async () => {
  await using t = await openGateway();
  const lamp = await t.lamp({ reportMs: 60_000 });
  const { until } = await import('../testing/mqtt.ts');
  await until(() => lamp.connected, 'the lamp');
  t.ledger.block();
  await until(() => shownTo(t) > 0, 'a reading of the lamp');
  const before = shownTo(t, owner);
  assert.ok(before > 0);
  for (let i = 0; i < 3; i += 1) t.ledger.block();
  t.ledger.transfer(lampKey, guest);
  t.ledger.block();
  assert.equal(shownTo(t, owner), before, 'his history stays his');
  assert.equal(shownTo(t, guest), 0);
  assert.equal(shownTo(t), 0);
  assert.deepEqual(t.gateway.device(formatAddress(lampKey.address))?.latest, []);
  t.ledger.grant(lampKey, stranger, { actions: ACTIONS.read }, guest);
  assert.equal(shownTo(t, stranger), 0);
});
