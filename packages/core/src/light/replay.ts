/**
 * Which commands a device has obeyed already (spec LIGHT-6). One lane per signer with a sliding window, so that
 * commands may overtake each other; a lane is forgotten only when all its commands have expired, because an
 * expired command is refused anyway.
 */
import { compareBytes, toHex } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readAddress } from '../ledger/fields.ts';

interface Lane {
  readonly signer: Address;
  /** Greatest sequence obeyed. */
  readonly high: number;
  /** Bit i: sequence high − i was obeyed. */
  readonly window: number;
  /** Latest `notAfter` among obeyed commands. */
  readonly expiresAt: Millis;
}

/** Bits of a window: a 32-bit integer per lane is cheap on a chip. */
export const COMMAND_WINDOW = 32;

export class ReplayWindows {
  readonly #lanes = new Map<string, Lane>();

  get size(): number {
    return this.#lanes.size;
  }

  /** `full`: another signer would need a lane, and none has expired. */
  check(signer: Address, sequence: number, now: Millis): 'new' | 'replayed' | 'full' {
    const lane = this.#lanes.get(toHex(signer));
    if (lane === undefined) return this.#hasRoom(now) ? 'new' : 'full';
    const age = lane.high - sequence;
    if (age < 0) return 'new';
    return age < COMMAND_WINDOW && ((lane.window >>> age) & 1) === 0 ? 'new' : 'replayed';
  }

  /** To be called once for a command that `check` found new; must be durable before the device acts. */
  mark(signer: Address, sequence: number, expiresAt: Millis, now: Millis): void {
    const key = toHex(signer);
    const lane = this.#lanes.get(key);
    if (lane === undefined) {
      this.#forgetExpired(now);
      this.#lanes.set(key, { signer, high: sequence, window: 1, expiresAt });
      return;
    }
    const ahead = sequence - lane.high;
    const high = Math.max(lane.high, sequence);
    // A shift by 32 or more is the identity in JavaScript, hence the case of its own.
    const moved = ahead >= COMMAND_WINDOW ? 0 : ahead > 0 ? lane.window << ahead : lane.window;
    const window = (moved | (1 << (high - sequence))) >>> 0;
    this.#lanes.set(key, {
      signer,
      high,
      window,
      expiresAt: expiresAt > lane.expiresAt ? expiresAt : lane.expiresAt,
    });
  }

  #hasRoom(now: Millis): boolean {
    if (this.#lanes.size < LIMITS.commandLanesMax) return true;
    for (const lane of this.#lanes.values()) if (lane.expiresAt < now) return true;
    return false;
  }

  #forgetExpired(now: Millis): void {
    if (this.#lanes.size < LIMITS.commandLanesMax) return;
    for (const [key, lane] of this.#lanes) if (lane.expiresAt < now) this.#lanes.delete(key);
  }

  /** Sorted by signer. */
  encode(): Uint8Array {
    const lanes = [...this.#lanes.values()].sort((a, b) => compareBytes(a.signer, b.signer));
    return new Writer(256)
      .list(lanes, (w, lane) =>
        w.fixed(lane.signer, HASH_BYTES).u53(lane.high).u32(lane.window).u53(lane.expiresAt),
      )
      .finish();
  }

  static decode(bytes: Uint8Array): Result<ReplayWindows, DecodeCode> {
    return decode((reader) => {
      const windows = new ReplayWindows();
      let previous: Address | undefined;
      const lanes = reader.list(LIMITS.commandLanesMax, (r) => ({
        signer: readAddress(r),
        high: r.u53(),
        window: r.u32(),
        expiresAt: millis(r.u53()),
      }));
      for (const lane of lanes) {
        if (previous !== undefined && compareBytes(previous, lane.signer) >= 0) {
          reader.refuse('decode.not-canonical', 'expected lanes in ascending order, each once');
        }
        previous = lane.signer;
        windows.#lanes.set(toHex(lane.signer), lane);
      }
      return windows;
    }, bytes);
  }
}
