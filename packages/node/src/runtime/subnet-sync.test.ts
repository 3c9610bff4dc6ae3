import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { amount, millis } from '@itc/core/ledger/ids.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { encodeValueOrder } from '@itc/core/ledger/value-order.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { SubnetWorld, type Member, type WorldPlan } from '../testing/subnet-world.ts';
import { RETENTION } from './subnet-retention.ts';

installNativeCrypto();

/** Others forget everything but the newest checkpoints, so that nobody can be followed step by step. */
const FORGETFUL: WorldPlan = {
  members: 4,
  policy: { keepMs: 1 },
  timing: { cadenceMs: 200 },
  segmentBytes: 2_000,
};

/** All of what a holder has inside but a little, to the main chain. */
function withdrawal(world: SubnetWorld, holder: KeyPair): Payload {
  const order = {
    kind: 'withdraw',
    to: holder.address,
    amount: amount(4_000_000n),
    expiresAt: millis(Number.MAX_SAFE_INTEGER),
  } as const;
  const unsigned = {
    signer: holder.publicKey,
    device: addressOf(holder.publicKey),
    sequence: 1,
    contentType: 'value' as const,
    content: encodeValueOrder(world.subnet, order),
  };
  const encoded = encodePayload(unsigned, holder.sign(payloadSigningBytes(world.id, unsigned)));
  const parsed = parsePayload(world.id, encoded);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

function alike(world: SubnetWorld): boolean {
  const heads = world.running().map(({ subnet }) => subnet.status());
  return heads.every(
    ({ state, checkpointHash }) =>
      state === 'following' &&
      toHex(checkpointHash) === toHex((heads[0] as (typeof heads)[0]).checkpointHash),
  );
}

/** Readings at member 0 until the subnet has gone on by so many checkpoints. */
async function goOn(world: SubnetWorld, checkpoints: number, device = 120): Promise<Payload[]> {
  const { subnet } = world.of(0);
  const goal = subnet.status().checkpoint + checkpoints;
  const sent: Payload[] = [];
  while (subnet.status().checkpoint < goal) {
    const payload = world.reading(sent.length + 1, device);
    sent.push(payload);
    assert.ok(subnet.offer(payload).ok);
    await world.run(400);
  }
  return sent;
}

test('SUBNET-6.1, SUBNET-1.3: who was away until its way back was pruned takes over a snapshot and the tail; its lane, quiet for longer than anything is kept, goes on', async () => {
  const world = await SubnetWorld.open(FORGETFUL);
  const [early, late] = [world.reading(1, 130), world.reading(2, 130)];
  assert.ok(world.of(3).subnet.offer(early).ok);
  await world.until('the member has spoken', () => world.of(3).subnet.final(early.id) !== undefined);
  await world.kill(world.members[3] as Member);
  const missed = await goOn(world, RETENTION.checkpointsMin + 20);
  assert.equal(world.of(0).store.place(early.id), undefined, 'what it said is pruned');
  await world.start(world.members[3] as Member);
  const told = new Set<string>();
  world.of(3).subnet.listen({
    progress: ({ stage, payloads }) => stage === 'final' && payloads.forEach((id) => told.add(toHex(id))),
  });
  await world.until('it is up to date', () => alike(world), 90_000);
  const kept = missed.filter(({ id }) => world.of(0).store.place(id) !== undefined);
  await world.until('what became final meanwhile is told', () => kept.every(({ id }) => told.has(toHex(id))));
  assert.ok(world.of(3).subnet.offer(late).ok);
  await world.until('it goes on', () => world.of(0).subnet.final(late.id) !== undefined && alike(world));
  // Everything again from the disks: a snapshot taken over is as good as a past of one's own.
  for (const member of world.members) {
    await world.kill(member);
    await world.start(member);
  }
  const last = world.reading(3, 130);
  assert.ok(world.of(3).subnet.offer(last).ok);
  await world.until(
    'and after a restart',
    () => world.of(0).subnet.final(last.id) !== undefined && alike(world),
  );
  await world.close();
});

test('SUBNET-6.2: what a member had sent before it was cut off and nobody heard becomes final afterwards, in another lane, once', async () => {
  const world = await SubnetWorld.open(FORGETFUL);
  await goOn(world, 2);
  world.link([[3], [0, 1, 2]], false);
  (world.members[3] as Member).reachesChain = false;
  const unheard = [1, 2, 3].map((i) => world.reading(i, 131));
  for (const payload of unheard) assert.ok(world.of(3).subnet.offer(payload).ok);
  await world.run(2_000);
  await goOn(world, RETENTION.checkpointsMin + 20, 122);
  world.link([[3], [0, 1, 2]], true);
  (world.members[3] as Member).reachesChain = true;
  await goOn(world, 1, 123);
  await world.until(
    'they are final',
    () => unheard.every(({ id }) => world.of(0).store.place(id) !== undefined) && alike(world),
    120_000,
  );
  assert.deepEqual(world.of(0).subnet.status().equivocators, []);
  await world.close();
});

test('SUBNET-6.3, SUBNET-6.6: a member that lost its disk starts from a snapshot, and issues only when others have told what they hold of it', async () => {
  const world = await SubnetWorld.open(FORGETFUL);
  assert.ok(world.of(3).subnet.offer(world.reading(1, 130)).ok);
  const holder = KeyPair.fromSeed(new Uint8Array(32).fill(90));
  const { subnet } = world;
  world.transact({ kind: 'deposit', subnet, to: holder.address, amount: amount(9_000_000n) });
  await world.until('the deposit is credited', () =>
    world.running().every(({ subnet: member }) => (member.proveBalance(holder.address)?.balance ?? 0n) > 0n),
  );
  assert.ok(world.of(0).subnet.offer(withdrawal(world, holder)).ok);
  await goOn(world, RETENTION.checkpointsMin + 10);
  const [, , , member] = world.members as [Member, Member, Member, Member];
  await world.kill(member);
  const fresh = world.replace(3);
  await world.start(fresh);
  const late = world.reading(2, 130);
  assert.ok(world.of(3).subnet.offer(late).ok);
  await world.until(
    'it is up to date',
    () => world.of(0).subnet.final(late.id) !== undefined && alike(world),
    120_000,
  );
  assert.deepEqual(world.of(0).subnet.status().equivocators, []);
  // SUBNET-6.6: of what it has skipped, too, it tells what waits for whom, with a path that holds.
  const told = (index: number): unknown =>
    world.of(index).store.withdrawals.waiting(subnet, holder.address, world.chain.state);
  assert.equal((told(0) as readonly unknown[]).length, 1);
  await world.until('it has the withdrawals it skipped', () => (told(3) as readonly unknown[]).length === 1);
  assert.deepEqual(told(3), told(0));
  await world.close();
});

test('SUBNET-6.4: a snapshot that only a third of the stake names is not believed, one that does not fit the main chain neither', async () => {
  const world = await SubnetWorld.open(FORGETFUL);
  await world.kill(world.members[3] as Member);
  await goOn(world, RETENTION.checkpointsMin + 20);
  world.falsify(0);
  const running = await world.start(world.members[3] as Member);
  // Only the liar is reached: nothing is taken over.
  world.link([[3], [1, 2]], false);
  await world.run(40_000);
  assert.equal(running.subnet.status().checkpoint < RETENTION.checkpointsMin, true);
  world.link([[3], [1, 2]], true);
  await world.until('the honest ones are believed', () => alike(world), 120_000);
  await world.close();
});
