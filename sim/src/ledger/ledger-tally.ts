/** What became of transactions, by kind: a kind that is never drawn, or never accepted, is seen in a report. */
import { KINDS, type BodyKind } from '@itc/core/ledger/body.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';

export interface KindCounts {
  drawn: number;
  accepted: number;
  /** By the code of the refusal. */
  readonly refused: Record<string, number>;
}

export type LedgerCounts = Readonly<Partial<Record<BodyKind, KindCounts>>>;

export class LedgerTally {
  readonly #counts: Map<BodyKind, KindCounts> = new Map();

  drawn(kind: BodyKind): void {
    this.#of(kind).drawn += 1;
  }

  executed({ kind, outcome }: Receipt): void {
    const counts = this.#of(kind);
    if (outcome.ok) counts.accepted += 1;
    else counts.refused[outcome.code] = (counts.refused[outcome.code] ?? 0) + 1;
  }

  merge(counts: LedgerCounts): void {
    for (const kind of KINDS) {
      const added = counts[kind];
      if (added === undefined) continue;
      const own = this.#of(kind);
      own.drawn += added.drawn;
      own.accepted += added.accepted;
      for (const [code, times] of Object.entries(added.refused))
        own.refused[code] = (own.refused[code] ?? 0) + times;
    }
  }

  /** In the order of their codes. */
  get counts(): LedgerCounts {
    return Object.fromEntries(
      KINDS.flatMap((kind) => (this.#counts.has(kind) ? [[kind, this.#of(kind)]] : [])),
    );
  }

  /** Kinds that nobody has seen accepted. */
  get neverAccepted(): readonly BodyKind[] {
    return KINDS.filter((kind) => (this.#counts.get(kind)?.accepted ?? 0) === 0);
  }

  #of(kind: BodyKind): KindCounts {
    let counts = this.#counts.get(kind);
    if (counts === undefined) this.#counts.set(kind, (counts = { drawn: 0, accepted: 0, refused: {} }));
    return counts;
  }
}
