import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionLabel, commandStages, commandSummary, isLate, isSettled } from './stages.ts';
import { commandOf } from './testing/documents.ts';

const states = (command: Parameters<typeof commandStages>[0]): string =>
  commandStages(command)
    .map((stage) => stage.state)
    .join(' ');

test('a command just sent waits for the lamp, and only for that', () => {
  assert.equal(states(commandOf('c')), 'done active ahead ahead');
});

test('times after sending are shown per stage', () => {
  const command = commandOf('c', {
    stages: { sent: 1000, acknowledged: 1041, inDag: 1400, final: 2600 },
    outcome: { kind: 'done' },
  });
  assert.deepEqual(
    commandStages(command).map((stage) => stage.after),
    [undefined, 41, 400, 1600],
  );
  assert.ok(isSettled(command));
});

test('a sleeping lamp: final on the chain, still unacknowledged, is not called done', () => {
  const command = commandOf('c', {
    stages: { sent: 1000, inDag: 1400, final: 2600 },
    waiting: 'lamp-1 is asleep',
  });
  assert.equal(states(command), 'done active done done');
  assert.ok(!isSettled(command));
  assert.equal(commandSummary(command, 10_000), 'lamp-1 is asleep.');
});

test('a lamp that is away: nothing is sent yet, and times count from the first stage there is', () => {
  const away = commandOf('c', { stages: { inDag: 1400, final: 2600 }, waiting: 'lamp-1 is asleep' });
  assert.equal(states(away), 'active ahead done done');
  assert.equal(commandSummary(away, 10_000), 'lamp-1 is asleep.');
  assert.equal(states(commandOf('c', { stages: {} })), 'active ahead ahead ahead');
  assert.ok(!isLate(commandOf('c', { stages: {} }), 10_000));
  const back = commandOf('c', {
    stages: { inDag: 1400, final: 2600, sent: 61_400, acknowledged: 61_430 },
    outcome: { kind: 'done' },
  });
  assert.deepEqual(
    commandStages(back).map((stage) => stage.after),
    [60_000, 60_030, undefined, 1200],
  );
});

test('a refusal shows at the lamp’s stage while the rest goes on', () => {
  const command = commandOf('c', {
    stages: { sent: 1000, acknowledged: 1050 },
    outcome: { kind: 'refused', reason: 'not-allowed' },
  });
  assert.equal(states(command), 'done refused active ahead');
  assert.equal(commandSummary(command, 1100), 'The lamp refused');
});

test('a lamp whose clock is behind does not give negative times', () => {
  const command = commandOf('c', { stages: { sent: 1000, acknowledged: 990 } });
  assert.equal(commandStages(command)[1]?.after, 0);
});

test('actions are named', () => {
  assert.equal(actionLabel({ kind: 'level', level: 127 }), 'Brightness 50 %');
  assert.equal(actionLabel({ kind: 'off' }), 'Switch off');
  assert.equal(actionLabel({ kind: 'colour-temperature', kelvin: 2700 }), 'Colour 2700 K');
  assert.equal(actionLabel({ kind: 'end' }), 'End the rental');
});
