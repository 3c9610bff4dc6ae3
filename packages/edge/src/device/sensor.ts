/** A simulated room sensor on the device SDK: temperature and brightness with a daily curve and a little noise. */
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { encodeTrust, trustGenesis } from '@itc/core/light/trust.js';
import { encodeSenml } from '../2-conversion/senml.ts';
import { decodeCommandFrame } from '../command-frame.ts';
import type { DeviceSigner } from '../device-sdk/device-signer.ts';
import { FieldDevice } from '../device-sdk/field-device.ts';
import type { Flash } from '../device-sdk/flash.ts';
import { CHIP_WORK } from '../device-sdk/stamp-work.ts';
import { reasonOf, type Log } from '../log.ts';
import { DeviceClient, type GatewayPlace } from './device-client.ts';
import { Uplink } from './uplink.ts';

export interface SensorOptions {
  readonly genesis: Genesis;
  readonly signer: DeviceSigner;
  readonly gateways: readonly GatewayPlace[];
  /** All it remembers. */
  readonly flash: Flash;
  readonly verify: SignatureVerifier;
  readonly monotonicMs: () => number;
  readonly intervalMs: number;
  /** Readings that leave together under one signature; 1 when left out. */
  readonly collect?: number;
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
  readonly #field: FieldDevice;
  #client: DeviceClient | undefined;
  #uplink: Uplink | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SensorOptions) {
    const { genesis, signer, flash, verify, monotonicMs } = options;
    this.#o = options;
    this.#field = new FieldDevice({
      flash,
      chain: genesisHash(genesis),
      signer,
      trust: encodeTrust(trustGenesis(genesis)),
      verify,
      policy: 'thin-out',
      monotonicMs,
    });
  }

  get connected(): boolean {
    return this.#client?.connected ?? false;
  }

  start(): Promise<void> {
    const { genesis, signer, gateways, intervalMs, collect, random, log } = this.#o;
    const field = this.#field;
    const client = new DeviceClient({
      chain: genesisHash(genesis),
      signer,
      gateways,
      random,
      log,
      work: CHIP_WORK,
      believed: () => field.believed,
      epoch: () => field.epoch,
      onCommand: (frame) => this.#onFrame(frame),
      onHeader: (stream) => this.#follow(stream),
      onReady: () => this.#uplink?.pump(),
    });
    this.#client = client;
    this.#uplink = new Uplink({ field, client, log, ...(collect !== undefined && { collect }) });
    client.start();
    this.#timer = setInterval(() => this.#measure(), intervalMs);
    this.#measure();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client?.stop();
  }

  /** It obeys nobody: of what comes down it takes the news. */
  #onFrame(bytes: Uint8Array): void {
    const frame = decodeCommandFrame(bytes);
    if (frame.ok) this.#follow(frame.value.access);
  }

  #follow(stream: Uint8Array): void {
    const before = this.#field.epoch;
    const followed = this.#field.follow(stream);
    if (followed.ok && this.#field.epoch !== before) this.#client?.listen();
  }

  #measure(): void {
    const { now, random, offsetCelsius, log } = this.#o;
    const time = now();
    const { celsius, lux } = roomAt(time, random());
    const temperature = Math.round((celsius + (offsetCelsius ?? 0)) * 100) / 100;
    try {
      this.#uplink?.store(
        encodeSenml('senml+cbor', [
          { name: 'temperature', unit: 'Cel', time, value: temperature },
          { name: 'brightness', unit: 'lx', time, value: lux },
        ]),
      );
    } catch (error) {
      log.error('sensor', { reason: reasonOf(error) });
    }
  }
}
