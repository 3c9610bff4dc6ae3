/** No two correct nodes ever deliver, or compute, something different at one height (background §6 A1, A5). */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { Violation } from './checker.ts';

export class Agreement {
  readonly #what: string;
  readonly #values: Map<number, { readonly value: Hash; readonly node: number }> = new Map();

  /** What is compared: 'block' or 'state root'. */
  constructor(what: string) {
    this.#what = what;
  }

  /** Also after a restart: what was delivered once stays, so nothing committed is ever lost. */
  saw(node: number, height: number, value: Hash): void {
    const known = this.#values.get(height);
    if (known === undefined) this.#values.set(height, { value, node });
    else if (!equalBytes(known.value, value)) {
      const [a, b] = [toHex(known.value).slice(0, 8), toHex(value).slice(0, 8)];
      throw new Violation(
        'agreement',
        `${this.#what} at height ${height} is ${a} at node ${known.node} and ${b} at node ${node}`,
      );
    }
  }

  get highest(): number {
    let highest = 0;
    for (const height of this.#values.keys()) highest = Math.max(highest, height);
    return highest;
  }

  at(height: number): Hash | undefined {
    return this.#values.get(height)?.value;
  }
}
