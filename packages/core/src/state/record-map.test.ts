import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { idBytes, idText, RecordMap } from './record-map.ts';

const ids = fc.uint8Array({ minLength: 3, maxLength: 3 }).map((bytes) => bytes.map((byte) => byte % 3));
const steps = fc.array(fc.tuple(ids, fc.option(fc.nat(9), { nil: undefined })), { maxLength: 60 });

test('STATE-1.5: a record map answers as a plain map does, and every earlier version still does', () => {
  fc.assert(
    fc.property(steps, (changes) => {
      let map = RecordMap.empty<number>();
      const model = new Map<string, number>();
      const versions: [RecordMap<number>, Map<string, number>][] = [];
      for (const [id, record] of changes) {
        map = map.set(idText(id), record);
        if (record === undefined) model.delete(idText(id));
        else model.set(idText(id), record);
        versions.push([map, new Map(model)]);
      }
      for (const [version, expected] of versions) {
        assert.equal(version.size, expected.size);
        assert.deepEqual(
          [...version.entries()],
          [...expected].sort(([a], [b]) => (a < b ? -1 : 1)),
        );
        for (const [id, record] of expected) assert.equal(version.get(id), record);
      }
    }),
  );
});

test('STATE-1.5: many changes at once give what they give one by one, and leave the map below as it was', () => {
  fc.assert(
    fc.property(steps, steps, (below, above) => {
      const named = (changes: typeof below): [string, number | undefined][] =>
        changes.map(([id, record]) => [idText(id), record]);
      const base = RecordMap.empty<number>().setAll(named(below));
      const before = [...base.entries()];
      let single = base;
      for (const [id, record] of named(above)) single = single.set(id, record);
      const together = base.setAll(named(above));
      assert.deepEqual([...together.entries()], [...single.entries()]);
      assert.equal(together.size, single.size);
      assert.deepEqual([...base.entries()], before);
    }),
  );
});

test('STATE-1.8: entries of a prefix are exactly those that begin with it, in order', () => {
  fc.assert(
    fc.property(steps, ids, fc.nat(3), (changes, id, length) => {
      let map = RecordMap.empty<number>();
      for (const [key, record] of changes) map = map.set(idText(key), record);
      const prefix = idText(id.slice(0, length));
      const expected = [...map.entries()].filter(([key]) => key.startsWith(prefix));
      assert.deepEqual([...map.entries(prefix)], expected);
    }),
  );
});

test('STATE-1.8: ids chosen to share a long beginning cost depth and nothing else', () => {
  const idOf = (i: number): string =>
    idText(Uint8Array.from({ length: 32 }, (_, at) => (at < 30 ? 0xff : (i >> (8 * (31 - at))) & 0xff)));
  let map = RecordMap.empty<number>();
  for (let i = 0; i < 2000; i += 1) map = map.set(idOf(i), i);
  for (let i = 0; i < 2000; i += 1) assert.equal(map.get(idOf(i)), i);
  for (let i = 0; i < 2000; i += 1) map = map.set(idOf(i), undefined);
  assert.equal(map.size, 0);
  assert.deepEqual([...map.entries()], []);
});

test('STATE-1.8: an id survives the way through text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => assert.deepEqual(idBytes(idText(bytes)), bytes)),
  );
});
