/** A subnet without its main chain. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SubnetWorld, type Member } from '../testing/subnet-world.ts';

installNativeCrypto();

const MINUTE_MS = 60_000;

test('SUBNET-6.5: cut off from the main chain for minutes, a subnet takes readings and accepts them; afterwards its checkpoints come in order, with all of them, once', async () => {
  const world = await SubnetWorld.open({ members: 4, seed: 5 });
  const committed: number[] = [];
  world.chain.onCommitted(({ events }) => {
    for (const event of events) if (event.kind === 'checkpoint-committed') committed.push(event.sequence);
  });
  const accepted = new Set<string>();
  world.of(0).subnet.listen({
    progress: ({ stage, payloads }) =>
      stage === 'accepted' && payloads.forEach((id) => accepted.add(toHex(id))),
  });
  const sent: Payload[] = [];
  /** A reading every second, of a device of each member in turn. */
  const live = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 1_000) {
      const index = sent.length % 4;
      const payload = world.reading(Math.floor(sent.length / 4) + 1, 120 + index);
      assert.ok(world.of(index).subnet.offer(payload).ok, 'it goes on taking readings');
      sent.push(payload);
      await world.run(1_000);
    }
  };
  const isFinal = ({ id }: Payload): boolean => world.of(0).subnet.final(id) !== undefined;
  await live(10_000);
  await world.until('the first are final', () => sent.slice(0, 5).every(isFinal));

  for (const member of world.members) member.reachesChain = false;
  const before = sent.length;
  const { checkpoint } = world.of(0).subnet.status();
  await live(5 * MINUTE_MS);
  assert.equal(committed.at(-1), world.chain.state.subnet(world.subnet)?.lastSequence);
  assert.ok((committed.at(-1) ?? 0) <= checkpoint + 1, 'nothing is final meanwhile');
  const meanwhile = sent.slice(before, -5);
  const known = meanwhile.filter(({ id }) => accepted.has(toHex(id)));
  assert.equal(known.length, meanwhile.length, 'two thirds of the stake stand behind each');
  // One of them is killed on the way: what waits for the chain is on its disk.
  await world.kill(world.members[2] as Member, true);
  await world.start(world.members[2] as Member);

  for (const member of world.members) member.reachesChain = true;
  await live(10_000);
  await world.until('all are final', () => sent.every(isFinal), 2 * MINUTE_MS);
  assert.deepEqual(
    committed,
    committed.map((_, i) => i + 1),
    'in order, none left out',
  );
  await world.until('all members have applied them', () =>
    world.running().every(({ subnet }) => subnet.status().checkpoint === committed.length),
  );
  assert.equal(world.chain.state.subnet(world.subnet)?.payloads, sent.length, 'each once');
  const heads = world.running().map(({ subnet }) => toHex(subnet.status().checkpointHash));
  assert.equal(new Set(heads).size, 1);
  await world.close();
});
