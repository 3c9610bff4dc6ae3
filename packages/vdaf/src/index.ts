/**
 * The public list of @itc/vdaf: Prio3 of draft-irtf-cfrg-vdaf-20, and exact noise for differential
 * privacy. Everything else is reachable by its file, without a promise to stay.
 */
/* oxlint-disable oxc/no-barrel-file -- a published package has one front door, written by hand */
export {
  ALGORITHM_ID,
  prio3Count,
  prio3Histogram,
  prio3L1BoundSum,
  prio3MultihotCountVec,
  prio3Sum,
  prio3SumVec,
} from './instances.ts';
export type { VectorInstanceOptions } from './instances.ts';
export { NONCE_BYTES, Prio3, VERIFY_KEY_BYTES } from './prio3.ts';
export type {
  Instance,
  Prio3Options,
  Report,
  ReportShare,
  Verification,
  Verifier,
  VerifyState,
} from './prio3.ts';
export { helperInitialize, leaderFinish, leaderInitialize } from './ping-pong.ts';
export type { HelperStep, LeaderStep, PingPongTask } from './ping-pong.ts';
export { accepted } from './outcome.ts';
export type { Outcome, RefusalCode } from './outcome.ts';
export { chunkLengthFor } from './flp/circuit.ts';
export type { Circuit, Evaluation, Gadget, Integer } from './flp/circuit.ts';
export { FIELD128, FIELD64 } from './field.ts';
export type { Field } from './field.ts';
export { kernelInUse } from './machine.ts';
export type { KernelChoice } from './machine.ts';
export { XofTurboShake128 } from './xof.ts';
export {
  NANO,
  epsilonOf,
  gaussianCost,
  gaussianVariance,
  laplaceScale,
  pureCost,
} from './noise/accountant.ts';
export type { NanoRho } from './noise/accountant.ts';
export { PrivacyFilter } from './noise/filter.ts';
export type { Charge } from './noise/filter.ts';
export { rational } from './noise/rational.ts';
export type { Rational } from './noise/rational.ts';
export {
  bernoulli,
  bernoulliExp,
  discreteGaussian,
  discreteLaplace,
  gaussianNoise,
  laplaceNoise,
  uniformBelow,
} from './noise/sampler.ts';
export type { RandomBytes } from './noise/sampler.ts';
