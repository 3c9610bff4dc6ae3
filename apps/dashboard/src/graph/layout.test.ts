import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { graphOf } from '../testing/documents.ts';
import {
  buildGraph,
  frontiers,
  futureCone,
  gridTimes,
  nearest,
  pastCone,
  stepFrom,
  timeAt,
  xOf,
  yOf,
  type Viewport,
} from './layout.ts';

const VIEW: Viewport = { end: 1000, spanMs: 1000, width: 800, height: 400 };
const diamond = buildGraph(graphOf('a b:a c:a d:b,c e:d'));
const names = (cone: Set<number>): string =>
  [...cone]
    .sort((a, b) => a - b)
    .map((i) => diamond.vertices[i]?.hash)
    .join('');

test('cones: the past is what a vertex approves, the future what approves it, without itself', () => {
  const d = diamond.indexOf.get('d') ?? -1;
  assert.equal(names(pastCone(diamond, d)), 'abc');
  assert.equal(names(futureCone(diamond, d)), 'e');
  const b = diamond.indexOf.get('b') ?? -1;
  assert.equal(names(pastCone(diamond, b)), 'a');
  assert.equal(names(futureCone(diamond, b)), 'de');
});

test('cones: in any DAG, x is in the past of y exactly when y is in the future of x', () => {
  const dags = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(dags, (lists) => {
      const text = lists
        .map((list, i) => (i === 0 ? 'v0' : `v${i}:${[...new Set(list.map((n) => `v${n % i}`))].join(',')}`))
        .join(' ');
      const model = buildGraph(graphOf(text));
      const pasts = model.vertices.map((_, i) => pastCone(model, i));
      const futures = model.vertices.map((_, i) => futureCone(model, i));
      for (let x = 0; x < pasts.length; x += 1)
        for (let y = 0; y < pasts.length; y += 1) assert.equal(pasts[y]?.has(x), futures[x]?.has(y));
    }),
  );
});

test('parents beyond the window are left out, not drawn to nowhere', () => {
  const model = buildGraph(graphOf('b:gone c:b'));
  assert.deepEqual(model.parents, [[], [0]]);
});

test('rows: one per issuer and lane, members that issued nothing included', () => {
  assert.deepEqual(buildGraph(graphOf('a b:a'), [0, 1, 2]).rows, [
    { issuer: 0, lane: 0 },
    { issuer: 1, lane: 0 },
    { issuer: 2, lane: 0 },
  ]);
});

test('place and time are inverse, later is further right', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5000, max: 5000 }),
      (time) => Math.abs(timeAt(VIEW, xOf(VIEW, time)) - time) < 1e-6,
    ),
  );
  assert.ok(xOf(VIEW, 900) > xOf(VIEW, 100));
});

test('the pointer finds the nearest vertex within reach, and nothing beyond it', () => {
  const d = diamond.indexOf.get('d') ?? -1;
  const x = xOf(VIEW, 300);
  const y = yOf(VIEW, 2, diamond.rowOf[d] ?? 0);
  assert.equal(nearest(diamond, VIEW, x + 5, y - 5, 18), d);
  assert.equal(nearest(diamond, VIEW, x, y + 60, 18), undefined);
});

test('keyboard: along the row, across rows to the nearest in time, to both ends, and never out of the graph', () => {
  const at = (hash: string): number => diamond.indexOf.get(hash) ?? -1;
  assert.equal(stepFrom(diamond, undefined, 'left'), at('e'));
  assert.equal(stepFrom(diamond, at('e'), 'left'), at('c'));
  assert.equal(stepFrom(diamond, at('c'), 'right'), at('e'));
  assert.equal(stepFrom(diamond, at('e'), 'down'), at('d'));
  assert.equal(stepFrom(diamond, at('a'), 'left'), at('a'));
  assert.equal(stepFrom(diamond, at('a'), 'last'), at('e'));
  assert.equal(stepFrom(buildGraph([]), undefined, 'right'), undefined);
});

test('a checkpoint’s boundary lies at the last vertex it covers, per row, and never moves left', () => {
  const vertices = graphOf('a b:a c:a d:b,c').map((vertex, i) =>
    i < 2
      ? { ...vertex, state: 'final' as const, checkpoint: 4 }
      : i === 2
        ? { ...vertex, state: 'final' as const, checkpoint: 5 }
        : vertex,
  );
  assert.deepEqual(frontiers(buildGraph(vertices)), [
    { checkpoint: 4, times: [0, 100] },
    { checkpoint: 5, times: [200, 100] },
  ]);
});

test('grid lines are round times at least 80 pixels apart, whatever the span', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1000, max: 600_000 }),
      fc.integer({ min: 200, max: 2000 }),
      (spanMs, width) => {
        const { stepMs, times } = gridTimes({ ...VIEW, spanMs, width });
        return (
          (stepMs / spanMs) * width >= 80 && times.every((time) => time % stepMs === 0) && times.length < 40
        );
      },
    ),
  );
});
