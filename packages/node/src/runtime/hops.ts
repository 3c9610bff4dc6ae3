/** Hops from genesis to the validators of any header of the chain: what proofs for light clients begin with (spec LIGHT-7). */
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch } from '@itc/core/ledger/ids.js';
import type { EpochHop } from '@itc/core/light/epoch-hop.js';
import { HopIndex } from '@itc/core/light/hop-index.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import type { Chain } from './chain.ts';

export class Hops {
  readonly #chain: Pick<Chain, 'epoch' | 'epochStart'>;
  /** Grows with the closed epochs when it is asked. */
  readonly #index = new HopIndex();

  constructor(chain: Pick<Chain, 'epoch' | 'epochStart'>) {
    this.#chain = chain;
  }

  /** The fewest there are. Throws `proof.too-long` when one proof cannot hold them. */
  to(target: CertifiedHeader): EpochHop[] {
    const of = target.header.epoch;
    if (of === 0) return [];
    this.#grow();
    const validators = this.#chain.epochStart(of)?.validators;
    if (validators === undefined) throw new RangeError(`no block of epoch ${of} is committed here`);
    const hops = this.#index.hopsTo(target, validators);
    if (hops !== undefined) return hops;
    throw new LedgerError(
      'proof.too-long',
      `from genesis to epoch ${of} the validators have changed too often for one proof`,
      { epoch: of },
    );
  }

  #grow(): void {
    while (this.#index.closed < this.#chain.epoch.epoch) {
      const of = this.#index.closed;
      const validators = this.#chain.epochStart(epoch(of))?.validators;
      const closing = this.#chain.epochStart(epoch(of + 1))?.closing;
      if (validators === undefined || closing === undefined)
        throw new LedgerError('storage.corrupt', `the table of epochs lacks epoch ${of} or the next`);
      this.#index.add({ validators, closing });
    }
  }
}
