import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BOUNDS,
  EMPTY_STATE,
  reduce,
  withBlocks,
  withCommands,
  withDevices,
  withStatus,
  withVertices,
  type LiveState,
} from './live-state.ts';
import { commandOf, deviceOf, statusOf, vertexOf } from './testing/documents.ts';
import type { BlockSummary, LiveEvent, Reading } from './wire.ts';

const block = (height: number): BlockSummary => ({
  height,
  hash: `h${height}`,
  time: height * 1000,
  transactions: 1,
  view: 0,
  signers: [0, 1, 2],
  bytes: 500,
});
const play = (state: LiveState, events: readonly [LiveEvent, number][]): LiveState =>
  events.reduce((s, [event, at]) => reduce(s, event, at), state);

test('blocks: newest first, each once, bounded, in whatever order they come', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 300 }), (heights) => {
      const state = withBlocks(EMPTY_STATE, heights.map(block));
      const shown = state.blocks.map((b) => b.height);
      const expected = [...new Set(heights)].sort((a, b) => b - a).slice(0, BOUNDS.blocks);
      assert.deepEqual(shown, expected);
    }),
  );
});

test('a block on the stream raises the height before the next status does, and never lowers it', () => {
  const ready = withStatus(EMPTY_STATE, statusOf({ height: 10, finalisedHeight: 10 }));
  assert.equal(reduce(ready, { kind: 'block', block: block(11) }, 0).status?.finalisedHeight, 11);
  assert.equal(reduce(ready, { kind: 'block', block: block(4) }, 0).status?.finalisedHeight, 10);
});

test('a vertex advances from pending to accepted to final, and no late answer takes it back', () => {
  let state = play(EMPTY_STATE, [
    [{ kind: 'envelope', subnet: 's', vertex: vertexOf('a') }, 100],
    [{ kind: 'weight', subnet: 's', accepted: ['a'] }, 600],
    [{ kind: 'checkpoint', subnet: 's', sequence: 5, final: ['a'], checkpoint: { payloads: 1 } }, 1100],
  ]);
  state = withVertices(state, 's', [vertexOf('a', { state: 'pending' })], 1200);
  const vertex = state.subnets.get('s')?.vertices[0];
  assert.equal(vertex?.state, 'final');
  assert.equal(vertex?.checkpoint, 5);
  assert.equal(vertex?.changedAt, 1100);
});

test('finality counts only envelopes this page saw appear: loading a page is not a measurement', () => {
  let state = withVertices(EMPTY_STATE, 's', [vertexOf('old')], 1000);
  state = play(state, [
    [{ kind: 'envelope', subnet: 's', vertex: vertexOf('new') }, 1100],
    [{ kind: 'checkpoint', subnet: 's', sequence: 5, final: ['old', 'new'], checkpoint: {} }, 1900],
    [{ kind: 'checkpoint', subnet: 's', sequence: 5, final: ['old', 'new'], checkpoint: {} }, 5000],
  ]);
  assert.deepEqual(state.finality, [800]);
});

test('the DAG stays bounded and in order of time however many envelopes come', () => {
  let state = EMPTY_STATE;
  for (let i = 0; i < BOUNDS.vertices + 50; i += 1)
    state = reduce(
      state,
      { kind: 'envelope', subnet: 's', vertex: vertexOf(`v${i}`, { time: (i * 7919) % 1000 }) },
      i,
    );
  const times = state.subnets.get('s')?.vertices.map((v) => v.time) ?? [];
  assert.equal(times.length, BOUNDS.vertices);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
});

test('checkpoints are merged by sequence and the status card follows', () => {
  const subnet = { id: 's', name: 'home', checkpoint: 4, payloads: 100, members: [], powBits: 8 };
  const state = play(withStatus(EMPTY_STATE, statusOf({ subnets: [subnet] })), [
    [
      { kind: 'checkpoint', subnet: 's', sequence: 5, final: ['a'], checkpoint: { payloads: 30, time: 77 } },
      1,
    ],
    [
      { kind: 'checkpoint', subnet: 's', sequence: 5, final: ['a'], checkpoint: { payloads: 30, time: 77 } },
      2,
    ],
  ]);
  assert.equal(state.status?.subnets[0]?.payloads, 130);
  assert.equal(state.status?.subnets[0]?.checkpointTime, 77);
  assert.equal(state.subnets.get('s')?.checkpoints.length, 1);
});

test('a reading updates its device, but an older one does not replace a newer value', () => {
  const reading = (value: number, time: number): LiveEvent => {
    const body: Reading = {
      id: `p${time}:0`,
      payload: `p${time}`,
      index: 0,
      device: 'd',
      name: 'temperature',
      unit: 'Cel',
      value,
      time,
      status: 'received',
    };
    return { kind: 'reading', reading: body };
  };
  const state = play(withDevices(EMPTY_STATE, [deviceOf('d', { online: false })]), [
    [reading(21, 2000), 0],
    [reading(19, 1000), 0],
  ]);
  assert.equal(state.devices.get('d')?.latest[0]?.value, 21);
  assert.equal(state.devices.get('d')?.online, true);
  assert.equal(state.readings.length, 2);
});

test('a command gathers its stages from several events, and the lamp’s answer sets the lamp', () => {
  let state = withDevices(EMPTY_STATE, [deviceOf('lamp', { state: { on: false, level: 10 } })]);
  state = withCommands(state, [commandOf('c')]);
  state = withCommands(state, [
    commandOf('c', {
      stages: { sent: 1000, acknowledged: 1040 },
      state: { on: true, level: 200 },
      outcome: { kind: 'done' },
    }),
  ]);
  state = withCommands(state, [commandOf('c', { stages: { sent: 1000, final: 2500 } })]);
  assert.deepEqual(state.commands[0]?.stages, { sent: 1000, acknowledged: 1040, final: 2500 });
  assert.deepEqual(state.devices.get('lamp')?.state, { on: true, level: 200 });
  assert.equal(state.commands.length, 1);
});

test('a small status event changes what it names and nothing else', () => {
  const state = reduce(
    withStatus(EMPTY_STATE, statusOf()),
    { kind: 'status', status: { ready: false, reason: 'disk full' } },
    0,
  );
  assert.equal(state.status?.ready, false);
  assert.equal(state.status?.validators.length, 4);
});
