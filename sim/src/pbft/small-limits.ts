/**
 * The same code with smaller bounds: what happens once in 32 blocks happens once in 8, so that a short run crosses
 * checkpoints, watermarks, turns and epochs many times. The ratio of watermark window and checkpoint interval stays.
 */
import { LIMITS } from '@itc/core/ledger/limits.js';

export interface SmallLimits {
  readonly checkpointInterval: number;
  readonly rotationBlocks: number;
  readonly skipBlocks: number;
}

export const REAL_LIMITS: SmallLimits = {
  checkpointInterval: LIMITS.checkpointInterval,
  rotationBlocks: LIMITS.rotationBlocks,
  skipBlocks: LIMITS.skipBlocks,
};

const RATIO = LIMITS.watermarkWindow / LIMITS.checkpointInterval;

/** Runs with other bounds than the protocol's. Nothing else runs meanwhile: a simulation is one synchronous call. */
export function withLimits<T>(limits: SmallLimits, run: () => T): T {
  set(limits);
  try {
    return run();
  } finally {
    set(REAL_LIMITS);
  }
}

function set(limits: SmallLimits): void {
  const bounds: { -readonly [K in keyof typeof LIMITS]: number } = LIMITS;
  bounds.checkpointInterval = limits.checkpointInterval;
  bounds.watermarkWindow = RATIO * limits.checkpointInterval;
  bounds.rotationBlocks = limits.rotationBlocks;
  bounds.skipBlocks = limits.skipBlocks;
}
