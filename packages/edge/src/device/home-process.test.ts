import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { keyPairFromSecret } from '@itc/core/testing/keys.js';
import { command, gatewayKey, openGateway, owner } from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';
import { parseHomeConfig } from './home-config.ts';
import { roomAt } from './sensor.ts';

const MAIN = fileURLToPath(new URL('./home-process.js', import.meta.url));

test('EDGE-12.1: a home process runs its devices, which keep their counters and state over its restart', async () => {
  await using t = await openGateway();
  const seeds = [new Uint8Array(32).fill(71), new Uint8Array(32).fill(72)] as const;
  const [lamp, sensor] = [keyPairFromSecret(seeds[0]), keyPairFromSecret(seeds[1])];
  for (const device of [lamp, sensor]) t.ledger.claim(device, owner);
  t.ledger.block();
  const folder = mkdtempSync(join(tmpdir(), 'itc-home-'));
  const path = join(folder, 'home.json');
  writeFileSync(
    path,
    JSON.stringify({
      genesis: toHex(encodeGenesis(t.ledger.world.genesis)),
      dataDir: join(folder, 'devices'),
      gateways: [{ url: t.url, address: formatAddress(gatewayKey.address) }],
      devices: [
        { name: 'lamp-1', kind: 'lamp', seed: toHex(seeds[0]), intervalMs: 100 },
        { name: 'room-1', kind: 'sensor', seed: toHex(seeds[1]), intervalMs: 100, offsetCelsius: 1 },
      ],
    }),
  );
  const online = (key: typeof lamp): boolean => t.gateway.device(formatAddress(key.address))?.online ?? false;
  const state = (): unknown => t.gateway.device(formatAddress(lamp.address))?.state;
  const started: ChildProcess[] = [];
  const home = (): ChildProcess => {
    const child = spawn(process.execPath, [MAIN, path], { stdio: 'ignore' });
    started.push(child);
    return child;
  };
  try {
    const first = home();
    await until(() => online(lamp) && online(sensor), 'both devices');
    const on = command(t, owner, { kind: 'level', level: 77 }, { device: lamp, notAfter: t.now() + 60_000 });
    await t.gateway.submitCommand(on.bytes);
    await until(() => state() !== undefined, 'the answer');
    assert.deepEqual(state(), { on: true, level: 77, kelvin: 6_500 });
    first.kill('SIGTERM');
    const [code] = (await once(first, 'exit')) as [number];
    assert.equal(code, 0);
    await until(() => !online(lamp) && !online(sensor), 'the end of their connections');

    const second = home();
    await until(() => online(lamp) && online(sensor), 'both devices again');
    const before = t.gateway.counts();
    const off = command(t, owner, { kind: 'on' }, { device: lamp, notAfter: t.now() + 60_000 });
    await t.gateway.submitCommand(off.bytes);
    await until(() => t.gateway.command(toHex(off.id))?.outcome !== undefined, 'the answer');
    assert.deepEqual(state(), { on: true, level: 77, kelvin: 6_500 });
    await until(() => t.gateway.counts().accepted > before.accepted + 2, 'more readings');
    assert.equal(t.gateway.counts().refused, 0);
    second.kill('SIGTERM');
    await once(second, 'exit');
  } finally {
    for (const child of started) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

test('EDGE-12.2: a wrong configuration is named, not guessed round', () => {
  const wrong = (text: string, at: RegExp): void =>
    assert.throws(
      () => parseHomeConfig(text),
      (error) => error instanceof LedgerError && error.code === 'config.invalid' && at.test(error.message),
    );
  wrong('{', /not JSON/);
  wrong('{}', /genesis/);
  wrong('{"genesis":"00"}', /genesis/);
});

test('EDGE-12.3: the simulated room is warmest in the afternoon and dark at night', () => {
  const at = (hour: number): ReturnType<typeof roomAt> => roomAt(hour * 3_600_000, 0.5);
  assert.ok(at(16).celsius > at(4).celsius + 3);
  assert.ok(at(12).lux > 500 && at(0).lux < 20);
});
