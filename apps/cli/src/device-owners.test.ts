import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alice, bob, carol, DeviceWorld, maker } from '@itc/core/testing/device-world.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Person } from '@itc/core/testing/state-world.js';
import { DeviceOwners } from './device-owners.ts';

test('EDGE-8.6: who owns a device is known from the blocks as from a walk over all devices', () => {
  const w = new DeviceWorld({ lamps: 3, owned: 1 });
  const owners = new DeviceOwners(w.state);
  const send = (who: Person, body: Body): void => owners.apply(w.block(w.transaction(who, body)).events);
  const told = (): boolean[] => [alice, bob, carol, maker].map(({ address }) => owners.owns(address));
  const walked = (): boolean[] => {
    const afresh = new DeviceOwners(w.state);
    return [alice, bob, carol, maker].map(({ address }) => afresh.owns(address));
  };
  assert.deepEqual(told(), [true, false, false, false]);
  send(bob, w.claimOf(1, bob));
  send(alice, w.offer(carol));
  send(carol, w.acceptance());
  assert.deepEqual(told(), [false, true, true, false]);
  send(carol, w.mark('retired'));
  send(bob, w.setRecovery(10_000, 1));
  send(carol, w.recovery(carol, 1));
  w.later += 20_000;
  send(carol, w.mark('recovered', 1));
  assert.deepEqual(told(), [false, false, true, false]);
  assert.deepEqual(told(), walked());
});
