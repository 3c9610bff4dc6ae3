import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../crypto/hash.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import type { Body } from '../ledger/body.ts';
import { attestationLeaf, channelSigningBytes } from '../ledger/firmware.ts';
import { millis, SUPPLY } from '../ledger/ids.ts';
import {
  FirmwareWorld,
  maker,
  mallory,
  releasers,
  role,
  roleSignatures,
  roots,
  version,
} from '../testing/firmware.ts';
import { person, sortedMembers, subnetOfGenesis, type Person } from '../testing/state-world.ts';
import { STATE_LIMITS } from './limits.ts';

const [r0, r1, r2] = releasers as [Person, Person, Person];
const strangers = ['s0', 's1', 's2'].map(person);

test('STATE-23.1: a maker opens one channel per model and board, signed by its root role', () => {
  const w = new FirmwareWorld();
  assert.equal(w.send(mallory, w.create()), 'maker.unknown');
  assert.equal(w.send(maker, w.create(w.form(), [])), 'firmware.threshold');
  assert.equal(w.send(maker, w.create(w.form(), roots.slice(0, 1))), 'firmware.threshold');
  assert.equal(w.send(maker, w.create(w.form({ version: 2 }))), 'firmware.version');
  assert.equal(w.send(maker, w.create(w.form({ expiresAt: w.now }))), 'firmware.expired');
  w.accept(maker, w.create());
  assert.equal(w.send(maker, w.create()), 'firmware.exists');
  assert.equal(w.record().form.version, 1);
});

test('STATE-23.1: a signature by a key that is not of the role, or for another channel, is none', () => {
  const w = new FirmwareWorld();
  const form = w.form();
  const body = w.create(form);
  assert.ok(body.kind === 'create-channel');
  const foreign = roleSignatures(
    form.root,
    roots.slice(0, 2),
    channelSigningBytes(w.chain, sha256(utf8Encode('x')), form),
  );
  assert.equal(w.send(maker, { ...body, signatures: foreign }), 'firmware.signature');
  const [first] = body.signatures;
  assert.ok(first);
  assert.equal(
    w.send(maker, { ...body, signatures: [first, { ...first, index: first.index + 1 }] }),
    'firmware.signature',
  );
  assert.equal(w.send(maker, { ...body, signatures: [first, { ...first, index: 7 }] }), 'firmware.signature');
});

test('STATE-23.2: other keys need thresholds of the old and of the new root role, and the next version', () => {
  const w = FirmwareWorld.opened();
  const next = role(strangers);
  const rotate = (o: Parameters<typeof w.rotate>[1]): Body => w.rotate({ root: next }, o);
  assert.equal(
    w.send(maker, rotate({ by: roots.slice(0, 1), accepted: strangers.slice(0, 2) })),
    'firmware.threshold',
  );
  assert.equal(w.send(maker, rotate({ accepted: strangers.slice(0, 1) })), 'firmware.threshold');
  assert.equal(
    w.send(maker, w.rotate({ root: next, version: 3 }, { accepted: strangers.slice(0, 2) })),
    'firmware.version',
  );
  const good = rotate({ accepted: strangers.slice(0, 2) });
  w.accept(mallory, good);
  assert.equal(w.record().form.version, 2);
  assert.equal(w.send(mallory, good), 'firmware.version', 'a replayed rotation');
});

test('STATE-23.2: rotated-out keys sign for nothing any more', () => {
  const w = FirmwareWorld.opened();
  const number = w.published();
  w.accept(
    maker,
    w.rotate({ root: role(strangers), release: role(strangers) }, { accepted: strangers.slice(0, 2) }),
  );
  assert.equal(
    w.send(maker, w.rotate({ root: role(roots) })),
    'firmware.signature',
    'the old root comes back',
  );
  const release = w.release({ by: strangers.slice(0, 2) });
  assert.ok(release.kind === 'release-firmware');
  const old = { ...release, signatures: roleSignatures(role(releasers), [r0, r1], new Uint8Array(1)) };
  assert.equal(w.send(maker, old), 'firmware.signature');
  assert.equal(
    w.send(maker, w.rollOut(number, { share: 10_000, by: strangers.slice(0, 2) })),
    'release.unapproved',
  );
  // What they had approved counts again when the keys of today sign for it; the rollout begins anew.
  w.accept(maker, w.approve(number, strangers.slice(0, 2)));
  assert.deepEqual(w.releaseAt(number)?.rollout, { step: 1, share: 0, halted: false });
  w.accept(maker, w.rollOut(number, { share: 10, by: strangers.slice(0, 2) }));
});

test('STATE-23.2: the same keys for longer: approvals stay', () => {
  const w = FirmwareWorld.opened();
  const number = w.published();
  w.accept(maker, w.rotate({}));
  assert.equal(w.record().form.version, 2);
  assert.equal(w.record().releaseSince, 1);
  assert.equal(w.send(maker, w.approve(number, [r2])), 'release.approved');
});

test('STATE-23.3: a release by too few keys is a proposal: the next one takes its place', () => {
  const w = FirmwareWorld.opened();
  w.accept(maker, w.release({ by: [r0] }));
  assert.equal(w.releaseAt(1)?.approvedAt, 0);
  assert.equal(w.send(maker, w.rollOut(1, { share: 10 })), 'release.unapproved');
  assert.equal(w.send(maker, w.release({ number: 2 })), 'release.number');
  w.accept(maker, w.release({ number: 1, version: version(3), by: [r1] }));
  assert.deepEqual(w.releaseAt(1)?.form.version, version(3));
  assert.equal(w.send(maker, w.release({ by: [] })), 'firmware.threshold');
  assert.equal(w.state.count('release'), 1);
});

test('STATE-23.3: a single key that proposes the highest version and counter there are stops nobody', () => {
  const w = FirmwareWorld.opened();
  w.accept(mallory, w.release({ by: [r0], version: version(65_535, 65_535), counter: 0xffff_ffff }));
  w.accept(maker, w.release({ number: 1 }));
  assert.ok((w.releaseAt(1)?.approvedAt ?? 0) > 0);
  w.accept(maker, w.release({ number: 2 }));
});

test('STATE-23.3: approvals add up until the threshold, each key once', () => {
  const w = FirmwareWorld.opened();
  w.accept(maker, w.release({ by: [r0] }));
  assert.equal(w.send(maker, w.approve(1, [r0])), 'release.approved');
  assert.equal(w.record().counter, 0);
  w.accept(mallory, w.approve(1, [r2]));
  assert.equal(w.releaseAt(1)?.approvedAt, w.now - 1000);
  assert.equal(w.send(maker, w.approve(1, [r1])), 'release.approved');
  assert.equal(
    w.send(maker, { kind: 'approve-release', channel: w.channel, number: 9, signatures: [] }),
    'release.unknown',
  );
});

test('STATE-23.4: versions ascend, and a security counter never falls below one that was approved (rollback)', () => {
  const w = FirmwareWorld.opened();
  w.published({ version: version(2), counter: 5 });
  assert.equal(w.send(maker, w.release({ version: version(2), counter: 5 })), 'release.version');
  assert.equal(w.send(maker, w.release({ version: version(1, 9), counter: 5 })), 'release.version');
  assert.equal(w.send(maker, w.release({ version: version(2, 1), counter: 4 })), 'release.rollback');
  w.published({ version: version(2, 1), counter: 6 });
  // Approved by keys that went, and not approved again: its counter is below what was approved since.
  w.accept(maker, w.rotate({ release: role(strangers) }));
  assert.equal(w.send(maker, w.approve(1, strangers.slice(0, 2))), 'release.rollback');
});

test('STATE-23.4: a release that contradicts itself is refused', () => {
  const w = FirmwareWorld.opened();
  assert.equal(w.send(maker, w.release({ size: 0 })), 'release.malformed');
  assert.equal(w.send(maker, w.release({ size: STATE_LIMITS.firmwareBytesMax + 1 })), 'release.malformed');
  assert.equal(
    w.send(maker, w.release({ version: version(1), minimum: version(1, 1) })),
    'release.malformed',
  );
});

test('STATE-23.5: a rollout goes step by step, never back; one key halts it, the threshold resumes it', () => {
  const w = FirmwareWorld.opened();
  w.accept(maker, w.release());
  const first = w.rollOut(1, { share: 1000 });
  w.accept(maker, first);
  assert.equal(w.send(maker, first), 'rollout.step');
  assert.equal(w.send(maker, w.rollOut(1, { share: 999 })), 'rollout.share');
  assert.equal(w.send(maker, w.rollOut(1, { share: 2000, by: [r0] })), 'firmware.threshold');
  w.accept(mallory, w.rollOut(1, { halted: true, by: [r2] }));
  assert.equal(w.send(maker, w.rollOut(1, { by: [r0] })), 'firmware.threshold');
  assert.equal(w.send(maker, w.rollOut(1, { share: 2000, halted: true, by: [r0] })), 'firmware.threshold');
  w.accept(maker, w.rollOut(1, { share: 2000 }));
  assert.deepEqual(w.releaseAt(1)?.rollout, { step: 3, share: 2000, halted: false });
});

test('STATE-23.5: a step that was signed for one proposal moves no other in its place, nor the same one twice', () => {
  const w = FirmwareWorld.opened();
  const first = w.release({ by: [r0] });
  w.accept(maker, first);
  const rollOut = w.rollOut(1, { share: 10_000 });
  const halt = w.rollOut(1, { halted: true, by: [r0] });
  assert.equal(w.send(mallory, rollOut), 'release.unapproved');
  w.accept(maker, w.release({ version: version(2), image: w.chain }));
  for (const word of [rollOut, halt]) assert.equal(w.send(mallory, word), 'firmware.signature');

  const again = FirmwareWorld.opened();
  const proposal = again.release({ by: [r0] });
  again.accept(maker, proposal);
  const halted = again.rollOut(1, { halted: true, by: [r0] });
  again.accept(maker, halted);
  again.accept(maker, proposal);
  assert.deepEqual(again.releaseAt(1)?.rollout, { step: 1, share: 0, halted: false });
  assert.equal(again.send(mallory, halted), 'rollout.step');
});

test('STATE-23.5: an old step that was signed once cannot undo a halt', () => {
  const w = FirmwareWorld.opened();
  w.accept(maker, w.release());
  const resume = w.rollOut(1, { share: 5000 });
  w.accept(maker, resume);
  w.accept(maker, w.rollOut(1, { halted: true, by: [r0] }));
  assert.equal(w.send(mallory, resume), 'rollout.step');
  assert.equal(w.releaseAt(1)?.rollout.halted, true);
});

test('STATE-23.6: expired keys release, approve and roll out nothing; they still halt, and the root signs again', () => {
  const w = FirmwareWorld.opened();
  const number = w.published();
  w.later += 31_536_000_000;
  assert.equal(w.send(maker, w.release()), 'firmware.expired');
  assert.equal(w.send(maker, w.rollOut(number, { share: 10_000 })), 'firmware.expired');
  w.accept(maker, w.rollOut(number, { halted: true, by: [r1] }));
  w.accept(maker, w.rotate({}));
  w.accept(maker, w.rollOut(number, { share: 10_000 }));
});

test('STATE-23.3: so many releases are remembered; the oldest goes, its deposit returns', () => {
  const w = FirmwareWorld.opened(3n);
  for (let i = 0; i < STATE_LIMITS.releasesKeptMax + 2; i += 1) w.accept(maker, w.release());
  assert.equal(w.state.count('release'), STATE_LIMITS.releasesKeptMax);
  assert.equal(w.record().oldest, 3);
  assert.equal(w.state.supply(), SUPPLY);
});

const report = (w: FirmwareWorld, changes: object = {}): Body => ({
  kind: 'report-installs',
  channel: w.channel,
  number: 1,
  subnet: subnetOfGenesis,
  count: 10,
  failures: 1,
  root: merkleRoot([attestationLeaf(w.chain)]),
  ...changes,
});

test('STATE-23.7: members report what their devices attested; each counts up for itself, nobody else reports', () => {
  const w = FirmwareWorld.opened();
  const [m0, m1] = sortedMembers as [Person, Person];
  assert.equal(w.send(m0, report(w)), 'release.unknown');
  w.published();
  assert.equal(w.send(mallory, report(w)), 'checkpoint.sender');
  assert.equal(w.send(m0, report(w, { subnet: w.channel })), 'subnet.unknown');
  for (const wrong of [{ count: 0, failures: 0 }, { failures: 11 }])
    assert.equal(w.send(m0, report(w, wrong)), 'installs.malformed');
  w.accept(m0, report(w));
  w.accept(m1, report(w, { count: 4, failures: 0 }));
  assert.equal(w.send(m0, report(w, { count: 9 })), 'installs.malformed');
  assert.equal(w.send(m0, report(w, { failures: 0 })), 'installs.malformed');
  w.accept(m0, report(w, { count: 12, failures: 2 }));
  assert.deepEqual(
    [...w.state.records.walk('installs')].map(([, { count }]) => count).toSorted((a, b) => a - b),
    [4, 12],
  );
  w.later += STATE_LIMITS.installsKeptMs;
  w.block();
  assert.equal(w.state.count('installs'), 0);
});

test('STATE-23.1: whoever pays has no say: a transaction of a stranger with good signatures counts', () => {
  const w = FirmwareWorld.opened();
  w.accept(mallory, w.release());
  w.accept(mallory, w.rollOut(1, { share: 10_000 }));
  assert.equal(w.record().form.expiresAt > millis(w.now), true);
});
