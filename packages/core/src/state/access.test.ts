import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupId, type Scope } from '../ledger/bodies/access.ts';
import type { Body } from '../ledger/body.ts';
import { millis } from '../ledger/ids.ts';
import { ACTIONS, type Terms } from '../ledger/terms.ts';
import { alice, bob, carol, dave, DeviceWorld, mallory, maker } from '../testing/device-world.ts';
import { person, type Person } from '../testing/state-world.ts';
import { termsIn } from './access-chain.ts';
import { accessOf, findAccess, pathOf } from './find-access.ts';
import { STATE_LIMITS } from './limits.ts';

/** By which ways a subject may command a lamp now: who delegated in each. */
function ways(w: DeviceWorld, who: Person, index = 0): string[] {
  const names = new Map(
    [alice, bob, carol, dave, mallory].map(({ name, address }) => [address.join(), name]),
  );
  return [...accessOf(w.state.records, w.lamp(index).address, who.address)].map((found) => {
    const by = pathOf(found).granters.map((granter) => names.get(granter.join()) ?? '?');
    return [found.group === undefined ? 'device' : 'group', ...by].join(' ');
  });
}

const home = (w: DeviceWorld, ...indices: readonly number[]): Body => ({
  kind: 'set-group',
  name: 'home',
  group: { place: true, devices: w.lampsOf(...indices) },
});
const HOME = groupId(alice.address, 'home');
const homeScope: Scope = { kind: 'group', owner: alice.address, group: HOME };
const groupGrant = (w: DeviceWorld, to: Person, changes: Partial<Terms> = {}): Body => ({
  kind: 'grant-group',
  group: HOME,
  subject: to.address,
  ...w.terms(changes),
});

test('STATE-17.3: a grant is the same while it is replaced, and another one once it was revoked', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.grant(bob));
  const first = w.state.grant(w.lamp().address, bob.address);
  w.accept(alice, w.grant(bob, { levelMax: 7 }));
  const replaced = w.state.grant(w.lamp().address, bob.address);
  assert.deepEqual([replaced?.serial, replaced?.levelMax], [first?.serial, 7]);
  w.accept(alice, w.revoke(bob));
  w.accept(alice, w.grant(bob));
  assert.notEqual(w.state.grant(w.lamp().address, bob.address)?.serial, first?.serial);
});

test('STATE-17.3: an earlier owner tidies up his own grants and nobody else’s', () => {
  const w = new DeviceWorld({ depositPerByte: 1000n });
  w.accept(alice, w.grant(carol));
  w.sell(alice, bob);
  w.accept(bob, w.grant(dave));
  const before = w.balance(alice);
  assert.equal(w.send(alice, w.revoke(dave)), 'device.not-owner');
  assert.equal(w.send(alice, w.revoke(carol)), 'ok');
  assert.ok(w.balance(alice) > before, 'the deposit is back');
});

test('STATE-17.4: a group holds devices its owner owns; set again it is replaced, without devices named it is gone', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(mallory, home(w, 0)), 'device.not-owner');
  assert.equal(w.send(alice, { kind: 'set-group', name: '' }), 'group.malformed');
  assert.equal(w.send(alice, { kind: 'set-group', name: 'home' }), 'group.unknown');
  w.accept(alice, home(w));
  w.accept(alice, home(w, 0, 1));
  w.accept(alice, groupGrant(w, bob));
  assert.deepEqual(
    [0, 1, 2].map((i) => ways(w, bob, i)),
    [['group'], ['group'], []],
  );
  w.accept(alice, home(w, 1, 2));
  assert.deepEqual(
    [0, 1, 2].map((i) => ways(w, bob, i)),
    [[], ['group'], ['group']],
  );
  w.accept(alice, { kind: 'set-group', name: 'home' });
  assert.deepEqual(
    [0, 1, 2].map((i) => ways(w, bob, i)),
    [[], [], []],
  );
  assert.equal(w.state.count('group'), 0);
});

test('STATE-17.4: an owner has a bounded number of groups', () => {
  const w = new DeviceWorld();
  const set = (name: string): string =>
    w.send(alice, { kind: 'set-group', name, group: { place: false, devices: [] } });
  for (let i = 0; i < STATE_LIMITS.groupsMax; i += 1) assert.equal(set(`g${i}`), 'ok');
  assert.equal(set('one more'), 'group.full');
  assert.equal(set('g0'), 'ok');
  assert.equal(w.send(alice, { kind: 'set-group', name: 'g0' }), 'ok');
  assert.equal(set('one more'), 'ok');
});

test('STATE-17.4: attack: a device that was sold stays in no group of its old owner, also when it comes back', () => {
  const w = new DeviceWorld();
  w.accept(alice, home(w, 0, 1));
  w.accept(alice, groupGrant(w, bob));
  w.sell(alice, carol);
  assert.deepEqual(ways(w, bob), []);
  w.sell(carol, alice);
  assert.deepEqual(ways(w, bob), []);
  w.accept(alice, home(w, 0, 1));
  assert.deepEqual(ways(w, bob), ['group']);
});

test('STATE-17.5: only the owner of a group grants for it; a group made anew has none of the grants of the old one', () => {
  const w = new DeviceWorld();
  w.accept(alice, home(w, 0));
  assert.equal(w.send(mallory, groupGrant(w, bob)), 'group.unknown');
  assert.equal(w.send(alice, groupGrant(w, alice)), 'grant.malformed');
  w.accept(alice, groupGrant(w, bob));
  w.accept(alice, { kind: 'set-group', name: 'home' });
  w.accept(alice, home(w, 0));
  assert.deepEqual(ways(w, bob), []);
  w.accept(alice, groupGrant(w, bob));
  assert.deepEqual(ways(w, bob), ['group']);
});

test('STATE-17.5: what was granted for a group is taken back by its owner, also when the group is gone', () => {
  const w = new DeviceWorld();
  w.accept(alice, home(w, 0));
  w.accept(alice, groupGrant(w, bob));
  const revoke: Body = { kind: 'revoke-access', scope: homeScope, subject: bob.address };
  assert.equal(w.send(mallory, revoke), 'device.not-owner');
  const own: Body = { ...revoke, scope: { ...homeScope, owner: mallory.address } as Scope };
  assert.equal(w.send(mallory, own), 'device.not-owner');
  w.accept(alice, { kind: 'set-group', name: 'home' });
  assert.equal(w.send(alice, revoke), 'ok');
  assert.equal(w.send(alice, revoke), 'grant.unknown');
  const device: Body = { ...revoke, scope: w.scope() };
  assert.equal(w.send(alice, device), 'grant.malformed');
});

test('STATE-17.6: whoever holds a grant passes on a part of it, as far as the grant lets', () => {
  const w = new DeviceWorld();
  assert.equal(w.send(bob, w.delegation(carol)), 'grant.unknown');
  w.accept(alice, w.grant(bob));
  assert.equal(w.send(bob, w.delegation(carol)), 'grant.wider');
  w.accept(alice, w.grant(bob, { delegable: 2 }));
  assert.equal(w.send(bob, w.delegation(bob)), 'grant.malformed');
  assert.equal(w.send(bob, w.delegation(alice)), 'grant.malformed');
  assert.equal(w.send(bob, w.delegation(carol, { levelMax: 101 })), 'grant.wider');
  assert.equal(w.send(bob, w.delegation(carol, { actions: ACTIONS.onOff | ACTIONS.read })), 'grant.wider');
  assert.equal(w.send(bob, w.delegation(carol, { delegable: 2 })), 'grant.wider');
  assert.equal(w.send(bob, w.delegation(carol, { expiresAt: millis(w.now - 1000) })), 'grant.malformed');
  w.accept(bob, w.delegation(carol, { levelMax: 50, delegable: 1 }));
  assert.equal(w.send(carol, w.delegation(dave)), 'grant.unknown', 'the owner granted carol nothing');
  w.accept(carol, w.delegation(dave, { levelMax: 20 }, bob));
  assert.equal(w.send(dave, w.delegation(mallory, { levelMax: 20 }, carol)), 'grant.wider');
  assert.deepEqual(ways(w, dave), ['device bob carol']);
});

test('STATE-17.6: attack: delegating what somebody else holds, or a device as if it were one’s own group', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.grant(bob, { delegable: 3 }));
  w.accept(bob, w.delegation(carol, { delegable: 1 }));
  assert.equal(w.send(mallory, w.delegation(dave)), 'grant.unknown');
  assert.equal(w.send(mallory, w.delegation(dave, {}, bob)), 'grant.unknown');
  assert.equal(w.send(mallory, w.delegation(dave, {}, alice)), 'grant.unknown');
  const asGroup: Scope = { kind: 'group', owner: mallory.address, group: w.lamp().address as never };
  assert.equal(w.send(mallory, w.delegation(dave, {}, undefined, asGroup)), 'group.unknown');
  assert.equal(w.send(mallory, w.undelegate(carol, bob, asGroup)), 'device.not-owner');
  const revoke: Body = { kind: 'revoke-access', scope: asGroup, subject: bob.address };
  assert.equal(w.send(mallory, revoke), 'device.not-owner');
  assert.deepEqual(ways(w, carol), ['device bob']);
});

test('STATE-17.6: a subject holds a bounded number of delegations', () => {
  const w = new DeviceWorld({ lamps: 1 });
  const many = Array.from({ length: STATE_LIMITS.delegationsToMax + 1 }, (_, i) => person(`helper ${i}`));
  for (const helper of many) {
    w.accept(alice, { kind: 'transfer', to: helper.address, amount: 1_000_000n as never });
    w.accept(alice, w.grant(helper, { delegable: 1 }));
  }
  const codes = many.map((helper) => w.send(helper, w.delegation(bob, { levelMax: 1 })));
  assert.deepEqual(codes, [...Array<string>(STATE_LIMITS.delegationsToMax).fill('ok'), 'grant.full']);
  assert.equal(ways(w, bob).length, STATE_LIMITS.delegationsToMax);
});

test('STATE-17.7: revoking a link kills what hangs below it, and granting anew brings nothing back', () => {
  const w = new DeviceWorld();
  const chain = (): string[] => ways(w, dave);
  w.accept(alice, w.grant(bob, { delegable: 3 }));
  w.accept(bob, w.delegation(carol, { delegable: 1 }));
  w.accept(carol, w.delegation(dave, {}, bob));
  assert.deepEqual(chain(), ['device bob carol']);
  w.accept(alice, w.revoke(bob));
  assert.deepEqual(chain(), []);
  assert.deepEqual(ways(w, carol), []);
  w.accept(alice, w.grant(bob, { delegable: 3 }));
  assert.deepEqual(chain(), []);
  w.accept(bob, w.delegation(carol, { delegable: 1 }));
  assert.deepEqual(ways(w, carol), ['device bob']);
  assert.deepEqual(chain(), [], 'carol’s delegation hung below another one');
});

test('STATE-17.7: a link that is narrowed narrows what hangs below it; one that may not be passed on any more cuts it off', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.grant(bob, { delegable: 1 }));
  w.accept(bob, w.delegation(carol, { levelMax: 90 }));
  w.accept(alice, w.grant(bob, { levelMax: 10, delegable: 1 }));
  const found = findAccess(w.state.records, {
    device: w.lamp().address,
    subject: carol.address,
    allows: () => true,
  });
  assert.ok(found);
  assert.equal(Math.min(...[...termsIn(found)].map(({ levelMax }) => levelMax)), 10);
  w.accept(alice, w.grant(bob));
  assert.deepEqual(ways(w, carol), []);
});

test('STATE-17.7: attack: a chain that goes round in a circle, or past a sale, leads nowhere', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.grant(bob, { delegable: 3 }));
  w.accept(bob, w.delegation(carol, { delegable: 2 }));
  w.accept(carol, w.delegation(bob, { delegable: 1 }, bob));
  assert.deepEqual(ways(w, bob), ['device', 'device bob carol']);
  w.accept(alice, w.revoke(bob));
  assert.deepEqual(ways(w, bob), []);
  w.accept(alice, w.grant(bob, { delegable: 3 }));
  w.accept(bob, w.delegation(carol));
  w.sell(alice, dave);
  assert.deepEqual([ways(w, bob), ways(w, carol)], [[], []]);
});

test('STATE-17.8: a delegation is taken back by who gave it and by the owner; by nobody else', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.grant(bob, { delegable: 1 }));
  for (const who of [alice, bob]) {
    w.accept(bob, w.delegation(carol));
    for (const other of [mallory, carol, maker])
      assert.equal(w.send(other, w.undelegate(carol, bob)), 'device.not-owner');
    assert.equal(w.send(who, w.undelegate(carol, bob)), 'ok');
    assert.equal(w.send(who, w.undelegate(carol, bob)), 'grant.unknown');
    assert.deepEqual(ways(w, carol), []);
  }
});

test('STATE-17.8: a delegation ends with its time; its deposit goes back to who gave it', () => {
  const w = new DeviceWorld({ depositPerByte: 1000n });
  w.accept(alice, w.grant(bob, { delegable: 1 }));
  w.accept(bob, w.delegation(carol, { expiresAt: millis(w.now + 5000) }));
  const before = w.balance(bob);
  w.wait(10_000);
  w.block();
  assert.equal(w.state.count('delegation'), 0);
  assert.ok(w.balance(bob) > before);
});

test('STATE-17.7: a subject who may in several ways is shown the one that allows what is wanted', () => {
  const w = new DeviceWorld();
  w.accept(alice, home(w, 0));
  w.accept(alice, w.grant(bob, { levelMax: 10 }));
  w.accept(alice, groupGrant(w, bob, { levelMax: 90 }));
  const find = (level: number): string | undefined => {
    const found = findAccess(w.state.records, {
      device: w.lamp().address,
      subject: bob.address,
      allows: ({ levelMax }) => level <= levelMax,
    });
    return found && (found.group === undefined ? 'device' : 'group');
  };
  assert.deepEqual([find(5), find(50), find(200)], ['device', 'group', 'device']);
});

test('STATE-17.9: a theft freezes devices, not what is written about them; grants may be made ready and taken back', () => {
  const w = new DeviceWorld();
  w.accept(alice, w.mark('stolen'));
  w.accept(alice, w.grant(bob, { delegable: 1 }));
  w.accept(bob, w.delegation(carol));
  w.accept(alice, w.undelegate(carol, bob));
  w.accept(alice, w.revoke(bob));
});
