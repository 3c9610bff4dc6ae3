/**
 * What this member knows of forgers (spec DAG-13.3): one proof per member, kept until a checkpoint has barred the accused.
 * A proof that no pending envelope carries any more goes into another one.
 */
import type { Hash } from '../crypto/hash.ts';
import { encodeAccusation } from '../ledger/accusation.ts';
import type { Effects } from './effects.ts';
import type { Graph } from './graph.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { indexOfMember } from './turn.ts';
import type { VerifiedEnvelope } from './verify.ts';

/** Before the shell is asked again for the same accusation. */
const PAUSE_MS = 2_000;

interface Proof {
  readonly content: Uint8Array;
  /** The envelope that brought it here, or ours; undefined before there is one. */
  carrier: Hash | undefined;
  askedAt: number;
}

export class Accusations {
  readonly #graph: Graph;
  readonly #self: number;
  readonly #proofs = new Map<number, Proof>();

  constructor(graph: Graph, self: number) {
    this.#graph = graph;
    this.#self = self;
  }

  /** Those of the members before, about who still is one: their carriers are void, so each goes into another envelope. */
  carryOver(before: Accusations, membersBefore: ValidatorSet, members: ValidatorSet): void {
    for (const [accused, { content }] of before.#proofs) {
      const key = membersBefore[accused]?.key;
      const index = key === undefined ? -1 : indexOfMember(members, key);
      if (index >= 0)
        this.#proofs.set(index, { content, carrier: undefined, askedAt: Number.NEGATIVE_INFINITY });
    }
  }

  /** By a checkpoint, or by a proof on its way into one. */
  isBarred(member: number): boolean {
    return this.#graph.lanes.standings[member]?.barred === true || this.#proofs.has(member);
  }

  get barred(): number[] {
    return this.#graph.lanes.standings.flatMap((_, member) => (this.isBarred(member) ? [member] : []));
  }

  /** Found here: an audit saw that its signer did not sign payload `index`. */
  found(envelope: VerifiedEnvelope, index: number, now: number, effects: Effects): void {
    if (this.isBarred(envelope.issuer)) return;
    const payloads = envelope.payloads.map(({ bytes }) => bytes);
    const content = encodeAccusation(envelope.envelope, payloads, index);
    this.#proofs.set(envelope.issuer, { content, carrier: undefined, askedAt: Number.NEGATIVE_INFINITY });
    this.ask(now, effects);
  }

  /** An envelope with an accusation is in the graph. */
  carried({ hash, accusation, payloads }: VerifiedEnvelope): void {
    const content = payloads[0]?.content;
    if (accusation === undefined || content === undefined) return;
    if (this.#graph.lanes.standings[accusation.accused]?.barred === true) return;
    const proof = this.#proofs.get(accusation.accused);
    if (proof === undefined)
      this.#proofs.set(accusation.accused, {
        content: content.slice(),
        carrier: hash,
        askedAt: Number.NEGATIVE_INFINITY,
      });
    else proof.carrier = hash;
  }

  /** Wants an envelope for each proof that is in none. */
  ask(now: number, effects: Effects): void {
    for (const [accused, proof] of this.#proofs) {
      if (this.#graph.lanes.standings[accused]?.barred === true) this.#proofs.delete(accused);
      else if (
        this.#self >= 0 &&
        now - proof.askedAt >= PAUSE_MS &&
        (proof.carrier === undefined || this.#graph.place(proof.carrier) === undefined)
      ) {
        proof.askedAt = now;
        effects.want.push({ kind: 'accuse', accused, content: proof.content });
      }
    }
  }
}
