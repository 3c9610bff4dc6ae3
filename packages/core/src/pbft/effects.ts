/** What goes into a step and what comes out of it. */
import type { Hash } from '../crypto/hash.ts';
import type { Certificate } from '../ledger/block.ts';
import type { Height, Millis, View } from '../ledger/ids.ts';
import type { LogRecord } from './log.ts';
import type { Candidate, Checkpoint, Message, PrePrepare, VerifiedMessage, Vote } from './messages.ts';

export type Input =
  /** Time passes. The replica has no other clock; send one every 50 to 250 ms. */
  | { readonly kind: 'tick'; readonly now: Millis }
  /** `from` is the validator at the other end of the channel, who need not be the author. */
  | { readonly kind: 'message'; readonly from: number; readonly message: VerifiedMessage }
  /** The answer to a want 'proposal'. An answer that comes too late is dropped. */
  | { readonly kind: 'proposal'; readonly block: Candidate }
  /**
   * Requests that wait in the shell and are in no block it has proposed or seen delivered. Starts the timer at a
   * backup and makes a primary want a proposal.
   */
  | {
      readonly kind: 'pending';
      readonly count: number;
      /** At most `inclusionMax` ids of those that have waited longer than the shell finds right, oldest first. */
      readonly overdue: readonly Hash[];
    }
  /** From block synchronisation; the certificate was checked with `verifyCertificate`. In height order. */
  | { readonly kind: 'certified'; readonly block: Candidate; readonly certificate: Certificate }
  /** The delivered block is executed and both it and the result are durable. In height order. */
  | { readonly kind: 'executed'; readonly height: Height; readonly hash: Hash; readonly stateRoot: Hash };

/**
 * To be carried out in the order of the fields. No message may leave before `persist` is durable (PBFT-7.1);
 * when `send` is empty the fsync may wait for the next step that sends.
 */
export interface Effects {
  readonly persist: LogRecord[];
  readonly send: Outgoing[];
  readonly deliver: CommittedBlock[];
  readonly want: Want[];
  readonly evidence: Evidence[];
}

/** 'all' = every other validator. */
export interface Outgoing {
  readonly to: number | 'all';
  readonly message: Message;
}

/** In height order, each height once. */
export interface CommittedBlock {
  readonly block: Candidate;
  readonly certificate: Certificate;
}

export type Want =
  /** Stands until it is answered or another one replaces it; asked again on ticks. */
  | { readonly kind: 'proposal'; readonly height: Height; readonly parentHash: Hash; readonly view: View }
  /** Overdue at weight F + 1: to go into the next proposals before anything else; whoever lacks one asks its peers for it. */
  | { readonly kind: 'include'; readonly ids: readonly Hash[] }
  /** Certified blocks up to `target` exist (a certificate proves it) and are missing here; `from` has them. Asked again on ticks. */
  | { readonly kind: 'sync'; readonly target: Height; readonly from: number };

/** Two signed messages no correct replica can both have sent. */
export type Evidence =
  | {
      readonly kind: 'pre-prepare';
      readonly culprit: number;
      readonly first: PrePrepare;
      readonly second: PrePrepare;
    }
  | { readonly kind: 'vote'; readonly culprit: number; readonly first: Vote; readonly second: Vote }
  | {
      readonly kind: 'checkpoint';
      readonly culprit: number;
      readonly first: Checkpoint;
      readonly second: Checkpoint;
    };

export function noEffects(): Effects {
  return { persist: [], send: [], deliver: [], want: [], evidence: [] };
}
