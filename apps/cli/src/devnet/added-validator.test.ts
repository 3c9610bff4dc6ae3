import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { readConfig } from '@itc/node/config.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { freeValidatorName, retireValidator, setUpValidator } from './added-validator.ts';
import { layoutOf, readDevnet, type Devnet, type Layout } from './layout.ts';
import { configPath, setUpDevnet, type DevnetOptions } from './setup.ts';

const SMALL: DevnetOptions = {
  apiPort: 48_100,
  mqttPort: 48_800,
  validators: 4,
  gateways: 2,
  subnets: 1,
  simulation: false,
};

async function inDevnet(work: (layout: Layout) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'itc-added-'));
  try {
    const layout = layoutOf(folder);
    await setUpDevnet(layout, SMALL, undefined);
    await work(layout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const devnet = (layout: Layout): Devnet => readDevnet(layout) as Devnet;

test('NODE-7.17: a further validator gets key, log and ports of its own, and is known to the others from their next start on', async () => {
  await inDevnet(async (layout) => {
    assert.equal(freeValidatorName(devnet(layout)), 'validator-5');
    const added = await setUpValidator(layout, 'validator-5');
    assert.deepEqual([added.role, added.added], ['validator', true]);
    assert.equal(freeValidatorName(devnet(layout)), 'validator-6');
    assert.ok(
      nodeDisk.list(join(layout.nodes, 'validator-5', 'replica')).length > 0,
      'it begins with an empty log',
    );
    const check = (): void => {
      const { processes } = devnet(layout);
      const ports = new Set<number>();
      for (const { name, url } of processes) {
        const config = readConfig(configPath(layout, name));
        assert.equal(config.peers.length, processes.length - 1, name);
        assert.equal(url, `http://127.0.0.1:${config.api.port}`);
        ports.add(config.api.port).add(config.peer.port);
      }
      assert.equal(ports.size, 2 * processes.length);
    };
    check();
    // Again changes nothing; the next start of the devnet keeps it.
    assert.deepEqual(await setUpValidator(layout, 'validator-5'), added);
    await setUpValidator(layout, 'alice');
    await setUpDevnet(layout, SMALL, readDevnet(layout));
    assert.deepEqual(
      devnet(layout).processes.flatMap(({ name, added: later }) => (later === true ? [name] : [])),
      ['validator-5', 'alice'],
    );
    check();
  });
});

test('NODE-7.18: who has left stays down over the next start, and comes back when it is added again', async () => {
  await inDevnet(async (layout) => {
    await setUpValidator(layout, 'validator-5');
    for (const name of ['validator-2', 'validator-5'])
      assert.equal(retireValidator(layout, name).removed, true);
    await setUpDevnet(layout, SMALL, readDevnet(layout));
    const removed = (): string[] =>
      devnet(layout).processes.flatMap(({ name, removed: left }) => (left === true ? [name] : []));
    assert.deepEqual(removed(), ['validator-2', 'validator-5']);
    assert.equal((await setUpValidator(layout, 'validator-2')).removed, undefined);
    assert.deepEqual(removed(), ['validator-5']);
  });
});

test('NODE-7.17: names that are taken by others, or are no names, are refused', async () => {
  await inDevnet(async (layout) => {
    const refused = (error: unknown): boolean =>
      error instanceof LedgerError && error.code === 'config.invalid';
    for (const name of ['gateway-1', 'member-1', '../escape', 'A', ''])
      await assert.rejects(setUpValidator(layout, name), refused, name);
    assert.throws(() => retireValidator(layout, 'gateway-1'), LedgerError);
    assert.throws(() => retireValidator(layout, 'nobody'), LedgerError);
    await assert.rejects(setUpValidator(layoutOf(join(layout.root, 'nothing')), 'x'), LedgerError);
  });
});
