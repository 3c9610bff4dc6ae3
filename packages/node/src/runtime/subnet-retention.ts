/**
 * How much of a subnet's past is kept, and for how long (spec SUBNET-1): a size on disk that is not exceeded, an age
 * beyond which readings go, and what can be told of both to whoever asks for a date.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { isFull } from './full-disk.ts';
import type { Pin, SubnetPins } from './subnet-pins.ts';
import type { SubnetStore } from './subnet-store.ts';

export const RETENTION = {
  /** Checkpoints that are kept however large they are: parents of what is under way may lie in them. */
  checkpointsMin: 128,
  /** Checkpoints forgotten in one pass; a pass follows every delivery, so that it gains on what comes. */
  passMax: 8,
  /** Below the target by this part of it, so that what comes between two passes finds room. */
  headroom: 8,
  /** Pinned readings get at most this part of the target. */
  pinsPart: 2,
  /** A segment is at most this part of the target, or one file would hold too much of what is to go. */
  segmentPart: 16,
  segmentBytesMax: 4 << 20,
  /** The log is replaced by a snapshot at this part of the target; while that is written there are two. */
  logPart: 8,
  logBytesMax: 32 << 20,
} as const;

/** Size at which a segment is finished, under a target. */
export const segmentBytes = (bytesTarget: number): number =>
  Math.min(RETENTION.segmentBytesMax, Math.floor(bytesTarget / RETENTION.segmentPart));

/** Size at which the log is replaced by a snapshot, under a target. */
export const logBytes = (bytesTarget: number): number =>
  Math.min(RETENTION.logBytesMax, Math.floor(bytesTarget / RETENTION.logPart));

export interface RetentionPolicy {
  /** Of everything a member keeps of its subnet. Without it, size is no reason to forget. */
  readonly bytesTarget?: number;
  /** Readings older than this go. Without it, age is no reason. */
  readonly keepMs?: number;
}

export interface RetentionStatus {
  readonly policy: RetentionPolicy;
  readonly bytes: {
    readonly bodies: number;
    readonly rows: number;
    readonly pins: number;
    readonly log: number;
    readonly total: number;
  };
  readonly oldest: { readonly checkpoint: number; readonly time: number } | undefined;
  readonly newest: { readonly checkpoint: number; readonly time: number } | undefined;
  /** Growth over what is kept; undefined while that is too short to tell. */
  readonly bytesPerDay: number | undefined;
  /** A reading that becomes final now is expected to be kept so long; undefined: for ever. */
  readonly keptMs: number | undefined;
  readonly pins: readonly Pin[];
  /** What does not hold, in a sentence. */
  readonly reason: string | undefined;
}

const DAY_MS = 86_400_000;
/** Below this, a rate is chance. */
const RATE_SPAN_MS_MIN = 60_000;

export class SubnetRetention {
  readonly policy: RetentionPolicy;
  readonly pins: SubnetPins;
  readonly #store: SubnetStore;
  readonly #logBytes: () => number;
  readonly #now: () => number;

  constructor(options: {
    readonly policy: RetentionPolicy;
    readonly store: SubnetStore;
    readonly pins: SubnetPins;
    readonly logBytes: () => number;
    readonly now: () => number;
  }) {
    this.policy = options.policy;
    this.pins = options.pins;
    this.#store = options.store;
    this.#logBytes = options.logBytes;
    this.#now = options.now;
  }

  /**
   * Forgets what the policy says, a bounded number of checkpoints at a time. `heads`: the envelopes lanes go on from.
   * A disk that is too full to note it loses the bodies all the same: that is what makes room.
   */
  async pass(head: number, heads: () => readonly Hash[]): Promise<void> {
    const { bytesTarget, keepMs } = this.policy;
    if (bytesTarget === undefined && keepMs === undefined && this.pins.list().length === 0) return;
    const now = this.#now();
    await this.pins.expire(now);
    let keep: ReadonlySet<string> | undefined;
    for (let i = 0; i < RETENTION.passMax; i += 1) {
      const oldest = this.#store.oldest();
      if (oldest === undefined || oldest.sequence > head - RETENTION.checkpointsMin) return;
      const tooOld = keepMs !== undefined && oldest.time + keepMs < now;
      if (!tooOld && !this.#isTooLarge()) return;
      keep ??= new Set(heads().map(toHex));
      try {
        await this.#store.pruneOldest(keep);
      } catch (error) {
        if (!isFull(error)) throw error;
        this.#store.pruneSegments(oldest.sequence + 1);
        return;
      }
      this.#store.pruneSegments(oldest.sequence + 1);
    }
  }

  status(): RetentionStatus {
    const bytes = this.#bytes();
    const oldest = this.#store.oldest();
    const newest = this.#store.newest();
    const spanMs = oldest === undefined || newest === undefined ? 0 : newest.time - oldest.time;
    const bytesPerDay =
      spanMs < RATE_SPAN_MS_MIN ? undefined : ((bytes.bodies + bytes.rows) * DAY_MS) / spanMs;
    const place = (kept: typeof oldest): RetentionStatus['oldest'] =>
      kept === undefined ? undefined : { checkpoint: kept.sequence, time: kept.time };
    return {
      policy: this.policy,
      bytes,
      oldest: place(oldest),
      newest: place(newest),
      bytesPerDay,
      keptMs: this.#keptMs(bytes, bytesPerDay),
      pins: this.pins.list(),
      reason: this.reason,
    };
  }

  /** Why a promise does not hold; undefined while all do. */
  get reason(): string | undefined {
    const { bytesTarget } = this.policy;
    const { total } = this.#bytes();
    if (bytesTarget !== undefined && total > bytesTarget)
      return `${total} bytes are kept, the target is ${bytesTarget}: the newest ${RETENTION.checkpointsMin} checkpoints and the pinned readings are never given up`;
    const missed = this.pins.list().reduce((sum, pin) => sum + pin.missed, 0);
    return missed === 0
      ? undefined
      : `${missed} readings of pinned devices could not be kept with their proofs`;
  }

  #isTooLarge(): boolean {
    const { bytesTarget } = this.policy;
    return bytesTarget !== undefined && this.#bytes().total > bytesTarget - bytesTarget / RETENTION.headroom;
  }

  #bytes(): RetentionStatus['bytes'] {
    const { bodies, rows } = this.#store.size;
    const pins = this.pins.bytes;
    const log = this.#logBytes();
    return { bodies, rows, pins, log, total: bodies + rows + pins + log };
  }

  #keptMs(bytes: RetentionStatus['bytes'], bytesPerDay: number | undefined): number | undefined {
    const { bytesTarget, keepMs } = this.policy;
    const room = bytesTarget === undefined ? undefined : bytesTarget - bytes.pins - bytes.log;
    const bySize =
      room === undefined || bytesPerDay === undefined || bytesPerDay === 0
        ? undefined
        : Math.max(0, (room / bytesPerDay) * DAY_MS);
    if (bySize === undefined) return keepMs;
    return keepMs === undefined ? bySize : Math.min(bySize, keepMs);
  }
}
