/** Simulated lamps and sensors of a devnet in one process: `node home-process.js CONFIG.json`. Ends on SIGTERM or SIGINT. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seedSigner } from '@itc/client/keys.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import { reasonOf, type Log } from '../log.ts';
import { FileFlash } from './file-flash.ts';
import { parseHomeConfig, type HomeConfig, type HomeDevice } from './home-config.ts';
import { HomeFirmwareRun } from './home-firmware.ts';
import { Lamp } from './lamp.ts';
import { Sensor } from './sensor.ts';
import { TwoSlotStore } from './store.ts';

/** Beyond so many devices in one process the disk would be all they wait for. */
const DURABLE_MAX = 32;
/** Of simulated lamps, in kelvin: warm white to daylight. */
const LAMP_COLOUR = { min: 2_200, max: 6_500 } as const;

function logOf(name: string): Log {
  const line =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void process.stderr.write(`${JSON.stringify({ level, device: name, message, ...fields })}\n`);
  return { info: line('info'), warn: line('warn'), error: line('error') };
}

function build(config: HomeConfig, device: HomeDevice): Lamp | Sensor {
  const common = {
    signer: seedSigner(device.seed),
    gateways: config.gateways,
    genesis: config.genesis,
    flash: new FileFlash(
      join(config.dataDir, device.name, 'flash.bin'),
      config.devices.length <= DURABLE_MAX,
    ),
    verify: verifyNative,
    monotonicMs: () => performance.now(),
    random: Math.random,
    log: logOf(device.name),
  };
  switch (device.kind) {
    case 'lamp':
      return new Lamp({
        ...common,
        reportMs: device.intervalMs,
        colour: LAMP_COLOUR,
      });
    case 'sensor':
      return new Sensor({
        ...common,
        intervalMs: device.intervalMs,
        offsetCelsius: device.offsetCelsius,
        collect: device.collect,
        now: Date.now,
      });
  }
}

/** Of each lamp, where the home says where firmware comes from. */
async function firmwareOf(
  { firmware, genesis, dataDir, devices: named }: HomeConfig,
  devices: readonly (Lamp | Sensor)[],
): Promise<HomeFirmwareRun[]> {
  const runs: HomeFirmwareRun[] = [];
  for (const [i, lamp] of devices.entries()) {
    const { name, seed } = named[i] as HomeDevice;
    if (firmware === undefined || !(lamp instanceof Lamp)) continue;
    const store = new TwoSlotStore(join(dataDir, name));
    const { address: device } = seedSigner(seed);
    const log = logOf(name);
    runs.push(
      await HomeFirmwareRun.open({ firmware, genesis, device, lamp, store, verify: verifyNative, log }),
    );
  }
  return runs;
}

async function main(): Promise<void> {
  const [path] = process.argv.slice(2);
  if (path === undefined) {
    process.stderr.write('usage: home-process CONFIG.json\n');
    process.exitCode = 2;
    return;
  }
  const config = parseHomeConfig(await readFile(path, 'utf8'));
  const devices = config.devices.map((device) => build(config, device));
  await Promise.all(devices.map((device) => device.start()));
  const firmware = await firmwareOf(config, devices);
  for (const run of firmware) run.start();
  process.stdout.write(`${JSON.stringify({ ready: true, devices: devices.length })}\n`);
  const stop = (): void => {
    for (const run of firmware) run.stop();
    void Promise.all(devices.map((device) => device.stop())).then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // Whoever supervises us holds our standard input open for as long as it lives.
  if (process.env['ITC_SUPERVISED'] !== undefined) process.stdin.once('end', stop).resume();
}

main().catch((error: unknown) => {
  process.stderr.write(`${JSON.stringify({ level: 'fatal', message: reasonOf(error) })}\n`);
  process.exitCode = 1;
});
