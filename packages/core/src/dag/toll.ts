/**
 * The toll of devices (spec DAG-15). Devices issue no envelopes, so their proof of work is paid at the door of a member: with
 * a stamp for one payload, anchored to a recent header of the main chain. Nothing is asked of who keeps to its share.
 */
import { Writer } from '../bytes/writer.ts';
import type { Reader } from '../bytes/reader.ts';
import { hashTagged, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';
import { LIMITS } from '../ledger/limits.ts';
import { powSearch, rateLevel, rateSurcharge, workBits } from './proof-of-work.ts';
import { adjustmentOf, freshConduct, freshStanding, judge } from './standing.ts';

export const TOLL = {
  /** Whoever is over its share shows at least so much, also in a subnet that asks its members for less. */
  bitsLeast: 12,
  /** Headers an anchor may lie below the newest one: some minutes. */
  anchorAgeMax: 256,
  /** Bytes of a unit: a payload counts as one, and one more for each further unit. */
  unitBytes: 1_024,
  /** Known payloads that a device may send again between two heights: what was on its way when its connection ended. */
  duplicatesFree: 64,
} as const;

/** What a device shows for one payload. */
export interface Stamp {
  /** Height of a header of the main chain. */
  readonly height: number;
  readonly nonce: number;
}

export const STAMP_BYTES = 16;

export function writeStamp(writer: Writer, stamp: Stamp): Writer {
  return writer.u53(stamp.height).u53(stamp.nonce);
}

export function readStamp(reader: Reader): Stamp {
  return { height: reader.u53(), nonce: reader.u53() };
}

/** What a stamp is for. */
export interface Tolled {
  /** Hash of the header at the stamp's height. */
  readonly anchor: Hash;
  readonly device: Address;
  /** Id of the payload; of content without signature its SHA-256. */
  readonly payload: Hash;
}

/** Stands where the hash of an envelope's body does: the search is the same. */
export function tollHash({ anchor, device, payload }: Tolled): Hash {
  return hashTagged('toll', anchor, device, payload);
}

/** How much work a stamp shows. */
export function stampBits(tolled: Tolled, nonce: number): number {
  return workBits(tollHash(tolled), nonce);
}

/** A search in slices, so that a chip's watchdog is fed in between. */
export class StampSearch {
  readonly #bodyHash: Hash;
  readonly #height: number;
  readonly #bits: number;
  #next = 0;

  constructor(o: { readonly tolled: Tolled; readonly height: number; readonly bits: number }) {
    this.#bodyHash = tollHash(o.tolled);
    this.#height = o.height;
    this.#bits = o.bits;
  }

  /** Nonces tried. The chance to need more than 8 × 2^bits is one in three thousand. */
  get tried(): number {
    return this.#next;
  }

  /** `tries` hashes. Undefined: not among them. */
  step(tries: number): Stamp | undefined {
    const nonce = powSearch({ bodyHash: this.#bodyHash, bits: this.#bits, start: this.#next, tries });
    this.#next += tries;
    return nonce === undefined ? undefined : { height: this.#height, nonce };
  }
}

/** A payload's share of the road, by all the bytes that came with it. */
export function tollUnits(bytes: number): number {
  return 1 + Math.floor(bytes / TOLL.unitBytes);
}

interface Account {
  /** Of the bucket, in thousandths of a unit, and when it was filled last. */
  level: number;
  at: number;
  /** Main-chain height up to which it was judged. */
  height: number;
  readonly standing: ReturnType<typeof freshStanding>;
  conduct: ReturnType<typeof freshConduct>;
  duplicates: number;
}

/** What the toll follows besides the device's own conduct. */
export interface TollHeights {
  /** Milliseconds, of whoever takes the toll. */
  readonly now: number;
  /** Of the main chain: what conduct is judged by. */
  readonly height: number;
}

/**
 * How much each device has to show, by its own recent rate and size, its faults and its good conduct: the rules of issuers
 * (DAG-3.4, DAG-3.6) with a device in the place of a lane and a main-chain block in that of a checkpoint.
 */
export class Tolls {
  /** The device used least lately comes first. */
  readonly #accounts = new Map<string, Account>();
  readonly #devicesMax: number;

  constructor(devicesMax: number) {
    this.#devicesMax = devicesMax;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** Bits that one more payload of so many units has to show; `powBits`: of the subnet's last checkpoint. Changes nothing. */
  asked(device: string, units: number, powBits: number, at: TollHeights): number {
    const account = this.#accounts.get(device);
    // An unknown one has its whole burst left, and no payload is larger than that.
    if (account === undefined) return 0;
    judgeUpTo(account, at.height);
    const surcharge = rateSurcharge(filled(account, units, at.now));
    if (surcharge === 0 && account.standing.penalty === 0) return 0;
    const base = Math.max(TOLL.bitsLeast, powBits);
    return Math.min(LIMITS.powBitsMax, base + surcharge + adjustmentOf(account.standing));
  }

  /** It is let in, for nothing or for work: it counts from now, not from when it has been looked at. */
  letIn(device: string, units: number, at: TollHeights): void {
    const account = this.#open(device, at);
    account.level = filled(account, units, at.now);
    account.at = Math.max(account.at, at.now);
    account.conduct.counted += 1;
  }

  /** What was let in had been taken before. Some of that is the network's fault. */
  duplicate(device: string, at: TollHeights): void {
    const account = this.#open(device, at);
    account.duplicates += 1;
    if (account.duplicates > TOLL.duplicatesFree) account.conduct.lazy += 1;
  }

  /** The signature of what was let in does not verify. */
  forged(device: string, at: TollHeights): void {
    const account = this.#open(device, at);
    account.conduct.lost += 1;
  }

  #open(device: string, at: TollHeights): Account {
    let account = this.#accounts.get(device);
    if (account === undefined) {
      account = {
        level: 0,
        at: at.now,
        height: at.height,
        standing: freshStanding(),
        conduct: freshConduct(),
        duplicates: 0,
      };
    } else this.#accounts.delete(device);
    this.#accounts.set(device, account);
    if (this.#accounts.size > this.#devicesMax) {
      const oldest = this.#accounts.keys().next();
      if (oldest.done !== true) this.#accounts.delete(oldest.value);
    }
    judgeUpTo(account, at.height);
    return account;
  }
}

/** The bucket with so many units more. A clock that goes back drains nothing. */
function filled(account: Account, units: number, now: number): number {
  return rateLevel(account.level, Math.max(0, now - account.at)) + (units - 1) * 1000;
}

/** A fault weighs at once; good conduct and forgiveness come with heights. */
function judgeUpTo(account: Account, height: number): void {
  const passed = height - account.height;
  const isFaulty = account.conduct.lost > 0 || account.conduct.lazy > 0;
  if (passed <= 0 && !isFaulty) return;
  judge(account.standing, account.conduct);
  account.conduct = freshConduct();
  if (passed <= 0) return;
  account.height = height;
  account.duplicates = 0;
  account.standing.penalty = Math.max(0, account.standing.penalty - (passed - 1));
}
