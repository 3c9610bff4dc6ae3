/** What a home process is told: which chain, which gateways, which devices. JSON, because the devnet writes it. */
import { fromHex } from '@itc/core/bytes/hex.js';
import { asHash, HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { parseAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { channelId } from '@itc/core/ledger/firmware.js';
import { decodeGenesis, type Genesis } from '@itc/core/ledger/genesis.js';
import type { GatewayPlace } from './device-client.ts';

export interface HomeDevice {
  /** Also the name of its folder below `dataDir`. */
  readonly name: string;
  readonly kind: 'lamp' | 'sensor';
  readonly seed: Uint8Array;
  readonly intervalMs: number;
  readonly offsetCelsius: number;
  /** Readings of a sensor that leave together. */
  readonly collect: number;
}

export interface HomeConfig {
  readonly genesis: Genesis;
  readonly dataDir: string;
  readonly gateways: readonly GatewayPlace[];
  readonly devices: readonly HomeDevice[];
  /** Where the lamps' firmware comes from; they keep what they have when left out. */
  readonly firmware: HomeFirmware | undefined;
}

export interface HomeFirmware {
  /** Of any node: what it says is proved. */
  readonly api: string;
  /** Folder of images, each called by its hash in hex. */
  readonly images: string;
  readonly channel: Hash;
  readonly model: Hash;
  readonly board: string;
  readonly everyMs: number;
}

const DEVICES_MAX = 1_000;
const INTERVAL_MS = 5_000;
/** No more than a batch takes at a time. */
const COLLECT_MAX = 64;

/**
 * `{ genesis: hex, dataDir, gateways: [{ url, address: itc1… }], devices: [{ name, kind: lamp|sensor, seed: 64 hex,
 * intervalMs?, offsetCelsius?, collect? }], firmware?: { api, images, maker: itc1…, model: 64 hex, board, everyMs } }`. Errors: `config.invalid`, naming what is wrong.
 */
export function parseHomeConfig(text: string): HomeConfig {
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new LedgerError('config.invalid', 'the configuration of the home is not JSON', {}, error);
  }
  const genesis = decodeGenesis(hexOf(config['genesis'], 'genesis'));
  if (!genesis.ok) throw invalid('genesis', genesis.message);
  return {
    genesis: genesis.value,
    dataDir: textOf(config['dataDir'], 'dataDir'),
    gateways: listOf(config['gateways'], 'gateways', 16).map((gateway, i) => {
      const at = `gateways[${i}]`;
      const address = parseAddress(textOf(gateway['address'], `${at}.address`));
      if (!address.ok) throw invalid(`${at}.address`, address.message);
      return { url: textOf(gateway['url'], `${at}.url`), address: address.value };
    }),
    devices: listOf(config['devices'], 'devices', DEVICES_MAX).map((device, i) =>
      deviceOf(device, `devices[${i}]`),
    ),
    firmware: config['firmware'] === undefined ? undefined : firmwareOf(config['firmware']),
  };
}

function firmwareOf(given: unknown): HomeFirmware {
  const firmware = given as Record<string, unknown>;
  const maker = parseAddress(textOf(firmware['maker'], 'firmware.maker'));
  if (!maker.ok) throw invalid('firmware.maker', maker.message);
  const hex = hexOf(firmware['model'], 'firmware.model');
  if (hex.length !== HASH_BYTES) throw invalid('firmware.model', 'expected 32 bytes in hex');
  const model = asHash(hex);
  const board = textOf(firmware['board'], 'firmware.board');
  const everyMs = firmware['everyMs'];
  if (typeof everyMs !== 'number' || !(everyMs >= 100))
    throw invalid('firmware.everyMs', 'expected 100 or more');
  return {
    api: textOf(firmware['api'], 'firmware.api'),
    images: textOf(firmware['images'], 'firmware.images'),
    channel: channelId({ maker: maker.value, model, board }),
    model,
    board,
    everyMs,
  };
}

function deviceOf(device: Record<string, unknown>, at: string): HomeDevice {
  const kind = device['kind'];
  if (kind !== 'lamp' && kind !== 'sensor') throw invalid(`${at}.kind`, 'expected lamp or sensor');
  const name = textOf(device['name'], `${at}.name`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
    throw invalid(`${at}.name`, 'expected letters, digits, dots, hyphens');
  const seed = hexOf(device['seed'], `${at}.seed`);
  if (seed.length !== 32) throw invalid(`${at}.seed`, 'expected 32 bytes in hex');
  const intervalMs = device['intervalMs'] ?? INTERVAL_MS;
  if (typeof intervalMs !== 'number' || !(intervalMs >= 10))
    throw invalid(`${at}.intervalMs`, 'expected 10 or more');
  const offsetCelsius = device['offsetCelsius'] ?? 0;
  if (typeof offsetCelsius !== 'number') throw invalid(`${at}.offsetCelsius`, 'expected a number');
  const collect = device['collect'] ?? 1;
  if (typeof collect !== 'number' || !Number.isInteger(collect) || collect < 1 || collect > COLLECT_MAX)
    throw invalid(`${at}.collect`, `expected 1 to ${COLLECT_MAX}`);
  return { name, kind, seed, intervalMs, offsetCelsius, collect };
}

function textOf(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw invalid(at, 'expected text');
  return value;
}

function hexOf(value: unknown, at: string): Uint8Array {
  const bytes = fromHex(textOf(value, at));
  if (!bytes.ok) throw invalid(at, bytes.message);
  return bytes.value;
}

function listOf(value: unknown, at: string, max: number): Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > max)
    throw invalid(at, `expected a list of 1 to ${max}`);
  return value as Record<string, unknown>[];
}

function invalid(at: string, reason: string): LedgerError {
  return new LedgerError('config.invalid', `${at}: ${reason}`, { at });
}
