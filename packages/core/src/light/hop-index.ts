/**
 * The prover's side of hops: the fewest from genesis to any header (spec LIGHT-7.7). Reachability is not monotone,
 * because validators may leave and come back, so the shortest way is found by dynamic programming over all
 * closed epochs and not by jumping as far as one can.
 *
 * Adding an epoch costs one comparison of sets per earlier epoch; asking for a way costs the same.
 */
import type { Header } from '../ledger/block.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import { knownWeight, type EpochHop } from './epoch-hop.ts';
import type { CertifiedHeader } from './trust.ts';

export interface ClosedEpoch {
  readonly validators: ValidatorSet;
  /** The header that closes it. */
  readonly closing: CertifiedHeader;
}

interface Reached extends ClosedEpoch {
  /** Fewest from genesis. */
  readonly hops: number;
  /** The last of them; none for epoch 0. */
  readonly by: Step | undefined;
}

interface Step {
  readonly kind: EpochHop['kind'];
  readonly from: number;
}

export class HopIndex {
  readonly #epochs: Reached[] = [];

  /** Epochs that are known to be closed: 0 … `closed` − 1. */
  get closed(): number {
    return this.#epochs.length;
  }

  /** The next epoch has closed. Throws when it is not the next. */
  add(epoch: ClosedEpoch): void {
    const at = this.#epochs.length;
    this.#assertEpoch(epoch.closing.header, at);
    if (at === 0) this.#epochs.push({ ...epoch, hops: 0, by: undefined });
    else this.#epochs.push({ ...epoch, ...this.#shortest(at, epoch.validators, epoch.closing) });
  }

  /**
   * From genesis to the set that certified `target`. Hops' headers lie at or below the target's, so trust that moves
   * along them ends at the target. Undefined when one proof cannot hold them; throws when the epochs below are not known.
   */
  hopsTo(target: CertifiedHeader, validators: ValidatorSet): EpochHop[] | undefined {
    const hops = this.lastHopsTo(target, validators, LIMITS.hopsMax + 1);
    return hops.length > LIMITS.hopsMax ? undefined : hops;
  }

  /** The last of them, at most `countMax`: enough for clients whose trust is not far behind. */
  lastHopsTo(target: CertifiedHeader, validators: ValidatorSet, countMax: number): EpochHop[] {
    const at = target.header.epoch;
    if (at > this.#epochs.length)
      throw new RangeError(`epochs below ${this.#epochs.length} are known, asked for ${at}`);
    const hops: EpochHop[] = [];
    let step = at === 0 ? undefined : this.#shortest(at, validators, target).by;
    let set = validators;
    let certified = target;
    while (step !== undefined && hops.length < countMax) {
      const from: Reached = this.#epochs[step.from] as Reached;
      const by: CertifiedHeader = step.kind === 'adjacent' ? from.closing : certified;
      hops.push({ kind: step.kind, header: by.header, certificate: by.certificate, validators: set });
      set = from.validators;
      certified = from.closing;
      step = from.by;
    }
    return hops.reverse();
  }

  #shortest(at: number, validators: ValidatorSet, shown: CertifiedHeader): { hops: number; by: Step } {
    const below = this.#epochs[at - 1] as Reached;
    let hops = below.hops + 1;
    let by: Step = { kind: 'adjacent', from: at - 1 };
    for (let from = 0; from < at; from += 1) {
      const start = this.#epochs[from] as Reached;
      if (start.hops + 1 >= hops || !vouches(start.validators, validators, shown)) continue;
      hops = start.hops + 1;
      by = { kind: 'skipping', from };
    }
    return { hops, by };
  }

  #assertEpoch(header: Header, at: number): void {
    if (header.epoch !== at) throw new RangeError(`expected epoch ${at}, got ${header.epoch}`);
  }
}

/** Whether more than two thirds of the trusted weight are among the signers. */
function vouches(trusted: ValidatorSet, shown: ValidatorSet, by: CertifiedHeader): boolean {
  const known = knownWeight(trusted, shown, by.certificate.signers);
  return known !== undefined && known.signed * 3 > known.total * 2;
}
