/** Transactions, drawn for the state they will meet. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { World, person, transfer } from '@itc/core/testing/state-world.js';
import { Random } from '../random.ts';

const NAMES = ['maker', 'alice', 'bob', 'carol', 'dave', 'mallory'];

export class Traffic {
  readonly #random: Random;
  readonly #world: World;

  constructor(seed: number, validators: ValidatorSet) {
    this.#random = new Random(seed * 2 + 77);
    const heaviest = Math.max(...validators.map(({ weight }) => weight));
    this.#world = new World(NAMES, 10n, {
      validators,
      bondPerWeight: 1_000_000n,
      validatorBond: 1_000_000n * BigInt(heaviest),
    });
  }

  get chain(): Hash {
    return this.#world.chain;
  }

  get genesisState(): LedgerState {
    return this.#world.state;
  }

  /** A transaction for the block above this state. */
  draw(state: LedgerState, height: number): Uint8Array {
    const w = this.#world;
    w.state = state;
    w.height = height;
    const from = person(this.#random.pick(NAMES));
    const lane = this.#random.below(16);
    return w.transaction(from, transfer(person(this.#random.pick(NAMES)), 5n), { lane }).encoded;
  }
}
