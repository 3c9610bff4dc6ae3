/** Each delivered block names the one delivered below it (background §6 A2). */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { Violation } from './checker.ts';

export class ChainLinked {
  readonly #hashes: Map<number, Hash> = new Map();

  constructor(genesis: Hash) {
    this.#hashes.set(0, genesis);
  }

  delivered(
    node: number,
    block: { readonly height: number; readonly hash: Hash; readonly parentHash: Hash },
  ): void {
    const below = this.#hashes.get(block.height - 1);
    if (below === undefined)
      throw new Violation(
        'chain-linked',
        `node ${node} delivered height ${block.height} before anyone delivered the one below`,
      );
    if (!equalBytes(below, block.parentHash))
      throw new Violation(
        'chain-linked',
        `height ${block.height} at node ${node} does not follow the block below`,
      );
    this.#hashes.set(block.height, block.hash);
  }
}
