/** Every bound of the protocol in one place (spec LIMITS). Changing one that peers check is a protocol change. */
export const LIMITS = {
  /** Transactions. */
  transactionBytesMax: 16_384,
  textBytesMax: 64,
  lanesMax: 16,
  /** Keys of one account, and signers of one transaction. */
  signersMax: 8,
  /** Guardians of one account. */
  guardiansMax: 8,
  merklePathMax: 32,
  /** Receivers of one transaction. */
  transferOutputsMax: 64,
  /** Blocks and validators. */
  blockBytesMax: 4_194_304,
  blockTransactionsMax: 4096,
  /** Signatures of a block's senders by what checking them costs, in Ed25519 checks: some 0.4 s of one thread. */
  blockVerificationMax: 8192,
  validatorsMax: 128,
  /** Sum of weights stays far below 2^53, so that weights add as plain numbers. */
  weightMax: 0xffff_ffff,
  /** Accounts with a bond: those who decide, and those who may be elected. */
  candidatesMax: 256,
  /** Heights a bond stays punishable after its owner has asked for it back: a week of one-second blocks. */
  unbondBlocks: 604_800,
  /** PBFT: heights in flight above the last committed one; the state root in a header lags by as many. */
  pipelineDepth: 4,
  checkpointInterval: 32,
  watermarkWindow: 128,
  /** Heights one validator proposes before the next one's turn. */
  rotationBlocks: 16,
  /**
   * Heights for which a skipped validator gets no turn: minutes under load. It takes up to four view timeouts to find out
   * who is slow on purpose, and finding out again must cost a small part of the time between.
   */
  skipBlocks: 8192,
  /** Transactions one validator may report as overdue at a time. */
  inclusionMax: 16,
  /** Blocks a proposer's clock may be ahead of ours, in milliseconds. */
  clockSkewMsMax: 5_000,
  /** Subnets. */
  subnetMembersMax: 32,
  /** Members by stake change after checkpoints whose sequence is a multiple of this, elected so many checkpoints before. */
  memberTurnCheckpoints: 16,
  memberLeadCheckpoints: 8,
  parentsMax: 8,
  envelopePayloadsMax: 512,
  envelopeBytesMax: 524_288,
  payloadBytesMax: 16_384,
  /** A device's word inside a transaction, about a rental: a payload with little in it. */
  deviceWordBytesMax: 512,
  /** Firmware: keys of one role, and other product lines a release depends on. */
  roleKeysMax: 8,
  releaseDependenciesMax: 4,
  anchorsMax: 32,
  coneEnvelopesMax: 20_000,
  /** Sequence numbers a lane may arrive out of order before the oldest are refused. */
  laneWindow: 1024,
  powBitsMax: 24,
  /** Sponsorships: kinds of transactions, and devices or accounts by name. */
  sponsoredKindsMax: 64,
  sponsoredListMax: 64,
  /** Of 10 000 base units of fees, how many may burn: all of them. */
  burnShareMax: 10_000,
  /** Genesis. */
  genesisAccountsMax: 1024,
  genesisSubnetsMax: 64,
  genesisBytesMax: 1_048_576,
  /** Light proofs. */
  proofBytesMax: 65_536,
  /** Changes of validators one proof may lead across. */
  hopsMax: 32,
  stateProofSiblingsMax: 256,
  /** A device, grant or group record inside an access proof. */
  recordBytesMax: 2048,
  /** Subjects in a row below the one the owner has granted to. */
  delegationsMax: 3,
  /** Windows of a weekly schedule, and devices of a group. */
  scheduleWindowsMax: 4,
  groupDevicesMax: 32,
  /** Signers of commands that a device remembers at a time, and grants whose uses it counts. */
  commandLanesMax: 64,
  useCountsMax: 64,
  /** Subnet DAG: lanes of one member, and of all members together (a member's share follows its stake). */
  envelopeLanesMax: 16,
  subnetLanesMax: 64,
  /** Checkpoints an envelope's anchor may be behind when it arrives unasked, and how many are remembered at all. */
  anchorAgeMax: 30,
  anchorsKeptMax: 16_384,
  /** Depth in checkpoints: parents below it are refused; a tip beyond one of the others is lazy. */
  parentDepthMax: 15,
  lazyNewestMax: 8,
  lazyOldestMax: 13,
  /** Finalised envelopes remembered by hash; older ones are looked up in storage. */
  finalisedKeptMax: 65_536,
  /** Held in memory: envelopes not final yet, and envelopes waiting for parents. */
  pendingEnvelopesMax: 65_536,
  pendingBytesMax: 134_217_728,
  unsolidEnvelopesMax: 8_192,
  unsolidBytesMax: 33_554_432,
  /** Parents being looked for: in all, for one author, for one peer. */
  missingMax: 8_192,
  missingPerAuthorMax: 1_024,
  missingPerPeerMax: 2_048,
  /** How far ahead of the last known envelope of a lane one may be, unasked. */
  sequenceAheadMax: 4_096,
  /** Messages between members. */
  subnetMessageBytesMax: 1_048_576,
  requestHashesMax: 64,
  replyEnvelopesMax: 256,
  replyBytesMax: 786_432,
  /** Checkpoints: identifiers in one reply, rounds for one sequence, committed ones waiting to be applied. */
  checkpointIdsMax: 20_000,
  roundsMax: 64,
  committedQueueMax: 64,
  /** Lanes of payloads (signer and device) a subnet remembers; each member may open its share by stake. */
  payloadLanesMax: 131_072,
  /** Value inside a subnet: least amount in base units (0.001 ITC) that goes in, comes out or is held; holders in all. */
  subnetValueMin: 1_000_000,
  subnetBalancesMax: 131_072,
  /** Voucher lanes of one holder, and of all together. */
  voucherLanesMax: 8,
  subnetVoucherLanesMax: 65_536,
  /** Deposits of one subnet the main chain remembers; those that wait to be credited are among them. */
  depositsKeptMax: 4_096,
  /** Deposits one checkpoint credits, and withdrawals it lets out. */
  depositsPerCheckpointMax: 256,
  withdrawalsMax: 512,
  /** Finalised envelopes per second above and below which the base proof of work moves by one bit. */
  loadHigh: 1_000,
  loadLow: 250,
} as const;
