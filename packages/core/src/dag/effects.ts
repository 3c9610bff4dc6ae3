/** What goes into a subnet member and what comes out (spec DAG-9). */
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { CheckpointCertificate } from '../ledger/checkpoint.ts';
import type { Deposit, Withdrawal } from '../ledger/escrow.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Height, Millis } from '../ledger/ids.ts';
import type { Payload } from '../ledger/payload.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { Accusation } from '../ledger/accusation.ts';
import type { EnvelopeBody } from '../ledger/envelope.ts';
import type { PayloadOutcome } from './lanes.ts';
import type { ValueRefusal } from './ledger-table.ts';
import type { SubnetMessage, VerifiedMessage } from './messages.ts';
import type { LogRecord } from './records.ts';
import type { VerifiedEnvelope } from './verify.ts';

export interface MemberOptions {
  readonly chain: Hash;
  readonly subnet: Hash;
  /** At most 32: those who decide the first checkpoint. Behind a turn they are others (`Member.members`). */
  readonly members: ValidatorSet;
  /** Own index; −1 follows without issuing or voting. */
  readonly self: number;
  /** Own key, for a member by stake: its index changes with the members. */
  readonly own?: PublicKey;
  /**
   * Members by stake: who decides behind a checkpoint that ends a turn, if others than before. The main chain knows it when the
   * checkpoint before has been committed, which is when it is asked.
   */
  readonly turnAfter?: (sequence: number) => ValidatorSet | undefined;
  /** Whether the main chain waits for checkpoints of this subnet, though it may have nothing to say: for a turn. */
  readonly isAwaited?: () => boolean;
  /** Base bits of proof of work at genesis, and the least ever. */
  readonly powBits: number;
  /** Uniform in [0, 1), from a seeded generator. */
  readonly random: () => number;
  /** Signs checkpoints; Ed25519 is deterministic, so the core stays so. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly timing?: Partial<Timing>;
  /** Every record ever asked to be persisted, in order, from the last `Member.snapshot` on. Empty at genesis. */
  readonly restore?: readonly LogRecord[];
  /** The records are of others (a snapshot taken over), and ours were lost: nothing is issued before the others have told of us. */
  readonly pastUncertain?: boolean;
}

/** Milliseconds. */
export interface Timing {
  /** Least time between two checkpoints. */
  readonly cadenceMs: number;
  /** A round of proposing; grows by half each time, up to the maximum. */
  readonly roundMs: number;
  readonly roundMaxMs: number;
  /** Before an empty envelope is wanted to approve what others sent. */
  readonly approveMs: number;
  /** Requests for missing envelopes: first and longest pause. */
  readonly requestMs: number;
  readonly requestMaxMs: number;
  /** Exchange of heads while something is pending, and while nothing is. */
  readonly headsMs: number;
  readonly headsIdleMs: number;
  /** Before a certificate that was not committed is submitted again; doubles up to eight times as much. */
  readonly resubmitMs: number;
}

export const TIMING: Timing = {
  cadenceMs: 1_000,
  roundMs: 2_000,
  roundMaxMs: 15_000,
  approveMs: 100,
  requestMs: 200,
  requestMaxMs: 5_000,
  headsMs: 1_000,
  headsIdleMs: 10_000,
  resubmitMs: 5_000,
};

export type Input =
  | { readonly kind: 'tick'; readonly now: Millis }
  /** From another member. `from` is its index; `reply` says that it came in an 'envelopes' message. */
  | {
      readonly kind: 'envelope';
      readonly from: number;
      readonly envelope: VerifiedEnvelope;
      readonly reply: boolean;
      readonly now: Millis;
    }
  /**
   * An audit found that this envelope's issuer signed a payload its device did not; the envelope itself comes in besides,
   * if it was asked for.
   */
  | {
      readonly kind: 'forged';
      readonly envelope: VerifiedEnvelope;
      /** Of the payload. */
      readonly index: number;
      readonly now: Millis;
    }
  /** A finished draft of our own. */
  | { readonly kind: 'own'; readonly envelope: VerifiedEnvelope; readonly now: Millis }
  | {
      readonly kind: 'message';
      readonly from: number;
      readonly message: VerifiedMessage;
      readonly now: Millis;
    }
  /** The main chain executed this checkpoint: final. In order of sequence; what is known already is ignored. */
  | { readonly kind: 'committed'; readonly committed: Committed; readonly now: Millis }
  /** What the main chain executed for this subnet, in order of number; what is known already is ignored. */
  | { readonly kind: 'deposits'; readonly deposits: readonly Deposit[]; readonly now: Millis }
  /** Answer to a want 'lookup': the envelope is final already, in storage. */
  | {
      readonly kind: 'located';
      readonly hash: Hash;
      readonly checkpoint: number;
      readonly time: Millis;
      readonly now: Millis;
    };

export interface Committed {
  readonly certificate: CheckpointCertificate;
  readonly height: Height;
  readonly txIndex: number;
}

/** Acted on in this order; nothing is sent before `persist` is durable. */
export interface Effects {
  readonly persist: LogRecord[];
  readonly send: Outgoing[];
  readonly deliver: Delivery[];
  /** Certificates for the main chain; the same one comes again until it is committed. */
  readonly submit: CheckpointCertificate[];
  readonly want: Want[];
  /** Approved by two thirds of the stake just now (security level 2); never an equivocation. */
  readonly accepted: Hash[];
  /** Now part of the graph, parents before children: own and others' alike. */
  readonly joined: VerifiedEnvelope[];
  readonly evidence: Equivocation[];
  readonly refused: RefusedEnvelope[];
  /** Own envelopes that are void, because the members have changed: their payloads may go into others. */
  readonly givenUp: VerifiedEnvelope[];
}

/** To one member, or to all others. */
export interface Outgoing {
  readonly to: number | 'all';
  readonly message: SubnetMessage;
}

export type Want =
  /** Please draft an envelope now, empty if there are no payloads: others wait for our approval. */
  | { readonly kind: 'envelope' }
  /** Please sign this accusation, and draft an envelope with nothing else in it. */
  | { readonly kind: 'accuse'; readonly accused: number; readonly content: Uint8Array }
  /** Please feed committed checkpoints from this sequence on. */
  | { readonly kind: 'committed'; readonly from: number }
  /** Please feed deposits of the main chain from this number on. */
  | { readonly kind: 'deposits'; readonly from: number }
  /** Are these in storage as final? Answer with 'located', or not at all. */
  | { readonly kind: 'lookup'; readonly hashes: readonly Hash[] }
  /** A peer asks for envelopes that are final: send it those in storage as 'envelopes'. */
  | { readonly kind: 'serve-envelopes'; readonly to: number; readonly hashes: readonly Hash[] }
  /** A peer asks for the ordered envelope hashes of a checkpoint: send 'checkpoint-ids' from storage. */
  | { readonly kind: 'serve-checkpoint'; readonly to: number; readonly sequence: number };

/** A checkpoint of the main chain, applied here: final. */
export interface Delivery {
  readonly committed: Committed;
  readonly hash: Hash;
  /** In canonical order: the leaves of the inclusion root. */
  readonly envelopes: readonly VerifiedEnvelope[];
  /** In canonical order: their ids are the leaves of the applied root. */
  readonly applied: readonly AppliedPayload[];
  readonly ignored: readonly IgnoredPayload[];
  /** In order: the leaves of the withdrawal root. Whoever stores them can prove each to the main chain. */
  readonly withdrawals: readonly Withdrawal[];
}

export interface AppliedPayload {
  readonly payload: Payload;
  readonly envelope: Hash;
}

export interface IgnoredPayload extends AppliedPayload {
  readonly reason: Exclude<PayloadOutcome, 'applied'> | ValueRefusal | 'slot-lost';
}

/** Two envelopes of one issuer in one slot: proof of its fault, by its own signatures. */
export interface Equivocation {
  readonly issuer: number;
  readonly first: VerifiedEnvelope;
  readonly second: VerifiedEnvelope;
}

export interface RefusedEnvelope {
  readonly hash: Hash;
  readonly issuer: number;
  readonly code: ErrorCode;
  readonly reason: string;
}

/** To be worked on, signed and sealed by the shell, then given back as input 'own'. */
export interface Draft {
  readonly body: EnvelopeBody;
  readonly bodyHash: Hash;
  /** Bits of work to find, surcharge included. */
  readonly bits: number;
  readonly payloads: readonly Payload[];
  readonly accusation?: Accusation | undefined;
}

export interface MemberStatus {
  readonly state: 'following' | 'catching-up' | 'diverged';
  /** Why it is not well, in a sentence; undefined when it is. */
  readonly reason: string | undefined;
  /** Last checkpoint applied. */
  readonly checkpoint: number;
  readonly checkpointHash: Hash;
  readonly checkpointTime: Millis;
  /** What is held after it, as a root: of an honest member always that of the checkpoint. */
  readonly stateRoot: Hash;
  readonly powBits: number;
  readonly pending: number;
  readonly pendingBytes: number;
  readonly accepted: number;
  readonly tips: number;
  readonly unsolid: number;
  readonly missing: number;
  /** Payloads and envelopes applied since genesis, as far as this member's records go. */
  readonly payloadsApplied: number;
  readonly envelopesFinal: number;
  readonly round: number;
  /** Stake that has voted for the leading proposal, and what is needed. */
  readonly votes: number;
  readonly quorum: number;
  /** A certificate waits for the main chain. */
  readonly submitted: boolean;
  readonly committedQueue: number;
  readonly equivocators: readonly number[];
  /** Members whose payloads are refused here: shown to have forged some, by a checkpoint or by what is on its way into one. */
  readonly barred: readonly number[];
  /** Pending envelopes of each member. */
  readonly pendingByMember: readonly number[];
  /** What proof of work adds to each member's weight in this epoch. */
  readonly workWeights: readonly number[];
  /** Bits of work by which each member pays more or less than the base now. */
  readonly powAdjustments: readonly number[];
  /** Own envelopes with payloads per second that the others take, as far as we know. */
  readonly issuePerSecond: number;
}

export interface VertexView {
  readonly hash: Hash;
  readonly issuer: number;
  readonly lane: number;
  readonly sequence: number;
  readonly parents: readonly Hash[];
  readonly time: Millis;
  /** Stake that approves it. */
  readonly weight: number;
  readonly state: 'pending' | 'accepted' | 'final';
  readonly payloads: number;
  readonly tip: boolean;
}

export type Explanation =
  | { readonly state: 'unknown' }
  /** Waiting for parents that are being asked for. */
  | { readonly state: 'unsolid'; readonly missing: number }
  | {
      readonly state: 'pending' | 'accepted';
      /** Stake that approves it, and what proof of work adds to that in this epoch. */
      readonly weight: number;
      readonly work: number;
      /** Security level: 2 accepted, 1 approved by more than half of stake and work, 0 seen. */
      readonly level: 0 | 1 | 2;
      readonly approvedBy: readonly number[];
      readonly lazy: boolean;
      readonly tip: boolean;
      readonly equivocation: boolean;
    }
  | { readonly state: 'final'; readonly checkpoint: number }
  | { readonly state: 'refused'; readonly code: ErrorCode; readonly reason: string };

export function noEffects(): Effects {
  return {
    persist: [],
    send: [],
    deliver: [],
    submit: [],
    want: [],
    accepted: [],
    joined: [],
    evidence: [],
    refused: [],
    givenUp: [],
  };
}
