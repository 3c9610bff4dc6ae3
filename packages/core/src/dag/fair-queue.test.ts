import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FairQueue, type FairQueueOptions } from './fair-queue.ts';

const base: FairQueueOptions = {
  weights: [1, 1],
  quantum: 256,
  quantaMax: 64,
  countMax: 1000,
  costMax: 1_000_000,
  delayMaxMs: 1000,
};

interface Item {
  readonly flow: number;
  readonly number: number;
  readonly cost: number;
}

/** Takes `capacity` units of cost per round while every flow offers what it likes; service by flow. */
function served(options: {
  readonly weights: readonly number[];
  readonly offers: readonly { readonly count: number; readonly cost: number }[];
  readonly rounds: number;
  readonly capacity: number;
}): number[] {
  const queue = new FairQueue<Item>({ ...base, weights: options.weights });
  const service = options.weights.map(() => 0);
  let credit = 0;
  for (let round = 0; round < options.rounds; round += 1) {
    for (const [flow, { count, cost }] of options.offers.entries())
      for (let number = 0; number < count; number += 1)
        queue.push(flow, { flow, number, cost }, cost, round * 100);
    for (credit += options.capacity; credit > 0;) {
      const item = queue.next(round * 100);
      if (item === undefined) break;
      credit -= item.cost;
      service[item.flow] = (service[item.flow] as number) + item.cost;
    }
    credit = Math.min(credit, 0);
  }
  return service;
}

test('DAG-11.2: service follows weight and not what is offered, whoever shouts (hashrate attack, spam)', () => {
  // The first offers a hundred times as much as it may have; the others more than their share too.
  const weights = [10, 10, 20, 60];
  const offers = [
    { count: 400, cost: 16 },
    { count: 8, cost: 160 },
    { count: 30, cost: 100 },
    { count: 2, cost: 4_000 },
  ];
  const service = served({ weights, offers, rounds: 400, capacity: 3_000 });
  const total = service.reduce((sum, each) => sum + each, 0);
  for (const [flow, weight] of weights.entries()) {
    const share = (service[flow] as number) / total;
    assert.ok(Math.abs(share - weight / 100) < 0.05, `flow ${flow} got ${share}`);
  }
});

test('DAG-11.2: what somebody does not use is shared by those who need it', () => {
  const offers = [
    { count: 1, cost: 16 },
    { count: 500, cost: 16 },
    { count: 500, cost: 16 },
  ];
  const [quiet, one, two] = served({ weights: [80, 10, 10], offers, rounds: 200, capacity: 1_600 });
  assert.ok((quiet as number) >= 199 * 16, 'the quiet one waits a turn at most');
  assert.ok(Math.abs((one as number) - (two as number)) < 2 * 64 * 256);
  assert.ok((one as number) + (two as number) > 0.95 * (200 * 1_600 - 200 * 16));
});

test('DAG-11.1: any mix keeps its bounds, its order within a flow, and every item is served or counted as dropped', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ flow: fc.nat(3), cost: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ take: fc.nat(5), wait: fc.nat(30) }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (actions) => {
      const queue = new FairQueue<Item>({
        ...base,
        weights: [1, 2, 3, 4],
        countMax: 20,
        costMax: 300,
        delayMaxMs: 50,
        quantum: 10,
      });
      const last = [-1, -1, -1, -1];
      let now = 0;
      let pushed = 0;
      let taken = 0;
      for (const action of actions) {
        if ('flow' in action) {
          queue.push(action.flow, { ...action, number: pushed }, action.cost, now);
          pushed += 1;
        } else {
          now += action.wait;
          for (let i = 0; i < action.take; i += 1) {
            const item = queue.next(now);
            if (item === undefined) break;
            taken += 1;
            assert.ok(item.number > (last[item.flow] as number));
            last[item.flow] = item.number;
          }
        }
        assert.ok(queue.length <= 20 && queue.cost <= 300 && queue.cost >= 0);
      }
      const dropped = queue.dropped().reduce((sum, each) => sum + each, 0);
      assert.equal(pushed, taken + dropped + queue.length);
    }),
  );
});

test('DAG-11.1: a full queue drops the newest of whoever holds most for its weight, never another’s', () => {
  const queue = new FairQueue<number>({ ...base, weights: [1, 3], countMax: 8 });
  for (let i = 0; i < 8; i += 1) assert.equal(queue.push(0, i, 16, 0), true);
  assert.equal(queue.push(0, 8, 16, 0), false, 'its own flow is the fullest');
  assert.equal(queue.push(1, 100, 16, 0), true);
  assert.deepEqual([queue.lengthOf(0), queue.lengthOf(1)], [7, 1]);
  for (let i = 1; i < 20; i += 1) queue.push(1, 100 + i, 16, 0);
  assert.deepEqual([queue.lengthOf(0), queue.lengthOf(1)], [2, 6], 'shares of a full queue follow weight');
  assert.equal(queue.next(0), 0, 'the oldest stay');
});

test('DAG-11.1: what waited too long is dropped, and a flow that was silent has saved nothing', () => {
  const queue = new FairQueue<string>({ ...base, quantum: 16 });
  queue.push(0, 'old', 16, 0);
  queue.push(1, 'fresh', 16, 900);
  assert.equal(queue.next(1500), 'fresh');
  assert.deepEqual(queue.dropped(), [1, 0]);
  for (let i = 0; i < 40; i += 1) queue.next(1600 + i);
  for (let i = 0; i < 128; i += 1) {
    queue.push(0, 'a', 16, 2000);
    queue.push(1, 'b', 16, 2000);
  }
  const order = Array.from({ length: 256 }, () => queue.next(2000)).join('');
  assert.deepEqual(
    [...order.matchAll(/a+|b+/g)].map(([turn]) => turn.length),
    Array.from({ length: 8 }, () => 32),
    'every turn is one quantum',
  );
  assert.equal(queue.next(2000), undefined);
});

test('DAG-11.2: who was pushed out completely and comes again has one turn and not two', () => {
  const queue = new FairQueue<string>({
    ...base,
    weights: [1, 1, 1],
    quantum: 16,
    quantaMax: 1,
    costMax: 340,
  });
  queue.push(0, 'a', 300, 0);
  for (const flow of [1, 2]) for (let i = 0; i < 9; i += 1) queue.push(flow, 'xbc'[flow] as string, 16, 0);
  assert.equal(queue.lengthOf(0), 0, 'its one great item had to go');
  for (let i = 0; i < 2; i += 1) queue.push(0, 'a', 16, 0);
  assert.equal(queue.next(0), 'a');
  for (let i = 0; i < 2; i += 1) queue.push(0, 'a', 16, 0);
  const order = Array.from({ length: 8 }, () => queue.next(0)).join('');
  assert.equal(order, 'bcabcabc');
});

test('DAG-11.2: between two items pass at most as many turns as flows and the greatest cost allow', () => {
  const flows = 32;
  const queue = new FairQueue<number>({ ...base, weights: Array.from({ length: flows }, () => 1) });
  for (let flow = 0; flow < flows; flow += 1) queue.push(flow, flow, 8_720, 0);
  const started = new Set<number>();
  for (let i = 0; i < flows; i += 1) started.add(queue.next(0) as number);
  assert.equal(started.size, flows, 'everybody had one');
});
