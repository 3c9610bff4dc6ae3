import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prio3Count, prio3Histogram } from './instances.ts';
import { helperInitialize, leaderFinish, leaderInitialize } from './ping-pong.ts';
import type { Prio3 } from './prio3.ts';
import { CONTEXT, VERIFY_KEY, flip, randomFrom, refusal, shardOne, shareOf, value } from './testing/run.ts';

const task = { verifyKey: VERIFY_KEY, context: CONTEXT };

test('VDAF-8.1: one message each way gives both aggregators their output shares', () => {
  for (const [prio3, measurement] of [
    [prio3Count() as Prio3<never, unknown>, true],
    [prio3Histogram({ length: 4 }) as Prio3<never, unknown>, 3],
  ] as const) {
    const sharded = shardOne(prio3, measurement as never, randomFrom(81));
    const leader = value(leaderInitialize(prio3, task, shareOf(sharded, 0)));
    const helper = value(helperInitialize(prio3, task, shareOf(sharded, 1), leader.message));
    const output = value(leaderFinish(prio3, leader.state, helper.message));
    const result = value(prio3.unshard([prio3.aggregate([output]), prio3.aggregate([helper.outputShare])]));
    assert.deepEqual(result, measurement === true ? 1n : [0n, 0n, 0n, 1n]);
  }
});

test('VDAF-8.2: messages are a type, a length of four bytes, most significant first, and one item', () => {
  const prio3 = prio3Histogram({ length: 2 });
  const sharded = shardOne(prio3, 0, randomFrom(82));
  const leader = value(leaderInitialize(prio3, task, shareOf(sharded, 0)));
  const helper = value(helperInitialize(prio3, task, shareOf(sharded, 1), leader.message));
  const { verifierShare } = prio3.sizes;
  assert.deepEqual([...leader.message.subarray(0, 5)], [0, 0, 0, verifierShare >> 8, verifierShare & 0xff]);
  assert.equal(leader.message.length, 5 + verifierShare);
  assert.deepEqual([...helper.message.subarray(0, 5)], [2, 0, 0, 0, 32]);
});

test('VDAF-8.3: a message of another kind, cut, lengthened or changed is refused', () => {
  const prio3 = prio3Histogram({ length: 2 });
  const sharded = shardOne(prio3, 0, randomFrom(83));
  const leader = value(leaderInitialize(prio3, task, shareOf(sharded, 0)));
  const helper = value(helperInitialize(prio3, task, shareOf(sharded, 1), leader.message));
  const toHelper = (bytes: Uint8Array): string | undefined =>
    refusal(helperInitialize(prio3, task, shareOf(sharded, 1), bytes));
  const toLeader = (bytes: Uint8Array): string | undefined =>
    refusal(leaderFinish(prio3, leader.state, bytes));
  assert.equal(toHelper(helper.message), 'message-unexpected');
  assert.equal(toLeader(leader.message), 'message-unexpected');
  for (const deliver of [toHelper, toLeader]) {
    const message = deliver === toHelper ? leader.message : helper.message;
    for (let length = 0; length < message.length; length += 7)
      assert.equal(deliver(message.subarray(0, length)), 'malformed-length');
    assert.equal(deliver(Uint8Array.of(...message, 0)), 'malformed-length');
    for (const type of [1, 3, 255])
      assert.equal(deliver(Uint8Array.of(type, ...message.subarray(1))), 'message-unexpected');
    assert.notEqual(deliver(flip(message, 8 * 5)), undefined);
  }
  assert.throws(() => leaderInitialize(prio3Count({ shares: 3 }), task, shareOf(sharded, 0)), RangeError);
});
