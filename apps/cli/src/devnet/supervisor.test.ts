import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { Supervisor, type ProcessStatus } from './supervisor.ts';

const POLITE = `process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000); process.stdin.on('end', () => process.exit(0)).resume();`;

async function supervised(
  options: { readonly script: string; readonly restart?: boolean },
  work: (supervisor: Supervisor, changes: readonly ProcessStatus[], folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'itc-supervisor-'));
  const changes: ProcessStatus[] = [];
  const supervisor = new Supervisor({
    logFolder: folder,
    restart: options.restart === true,
    onChange: (status) => changes.push(status),
    stopMs: 500,
  });
  try {
    supervisor.launch({ process: { name: 'one', role: 'validator' }, argv: ['-e', options.script] });
    await work(supervisor, changes, folder);
  } finally {
    await supervisor.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition();) {
    assert.ok(performance.now() < end, `waited for ${what}`);
    await sleep(20);
  }
}

function wordsOf(folder: string): string {
  const path = join(folder, 'one.log');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('NODE-7.10: a stopped and a killed process stay down, say how to start them, and start again by name', async () => {
  await supervised({ script: POLITE }, async (supervisor) => {
    const [first] = supervisor.statuses();
    assert.equal(first?.state, 'running');
    const killed = await supervisor.kill('one');
    assert.equal(killed.state, 'exited');
    assert.match(killed.reason ?? '', /SIGKILL.*itc devnet start one/);
    assert.equal(isAlive(first?.pid ?? 0), false);
    const again = supervisor.start('one');
    assert.equal(again.state, 'running');
    assert.equal(again.restarts, 1);
    assert.notEqual(again.pid, first?.pid);
    assert.equal(supervisor.start('one').pid, again.pid, 'starting what runs changes nothing');
    const stopped = await supervisor.stop('one');
    assert.equal(stopped.state, 'stopped');
    assert.match(stopped.reason ?? '', /^stopped; .*itc devnet start one/);
    supervisor.start('one');
    const retired = await supervisor.retire('one');
    assert.deepEqual(
      [retired.state, retired.reason],
      ['stopped', undefined],
      'nothing is to be done about it',
    );
  });
});

test('NODE-7.10: a process that ends by itself is reported with its last words', async () => {
  await supervised({ script: `console.error('port 1 is taken'); process.exit(3)` }, async (supervisor) => {
    await until(() => supervisor.statuses()[0]?.state === 'exited', 'its end');
    assert.match(supervisor.statuses()[0]?.reason ?? '', /exit code 3.*port 1 is taken/);
  });
});

test('NODE-7.10: with --restart it comes back by itself', async () => {
  await supervised({ script: POLITE, restart: true }, async (supervisor, changes) => {
    await supervisor.kill('one');
    await until(() => supervisor.statuses()[0]?.state === 'running', 'its return');
    assert.equal(changes.filter(({ state }) => state === 'running').length, 2);
  });
});

test('NODE-7.10: an unknown name is refused, naming the known ones; the same name cannot run twice', async () => {
  await supervised({ script: POLITE }, async (supervisor) => {
    assert.throws(
      () => supervisor.start('two'),
      (error) => error instanceof LedgerError && error.code === 'not-found' && /one/.test(error.message),
    );
    assert.throws(() =>
      supervisor.launch({ process: { name: 'one', role: 'validator' }, argv: ['-e', POLITE] }),
    );
  });
});

test(
  'NODE-7.10: closing ends everything, also what does not listen to SIGTERM',
  { timeout: 120_000 },
  async () => {
    let pid = 0;
    await supervised(
      { script: `process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)` },
      async (supervisor, _changes, folder) => {
        pid = supervisor.statuses()[0]?.pid ?? 0;
        await until(() => wordsOf(folder).includes('up'), 'its first word');
        assert.ok(isAlive(pid));
        const { state, reason } = await supervisor.stop('one');
        assert.equal(state, 'stopped');
        assert.match(reason ?? '', /^killed, it did not stop in 0\.5 s/, 'and says so');
      },
    );
    assert.equal(isAlive(pid), false);
  },
);
