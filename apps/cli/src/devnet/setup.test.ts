import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { readConfig } from '@itc/node/config.js';
import { readGenesis } from '@itc/node/runtime/process.js';
import { layoutOf, readDevnet, type Layout } from './layout.ts';
import { configPath, planProcesses, setUpDevnet, type DevnetOptions } from './setup.ts';

const SMALL: DevnetOptions = {
  apiPort: 47_100,
  mqttPort: 47_800,
  validators: 4,
  gateways: 2,
  subnets: 1,
  simulation: false,
};

async function inFolder(work: (layout: Layout) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'itc-setup-'));
  try {
    await work(layoutOf(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const isInvalid = (error: unknown): boolean =>
  error instanceof LedgerError && error.code === 'config.invalid';

test('NODE-7.9: a subnet has four members at least, so that one of them may die', () => {
  for (let gateways = 1; gateways <= 8; gateways += 1) {
    for (let subnets = 1; subnets <= Math.min(4, gateways); subnets += 1) {
      const planned = planProcesses({ ...SMALL, gateways, subnets });
      assert.equal(new Set(planned.map(({ name }) => name)).size, planned.length);
      for (let subnet = 0; subnet < subnets; subnet += 1) {
        const members = planned.filter((process) => process.subnet === subnet);
        assert.ok(members.length >= 4);
        assert.ok(members.some(({ role }) => role === 'gateway'));
        const { total, strong } = quorumOf(members.map(() => 100));
        assert.ok(total - 100 >= strong);
      }
    }
  }
});

test('NODE-7.9: a second set-up finds the same chain and keys, and configurations that are accepted', async () => {
  await inFolder(async (layout) => {
    const first = await setUpDevnet(layout, SMALL, undefined);
    const genesis = readFileSync(layout.genesisFile);
    const second = await setUpDevnet(layout, SMALL, readDevnet(layout));
    assert.equal(second.chain, first.chain);
    assert.deepEqual(readFileSync(layout.genesisFile), genesis);
    assert.deepEqual(readDevnet(layout), second);
    const ports: number[] = [Number(new URL(second.api).port)];
    for (const { name, role, url } of second.processes) {
      const config = readConfig(configPath(layout, name));
      assert.equal(config.role, role);
      assert.equal(config.peers.length, second.processes.length - 1);
      assert.equal(url, `http://127.0.0.1:${config.api.port}`);
      ports.push(config.api.port, config.peer.port, ...(config.mqtt === undefined ? [] : [config.mqtt.port]));
    }
    assert.equal(new Set(ports).size, ports.length, 'no port is given twice');
    const { validators, subnets } = readGenesis(layout.genesisFile);
    assert.equal(validators.length, 4);
    assert.equal(subnets[0]?.members.length, 4);
  });
});

test('NODE-7.9: keys are for nobody else’s eyes', async () => {
  await inFolder(async (layout) => {
    await setUpDevnet(layout, SMALL, undefined);
    assert.equal(statSync(layout.keys).mode & 0o077, 0);
    assert.equal(statSync(join(layout.keys, 'owner.json')).mode & 0o077, 0);
  });
});

test('NODE-7.9: a chain of other processes is not started with these numbers, nor is a damaged folder guessed at', async () => {
  await inFolder(async (layout) => {
    await setUpDevnet(layout, SMALL, undefined);
    await assert.rejects(setUpDevnet(layout, { ...SMALL, validators: 5 }, readDevnet(layout)), isInvalid);
    for (const text of ['', '{', '{"version":2}', 'null']) {
      writeFileSync(layout.devnetFile, text);
      assert.throws(() => readDevnet(layout), isInvalid, JSON.stringify(text));
    }
  });
});
