/** Blocks above the committed one that passed the chain's check, with what a child of them must commit. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Mmr } from '@itc/core/crypto/mmr.js';
import type { Header } from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { LedgerEvent } from '@itc/core/state/events.js';
import { NO_HEADS, type Head, type HeadChanges } from './checkpoint-heads.ts';

export interface InFlight {
  readonly header: Header;
  /** Over the headers up to this one. */
  readonly history: Mmr;
  /** Checkpoints its block brought. */
  readonly heads: HeadChanges;
}

/** Candidates of abandoned views leave with their height; until then their number is the window's. */
const IN_FLIGHT_MAX = 4 * LIMITS.watermarkWindow;

export class InFlightBlocks {
  readonly #blocks = new Map<string, InFlight>();
  /** Checkpoints of the newest committed blocks, by height. */
  readonly #heads = new Map<number, HeadChanges>();

  get(hash: Hash): InFlight | undefined {
    return this.#blocks.get(toHex(hash));
  }

  remember(hash: Hash, block: InFlight): void {
    if (this.#blocks.size < IN_FLIGHT_MAX) this.#blocks.set(toHex(hash), block);
  }

  committed(of: number, events: readonly LedgerEvent[]): void {
    this.#heads.set(of, headsOf(events));
    this.#heads.delete(of - 2 * LIMITS.pipelineDepth);
    for (const [hash, { header }] of this.#blocks) if (header.height < of) this.#blocks.delete(hash);
  }

  /** Checkpoints of the `pipelineDepth` − 1 blocks below `of`, down from `parentHash`, oldest first. */
  headsBelow(of: number, parentHash: Hash, committedHeight: number): HeadChanges[] {
    const between: HeadChanges[] = [];
    let hash = parentHash;
    for (let at = of - 1; at > Math.max(0, of - LIMITS.pipelineDepth); at -= 1) {
      const block = at > committedHeight ? this.get(hash) : undefined;
      between.push(block?.heads ?? this.#heads.get(at) ?? NO_HEADS);
      if (block !== undefined) hash = block.header.parentHash;
    }
    return between.reverse();
  }
}

function headsOf(events: readonly LedgerEvent[]): HeadChanges {
  const heads = new Map<string, Head>();
  for (const event of events) {
    if (event.kind === 'checkpoint-committed') heads.set(toHex(event.subnet), event);
  }
  return heads.size === 0 ? NO_HEADS : heads;
}
