import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { MemoryTables } from '../storage/memory-tables.ts';
import { SubnetPlaces } from './subnet-places.ts';

/** An id whose looked-at bytes are few, so that many share them. */
const idOf = (number: number): Hash =>
  asHash(
    Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? number % 3 : i < 5 ? 0 : (number >> (i - 5)) & 255)),
  );

interface Step {
  readonly payloads: number;
  readonly prune: boolean;
  readonly restart: boolean;
}

const anySteps = fc.array(
  fc.record({ payloads: fc.nat({ max: 12 }), prune: fc.boolean(), restart: fc.boolean() }),
  { maxLength: 40 },
);

test('SUBNET-1.4: every payload that is kept is found by its id, gathered or not, after restarts and pruning', async () => {
  await fc.assert(
    fc.asyncProperty(anySteps, async (steps: readonly Step[]) => {
      const tables = new MemoryTables();
      let places = new SubnetPlaces(tables, 20);
      const kept = new Map<number, Hash[]>();
      let made = 0;
      for (const [i, { payloads, prune, restart }] of steps.entries()) {
        const ids = Array.from({ length: payloads }, () => idOf((made += 1)));
        const group = places.due();
        await tables.commit(group?.changes ?? []);
        group?.written();
        places.remember(i + 1, concatBytes(...ids));
        kept.set(i + 1, ids);
        const [oldest] = kept.keys();
        if (prune && oldest !== undefined && kept.size > 2) {
          const gone = places.forget(oldest);
          await tables.commit(gone.changes);
          gone.written();
          kept.delete(oldest);
        }
        if (!restart) continue;
        places = new SubnetPlaces(tables, 20);
        for (const [checkpoint, list] of kept)
          if (checkpoint > places.grouped) places.remember(checkpoint, concatBytes(...list));
      }
      for (const [checkpoint, ids] of kept) {
        for (const [index, id] of ids.entries()) {
          const found = [...places.candidates(id)];
          assert.ok(found.some((each) => each.checkpoint === checkpoint && each.index === index));
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('SUBNET-1.4: with the last checkpoint of a group its rows go', async () => {
  const tables = new MemoryTables();
  const places = new SubnetPlaces(tables, 4);
  for (const checkpoint of [1, 2, 3]) {
    const group = places.due();
    await tables.commit(group?.changes ?? []);
    group?.written();
    places.remember(checkpoint, concatBytes(idOf(2 * checkpoint), idOf(2 * checkpoint + 1)));
  }
  assert.ok(tables.table('subnet-places').count() > 0);
  await tables.commit(places.forget(1).changes);
  assert.ok(tables.table('subnet-places').count() > 0);
  await tables.commit(places.forget(2).changes);
  assert.equal(tables.table('subnet-places').count(), 0);
});
