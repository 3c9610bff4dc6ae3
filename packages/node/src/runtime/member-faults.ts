/**
 * What this member can show against others of its subnet (spec SUBNET-11): each becomes a charge before the main chain, where
 * members have stake to lose. Kept for whoever asks, so that anybody can bring it.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Equivocation } from '@itc/core/dag/effects.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { decodeAccusation } from '@itc/core/ledger/accusation.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  equivocationFlaw,
  faultyEnvelope,
  writeMemberFault,
  type MemberFault,
} from '@itc/core/ledger/member-fault.js';
import type { SubnetChain } from './subnet-chain.ts';
import type { Charge } from './accuser.ts';

export interface MemberFaultsOptions {
  readonly chain: Pick<SubnetChain, 'state'>;
  readonly subnet: Hash;
  /** Own place among the members: those who know the same wait for each other. */
  readonly turn: () => number;
  readonly bring: (charge: Charge, turn: number) => void;
}

export class MemberFaults {
  readonly #o: MemberFaultsOptions;
  /** By the key of the culprit: one is enough. */
  readonly #known = new Map<string, MemberFault>();

  constructor(options: MemberFaultsOptions) {
    this.#o = options;
  }

  /** Two envelopes in one slot; under two anchors they are no fault to punish, because a turn may lie between. */
  equivocated({ first, second }: Pick<Equivocation, 'first' | 'second'>): void {
    if (equivocationFlaw(first.envelope, second.envelope) !== undefined) return;
    this.#take({ kind: 'equivocation', first: first.envelope, second: second.envelope });
  }

  /** Part of the graph: the accusation it may carry holds. */
  joined({ accusation, payloads }: Pick<VerifiedEnvelope, 'accusation' | 'payloads'>): void {
    const [payload] = payloads;
    if (accusation === undefined || payload === undefined) return;
    const read = decodeAccusation(payload.content);
    if (read.ok) this.#take({ kind: 'forgery', ...read.value });
  }

  /** Encoded, of those who have not been punished. */
  get open(): Uint8Array[] {
    return [...this.#known.values()].flatMap((fault) => {
      if (this.#isPunished(fault)) return [];
      const writer = new Writer(1_024);
      writeMemberFault(writer, fault);
      return [writer.finish()];
    });
  }

  #take(fault: MemberFault): void {
    const { chain, subnet, turn, bring } = this.#o;
    const { issuer } = faultyEnvelope(fault);
    const culprit = toHex(issuer.bytes);
    if (this.#known.has(culprit) || this.#known.size >= LIMITS.subnetMembersMax * 2) return;
    this.#known.set(culprit, fault);
    if (chain.state.membership(subnet) === undefined) return;
    bring(
      {
        culprit,
        kind: fault.kind,
        body: { kind: 'accuse-member', fault },
        isPunished: () => this.#isPunished(fault),
      },
      turn(),
    );
  }

  /** Or has nothing to lose here. */
  #isPunished(fault: MemberFault): boolean {
    const { issuer, subnet } = faultyEnvelope(fault);
    if (!equalBytes(subnet, this.#o.subnet)) return true;
    return this.#o.chain.state.stake(subnet, addressOf(issuer))?.isPunished !== false;
  }
}
