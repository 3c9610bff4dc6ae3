/** Certified chains whose validators change, for tests and benchmarks of light clients. */
import { compareBytes } from '../bytes/hex.ts';
import type { CertifiedBlock, Group, World } from './chain.ts';
import { ChainBuilder } from './chain.ts';
import { sortValidators } from '../ledger/validators.ts';
import { HopIndex } from '../light/hop-index.ts';
import type { EpochHop } from '../light/epoch-hop.ts';
import { keyPair } from './keys.ts';

/** Members by the seed of their key, so that sets can share some. */
export function groupOf(members: readonly (readonly [seed: number, weight: number])[]): Group {
  const pairs = members.map(([seed, weight]) => ({ pair: keyPair(seed), weight }));
  pairs.sort((a, b) => compareBytes(a.pair.key.bytes, b.pair.key.bytes));
  const set = sortValidators(pairs.map(({ pair, weight }) => ({ key: pair.key, weight })));
  return { pairs: pairs.map(({ pair }) => pair), set };
}

/** The position in a group of the members with these seeds: `signers` of a certificate. */
export function signersOf(group: Group, seeds: readonly number[]): number[] {
  const wanted = new Set(seeds.map((seed) => keyPair(seed).key.bytes.join()));
  return group.set.flatMap(({ key }, i) => (wanted.has(key.bytes.join()) ? [i] : []));
}

/** Two blocks an epoch, the second of which closes it; epoch 0 belongs to the world's validators. */
export class EpochChain {
  readonly builder: ChainBuilder;
  readonly groups: Group[];
  /** By epoch. */
  readonly first: CertifiedBlock[] = [];
  readonly closing: CertifiedBlock[] = [];

  /** `later`: the sets of epochs 1, 2, …; the last of them stays open. */
  constructor(
    of: World,
    later: readonly Group[],
    o: { readonly signers?: (epoch: number) => readonly number[] | undefined } = {},
  ) {
    this.builder = new ChainBuilder(of);
    this.groups = [of.validators, ...later];
    for (const [epoch, nextValidators] of later.entries()) {
      const validators = this.groups[epoch] as Group;
      const signers = o.signers?.(epoch);
      const by = { validators, epoch, ...(signers && { signers }) };
      this.first.push(this.builder.append([], by));
      this.closing.push(this.builder.append([], { ...by, nextValidators }));
    }
  }

  /** A block of the open epoch. */
  append(
    transactions: readonly Uint8Array[] = [],
    o: Omit<Parameters<ChainBuilder['append']>[1] & object, 'epoch' | 'validators'> = {},
  ): CertifiedBlock {
    const epoch = this.groups.length - 1;
    return this.builder.append(transactions, {
      validators: this.groups[epoch] as Group,
      epoch,
      ...o,
    });
  }

  adjacent(epoch: number): EpochHop {
    const { block, certificate } = this.closing[epoch] as CertifiedBlock;
    const { set: validators } = this.groups[epoch + 1] as Group;
    return { kind: 'adjacent', header: block.header, certificate, validators };
  }

  skipping(to: CertifiedBlock): EpochHop {
    const { header } = to.block;
    const { set: validators } = this.groups[header.epoch] as Group;
    return { kind: 'skipping', header, certificate: to.certificate, validators };
  }

  index(): HopIndex {
    const index = new HopIndex();
    for (const [epoch, { block, certificate }] of this.closing.entries()) {
      const { set: validators } = this.groups[epoch] as Group;
      index.add({ validators, closing: { header: block.header, certificate } });
    }
    return index;
  }

  /** As a server would show them for this block. */
  hopsTo(to: CertifiedBlock): EpochHop[] {
    const { header } = to.block;
    const hops = this.index().hopsTo(
      { header, certificate: to.certificate },
      (this.groups[header.epoch] as Group).set,
    );
    if (hops === undefined) throw new RangeError('too many hops');
    return hops;
  }
}
