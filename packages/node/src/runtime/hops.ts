/** Hops from genesis to the validators of any header of the chain: what proofs for light clients begin with (spec LIGHT-7). */
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, type Epoch } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { encodeHops, type EpochHop } from '@itc/core/light/epoch-hop.js';
import { HopIndex, type Thirds } from '@itc/core/light/hop-index.js';
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
    const hops = this.#index.hopsTo(target, this.#validatorsOf(target));
    if (hops === undefined) throw tooLong();
    return hops;
  }

  /** The fewest from an epoch that is trusted already, however many. */
  from(trusted: Epoch, target: CertifiedHeader, thirds: Thirds): EpochHop[] {
    const hops = this.#index.hopsFrom(trusted, target, this.#validatorsOf(target), thirds);
    if (hops === undefined)
      throw new RangeError(`epoch ${target.header.epoch} lies before the trusted one, ${trusted}`);
    return hops;
  }

  /** The last of them, as many as take no more than half of a proof: for devices, which come along. */
  latestTo(target: CertifiedHeader): EpochHop[] {
    const validators = this.#validatorsOf(target);
    for (let countMax: number = LIMITS.hopsMax; ; countMax = Math.floor(countMax / 2)) {
      const hops = this.#index.lastHopsTo(target, validators, countMax);
      if (countMax === 0 || encodeHops(hops).length <= LIMITS.proofBytesMax / 2) return hops;
    }
  }

  /** Of the header's epoch, with all epochs below it in the index. */
  #validatorsOf({ header }: CertifiedHeader): ValidatorSet {
    this.#grow();
    const validators = this.#chain.epochStart(header.epoch)?.validators;
    if (validators === undefined) throw new RangeError(`no block of epoch ${header.epoch} is committed here`);
    return validators;
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

/** A proof that everybody would refuse unread is not given out. Throws `proof.too-long`. */
export function readable(proof: Uint8Array): Uint8Array {
  if (proof.length > LIMITS.proofBytesMax) throw tooLong();
  return proof;
}

function tooLong(): LedgerError {
  return new LedgerError(
    'proof.too-long',
    'from genesis up to there the validators have changed too often for one proof',
  );
}
