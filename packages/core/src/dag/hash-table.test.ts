import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256, type Hash } from '../crypto/hash.ts';
import { seededRandom } from '../testing/dag.ts';
import { HashTable } from './hash-table.ts';

const name = (n: number): Hash => sha256(Uint8Array.of(n & 255, n >> 8));

test('DAG-2.10: the table agrees with a map under any mix of adding, removing and asking', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom('add', 'remove'), fc.nat(60)), { maxLength: 300 });
  fc.assert(
    fc.property(steps, fc.integer(), (actions, seed) => {
      const table = new HashTable(seededRandom(seed));
      const model = new Map<number, number>();
      const free = Array.from({ length: 61 }, (_, i) => i);
      for (const [action, n] of actions) {
        const held = model.get(n);
        if (action === 'add' && held === undefined) {
          const id = free.pop() as number;
          table.add(name(n), id);
          model.set(n, id);
        } else if (action === 'remove' && held !== undefined) {
          table.delete(held);
          model.delete(n);
          free.push(held);
        }
      }
      assert.equal(table.size, model.size);
      for (let n = 0; n <= 60; n += 1) assert.equal(table.find(name(n)), model.get(n) ?? -1);
      for (const [n, id] of model) assert.deepEqual(table.nameOf(id), name(n));
    }),
  );
});

test('DAG-2.10: names that agree in eight bytes are told apart, also after the table has grown', () => {
  const table = new HashTable(seededRandom(3));
  const close = (n: number): Hash => {
    const twin = name(7).slice();
    twin[8 + (n % 24)] = n >> 4;
    return twin as Hash;
  };
  const distinct = [
    ...new Map(Array.from({ length: 3000 }, (_, n) => [String(close(n)), close(n)])).values(),
  ];
  for (const [id, twin] of distinct.entries()) table.add(twin, id);
  for (const [id, twin] of distinct.entries()) assert.equal(table.find(twin), id);
  for (const id of distinct.keys()) if (id % 2 === 0) table.delete(id);
  for (const [id, twin] of distinct.entries()) assert.equal(table.find(twin), id % 2 === 0 ? -1 : id);
});

test('DAG-2.10: names prepared to collide under one secret do not under another', () => {
  // Both words enter through secret odd factors: equal low bits of the products need equal secrets to be foreseen.
  const crowd = (victim: HashTable, names: readonly Hash[]): number => {
    for (const [id, each] of names.entries()) victim.add(each, id);
    let longest = 0;
    for (const each of names) longest = Math.max(longest, victim.probes(each));
    return longest;
  };
  const guess = new HashTable(seededRandom(1));
  const prepared: Hash[] = [];
  for (let n = 0; prepared.length < 40; n += 1) {
    const each = sha256(Uint8Array.of(n & 255, (n >> 8) & 255, n >> 16));
    if ((guess.homeOf(each) & 1023) < 8) prepared.push(each);
  }
  assert.ok(crowd(new HashTable(seededRandom(1)), prepared) > 20, 'the attack works with the secret');
  assert.ok(crowd(new HashTable(seededRandom(2)), prepared) < 12, 'and not without');
});
