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
import type { BlockSummary, CommandState, LiveEvent, Reading } from './wire.ts';

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

test('answers in any order: the lamp is as its newest answer says', () => {
  const answered = (id: string, sent: number, on: boolean): CommandState =>
    commandOf(id, { stages: { sent, acknowledged: sent + 30 }, state: { on, level: 100 } });
  const commands = [answered('new', 9000, true), answered('old', 1000, false)];
  const start = withDevices(EMPTY_STATE, [deviceOf('lamp', { state: { on: false, level: 10 } })]);
  for (const list of [commands, commands.toReversed()]) {
    const state = list.reduce((s, command) => withCommands(s, [command]), withCommands(start, list));
    assert.deepEqual(state.devices.get('lamp')?.state, { on: true, level: 100 });
    assert.deepEqual(
      state.commands.map((command) => command.id),
      ['new', 'old'],
    );
  }
});

test('what a command waited for is forgotten when the lamp is reached', () => {
  let state = withCommands(EMPTY_STATE, [commandOf('c', { stages: { inDag: 1 }, waiting: 'lamp is away' })]);
  assert.equal(state.commands[0]?.waiting, 'lamp is away');
  state = withCommands(state, [commandOf('c', { stages: { sent: 60_000 } })]);
  assert.equal(state.commands[0]?.waiting, undefined);
  assert.deepEqual(state.commands[0]?.stages, { inDag: 1, sent: 60_000 });
});

test('an empty status of a front without nodes keeps what was known, and marks all of it as away', () => {
  const nothing = statusOf({
    chain: '',
    time: 0,
    ready: false,
    reason: 'no node answers',
    height: 0,
    validators: [],
    subnets: [],
    processes: [{ name: 'gateway-1', role: 'gateway', state: 'stopped', restarts: 0 }],
  });
  const { status } = withStatus(withStatus(EMPTY_STATE, statusOf({ height: 40 })), nothing);
  assert.equal(status?.ready, false);
  assert.equal(status?.reason, 'no node answers');
  assert.equal(status?.height, 40);
  assert.deepEqual(
    status?.validators.map((validator) => validator.connected),
    [false, false, false, false],
  );
  assert.equal(status?.processes?.length, 1);
  assert.equal(withStatus(EMPTY_STATE, nothing).status?.chain, '');
});

test('envelopes a resumed stream replays are no measurement of finality', () => {
  const envelope = (time: number): LiveEvent => ({
    kind: 'envelope',
    subnet: 's',
    vertex: vertexOf(`v${time}`, { time }),
  });
  const final = {
    kind: 'checkpoint',
    subnet: 's',
    sequence: 1,
    final: ['v0', 'v60000'],
    checkpoint: {},
  } as const;
  const state = play(EMPTY_STATE, [
    [envelope(0), 60_400],
    [envelope(60_000), 60_400],
    [final, 61_400],
  ]);
  assert.deepEqual(state.finality, [1000]);
  // The node's clock is far ahead of this page's: the same moment, told in its time.
  const skewed = reduce(reduce(EMPTY_STATE, envelope(60_000), 400, 60_000), final, 1_400, 60_000);
  assert.deepEqual(skewed.finality, [1000]);
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
