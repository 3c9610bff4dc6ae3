import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '../crypto/hash.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  compareVersions,
  formatVersion,
  parseVersion,
  rolloutPlace,
  type Version,
} from '../ledger/firmware.ts';
import { millis } from '../ledger/ids.ts';
import {
  BOARD,
  FirmwareWorld,
  maker,
  MODEL,
  releasers,
  role,
  roots,
  version,
  mallory,
} from '../testing/firmware.ts';
import { person, type Person } from '../testing/state-world.ts';
import { decideFirmware, type FirmwareDecision, type InstalledFirmware } from './firmware-decision.ts';

const device = person('a device').address;

const installedAt = (changes: Partial<InstalledFirmware> = {}): InstalledFirmware => ({
  device,
  model: MODEL,
  board: BOARD,
  version: version(0, 1),
  counter: 0,
  others: [],
  ...changes,
});

function decide(
  w: FirmwareWorld,
  o: Partial<InstalledFirmware> & { now?: number; releases?: ReturnType<FirmwareWorld['releases']> } = {},
): FirmwareDecision {
  const { now = w.now, releases = w.releases(), ...installed } = o;
  return decideFirmware({
    channel: w.channel,
    head: w.record(),
    releases,
    installed: installedAt(installed),
    now: millis(now),
  });
}

function said(decision: FirmwareDecision): string {
  return decision.kind === 'install' ? `install ${decision.number}` : decision.reason;
}

test('STATE-23.8: a device installs the newest release it may, or says why none', () => {
  const w = FirmwareWorld.opened();
  assert.equal(said(decide(w)), 'up-to-date');
  w.accept(maker, w.release({ by: releasers.slice(0, 1) }));
  assert.equal(said(decide(w)), 'unapproved');
  w.accept(maker, w.approve(1, releasers.slice(1, 2)));
  assert.equal(said(decide(w)), 'not-in-share');
  w.accept(maker, w.rollOut(1, { share: 10_000 }));
  assert.equal(said(decide(w)), 'install 1');
  assert.equal(said(decide(w, { version: version(1, 1) })), 'up-to-date');
  w.accept(maker, w.rollOut(1, { halted: true }));
  assert.equal(said(decide(w)), 'halted');
  w.accept(maker, w.release());
  assert.equal(said(decide(w)), 'not-in-share', 'of the newest one');
});

test('STATE-23.8: a device goes down to an older release when the newest is not for it', () => {
  const w = FirmwareWorld.opened();
  w.published();
  w.accept(maker, w.release());
  assert.equal(said(decide(w)), 'install 1', 'the newest is not rolled out');
  w.accept(maker, w.rollOut(2, { share: 10_000, halted: true }));
  assert.equal(said(decide(w)), 'install 1', 'the newest is halted');
  w.published({ minimum: version(1, 1) });
  assert.equal(said(decide(w)), 'install 1', 'the newest needs that one first');
  assert.equal(said(decide(w, { version: version(1, 1) })), 'install 3');
});

test('STATE-23.8: another board or model, a version too old, a product line that is missing', () => {
  const w = FirmwareWorld.opened();
  const radio = sha256(utf8Encode('radio'));
  w.published({ minimum: version(0, 5), dependencies: [{ channel: radio, minimum: version(2) }] });
  assert.equal(said(decide(w, { board: 'lamp-b1' })), 'wrong-board');
  assert.equal(said(decide(w, { model: radio })), 'wrong-board');
  assert.equal(said(decide(w)), 'too-old-to-update');
  const newer = version(0, 5);
  assert.equal(said(decide(w, { version: newer })), 'dependency');
  assert.equal(
    said(decide(w, { version: newer, others: [{ channel: radio, version: version(1, 9) }] })),
    'dependency',
  );
  assert.equal(
    said(decide(w, { version: newer, others: [{ channel: radio, version: version(2) }] })),
    'install 1',
  );
});

test('STATE-23.9: rollback: nothing below its own security counter or version is installed', () => {
  const w = FirmwareWorld.opened();
  w.published({ version: version(2), counter: 3 });
  assert.equal(said(decide(w, { version: version(1), counter: 4 })), 'rollback');
  assert.equal(said(decide(w, { version: version(1), counter: 3 })), 'install 1');
  assert.equal(said(decide(w, { version: version(3), counter: 0 })), 'up-to-date');
});

test('STATE-23.9: whatever is released in whatever order, the counter of a device never falls and its version only grows', () => {
  const event = fc.record({
    version: fc.record({ major: fc.nat(2), minor: fc.nat(3), patch: fc.nat(2) }),
    counter: fc.nat(4),
    share: fc.constantFrom(0, 10_000),
    halted: fc.boolean(),
    keys: fc.integer({ min: 1, max: 2 }),
    number: fc.nat(5),
    rotates: fc.boolean(),
  });
  const others = ['t0', 't1', 't2'].map(person);
  fc.assert(
    fc.property(fc.array(event, { maxLength: 14 }), (events) => {
      const w = FirmwareWorld.opened();
      let running: { version: Version; counter: number } = { version: version(0), counter: 0 };
      let by: readonly Person[] = releasers;
      for (const { keys, share, halted, number, rotates, ...form } of events) {
        if (rotates) {
          by = by === releasers ? others : releasers;
          w.accept(maker, w.rotate({ release: role(by) }));
        }
        w.send(maker, w.release({ ...form, by: by.slice(0, keys) }));
        const at = Math.max(1, w.record().newest - number);
        if (w.releaseAt(at) !== undefined) {
          w.send(maker, w.approve(at, by.slice(0, keys)));
          w.send(maker, w.rollOut(at, { share, halted, by: by.slice(0, 2) }));
        }
        const decision = decide(w, running);
        if (decision.kind !== 'install') continue;
        const next = decision.release.form;
        assert.ok(next.counter >= running.counter);
        assert.ok(compareVersions(next.version, running.version) > 0);
        running = next;
      }
    }),
    { numRuns: 60 },
  );
});

test('STATE-23.6: frozen old metadata: from the expiry on a device installs nothing', () => {
  const w = FirmwareWorld.opened();
  w.published();
  const { expiresAt } = w.record().form;
  assert.equal(said(decide(w, { now: expiresAt - 1 })), 'install 1');
  assert.equal(said(decide(w, { now: expiresAt })), 'expired');
});

test('STATE-23.2: a release approved by rotated-out keys is installed by nobody', () => {
  const w = FirmwareWorld.opened();
  w.published();
  const strangers = ['s0', 's1'].map(person);
  w.accept(maker, w.rotate({ release: role(strangers) }));
  assert.equal(said(decide(w)), 'unapproved');
  w.accept(maker, w.approve(1, strangers));
  w.accept(maker, w.rollOut(1, { share: 10_000, by: strangers }));
  assert.equal(said(decide(w)), 'install 1');
  assert.equal(roots.length, 3);
});

test('STATE-23.8: releases that are left out or mixed up are noticed (mix and match)', () => {
  const w = FirmwareWorld.opened();
  w.published();
  w.published();
  w.published();
  const [third, second, first] = w.releases();
  assert.ok(third && second && first);
  assert.equal(said(decide(w, { releases: [second, first] })), 'incomplete', 'the newest is hidden');
  assert.equal(said(decide(w, { releases: [third] })), 'install 3');
  w.accept(maker, w.rollOut(3, { halted: true }));
  const [halted] = w.releases();
  assert.ok(halted);
  assert.equal(said(decide(w, { releases: [halted, first] })), 'incomplete');
  assert.equal(said(decide(w, { releases: [halted] })), 'incomplete');
  assert.equal(said(decide(w, { releases: [halted, second] })), 'install 2');
});

test('STATE-23.10: who is in at a share stays in when it grows, and at all of it everybody is in', () => {
  const address = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(address, fc.nat(2 ** 40), fc.array(fc.nat(10_000), { maxLength: 8 }), (bytes, at, shares) => {
      const w = {
        device: person(String(bytes)).address,
        channel: sha256(bytes),
        number: 3,
        approvedAt: millis(at),
      };
      const place = rolloutPlace(w);
      assert.ok(place >= 0 && place < 10_000);
      let wasIn = false;
      for (const share of [...shares.toSorted((a, b) => a - b), 10_000]) {
        assert.ok(!wasIn || place < share);
        wasIn = place < share;
      }
      assert.ok(wasIn);
    }),
    { numRuns: 60 },
  );
});

test('STATE-23.10: places are spread evenly: a tenth of the share is a tenth of the devices', () => {
  const channel = sha256(utf8Encode('c'));
  let within = 0;
  for (let i = 0; i < 4000; i += 1) {
    const place = rolloutPlace({
      device: person(`d${i}`).address,
      channel,
      number: 1,
      approvedAt: millis(77),
    });
    if (place < 1000) within += 1;
  }
  assert.ok(Math.abs(within - 400) < 80, String(within));
});

test('STATE-23.10: a device address chosen to be first in one release is anywhere in the next, and moves with the approval', () => {
  const channel = sha256(utf8Encode('c'));
  const placeOf = (who: ReturnType<typeof person>, number: number, at: number): number =>
    rolloutPlace({ device: who.address, channel, number, approvedAt: millis(at) });
  // Whoever knew the moment of approval could look for such keys; it is known when the block is there.
  const chosen = Array.from({ length: 3000 }, (_, i) => person(`k${i}`)).filter(
    (who) => placeOf(who, 1, 5) < 100,
  );
  assert.ok(chosen.length > 10);
  for (const [number, at] of [
    [2, 5],
    [1, 6],
  ] as const) {
    const first = chosen.filter((who) => placeOf(who, number, at) < 100);
    assert.ok(first.length < chosen.length / 4, `${first.length} of ${chosen.length}`);
  }
});

test('STATE-23.4: versions are three numbers, ordered from the left, and have one text', () => {
  assert.deepEqual(parseVersion('1.4.70000'), version(1, 4, 70_000));
  for (const wrong of ['1.4', '1.4.0.0', '1.4.x', '70000.0.0', '-1.0.0', '1.0.99999999999'])
    assert.equal(parseVersion(wrong), undefined);
  assert.equal(formatVersion(version(1, 4, 2)), '1.4.2');
  assert.ok(compareVersions(version(1, 10), version(1, 9, 9)) > 0);
  assert.ok(compareVersions(version(2), version(1, 65_535, 9)) > 0);
  assert.ok(compareVersions(version(1, 1, 1), version(1, 1, 2)) < 0);
  assert.equal(mallory.name, 'mallory');
});
