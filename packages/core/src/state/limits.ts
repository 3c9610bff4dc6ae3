/** Bounds of the state machine that `ledger/limits.ts` does not have (spec STATE-2, STATE-4, STATE-6, STATE-10, STATE-11). */
export const STATE_LIMITS = {
  /** Devices of one batch. */
  batchDevicesMax: 16_777_216,
  /** How far a nonce may run ahead of its lane in a pool of waiting transactions. */
  nonceAheadMax: 4096,
  /** How far a checkpoint may run ahead of its subnet in a pool of waiting transactions. */
  checkpointsAheadMax: 64,
  /** Parts of one bond on their way back to its owner. */
  unbondingsMax: 8,
  /** Heights for which a vote for a weight stands. */
  voteBlocks: 65_536,
  /** Heights between two restarts of one validator: each closes an epoch, and costs the chain a pause. */
  restartBlocks: 1024,
} as const;
