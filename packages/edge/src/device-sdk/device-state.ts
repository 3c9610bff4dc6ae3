/**
 * What a device must not forget between two instructions: the trust of 149 bytes and the numbers it reserved, in one
 * record of 158 (spec DEVICE-1.1, DEVICE-1.5).
 */
import { Writer } from '@itc/core/bytes/writer.js';
import { decode } from '@itc/core/bytes/reader.js';
import { TRUST_BYTES } from '@itc/core/light/engine/layout.js';
import type { Flash } from './flash.ts';
import { KeptRecord } from './kept-record.ts';

export const STATE_VERSION = 1;
/** Version u8 ‖ trust 149 ‖ reserved u53. */
export const STATE_BYTES: number = 1 + TRUST_BYTES + 8;
/** One write for so many numbers; a loss of power leaves out at most as many, well inside the window of a lane. */
export const NUMBERS_RESERVED = 64;

export class DeviceState {
  readonly #record: KeptRecord;
  #trust: Uint8Array;
  /** The number that is given out next, and the first that is not reserved. */
  #next: number;
  #reserved: number;

  /** `trust`: from which a device begins that has kept nothing, or what it kept is of another chain. */
  constructor(flash: Flash, first: number, trust: Uint8Array) {
    if (trust.length !== TRUST_BYTES) throw new RangeError(`trust has ${TRUST_BYTES} bytes`);
    this.#record = new KeptRecord(flash, first);
    const kept = this.#record.read();
    const read = kept && decode(readState, kept);
    const isOurs =
      read?.ok === true && trust.subarray(0, 32).every((byte, i) => byte === read.value.trust[i]);
    this.#trust = isOurs ? read.value.trust : trust.slice();
    // The numbers are the key's, whatever the chain: none is used again.
    this.#reserved = read?.ok === true ? read.value.reserved : 1;
    this.#next = this.#reserved;
  }

  /** As it was kept, 149 bytes. */
  get trust(): Uint8Array {
    return this.#trust.slice();
  }

  /** Durable when it returns true; false: the flash is worn out. */
  keep(trust: Uint8Array): boolean {
    if (!this.#write(trust, this.#reserved)) return false;
    this.#trust = trust.slice();
    return true;
  }

  /** A number that was never given out, also before a loss of power. Undefined: the flash is worn out. */
  nextNumber(): number | undefined {
    if (this.#next === this.#reserved) {
      const reserved = this.#reserved + NUMBERS_RESERVED;
      if (!this.#write(this.#trust, reserved)) return undefined;
      this.#reserved = reserved;
    }
    this.#next += 1;
    return this.#next - 1;
  }

  #write(trust: Uint8Array, reserved: number): boolean {
    return this.#record.write(
      new Writer(STATE_BYTES).u8(STATE_VERSION).fixed(trust, TRUST_BYTES).u53(reserved).finish(),
    );
  }
}

function readState(reader: Parameters<Parameters<typeof decode>[0]>[0]): {
  readonly trust: Uint8Array;
  readonly reserved: number;
} {
  if (reader.u8() !== STATE_VERSION) reader.refuse('decode.unknown-kind', 'not a state of this version');
  return { trust: reader.fixed(TRUST_BYTES).slice(), reserved: reader.u53() };
}
