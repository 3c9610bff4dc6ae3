/**
 * The whole of a device that measures, sleeps and obeys, over one flash (spec DEVICE-4): what it believes, the numbers it
 * uses, what it could not send yet, which commands it has obeyed. Pure but for the flash; radio and timers are its
 * caller's. Two sectors each for state and windows, the roots' ring, and the rest is spool.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { asHash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Millis } from '@itc/core/ledger/ids.js';
import { height, millis } from '@itc/core/ledger/ids.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { AccessProof } from '@itc/core/light/access-proof.js';
import { verifyCommand, type CommandVerdict } from '@itc/core/light/command.js';
import { LightReader, type LightEvent } from '@itc/core/light/light-reader.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import { decodeTrust, encodeTrust } from '@itc/core/light/trust.js';
import type { DeviceSigner } from '../device/device-client.ts';
import { ChainClock, type ChainTime } from './chain-clock.ts';
import { DeviceState } from './device-state.ts';
import type { Flash } from './flash.ts';
import { KeptRecord, RECORD_SECTORS } from './kept-record.ts';
import { signBatch, type SignedBatch } from './reading-batch.ts';
import { RecentRoots, rootSectors } from './recent-roots.ts';
import type { LogEntry } from './sector-log.ts';
import { Spool, type SpoolPolicy, type Stored } from './spool.ts';

export interface FieldDeviceOptions {
  readonly flash: Flash;
  readonly chain: Hash;
  readonly signer: DeviceSigner;
  /** 149 bytes, put in when it was made: genesis, or a later header its maker believed. */
  readonly trust: Uint8Array;
  readonly verify: SignatureVerifier;
  readonly policy: SpoolPolicy;
  /** Milliseconds since some start; never goes back. */
  readonly monotonicMs: () => number;
}

/** Chain time between two writes of the trust for a header alone: flash wears out. */
const TRUST_WRITE_MS = 3_600_000;
/** Chain time between two roots that are kept: at one a second, four sectors would be worn out within a year. */
const ROOT_WRITE_MS = 60_000;

export interface OfferedBatch extends SignedBatch {
  readonly entries: readonly LogEntry[];
}

/** `not-durable`: the flash did not take that it was obeyed, so it must not be. */
export type FieldVerdict = CommandVerdict | { readonly kind: 'not-durable' };

export class FieldDevice {
  readonly #o: FieldDeviceOptions;
  readonly #state: DeviceState;
  readonly #windowsRecord: KeptRecord;
  readonly #windows: ReplayWindows;
  readonly #roots: RecentRoots;
  readonly #clock: ChainClock;
  readonly spool: Spool;
  /** Further along than what is in flash, by less than `TRUST_WRITE_MS`. */
  #trust: Uint8Array;
  /** Chain time of the root kept last in this run. */
  #rootAt = 0;

  constructor(o: FieldDeviceOptions) {
    const { flash } = o;
    this.#o = o;
    this.#state = new DeviceState(flash, 0, o.trust);
    this.#windowsRecord = new KeptRecord(flash, RECORD_SECTORS);
    const kept = this.#windowsRecord.read();
    const windows = kept && ReplayWindows.decode(kept);
    this.#windows = windows?.ok === true ? windows.value : new ReplayWindows();
    const ring = { first: 2 * RECORD_SECTORS, count: rootSectors(flash) };
    this.#roots = new RecentRoots(flash, ring);
    const first = ring.first + ring.count;
    this.spool = new Spool(flash, { first, count: flash.sectors - first }, o.policy);
    this.#trust = this.#state.trust;
    this.#clock = new ChainClock(timeOf(this.#trust), o.monotonicMs);
  }

  /** 149 bytes. Its first 36 tell a gateway the chain and the epoch to begin at. */
  get trust(): Uint8Array {
    return this.#trust.slice();
  }

  now(): ChainTime {
    return this.#clock.now();
  }

  store(reading: Uint8Array): Stored {
    return this.spool.store(reading);
  }

  /** The oldest readings under one signature; undefined when there are none, or no number can be reserved. */
  batch(countMax: number, bytesMax: number): OfferedBatch | undefined {
    const entries = this.spool.oldest(countMax, bytesMax);
    if (entries.length === 0) return undefined;
    const sequence = this.#state.nextNumber();
    if (sequence === undefined) return undefined;
    const { chain, signer } = this.#o;
    const readings = entries.map(({ bytes }) => bytes);
    return { ...signBatch({ chain, signer, sequence, readings }), entries };
  }

  /** A gateway has it for good. */
  delivered(batch: OfferedBatch): void {
    this.spool.release(batch.entries);
  }

  /** Whoever reads a stream from what is trusted hands its events to `believe`. */
  reader(nonce?: Uint8Array): LightReader {
    const { verify } = this.#o;
    return new LightReader({ trust: this.#trust, verify, ...(nonce && { nonce }) });
  }

  /** Trust moves at once; it is durable when an hour or an epoch has passed, and always before a command is obeyed. */
  believe(event: Extract<LightEvent, { kind: 'believed' }>): void {
    this.#advance(event.trust);
    const kept = this.#state.trust;
    const isLater =
      timeOf(event.trust) - timeOf(kept) >= TRUST_WRITE_MS || epochOf(event.trust) !== epochOf(kept);
    if (isLater) this.#state.keep(event.trust);
  }

  /** The height at which this root was believed, if that was lately. */
  heightOf(stateRoot: Hash): number | undefined {
    return this.#roots.heightOf(stateRoot);
  }

  /**
   * `validators`: the set of the trusted epoch, kept in memory or shown again. Accepted means that the device may act:
   * first is durable what makes it obey once only, and what keeps an older proof from being believed again.
   */
  obey(o: {
    readonly command: Uint8Array;
    readonly access: AccessProof;
    readonly validators: ValidatorSet;
  }): FieldVerdict {
    const trust = decodeTrust(this.#trust, o.validators);
    if (!trust.ok) throw new RangeError(trust.message);
    const verdict = verifyCommand({
      trust: trust.value,
      device: this.#o.signer.address,
      command: o.command,
      access: o.access,
      now: this.now().time,
      replay: this.#windows,
      verify: this.#o.verify,
    });
    this.#advance(encodeTrust(verdict.trust));
    if (verdict.kind === 'refused') return verdict;
    const isKept = this.#windowsRecord.write(this.#windows.encode()) && this.#state.keep(this.#trust);
    return isKept ? verdict : { kind: 'not-durable' };
  }

  #advance(trust: Uint8Array): void {
    if (heightOf(trust) <= heightOf(this.#trust)) return;
    this.#trust = trust.slice();
    const time = timeOf(trust);
    this.#clock.believed(time);
    if (time < this.#rootAt + ROOT_WRITE_MS) return;
    this.#rootAt = time;
    this.#roots.add({ height: height(heightOf(trust)), stateRoot: asHash(trust.slice(116, 148)) });
  }
}

// Places as `layout.ts` of the light client has them.
const u53 = (trust: Uint8Array, at: number): number =>
  Number(new DataView(trust.buffer, trust.byteOffset).getBigUint64(at));
const heightOf = (trust: Uint8Array): number => u53(trust, 68);
const timeOf = (trust: Uint8Array): Millis => millis(u53(trust, 76));
const epochOf = (trust: Uint8Array): number => new DataView(trust.buffer, trust.byteOffset).getUint32(32);
