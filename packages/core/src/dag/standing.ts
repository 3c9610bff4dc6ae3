/**
 * How each member stands, from what is final alone (spec DAG-3.6, DAG-5.3), so every node computes the same: the work its
 * counted envelopes showed in the running epoch, the weight that gives it in the next, and the bits of work by which it
 * pays more for faults or less for good conduct (after Huang et al., IEEE TII 2019).
 */
import type { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { LIMITS } from '../ledger/limits.ts';

export const STANDING = {
  /** Checkpoints in which weights stay the same. */
  epochCheckpoints: 64,
  /** All weight of work together is at most this part of the stake: a quarter of stake and work. */
  workDivisor: 3,
  /** A bit of penalty goes away in so many checkpoints. */
  penaltyPerBit: 16,
  /** Bits more for an envelope that lost its slot, for a lazy one, and at most. */
  equivocationBits: 4,
  lazyBits: 1,
  penaltyBitsMax: 8,
  /** A bit of credit takes so many checkpoints with counted envelopes and without a fault. */
  creditPerBit: 64,
  creditBitsMax: 3,
} as const;

export interface Standing {
  /** Lanes of payloads this member has opened. */
  opened: number;
  /** Expected hashes behind its counted envelopes of this epoch: 2^bits summed. */
  work: number;
  /** Weight its work of the last epoch gives it in this one. */
  workWeight: number;
  /** In sixteenths of a bit. */
  penalty: number;
  /** In checkpoints. */
  credit: number;
  /** It was shown to have forged payloads: those it issues are ignored from then on (spec DAG-13.4). */
  barred: boolean;
}

export const freshStanding = (): Standing => ({
  opened: 0,
  work: 0,
  workWeight: 0,
  penalty: 0,
  credit: 0,
  barred: false,
});

export const isSameStanding = (a: Standing, b: Standing): boolean =>
  a.opened === b.opened &&
  a.work === b.work &&
  a.workWeight === b.workWeight &&
  a.penalty === b.penalty &&
  a.credit === b.credit &&
  a.barred === b.barred;

export function writeStanding(writer: Writer, standing: Standing): Writer {
  return writer
    .u53(standing.opened)
    .u53(standing.work)
    .u53(standing.workWeight)
    .u8(standing.penalty)
    .u8(standing.credit)
    .bool(standing.barred);
}

export function readStanding(reader: Reader): Standing {
  return {
    opened: reader.u53(),
    work: reader.u53(),
    workWeight: reader.u53(),
    penalty: reader.u8(),
    credit: reader.u8(),
    barred: reader.bool(),
  };
}

/** What one checkpoint tells of a member. */
export interface Conduct {
  /** Envelopes that counted, and the work they showed. */
  counted: number;
  work: number;
  /** Envelopes that lost their slot or followed a loser. */
  lost: number;
  /** Envelopes whose past was old when their anchor was new. */
  lazy: number;
}

export const freshConduct = (): Conduct => ({ counted: 0, work: 0, lost: 0, lazy: 0 });

/** Luck shows more bits than were asked for; beyond the greatest base it counts for nothing. */
export const creditedWork = (workBits: number): number => 2 ** Math.min(workBits, LIMITS.powBitsMax);

/** Moves a standing on by one checkpoint; the end of an epoch is `closeEpoch`. */
export function judge(standing: Standing, conduct: Conduct): void {
  standing.work += conduct.work;
  standing.penalty = Math.max(0, standing.penalty - 1);
  const faulty = conduct.lost > 0 || conduct.lazy > 0;
  if (!faulty) {
    if (conduct.counted > 0)
      standing.credit = Math.min(STANDING.creditBitsMax * STANDING.creditPerBit, standing.credit + 1);
    return;
  }
  const bits =
    (conduct.lost > 0 ? STANDING.equivocationBits : 0) + (conduct.lazy > 0 ? STANDING.lazyBits : 0);
  standing.penalty = Math.min(
    STANDING.penaltyBitsMax * STANDING.penaltyPerBit,
    standing.penalty + bits * STANDING.penaltyPerBit,
  );
  standing.credit = 0;
}

export const isEpochEnd = (sequence: number): boolean => sequence % STANDING.epochCheckpoints === 0;

/**
 * Turns the work of the epoch into the weights of the next: a share of a third of the stake, in proportion to work, at
 * most a member's own stake. Below one envelope of the base per member and checkpoint the third is not given out in
 * full, or the only one awake in a quiet subnet would get it for nothing.
 */
export function closeEpoch(standings: readonly Standing[], stake: readonly number[], powBits: number): void {
  const total = BigInt(stake.reduce((sum, weight) => sum + weight, 0));
  const room = total / BigInt(STANDING.workDivisor);
  const least = BigInt(2 ** powBits) * BigInt(stake.length * STANDING.epochCheckpoints);
  let done = 0n;
  for (const standing of standings) done += BigInt(standing.work);
  const whole = done > least ? done : least;
  for (const [i, standing] of standings.entries()) {
    const share = Number((room * BigInt(standing.work)) / whole);
    standing.workWeight = Math.min(stake[i] as number, share);
    standing.work = 0;
  }
}

/** Bits by which a member pays more (positive) or less than the base. */
export function adjustmentOf(standing: Standing): number {
  return (
    Math.ceil(standing.penalty / STANDING.penaltyPerBit) - Math.floor(standing.credit / STANDING.creditPerBit)
  );
}

/**
 * Bits an envelope has to show (spec DAG-3.2): what its anchor asks for, its issuer's surcharge and standing at the
 * anchor, and never less than the subnet's own base.
 */
export function bitsNeeded(
  anchor: { readonly powBits: number; readonly adjustments?: readonly number[] | undefined },
  issuer: number,
  surcharge: number,
  base: number,
): number {
  const needed = anchor.powBits + surcharge + (anchor.adjustments?.[issuer] ?? 0);
  return needed > base ? needed : base;
}
