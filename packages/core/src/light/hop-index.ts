/**
 * The prover's side of hops: the fewest from genesis to any header (spec LIGHT-7.7). Reachability is not monotone,
 * because validators may leave and come back, so the shortest way is found by dynamic programming over all
 * closed epochs and not by jumping as far as one can.
 *
 * Adding an epoch costs one comparison of sets per earlier epoch; asking for a way costs the same.
 */
import { idText } from '../bytes/id-text.ts';
import type { Header } from '../ledger/block.ts';
import { LIMITS } from '../ledger/limits.ts';
import { indicesOf, type Validator, type ValidatorSet } from '../ledger/validators.ts';
import { knownWeight, type EpochHop } from './epoch-hop.ts';
import type { CertifiedHeader } from './trust.ts';

export interface ClosedEpoch {
  readonly validators: ValidatorSet;
  /** The header that closes it. */
  readonly closing: CertifiedHeader;
}

/** Of the trusted weight, more than which must vouch for a set: one within a client's trusting period, else two. */
export type Thirds = 1 | 2;

interface Reached extends ClosedEpoch {
  /** Fewest from genesis. */
  readonly hops: number;
  /** The last of them; none for epoch 0. */
  readonly by: Step | undefined;
  /** Who signed the closing header, as `WeightTable` numbers them. */
  readonly signers: readonly number[];
}

interface Step {
  readonly kind: EpochHop['kind'];
  readonly from: number;
}

export class HopIndex {
  readonly #epochs: Reached[] = [];
  readonly #table = new WeightTable();

  /** Epochs that are known to be closed: 0 … `closed` − 1. */
  get closed(): number {
    return this.#epochs.length;
  }

  /** The next epoch has closed. Throws when it is not the next. */
  add(epoch: ClosedEpoch): void {
    const at = this.#epochs.length;
    this.#assertEpoch(epoch.closing.header, at);
    const way = at === 0 ? { hops: 0, by: undefined } : this.#shortest(at, epoch.validators, epoch.closing);
    this.#epochs.push({ ...epoch, ...way, signers: this.#table.signers(epoch.validators, epoch.closing) });
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

  /**
   * The fewest from an epoch that is trusted already, however many they are. Undefined when the target lies before it;
   * throws when the epochs below the target's are not known. Epochs are visited in the order of the hops they take, so
   * each is compared with those that are not reached yet, once.
   */
  hopsFrom(
    trusted: number,
    target: CertifiedHeader,
    validators: ValidatorSet,
    thirds: Thirds = 2,
  ): EpochHop[] | undefined {
    const goal = target.header.epoch;
    if (goal < trusted) return undefined;
    if (goal > this.#epochs.length)
      throw new RangeError(`epochs below ${this.#epochs.length} are known, asked for ${goal}`);
    const table = this.#table;
    const shownAt = (at: number): { readonly set: ValidatorSet; readonly by: CertifiedHeader } =>
      at === goal
        ? { set: validators, by: target }
        : { set: (this.#epochs[at] as Reached).validators, by: (this.#epochs[at] as Reached).closing };
    const signersAt = (at: number): readonly number[] =>
      at === goal ? table.signers(validators, target) : (this.#epochs[at] as Reached).signers;
    const steps = new Map<number, Step>();
    let left = Array.from({ length: goal - trusted }, (_, i) => trusted + 1 + i);
    for (let layer: readonly number[] = [trusted]; layer.length > 0 && !steps.has(goal) && goal > trusted;) {
      const next: number[] = [];
      for (const from of layer) {
        const total = table.weigh(shownAt(from).set);
        left = left.filter((at) => {
          // A set may vouch for an older one too, but trust never goes back.
          if (at <= from) return true;
          // The next epoch is named by the header that closes this one, whoever its validators are.
          const isVouched = at !== from + 1 && table.weightOf(signersAt(at)) * 3 > total * thirds;
          if (at !== from + 1 && !isVouched) return true;
          steps.set(at, { kind: isVouched ? 'skipping' : 'adjacent', from });
          next.push(at);
          return false;
        });
      }
      layer = next;
    }
    const hops: EpochHop[] = [];
    for (let at: number = goal; at !== trusted;) {
      const { kind, from } = steps.get(at) as Step;
      const { set, by } = shownAt(at);
      const { header, certificate } = kind === 'adjacent' ? shownAt(from).by : by;
      hops.push({ kind, header, certificate, validators: set });
      at = from;
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

/** Keys by small numbers, so that comparing one set with very many costs an addition per signer. */
class WeightTable {
  readonly #numbers = new Map<string, number>();
  /** By number: the weight in the set that was weighed last. */
  #weights: number[] = [];

  #numberOf({ key }: Validator): number {
    const text = idText(key.bytes);
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const next = this.#numbers.size;
    this.#numbers.set(text, next);
    return next;
  }

  signers(set: ValidatorSet, { certificate }: CertifiedHeader): number[] {
    const indices = indicesOf(certificate.signers, set.length) ?? [];
    return indices.map((index) => this.#numberOf(set[index] as Validator));
  }

  /** Makes `weightOf` ask for weights in this set. Its total weight. */
  weigh(set: ValidatorSet): number {
    this.#weights = Array.from({ length: this.#numbers.size }, () => 0);
    let total = 0;
    for (const member of set) {
      total += member.weight;
      this.#weights[this.#numberOf(member)] = member.weight;
    }
    return total;
  }

  weightOf(signers: readonly number[]): number {
    let weight = 0;
    for (const signer of signers) weight += this.#weights[signer] ?? 0;
    return weight;
  }
}
