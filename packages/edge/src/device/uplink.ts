/**
 * From the flash of a device to its gateway (spec EDGE-10.1): readings wait in the spool until a gateway has them for good, oldest
 * first, several under one signature when several wait. A restart loses none.
 */
import type { FieldDevice, Offered } from '../device-sdk/field-device.ts';
import type { Log } from '../log.ts';
import type { DeviceClient } from './device-client.ts';

/** Of one batch: what comes of a long absence leaves in a few packets. */
const READINGS_MAX = 64;
const BYTES_MAX = 32_768;

export interface UplinkOptions {
  readonly field: FieldDevice;
  readonly client: DeviceClient;
  /** Readings that are waited for before they leave together; 1 when left out. */
  readonly collect?: number;
  readonly log: Log;
}

export class Uplink {
  readonly #o: UplinkOptions;
  #underWay: Offered | undefined;

  constructor(options: UplinkOptions) {
    this.#o = options;
  }

  /** SenML in CBOR, with times of its own: it may leave much later. */
  store(reading: Uint8Array): void {
    const { field, log } = this.#o;
    const stored = field.store(reading);
    if (stored === 'full' || stored === 'failed') log.warn('device: a reading is lost', { reason: stored });
    this.pump();
  }

  /** To be called when something may have changed: it sends what there is, one payload at a time. */
  pump(): void {
    const { field, client, collect = 1 } = this.#o;
    if (this.#underWay !== undefined || !client.connected) return;
    const offered = field.offer({ countMin: collect, countMax: READINGS_MAX, bytesMax: BYTES_MAX });
    if (offered === undefined) return;
    this.#underWay = offered;
    void client.resend(offered.payload, false, offered.readings).then(({ code, reason }) => {
      this.#underWay = undefined;
      // What is refused for good would stand in the way of all that follows.
      if (code !== undefined) this.#o.log.warn('device: readings were refused', { code, reason });
      field.delivered(offered);
      this.pump();
    });
  }
}
