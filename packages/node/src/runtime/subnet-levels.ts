/**
 * The security level that a device's owner has said its payloads need (spec SUBNET-8.4), kept by the gateways it was told to. Whoever
 * waits for a payload of the device need not know it.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { asAddress, type Address } from '@itc/core/ledger/address.js';
import type { Tables } from '../ports.ts';

export type Level = 0 | 1 | 2 | 3;

const LEVELS = 'subnet-levels';
/** Devices with a level of their own. */
export const LEVELS_MAX = 65_536;

export class SubnetLevels {
  readonly #tables: Tables;
  readonly #levels = new Map<string, Level>();

  constructor(tables: Tables) {
    this.#tables = tables;
    for (const { key, value } of tables.table(LEVELS).range({}))
      this.#levels.set(toHex(asAddress(new Uint8Array(key))), value[0] as Level);
  }

  /** Undefined when nobody has said: then it is for whoever waits to say. */
  of(device: Address): Level | undefined {
    return this.#levels.get(toHex(device));
  }

  /** Durable when it resolves; without a level it is forgotten. */
  async set(device: Address, level: Level | undefined): Promise<Result<void, 'pool.full'>> {
    const name = toHex(device);
    if (level !== undefined && !this.#levels.has(name) && this.#levels.size >= LEVELS_MAX)
      return refused('pool.full', `${LEVELS_MAX} devices have a level of their own already`);
    const value = level === undefined ? undefined : Uint8Array.of(level);
    await this.#tables.commit([{ table: LEVELS, key: device, value }]);
    await this.#tables.flush();
    if (level === undefined) this.#levels.delete(name);
    else this.#levels.set(name, level);
    return ok(undefined);
  }
}
