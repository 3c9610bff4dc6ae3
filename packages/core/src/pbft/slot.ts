/** What a replica knows about one height. */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { Certificate } from '../ledger/block.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { Candidate, PreparedCertificate, PrePrepare } from './messages.ts';
import type { Ballot } from './quorum.ts';

export class Slot {
  readonly height: number;
  /** What this replica stands by: durable, never changed within a view. */
  accepted: { readonly view: number; readonly block: Candidate } | undefined;
  /** Highest-view prepared certificate held. */
  prepared: PreparedCertificate | undefined;
  committed: Certificate | undefined;
  /** One per author, the one of the highest view; a second one in the same view is evidence, not a vote. */
  readonly prepares: (Ballot | undefined)[];
  readonly commits: (Ballot | undefined)[];
  /** Latest views in which the own votes went out; −1 = never since the start. */
  prepareView = -1;
  commitView = -1;
  /** View whose proposal the application refused; −1 = none. */
  refusedView = -1;
  /** Round of questions in which the application said 'later'. */
  laterRound = -1;
  /** When the own votes were last sent, and when a missing body was last asked for. */
  sentAt: number = Number.NEGATIVE_INFINITY;
  fetchedAt: number = Number.NEGATIVE_INFINITY;
  readonly #bodies: Candidate[] = [];
  /** One per author, who need not be the one whose turn it is: of the present view, or the nearest later one. */
  readonly #proposals: PrePrepare[] = [];

  constructor(height: number, count: number) {
    this.height = height;
    this.prepares = Array.from<Ballot | undefined>({ length: count });
    this.commits = Array.from<Ballot | undefined>({ length: count });
  }

  proposalOf(view: number, proposer: number): PrePrepare | undefined {
    return this.#proposals.find((held) => held.view === view && held.sender === proposer);
  }

  /**
   * Keeps a proposal of the present view or of one not entered yet: whose turn it is there, nobody knows before its
   * NEW-VIEW. Returns one by the same author in the same view that names another block.
   */
  noteProposal(message: PrePrepare, present: number): PrePrepare | undefined {
    const at = this.#proposals.findIndex((held) => held.sender === message.sender);
    const held = this.#proposals[at];
    if (held?.view === message.view)
      return equalBytes(held.block.hash, message.block.hash) ? undefined : held;
    if (held !== undefined) {
      if (held.view < present || message.view < held.view) this.#proposals[at] = message;
      return undefined;
    }
    if (this.#proposals.length >= PBFT_LIMITS.bodiesMax) {
      // What the present view waits for goes before guesses about later ones.
      const outdated = this.#proposals.findIndex(({ view }) => view < present);
      const least = outdated >= 0 ? outdated : this.#proposals.length - 1;
      if (outdated < 0 && message.view !== present) return undefined;
      this.#proposals.splice(least, 1);
    }
    this.#proposals.push(message);
    return undefined;
  }

  body(hash: Hash): Candidate | undefined {
    return this.#bodies.find((block) => equalBytes(block.hash, hash));
  }

  /** Keeps a body for the case that it is decided. When full, the oldest one nobody stands by makes room. */
  keep(block: Candidate): void {
    if (this.body(block.hash) !== undefined) return;
    if (this.#bodies.length >= PBFT_LIMITS.bodiesMax) {
      const loose = this.#bodies.findIndex((body) => !this.#standsFor(body.hash));
      if (loose < 0) return;
      this.#bodies.splice(loose, 1);
    }
    this.#bodies.push(block);
  }

  #standsFor(hash: Hash): boolean {
    return (
      (this.accepted !== undefined && equalBytes(this.accepted.block.hash, hash)) ||
      (this.prepared !== undefined && equalBytes(this.prepared.digest, hash)) ||
      (this.committed !== undefined && equalBytes(this.committed.hash, hash))
    );
  }
}

/**
 * Records a vote. The first one of an author in a view counts; a later view replaces it, an earlier one is
 * ignored. So one author fills one place, however many messages it sends.
 */
export function recordBallot(
  ballots: (Ballot | undefined)[],
  author: number,
  ballot: Ballot,
): 'recorded' | 'known' | 'conflict' {
  const held = ballots[author];
  if (held !== undefined && held.view >= ballot.view) {
    return held.view === ballot.view && !equalBytes(held.hash, ballot.hash) ? 'conflict' : 'known';
  }
  ballots[author] = ballot;
  return 'recorded';
}
