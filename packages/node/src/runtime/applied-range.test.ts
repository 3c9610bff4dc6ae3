import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { amount, epoch, height, millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { LightReader, type LightEvent } from '@itc/core/light/light-reader.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { SubnetWorld } from '../testing/subnet-world.ts';
import { AppliedRange } from './applied-range.ts';
import { Hops } from './hops.ts';
import { LightPieces } from './light-pieces.ts';
import { LightServer } from './light-server.ts';

installNativeCrypto();

/** Two dozen checkpoints with a reading each. */
const world = await SubnetWorld.open({ members: 1, timing: { cadenceMs: 500 } });
const sent: Payload[] = [];
for (let sequence = 1; sequence <= 24; sequence += 1) {
  const reading = world.reading(sequence);
  sent.push(reading);
  world.of(0).subnet.offer(reading);
  await world.until('it is final', () => world.of(0).store.place(reading.id) !== undefined);
}
const checkpoints = (): number => world.chain.state.checkpointPeaks(world.subnet)?.count ?? 0;
after(() => world.close());

/** Blocks on top, so that a certified header commits the state as it is now. */
async function settle(): Promise<void> {
  for (let i = 0; i <= LIMITS.pipelineDepth; i += 1) {
    const below = world.chain.height;
    world.transact({ kind: 'transfer', to: keyPair(77).address, amount: amount(1n) });
    await world.until('the next block', () => world.chain.height > below);
  }
}

const rangeOn = (
  tables: MemoryTables,
  chain: ConstructorParameters<typeof AppliedRange>[0]['chain'] = world.chain,
): AppliedRange => new AppliedRange({ chain, subnet: world.subnet, tables });

async function caughtUp(range: AppliedRange): Promise<AppliedRange> {
  await world.until('the range is stored', () => range.count === checkpoints());
  return range;
}

/** What a fresh client that trusts genesis makes of the answer; the code of a refusal. */
function prove(range: AppliedRange, payload: Payload): readonly LightEvent[] | string {
  const { chain, subnet } = world;
  const pieces = new LightPieces({ chain, subnet: { id: subnet, store: world.of(0).store, range } });
  const server = new LightServer({
    chain,
    hops: new Hops(chain),
    keys: (world.members[0] as (typeof world.members)[0]).keys,
    now: () => millis(1),
    peers: { known: (question) => pieces.find(question), find: () => Promise.resolve(undefined) },
  });
  const wants = [{ kind: 'payload', id: payload.id } as const];
  const answer = server.answer({ epoch: epoch(0), height: height(0), thirds: 2, wants });
  if (!answer.ok) return answer.code;
  const reader = new LightReader({
    trust: encodeTrust(trustGenesis(world.genesis)),
    verify: verifySignature,
  });
  return reader.push(answer.value);
}

test('LIGHT-10.3: a reading of any age is proved under the newest header', async () => {
  await settle();
  const range = await caughtUp(rangeOn(new MemoryTables()));
  for (const payload of sent) {
    const events = prove(range, payload);
    assert.ok(typeof events !== 'string', `refused: ${sent.indexOf(payload)}`);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['believed', 'applied', 'done'],
    );
    const applied = events[1] as Extract<LightEvent, { kind: 'applied' }>;
    const place = world.of(0).store.place(payload.id);
    assert.deepEqual([applied.id, applied.subnet], [payload.id, world.subnet]);
    assert.equal(applied.sequence, place?.checkpoint);
    assert.equal(applied.time, world.of(0).store.kept(applied.sequence)?.time);
  }
  range.close();
});

test('LIGHT-10.3: what the tables hold is gone on from, and makes the same paths', async () => {
  const tables = new MemoryTables();
  const first = await caughtUp(rangeOn(tables));
  first.close();
  const again = rangeOn(tables);
  assert.equal(again.count, first.count, 'nothing is made anew');
  for (let sequence = 1; sequence <= again.count; sequence += 1)
    assert.deepEqual(again.path(sequence, again.count), first.path(sequence, first.count));
  again.close();
});

test('LIGHT-10.3: a node that began from a snapshot proves what came after it, and says that it does not know what came before', async () => {
  const since = checkpoints();
  const { chain } = world;
  // The blocks up to now are not there.
  const pruned = {
    get state() {
      return chain.state;
    },
    checkpointPlace: (...[subnet, sequence]: Parameters<typeof chain.checkpointPlace>) =>
      sequence <= since ? undefined : chain.checkpointPlace(subnet, sequence),
    included: (place: Parameters<typeof chain.included>[0]) => chain.included(place),
    onCommitted: (listener: Parameters<typeof chain.onCommitted>[0]) => chain.onCommitted(listener),
    onReplaced: (listener: () => void) => chain.onReplaced(listener),
  };
  const range = await caughtUp(rangeOn(new MemoryTables(), pruned));
  const late = world.reading(25);
  world.of(0).subnet.offer(late);
  await world.until('it is final', () => world.of(0).store.place(late.id) !== undefined);
  assert.equal(prove(range, late), 'not-ready', 'no certified header commits it yet');
  await settle();
  await caughtUp(range);
  const events = prove(range, late);
  assert.ok(typeof events !== 'string', 'refused');
  assert.equal(events.at(-1)?.kind, 'done');
  assert.equal(prove(range, sent[0] as Payload), 'not-found');
  range.close();
});
