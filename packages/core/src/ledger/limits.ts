/** Every bound of the protocol in one place (spec LIMITS). Changing one that peers check is a protocol change. */
export const LIMITS = {
  /** Transactions. */
  transactionBytesMax: 16_384,
  textBytesMax: 64,
  lanesMax: 16,
  merklePathMax: 32,
  /** Blocks and validators. */
  blockBytesMax: 4_194_304,
  blockTransactionsMax: 4096,
  validatorsMax: 128,
  /** Sum of weights stays far below 2^53, so that weights add as plain numbers. */
  weightMax: 0xffff_ffff,
  /** PBFT: heights in flight above the last committed one; the state root in a header lags by as many. */
  pipelineDepth: 4,
  checkpointInterval: 32,
  watermarkWindow: 128,
  /** Blocks a proposer's clock may be ahead of ours, in milliseconds. */
  clockSkewMsMax: 5_000,
  /** Subnets. */
  subnetMembersMax: 32,
  parentsMax: 8,
  envelopePayloadsMax: 512,
  envelopeBytesMax: 524_288,
  payloadBytesMax: 16_384,
  anchorsMax: 32,
  coneEnvelopesMax: 20_000,
  /** Sequence numbers a lane may arrive out of order before the oldest are refused. */
  laneWindow: 1024,
  powBitsMax: 24,
  /** Genesis. */
  genesisAccountsMax: 1024,
  genesisSubnetsMax: 64,
  genesisBytesMax: 1_048_576,
  /** Light proofs. */
  proofBytesMax: 65_536,
  stateProofSiblingsMax: 256,
  /** A device or grant record inside an access proof. */
  recordBytesMax: 1024,
  /** Signers of commands that a device remembers at a time. */
  commandLanesMax: 64,
} as const;
