/** What a node of the subnets' simulator is told, and the faults it may have. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Delivery, Timing } from '@itc/core/dag/effects.js';
import type { Member } from '@itc/core/dag/member.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import type { CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import type { MemberFault } from '@itc/core/ledger/member-fault.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Random } from '../random.ts';
import type { Liar } from './liar.ts';
import type { MainChain } from './main-chain.ts';
import type { Post } from './post.ts';

export interface NodeOptions {
  /** Those who decide the first checkpoint. */
  readonly members: ValidatorSet;
  readonly powBits: number;
  readonly timing: Partial<Timing>;
  readonly mainChain: MainChain;
  readonly post: Post;
  /** Whether this node reaches the main chain now. */
  readonly isConnected: (node: number) => boolean;
  readonly onDelivery: (node: number, delivery: Delivery) => void;
  /** After the last delivery of a step. */
  readonly onState: (node: number, member: Member) => void;
  readonly onAccepted: (node: number, envelopes: readonly Hash[]) => void;
  /** Two envelopes in one slot, or a forgery: what anybody may bring before the main chain. */
  readonly onFault: (fault: MemberFault) => void;
  /** The state of another member, who is at hand and further than this. */
  readonly snapshot: (node: number, applied: number) => LogRecord | undefined;
  /** What it does against the rules; absent for an honest one. */
  readonly liar: Liar | undefined;
  readonly random: Random;
  /** What a member audits, so that the rest of a run does not depend on how much that is. */
  readonly audits: Random;
  readonly sabotage: Sabotage | undefined;
  /** Behind for so long without a step forward: perhaps nobody has any more what is missing. */
  readonly stuckMs: number;
}

/** Known faults in the shell, to see that the checkers see. */
export const SABOTAGES = [
  'send-before-persist',
  'forget-votes',
  /** The log of envelopes is not read after a crash. */
  'forget-envelopes',
  /** Requests go unanswered: what was lost once stays lost. */
  'answer-nothing',
  /** Turns and deposits are not read after a crash. */
  'forget-turns',
  'forget-deposits',
  /** What a turn made void is not packed again. */
  'drop-void',
  /** The members of the start go on for ever. */
  'ignore-turns',
  /** Behind a snapshot the lanes are used again whose envelopes were given up. */
  'reuse-lanes',
  /** After a crash only what is final is there, and other lanes are used than before. */
  'start-over',
  /** A certificate carries one signature. */
  'thin-certificates',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export function isForgotten(sabotage: Sabotage | undefined, kind: LogRecord['kind']): boolean {
  return sabotage === `forget-${kind}s`;
}

/** The first signature alone. */
export function thin({ checkpoint, signers, signatures }: CheckpointCertificate): CheckpointCertificate {
  const first = signers.findIndex((byte) => byte !== 0);
  const one = signers.map((byte, i) => (i === first ? byte & -byte : 0));
  return { checkpoint, signers: one, signatures: signatures.slice(0, 1) };
}
