/** A simulated room sensor: temperature and brightness with a daily curve and a little noise. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SenmlRecord } from '../2-conversion/senml.ts';
import type { Log } from '../log.ts';
import { DeviceClient, type DeviceSigner, type GatewayPlace } from './device-client.ts';
import { Sequence } from './sequence.ts';
import type { DeviceStore } from './store.ts';

export interface SensorOptions {
  readonly chain: Hash;
  readonly signer: DeviceSigner;
  readonly gateways: readonly GatewayPlace[];
  readonly store: DeviceStore;
  readonly intervalMs: number;
  /** Added to the curve's temperature, so that rooms differ. */
  readonly offsetCelsius?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Log;
}

const DAY_MS = 86_400_000;

/** 19 to 23 °C, warmest at four in the afternoon (UTC); dark at night, up to about 800 lx at noon. Noise in [0, 1). */
export function roomAt(time: number, noise: number): { celsius: number; lux: number } {
  const day = (time % DAY_MS) / DAY_MS;
  const celsius = 21 + 2 * Math.cos(2 * Math.PI * (day - 16 / 24)) + 0.2 * (noise - 0.5);
  const sun = Math.max(0, Math.sin(2 * Math.PI * (day - 0.25)));
  const lux = 5 + 800 * sun * (0.9 + 0.2 * noise);
  return { celsius: Math.round(celsius * 100) / 100, lux: Math.round(lux) };
}

export class Sensor {
  readonly #o: SensorOptions;
  #client: DeviceClient | undefined;
  #sequence: Sequence | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SensorOptions) {
    this.#o = options;
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  async start(): Promise<void> {
    const { chain, signer, gateways, store, intervalMs, random, log } = this.#o;
    this.#sequence = await Sequence.open(store);
    this.#client = new DeviceClient({ chain, signer, gateways, sequence: this.#sequence, random, log });
    this.#client.start();
    this.#timer = setInterval(() => this.#measure(), intervalMs);
    this.#measure();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client?.stop();
    await this.#sequence?.close();
  }

  #measure(): void {
    const { now, random, offsetCelsius } = this.#o;
    const time = now();
    const { celsius, lux } = roomAt(time, random());
    const records: SenmlRecord[] = [
      {
        name: 'temperature',
        unit: 'Cel',
        time,
        value: Math.round((celsius + (offsetCelsius ?? 0)) * 100) / 100,
      },
      { name: 'brightness', unit: 'lx', time, value: lux },
    ];
    this.#client
      ?.publishReadings(records)
      .catch((error: unknown) => this.#o.log.error('sensor', { reason: String(error) }));
  }
}
