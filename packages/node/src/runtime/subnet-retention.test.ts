import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { decodeReadingProof, verifyReading } from '@itc/core/light/reading-proof.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';
import { RETENTION, type RetentionStatus } from './subnet-retention.ts';

installNativeCrypto();

const MIB = 1 << 20;
const MINUTE_MS = 60_000;

function isProved(world: SubnetWorld, proof: Uint8Array | undefined): boolean {
  const decoded = proof === undefined ? undefined : decodeReadingProof(proof);
  return (
    decoded?.ok === true &&
    verifyReading({ genesisHash: world.id, proof: decoded.value, verify: verifySignature }).valid
  );
}

/** Offers readings of two devices every two seconds of the world's time and lets it go on. */
async function replay(
  world: SubnetWorld,
  o: { readonly forMs: number; readonly bytes: number; readonly watch: () => void },
): Promise<Payload[][]> {
  const sent: Payload[][] = [[], []];
  const { length: offset } = sent[0] as Payload[];
  for (let at = 0; at < o.forMs; at += 2_000) {
    for (const [i, list] of sent.entries()) {
      const reading = world.reading(offset + list.length + 1, 120 + i, i === 0 ? o.bytes : 0);
      list.push(reading);
      assert.ok(world.of(0).subnet.offer(reading).ok);
    }
    await world.run(2_000);
    o.watch();
  }
  return sent;
}

const bytesOnDisk = (member: Member): number =>
  ['/member', '/envelopes']
    .flatMap((folder) => member.disk.list(folder).map((name) => member.disk.sizeOf(`${folder}/${name}`)))
    .reduce((sum, size) => sum + size, 0);

test('SUBNET-1.1, SUBNET-2.1: eight minutes of readings stay below the target on disk; a pinned device’s pruned readings are proved, another’s are not', async () => {
  const bytesTarget = 3 * MIB;
  const world = await SubnetWorld.open({ members: 1, policy: { bytesTarget }, timing: { cadenceMs: 2_000 } });
  const member = world.members[0] as Member;
  const { retention } = world.of(0).subnet;
  const pinned = world.reading(1, 121).device;
  assert.ok((await retention.pins.pin(pinned, world.clock.now() + 60 * MINUTE_MS)).ok);
  let most = 0;
  let worst: RetentionStatus | undefined;
  const [large, small] = (await replay(world, {
    forMs: 8 * MINUTE_MS,
    bytes: 12_000,
    watch: () => {
      const status = retention.status();
      most = Math.max(most, bytesOnDisk(member), status.bytes.total);
      if (status.reason !== undefined) worst = status;
    },
  })) as [Payload[], Payload[]];
  await world.until('all are final', () => world.of(0).subnet.status().payloadsApplied === 480);
  assert.ok(most < bytesTarget, `${most} bytes at most`);
  assert.equal(worst, undefined);
  const { oldest, newest } = retention.status();
  assert.ok(oldest && newest && oldest.checkpoint > 10);
  assert.ok(newest.checkpoint - oldest.checkpoint >= RETENTION.checkpointsMin);

  const { store } = world.of(0);
  const [first] = small as [Payload];
  assert.equal(store.place(first.id), undefined, 'it is pruned');
  for (const { id } of small) assert.ok(isProved(world, retention.pins.proof(id)?.proof));
  assert.equal(retention.pins.of(pinned)?.readings, 240);
  assert.equal(retention.pins.proof((large[0] as Payload).id), undefined);
  await world.close();
});

test('SUBNET-2.2: a pin ends at its date or at a word, and what it kept goes; without room the promise is seen not to hold', async () => {
  const world = await SubnetWorld.open({ members: 1, policy: { bytesTarget: MIB / 64 } });
  const { subnet } = world.of(0);
  const { pins } = subnet.retention;
  const until = world.clock.now() + MINUTE_MS;
  const [early, late] = [world.reading(1, 121), world.reading(2, 121)];
  assert.ok(subnet.offer(early).ok);
  await world.until('the first is final', () => subnet.final(early.id) !== undefined);
  assert.ok((await pins.pin(early.device, until)).ok);
  assert.ok(isProved(world, pins.proof(early.id)?.proof), 'also what was final before the pin');
  assert.ok(subnet.offer(late).ok);
  await world.until('the second is final', () => subnet.final(late.id) !== undefined);
  assert.ok(isProved(world, pins.proof(late.id)?.proof));

  for (let i = 3; i < 20; i += 1) {
    assert.ok(subnet.offer(world.reading(i, 121)).ok);
    await world.run(1_500);
  }
  assert.match(subnet.obstacle ?? '', /readings of pinned devices could not be kept|the target is/);
  const missed = pins.of(early.device)?.missed ?? 0;
  assert.ok(missed > 0 && pins.bytes <= MIB / 128);

  await world.run(MINUTE_MS);
  assert.ok(subnet.offer(world.reading(20, 121)).ok);
  await world.until('the pin is over', () => pins.of(early.device) === undefined);
  assert.equal(pins.proof(early.id), undefined);
  assert.equal(await pins.unpin(early.device), false);
  await world.close();
});

test('SUBNET-1.2: readings older than they are to be kept go, the newest checkpoints stay; a date can be told', async () => {
  const keepMs = 3 * MINUTE_MS;
  const world = await SubnetWorld.open({ members: 1, policy: { keepMs } });
  const { subnet, store } = world.of(0);
  const [first] = (await replay(world, { forMs: 6 * MINUTE_MS, bytes: 10, watch: () => undefined })) as [
    Payload[],
  ];
  const { oldest, newest, keptMs } = subnet.retention.status();
  assert.equal(keptMs, keepMs);
  assert.ok(oldest && newest && newest.checkpoint - oldest.checkpoint >= RETENTION.checkpointsMin - 1);
  assert.equal(store.place((first[0] as Payload).id), undefined);
  assert.notEqual(store.place((first.at(-1) as Payload).id), undefined);
  await world.close();
});
