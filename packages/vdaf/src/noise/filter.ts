import type { NanoRho } from './accountant.ts';

/** Outcome of asking to spend. A refusal changes nothing. */
export type Charge =
  | { readonly kind: 'charged'; readonly remaining: NanoRho }
  | { readonly kind: 'refused'; readonly remaining: NanoRho };

/**
 * A privacy filter for zCDP: charges add up and never exceed the budget. It stays sound when each
 * query is chosen after seeing the answers to those before (Feldman and Zrnic 2021; Whitehouse et al.
 * 2023), provided that the charge is made before the data are read and does not depend on them.
 */
export class PrivacyFilter {
  readonly budget: NanoRho;
  #spent: NanoRho;

  /** `spent` resumes a filter from its stored state. */
  constructor(budget: NanoRho, spent: NanoRho = 0n) {
    if (budget < 0n || spent < 0n || spent > budget)
      throw new RangeError('vdaf: a filter needs 0 ≤ spent ≤ budget');
    this.budget = budget;
    this.#spent = spent;
  }

  get spent(): NanoRho {
    return this.#spent;
  }

  get remaining(): NanoRho {
    return this.budget - this.#spent;
  }

  /** Spends `cost` if it is left. Throws RangeError when it is not positive: nothing is free. */
  charge(cost: NanoRho): Charge {
    if (cost <= 0n) throw new RangeError('vdaf: a charge must be positive');
    if (cost > this.remaining) return { kind: 'refused', remaining: this.remaining };
    this.#spent += cost;
    return { kind: 'charged', remaining: this.remaining };
  }
}
