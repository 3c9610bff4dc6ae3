import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { sha256 } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { payloadOf, SUBNET } from '../testing/dag.ts';
import { LaneDraft, LaneTable, payloadLaneKey } from './lanes.ts';

const payload = payloadOf('lamp', 1);
const at = (sequence: number): typeof payload => ({ ...payload, sequence });

test('DAG-7.2: the window agrees with remembering every sequence, for any order of arrival', () => {
  const jumps = fc.integer({ min: -1100, max: 1100 });
  fc.assert(
    fc.property(fc.array(fc.tuple(jumps, fc.boolean()), { maxLength: 120 }), (steps) => {
      let table = new LaneTable([1]);
      let draft = new LaneDraft(table, SUBNET);
      const seen = new Set<number>();
      let high = 0;
      for (const [jump, checkpoint] of steps) {
        const sequence = Math.max(1, high + jump);
        const expected =
          sequence + LIMITS.laneWindow <= high ? 'stale' : seen.has(sequence) ? 'duplicate' : 'applied';
        assert.equal(draft.apply(at(sequence), 0), expected, `${sequence} after ${high}`);
        if (expected === 'applied') {
          seen.add(sequence);
          high = Math.max(high, sequence);
        }
        if (!checkpoint) continue;
        table.adopt(draft);
        // What a snapshot restores goes on just the same.
        table = LaneTable.from([1], [...table.entries()]);
        draft = new LaneDraft(table, SUBNET);
      }
    }),
    { numRuns: 200 },
  );
});

test('DAG-7.2: a jump to the end of the numbers shuts nobody else’s lane', () => {
  const draft = new LaneDraft(new LaneTable([1]), SUBNET);
  assert.equal(draft.apply(at(Number.MAX_SAFE_INTEGER), 0), 'applied');
  assert.equal(draft.apply(at(5), 0), 'stale');
  assert.equal(draft.apply(payloadOf('other', 5), 0), 'applied');
});

test('DAG-7.1: the tree holds every lane, and a snapshot restores the same root', () => {
  const table = new LaneTable([1, 1]);
  const draft = new LaneDraft(table, SUBNET);
  for (const device of ['a', 'b', 'c']) draft.apply(payloadOf(device, 3), 1);
  draft.setIssuerLane({
    issuer: 1,
    lane: 2,
    sequence: 7,
    hash: sha256(Uint8Array.of(1)),
    time: 5,
    level: 1000,
  });
  const { root } = draft.finish();
  assert.equal(table.tree.size, 0, 'a draft changes nothing');
  table.adopt(draft);
  assert.deepEqual(table.root, root);
  assert.equal(table.tree.size, 5);
  const copy = LaneTable.from([1, 1], [...table.entries()]);
  assert.deepEqual(copy.root, root);
  assert.deepEqual(
    copy.standings.map(({ opened }) => opened),
    [0, 3],
  );
  assert.deepEqual(copy.issuerLane(1, 2), table.issuerLane(1, 2));
  assert.equal(copy.outcome(payloadOf('a', 3)), 'duplicate');
  assert.equal(copy.outcome(payloadOf('a', 4)), 'new');
  const key = payloadLaneKey(payloadOf('a', 1));
  assert.equal(verifyStateProof(root, key, table.tree.get(key), table.tree.prove(key)), true);
});

test('DAG-7.3: a member opens at most its share of lanes, others keep theirs (state dust, Sybil identities)', () => {
  const table = new LaneTable([1, 3]);
  assert.deepEqual(table.share, [LIMITS.payloadLanesMax / 4, (LIMITS.payloadLanesMax * 3) / 4]);
  const draft = new LaneDraft(table, SUBNET);
  (draft.standings[0] as { opened: number }).opened = table.share[0] as number;
  assert.equal(draft.apply(payloadOf('a', 1), 0), 'lanes-full');
  assert.equal(draft.apply(payloadOf('a', 1), 1), 'applied');
  assert.equal(draft.apply(payloadOf('a', 2), 0), 'applied', 'an open lane serves everyone');
});
