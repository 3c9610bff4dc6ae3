/**
 * The whole of a device that measures, sleeps and obeys, over one flash (spec DEVICE-4): what it believes, the numbers it
 * uses, what it could not send yet, which commands it has obeyed, how often a grant was used. Pure but for the flash; radio
 * and timers are its caller's. Two sectors each for four records, the roots' ring, and the rest is spool.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Result } from '@itc/core/bytes/result.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Refusal } from '@itc/core/ledger/command.js';
import { height, millis, type Millis } from '@itc/core/ledger/ids.js';
import { encodePayload, payloadSigningBytes, type ContentType } from '@itc/core/ledger/payload.js';
import type { ModelLimits } from '@itc/core/ledger/terms.js';
import type { CommandVerdictOf } from '@itc/core/light/command.js';
import { LightReader, type LightEvent } from '@itc/core/light/light-reader.js';
import { ReplayWindows } from '@itc/core/light/replay.js';
import {
  followStream,
  verifyStreamedCommand,
  type FollowCheck,
  type Followed,
  type StreamedVerdict,
} from '@itc/core/light/stream-access.js';
import { UseCounts } from '@itc/core/light/use-counts.js';
import { ChainClock, type ChainTime } from './chain-clock.ts';
import type { DeviceSigner } from './device-signer.ts';
import { DeviceState } from './device-state.ts';
import type { Flash } from './flash.ts';
import { KeptRecord, RECORD_SECTORS } from './kept-record.ts';
import { signBatch } from './reading-batch.ts';
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
  /** What it can do as its maker has built it; all there is when left out. */
  readonly limits?: ModelLimits;
}

/** Chain time between two writes of the trust for a header alone: flash wears out. */
const TRUST_WRITE_MS = 3_600_000;
/** Chain time between two roots that are kept: at one a second, four sectors would be worn out within a year. */
const ROOT_WRITE_MS = 60_000;
/** Records of two sectors: trust and numbers, windows of commands, counts of uses, and one of the application's own. */
const RECORDS = 4;

/** Readings on their way under one signature. */
export interface Offered {
  /** COSE_Sign1. */
  readonly payload: Uint8Array;
  readonly sequence: number;
  /** Of a batch, to be sent along; none when a single reading is the payload itself. */
  readonly readings: readonly Uint8Array[];
  readonly entries: readonly LogEntry[];
}

type Accepted = Extract<CommandVerdictOf<Uint8Array>, { kind: 'accepted' }>;

/** What the application makes of a command that access allows. */
export type Decision =
  | { readonly kind: 'refuse'; readonly reason: Refusal }
  /** `own`: what it has to remember of it, durable before it acts. */
  | { readonly kind: 'go'; readonly own?: Uint8Array };

/** `not-durable`: the flash did not take that it was obeyed, so it must not be. */
export type FieldVerdict =
  | StreamedVerdict
  | { readonly kind: 'not-durable'; readonly id: Hash; readonly followed?: Followed };

export class FieldDevice {
  readonly #o: FieldDeviceOptions;
  readonly #state: DeviceState;
  readonly #windowsRecord: KeptRecord;
  readonly #windows: ReplayWindows;
  readonly #usesRecord: KeptRecord;
  readonly #uses: UseCounts;
  /** As in flash. */
  #usesKept: Uint8Array;
  readonly #own: KeptRecord;
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
    const windows = decoded(this.#windowsRecord, (bytes) => ReplayWindows.decode(bytes));
    this.#windows = windows ?? new ReplayWindows();
    this.#usesRecord = new KeptRecord(flash, 2 * RECORD_SECTORS);
    this.#uses = decoded(this.#usesRecord, (bytes) => UseCounts.decode(bytes)) ?? new UseCounts();
    this.#usesKept = this.#uses.encode();
    this.#own = new KeptRecord(flash, 3 * RECORD_SECTORS);
    const ring = { first: RECORDS * RECORD_SECTORS, count: rootSectors(flash) };
    this.#roots = new RecentRoots(flash, ring);
    const first = ring.first + ring.count;
    this.spool = new Spool(flash, { first, count: flash.sectors - first }, o.policy);
    this.#trust = this.#state.trust;
    this.#clock = new ChainClock(timeOf(this.#trust), o.monotonicMs);
  }

  get address(): Address {
    return this.#o.signer.address;
  }

  /** 149 bytes. Its first 36 tell a gateway the chain and the epoch to begin at. */
  get trust(): Uint8Array {
    return this.#trust.slice();
  }

  get epoch(): number {
    return epochOf(this.#trust);
  }

  /** The header believed last; height 0 stands for genesis. */
  get believed(): { readonly height: number; readonly hash: Hash } {
    return { height: heightOf(this.#trust), hash: asHash(this.#trust.slice(84, 116)) };
  }

  now(): ChainTime {
    return this.#clock.now();
  }

  /** What the application kept last; undefined before it ever has. */
  own(): Uint8Array | undefined {
    return this.#own.read();
  }

  /** Durable when it returns true. */
  keepOwn(bytes: Uint8Array): boolean {
    return this.#own.write(bytes);
  }

  /** Signs under the next number. Undefined: none can be reserved. */
  sign(contentType: ContentType, content: Uint8Array): Uint8Array | undefined {
    const sequence = this.#state.nextNumber();
    if (sequence === undefined) return undefined;
    const { chain, signer } = this.#o;
    const unsigned = { signer: signer.publicKey, device: signer.address, sequence, contentType, content };
    return encodePayload(unsigned, signer.sign(payloadSigningBytes(chain, unsigned)));
  }

  store(reading: Uint8Array): Stored {
    return this.spool.store(reading);
  }

  /**
   * The oldest readings under one signature: one alone is the payload, several are a batch. Undefined when there are none,
   * or no number can be reserved. @param countMin fewer are left to wait for others
   */
  offer(o: {
    readonly countMin?: number;
    readonly countMax: number;
    readonly bytesMax: number;
  }): Offered | undefined {
    const entries = this.spool.oldest(o.countMax, o.bytesMax);
    const [first] = entries;
    if (first === undefined || entries.length < (o.countMin ?? 1)) return undefined;
    const sequence = this.#state.nextNumber();
    if (sequence === undefined) return undefined;
    const { chain, signer } = this.#o;
    if (entries.length > 1) {
      const readings = entries.map(({ bytes }) => bytes);
      return { ...signBatch({ chain, signer, sequence, readings }), entries };
    }
    const unsigned = {
      signer: signer.publicKey,
      device: signer.address,
      sequence,
      contentType: 'senml+cbor',
      content: first.bytes,
    } as const;
    const payload = encodePayload(unsigned, signer.sign(payloadSigningBytes(chain, unsigned)));
    return { payload, sequence, readings: [], entries };
  }

  /** A gateway has it for good, or will never take it. */
  delivered(offered: Pick<Offered, 'entries'>): void {
    this.spool.release(offered.entries);
  }

  /** For a stream that comes in pieces: its events go to `believe`. */
  reader(nonce?: Uint8Array): LightReader {
    const { verify } = this.#o;
    return new LightReader({ trust: this.#trust, verify, ...(nonce && { nonce }) });
  }

  /** Trust moves at once; it is durable when an hour or an epoch has passed, and always before a command is obeyed. */
  believe(event: Pick<Extract<LightEvent, { kind: 'believed' }>, 'trust'>): void {
    this.#advance(event.trust);
    const kept = this.#state.trust;
    const isLater =
      timeOf(event.trust) - timeOf(kept) >= TRUST_WRITE_MS || epochOf(event.trust) !== epochOf(kept);
    if (isLater) this.#state.keep(event.trust);
  }

  /** A whole stream, from what is trusted to the newest header; what it shows may be relied on when it is taken. */
  follow(stream: Uint8Array): Result<Followed, FollowCheck> {
    const followed = followStream({ trust: this.#trust, stream, verify: this.#o.verify });
    if (followed.ok) this.believe(followed.value);
    return followed;
  }

  /** The height at which this root was believed, if that was lately. */
  heightOf(stateRoot: Hash): number | undefined {
    return this.#roots.heightOf(stateRoot);
  }

  /**
   * One answer of a gateway: a light stream from the trusted epoch with the signer's access under its newest header (LIGHT-15).
   * Accepted means that the device may act: first is durable what makes it obey once only, what counts it, and what keeps an
   * older header from being believed again.
   */
  obey(o: {
    readonly command: Uint8Array;
    readonly stream: Uint8Array;
    /** Asked for what access allows. Left out: it goes. */
    readonly decide?: (accepted: Accepted) => Decision;
  }): FieldVerdict {
    const { limits } = this.#o;
    const verdict = verifyStreamedCommand({
      trust: this.#trust,
      stream: o.stream,
      device: this.#o.signer.address,
      command: o.command,
      now: this.now().time,
      replay: this.#windows,
      uses: this.#uses,
      verify: this.#o.verify,
      ...(limits && { limits }),
    });
    if (verdict.followed !== undefined) this.believe(verdict.followed);
    if (verdict.kind === 'refused') return verdict;
    const decision = o.decide?.(verdict) ?? { kind: 'go' };
    if (decision.kind === 'refuse') {
      const { trust, id, followed } = verdict;
      const message = 'the device does not do this now';
      return { kind: 'refused', trust, id, reason: decision.reason, message, ...(followed && { followed }) };
    }
    return this.#isDurable(decision.own) ? verdict : { kind: 'not-durable', id: verdict.payload.id };
  }

  /** In this order: a loss of power in between loses the command, and leaves no count below what was obeyed. */
  #isDurable(own: Uint8Array | undefined): boolean {
    if (!this.#windowsRecord.write(this.#windows.encode())) return false;
    const uses = this.#uses.encode();
    if (!equalBytes(uses, this.#usesKept)) {
      if (!this.#usesRecord.write(uses)) return false;
      this.#usesKept = uses;
    }
    if (!this.#state.keep(this.#trust)) return false;
    return own === undefined || this.#own.write(own);
  }

  #advance(trust: Uint8Array): void {
    if (heightOf(trust) < heightOf(this.#trust)) return;
    // The header it has already, shown again, is news after a start: the chain stands there, or did lately.
    const isNews = heightOf(trust) > heightOf(this.#trust) || !this.#clock.now().isSure;
    this.#trust = trust.slice();
    const time = timeOf(trust);
    if (isNews) this.#clock.believed(time);
    if (time < this.#rootAt + ROOT_WRITE_MS) return;
    this.#rootAt = time;
    this.#roots.add({ height: height(heightOf(trust)), stateRoot: asHash(trust.slice(116, 148)) });
  }
}

function decoded<T>(record: KeptRecord, decode: (bytes: Uint8Array) => Result<T, string>): T | undefined {
  const kept = record.read();
  const read = kept && decode(kept);
  return read?.ok === true ? read.value : undefined;
}

// Places as `layout.ts` of the light client has them.
const u53 = (trust: Uint8Array, at: number): number =>
  Number(new DataView(trust.buffer, trust.byteOffset).getBigUint64(at));
const heightOf = (trust: Uint8Array): number => u53(trust, 68);
const timeOf = (trust: Uint8Array): Millis => millis(u53(trust, 76));
const epochOf = (trust: Uint8Array): number => new DataView(trust.buffer, trust.byteOffset).getUint32(32);
