/** The simulated home of a devnet: which lamps and sensors live there, and the file that tells their process. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import type { Devnet, Layout } from './layout.ts';
import { keyNamed } from '../keys.ts';

export interface SimulatedDevice {
  readonly name: string;
  readonly kind: 'lamp' | 'sensor';
  readonly offsetCelsius: number;
  readonly intervalMs: number;
  /** Readings that leave together under one signature. */
  readonly collect?: number;
}

export const SIMULATED: readonly SimulatedDevice[] = [
  { name: 'lamp-1', kind: 'lamp', offsetCelsius: 0, intervalMs: 10_000 },
  { name: 'lamp-2', kind: 'lamp', offsetCelsius: 0, intervalMs: 10_000 },
  { name: 'sensor-1', kind: 'sensor', offsetCelsius: 0, intervalMs: 2_000 },
  { name: 'sensor-2', kind: 'sensor', offsetCelsius: -2, intervalMs: 2_000 },
  { name: 'sensor-3', kind: 'sensor', offsetCelsius: 3, intervalMs: 3_000, collect: 4 },
];

/** Of the simulated devices: `itc firmware channel open --model` with its hash, and the board, opens their product line. */
export const DEVNET_MODEL: Hash = sha256(utf8Encode('itc:model:devnet'));
export const DEVNET_BOARD = 'devnet-lamp';
const FIRMWARE_EVERY_MS = 1_000;

export const HOME_ENTRY: string = fileURLToPath(import.meta.resolve('@itc/edge/device/home-process.js'));

/**
 * MQTT URL and ledger address of the gateways of the first subnet: a device keeps to gateways of one subnet, they answer
 * for each other's readings.
 */
export async function gatewayPlaces(
  layout: Layout,
  network: Devnet,
): Promise<{ readonly url: string; readonly keys: KeyPair }[]> {
  const gateways = network.processes.filter((process) => process.role === 'gateway');
  const places = [];
  const [home] = network.subnets;
  for (const [i, { name, subnet }] of gateways.entries())
    if (subnet === undefined || subnet === home?.id)
      places.push({ url: network.mqtt[i] ?? '', keys: await keyNamed(layout, name) });
  return places;
}

export async function writeHomeConfig(
  layout: Layout,
  network: Devnet,
): Promise<{ readonly entry: string; readonly path: string }> {
  const folder = join(layout.root, 'home');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const devices = [];
  for (const device of SIMULATED) {
    const keys = await keyNamed(layout, device.name);
    devices.push({ ...device, seed: toHex(keys.exportSeed()) });
  }
  const config = {
    genesis: toHex(readFileSync(layout.genesisFile)),
    dataDir: resolve(folder),
    gateways: (await gatewayPlaces(layout, network)).map(({ url, keys }) => ({
      url,
      address: formatAddress(keys.address),
    })),
    devices,
    // Whoever releases firmware of this maker for the board sees the lamps install it.
    firmware: {
      api: network.api,
      images: resolve(layout.images),
      maker: formatAddress((await keyNamed(layout, 'maker')).address),
      model: toHex(DEVNET_MODEL),
      board: DEVNET_BOARD,
      everyMs: FIRMWARE_EVERY_MS,
    },
  };
  const path = join(folder, 'config.json');
  // Holds the seeds of the devices: for nobody else's eyes.
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return { entry: HOME_ENTRY, path };
}
