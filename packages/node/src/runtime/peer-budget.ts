/**
 * How often a peer may speak (spec NODE-2.11). Taking turns keeps a peer that floods from taking the others' turns, but
 * every message costs the time to read it, and votes are small. A token bucket for each peer: what a validator has to
 * say in a second is known.
 */
import type { Clock, PeerId } from '../ports.ts';

export const PEER_BUDGET = {
  /** Votes, status and the like. A validator at a hundred blocks in a second sends a quarter of this. */
  messagesPerSecond: 1_000,
  /** After a pause of its own, or of this node, a peer says much at once. */
  burst: 4_000,
  /** Beyond, those that owe nothing are forgotten. Only validators are heard, and they are fewer. */
  peersMax: 512,
} as const;

interface Account {
  count: number;
  atMs: number;
}

export class PeerBudget {
  readonly #clock: Clock;
  readonly #spent = new Map<PeerId, Account>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Peers remembered. */
  get size(): number {
    return this.#spent.size;
  }

  /** Counts a message; false when the peer has said more than anybody has to say. */
  spend(peer: PeerId): boolean {
    const now = this.#clock.monotonicMs();
    let account = this.#spent.get(peer);
    if (account === undefined) {
      if (this.#spent.size >= PEER_BUDGET.peersMax) this.#prune(now);
      this.#spent.set(peer, (account = { count: 0, atMs: now }));
    }
    account.count = owedAt(account, now) + 1;
    account.atMs = now;
    return account.count <= PEER_BUDGET.burst;
  }

  /** Who has paid everything off is as good as new; who has not is remembered also while it is away. */
  #prune(now: number): void {
    for (const [peer, account] of this.#spent) if (owedAt(account, now) === 0) this.#spent.delete(peer);
  }
}

function owedAt({ count, atMs }: Account, now: number): number {
  return Math.max(0, count - ((now - atMs) * PEER_BUDGET.messagesPerSecond) / 1_000);
}
