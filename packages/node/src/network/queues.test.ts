/** The two queues of a connection: what waits to be sent, what waits to be handled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRIORITY, type Priority } from '../ports.ts';
import { FairQueue } from './fair-queue.ts';
import { NETWORK_LIMITS } from './limits.ts';
import { Outbox } from './outbox.ts';

function channelsIn(batch: Uint8Array): number[] {
  const channels: number[] = [];
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  for (let at = 0; at < batch.length; at += 5 + view.getUint32(at)) channels.push(view.getUint8(at + 4));
  return channels;
}

const message = (
  channel: number,
  priority: Priority,
  length = 100,
): { channel: number; priority: Priority; bytes: Uint8Array } => ({
  channel,
  priority,
  bytes: new Uint8Array(length),
});

test('NODE-2.9: votes overtake bulk, and keep their order among themselves', () => {
  const outbox = new Outbox();
  for (const [channel, priority] of [[1, PRIORITY.bulk], [2, PRIORITY.normal], [3, PRIORITY.urgent], [4, PRIORITY.bulk], [5, PRIORITY.urgent]] as const) outbox.push(message(channel, priority)); // prettier-ignore
  assert.deepEqual(channelsIn(outbox.take(10_000)), [3, 5, 2, 1, 4]);
  assert.ok(outbox.isEmpty);
});

test('a batch is bounded, and holds at least one message whatever its size', () => {
  const outbox = new Outbox();
  for (let i = 1; i <= 4; i += 1) outbox.push(message(i, PRIORITY.normal, 400));
  assert.deepEqual(channelsIn(outbox.take(1000)), [1, 2]);
  assert.deepEqual(channelsIn(outbox.take(1)), [3]);
  outbox.push(message(9, PRIORITY.urgent, 10));
  assert.deepEqual(channelsIn(outbox.take(500)), [9, 4]);
});

test('NODE-2.8: a full queue refuses and counts; other priorities still go; one message always fits', () => {
  const outbox = new Outbox();
  const huge = NETWORK_LIMITS.outboxBytesMax[PRIORITY.bulk] + 1;
  assert.equal(outbox.push(message(1, PRIORITY.bulk, huge)), true);
  assert.equal(outbox.push(message(2, PRIORITY.bulk)), false);
  assert.equal(outbox.push(message(3, PRIORITY.urgent)), true);
  assert.equal(outbox.dropped, 1);
});

test('NODE-2.10: a peer that floods gets no more turns than one that has little to say', () => {
  const runs: (() => void)[] = [];
  const queue = new FairQueue((run) => runs.push(run));
  const handled: string[] = [];
  const open = (name: string): ReturnType<FairQueue['open']> =>
    queue.open({ handle: () => handled.push(name), throttle: () => {} });
  const [flood, quiet] = [open('flood'), open('quiet')];
  for (let i = 0; i < 5000; i += 1) flood.push(1, new Uint8Array(1000));
  for (let i = 0; i < 20; i += 1) quiet.push(1, new Uint8Array(1000));
  runs.shift()?.();
  const last = handled.lastIndexOf('quiet');
  assert.equal(handled.filter((name) => name === 'quiet').length, 20);
  assert.ok(last < 100, `the last quiet message was number ${last}`);
  while (runs.length > 0) runs.shift()?.();
  assert.equal(handled.length, 5020);
});

test('a turn ends after a bounded amount of work', () => {
  const runs: (() => void)[] = [];
  const queue = new FairQueue((run) => runs.push(run));
  let handled = 0;
  const inbox = queue.open({ handle: () => (handled += 1), throttle: () => {} });
  for (let i = 0; i < 3 * NETWORK_LIMITS.turnMessagesMax; i += 1) inbox.push(1, new Uint8Array(0));
  runs.shift()?.();
  assert.equal(handled, NETWORK_LIMITS.turnMessagesMax);
});

test('NODE-2.10: a full inbox stops the reading, and a half empty one starts it again; a closed one is silent', () => {
  const runs: (() => void)[] = [];
  const queue = new FairQueue((run) => runs.push(run));
  const throttled: boolean[] = [];
  let handled = 0;
  const inbox = queue.open({ handle: () => (handled += 1), throttle: (full) => throttled.push(full) });
  while (throttled.length === 0) inbox.push(1, new Uint8Array(10_000));
  assert.ok(inbox.bytes <= NETWORK_LIMITS.inboxBytesMax + 10_000);
  while (runs.length > 0) runs.shift()?.();
  assert.deepEqual(throttled, [true, false]);
  inbox.push(1, new Uint8Array(10));
  inbox.close();
  const before = handled;
  inbox.push(1, new Uint8Array(10));
  while (runs.length > 0) runs.shift()?.();
  assert.equal(handled, before);
});
