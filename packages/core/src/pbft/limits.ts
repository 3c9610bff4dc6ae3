/** Bounds of the replica that peers need not agree on; those they must agree on are in ledger/limits.ts. */
import { LIMITS } from '../ledger/limits.ts';

interface PbftLimits {
  /**
   * Heights above the last delivered block for which proposals are kept. Twice the pipeline depth, because a
   * backup may be a whole pipeline behind the primary that proposes.
   */
  readonly proposalWindow: number;
  /** Heights above the last delivered block for which votes are counted; whoever is further behind synchronises. */
  readonly voteWindow: number;
  /** Different block bodies kept for one height: the accepted one, an older view's, one an equivocating primary added. */
  readonly bodiesMax: number;
  /** Prepared certificates in one VIEW-CHANGE; no replica prepares beyond its proposal window. */
  readonly preparedMax: number;
  /** Bodies sent to one peer in one resend interval on its request. */
  readonly bodiesServedMax: number;
  /** Checkpoint heights above the stable one for which votes are counted. */
  readonly checkpointsAhead: number;
  /** Certificates and VIEW-CHANGE messages remembered as verified: those of some NEW-VIEWs of the largest set. */
  readonly provenMax: number;
}

export const PBFT_LIMITS: PbftLimits = {
  proposalWindow: 2 * LIMITS.pipelineDepth,
  voteWindow: 4 * LIMITS.pipelineDepth,
  bodiesMax: 4,
  preparedMax: 2 * LIMITS.pipelineDepth,
  bodiesServedMax: 2 * LIMITS.pipelineDepth,
  checkpointsAhead: LIMITS.watermarkWindow / LIMITS.checkpointInterval + 1,
  provenMax: 4096,
};

const CERTIFICATE_BYTES_MAX = 64 + Math.ceil(LIMITS.validatorsMax / 8) + 64 * LIMITS.validatorsMax + 64;
const VIEW_CHANGE_BYTES_MAX = 256 + (PBFT_LIMITS.preparedMax + 2) * CERTIFICATE_BYTES_MAX;

/** The largest message of a set of n validators: a full block, or a NEW-VIEW with n VIEW-CHANGE messages. */
export function messageBytesMax(n: number): number {
  return Math.max(LIMITS.blockBytesMax + 256, 4096 + n * VIEW_CHANGE_BYTES_MAX);
}
