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
  /** Milliseconds of block time from the guardians' agreement until it takes effect: time for a veto, a year at most. */
  recoveryDelayMinMs: 10_000,
  recoveryDelayMaxMs: 31_536_000_000,
  /** What a recovery of a device waits for its owner's veto until the owner chooses another delay: a week. */
  deviceRecoveryMs: 604_800_000,
  /** From then on, how long it may be finished: a month. */
  deviceRecoveryOpenMs: 2_592_000_000,
  /** How long an offer of a device stands at most: three months. */
  offerMsMax: 7_776_000_000,
  /** Groups of one owner, and delegations of one device or group to one subject: whoever looks for access looks through them. */
  groupsMax: 64,
  delegationsToMax: 16,
  /** Milliseconds from a payer's notice to the end of a stream: a year at most. */
  streamNoticeMaxMs: 31_536_000_000,
  /** Records that go at the end of one block because their time has come. */
  expiriesPerBlock: 256,
  /** Keys with stake in one subnet: members, candidates, and those who leave. */
  subnetStakesMax: 64,
  /** Changes of members of a subnet that are remembered. */
  memberTurnsKept: 32,
  /** The longest rental, a year, and the longest time to start, claim or answer, 30 days; in milliseconds. */
  rentalMsMax: 31_536_000_000,
  rentalWindowMsMax: 2_592_000_000,
  /** Firmware: releases of one product line that are remembered, bytes of an image, and how long a report of installs stays. */
  releasesKeptMax: 16,
  firmwareBytesMax: 1_073_741_824,
  installsKeptMs: 31_536_000_000,
  /** Snapshots: records of one chunk, and bytes of its encoding. */
  snapshotChunkRecordsMax: 1024,
  snapshotChunkBytesMax: 4_194_304,
  /** Chunks of one snapshot, their records together, and bits of a chunk's prefix. */
  snapshotChunksMax: 65_536,
  snapshotRecordsMax: 67_108_864,
  snapshotDepthMax: 48,
  /** Header hashes of one piece of the history: a power of two, so that a piece is one node of the mountain range. */
  snapshotHashesMax: 4096,
} as const;
