import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ATTACKS } from './attack-plans.ts';
import { arrivalsOf, burstsOf, windowsOf } from './load.ts';
import { figure, percentile } from './result.ts';
import { formatNumber, formatTable } from './table.ts';

const main = fileURLToPath(new URL('./main.js', import.meta.url));

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--enable-source-maps', main, ...args], { encoding: 'utf8' });
}

test('bench: --list names the benches, --help tells the options too', () => {
  const listed = bench('--list');
  assert.equal(listed.status, 0);
  for (const name of ['main-chain', 'dag', 'light', 'storage', 'vdaf'])
    assert.match(listed.stdout, new RegExp(`^ +${name} `, 'm'));
  const help = bench('--help');
  assert.equal(help.status, 0);
  for (const option of ['--json', '--seed', '--quick', '--list'])
    assert.ok(help.stdout.includes(option), option);
});

test('bench: an unknown name or option is bad usage: exit code 2, the list, nothing on standard output', () => {
  for (const args of [['chian'], ['--sed', '1'], ['light', '--seed', 'x']]) {
    const { status, stdout, stderr } = bench(...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^bench: .+\n\n +main-chain /);
  }
});

test('bench: --attack list names the attacks, a line each; an unknown one is bad usage', () => {
  const listed = bench('--attack', 'list');
  assert.equal(listed.status, 0);
  const lines = listed.stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.trim().split(/ {2,}/)[0]),
    ATTACKS.map(({ name }) => name),
  );
  for (const name of ['slow-primary', 'censor', 'invalid-blocks', 'bad-signatures'])
    assert.ok(
      lines.some((line) => line.includes(`  ${name} `)),
      name,
    );
  for (const args of [
    ['main-chain', '--attack', 'slow'],
    ['dag', '--attack', 'censor'],
  ]) {
    const { status, stdout, stderr } = bench(...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^bench: /);
  }
});

interface Report {
  readonly bench: string;
  readonly seed: number;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number };
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly Readonly<Record<string, unknown>>[];
}

test('bench: --json prints one object with machine, versions and complete results; progress goes elsewhere', () => {
  const { status, stdout, stderr } = bench('light', '--quick', '--json', '--seed', '7');
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^light +\d/);
  const report = JSON.parse(stdout) as Report;
  assert.equal(report.bench, 'light');
  assert.equal(report.seed, 7);
  assert.ok(report.machine.cores > 0 && report.machine.memoryGiB > 0 && report.machine.cpu.length > 0);
  assert.equal(report.versions['node'], process.versions.node);
  assert.ok(report.results.length > 0);
  for (const result of report.results) {
    const { metric, unit, value, p10, p90, peer, peerValue, ratio } = result;
    assert.ok(typeof metric === 'string' && typeof unit === 'string');
    assert.ok(typeof value === 'number' && typeof p10 === 'number' && typeof p90 === 'number');
    assert.ok(p10 <= value && value <= p90, metric);
    assert.equal(peer === undefined, peerValue === undefined);
    assert.equal(peer === undefined, ratio === undefined);
  }
});

test('bench: figures are medians by nearest rank, and a ratio above 1 means ahead', () => {
  assert.equal(percentile([5, 1, 3], 0.5), 3);
  assert.ok(Number.isNaN(percentile([], 0.5)));
  const peer = { name: 'peer', samples: [10] };
  assert.equal(figure('', 'per s', [20], { ...peer, better: 'more' }).ratio, 2);
  assert.equal(figure('', 'ms', [20], { ...peer, better: 'less' }).ratio, 0.5);
  assert.equal(figure('', 'ms', [20], { ...peer, samples: [], better: 'less' }).peer, undefined);
});

test('bench: a load counts what was done inside its windows, whenever it was handed in', () => {
  const completions = [
    { started: 0, done: 99 },
    { started: 50, done: 100 },
    { started: 90, done: 190 },
    { started: 150, done: 250 },
    { started: 160, done: 300 },
  ];
  const samples = windowsOf(completions, { from: 100, to: 300, windows: 2 });
  assert.deepEqual(samples.throughput, [20, 10]);
  assert.deepEqual(samples.p50, [100, 100]);
  assert.equal(samples.operations, 3);
  assert.equal(samples.total, 5);
});

test('bench: bursts count from one to the next, and the first only sets the clock', () => {
  const burst = (done: number, count: number): { started: number; done: number }[] =>
    Array.from({ length: count }, (_, i) => ({ started: done - 100, done: done + i }));
  const samples = burstsOf([...burst(3_000, 4), ...burst(1_000, 5), ...burst(2_000, 8)], {
    from: 0,
    to: 10_000,
  });
  assert.deepEqual(samples.throughput, [8, 4]);
  assert.equal(samples.operations, 12);
  assert.equal(samples.total, 17);
});

test('bench: in an open loop a stall weighs on what came during it, however late it was done', () => {
  const completions = [
    { started: 0, done: 10 },
    { started: 100, done: 110 },
    { started: 150, done: 1_100 },
    { started: 250, done: 1_100 },
  ];
  const samples = arrivalsOf(completions, { from: 100, to: 300, windows: 2 });
  assert.deepEqual(samples.p99, [950, 850]);
  assert.deepEqual(samples.throughput, [3]);
});

test('bench: a table shows the peer where there is one', () => {
  const results = [
    figure('first', 'per s', [12_345], { name: 'other', samples: [100], better: 'more' }),
    figure('second', 'ms', [0.1234]),
  ];
  const [, , first = '', second = ''] = formatTable(results).split('\n');
  assert.match(first, /^first +12\u202f345 .* per s +other +100 +123\.45 ×$/);
  assert.match(second, /^second +0\.123 .* ms$/);
  assert.equal(formatNumber(Number.NaN), '–');
});
