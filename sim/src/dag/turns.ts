/** Members come and go by stake while devices send. Liars have little weight and stay. */
import { addressOf } from '@itc/core/ledger/address.js';
import { amount } from '@itc/core/ledger/ids.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Random } from '../random.ts';
import { BANK, type MainChain } from './main-chain.ts';
import { keyOfNode, nodeOfKey } from './node.ts';

/** So that liars stay below a third whoever has left already and whoever is still to come. */
const HONEST_WEIGHT = 100;
const LIARS_WEIGHT = 60;

export function stakedMembers(count: number, byzantine: number): ValidatorSet {
  return sortValidators(
    Array.from({ length: count }, (_, node) => ({
      key: keyOfNode(node),
      weight: node < byzantine ? LIARS_WEIGHT : HONEST_WEIGHT,
    })),
  );
}

export class Turns {
  readonly #chain: MainChain;
  readonly #random: Random;
  readonly #byzantine: number;
  readonly #count: number;

  constructor(options: {
    readonly chain: MainChain;
    readonly random: Random;
    readonly byzantine: number;
    /** Of all nodes. */
    readonly count: number;
  }) {
    this.#chain = options.chain;
    this.#random = options.random;
    this.#byzantine = options.byzantine;
    this.#count = options.count;
  }

  /** Stake of a node that is not on its way back, in units of weight. */
  #stakeOf(node: number): number {
    const record = this.#chain.state.stake(this.#chain.subnet, addressOf(keyOfNode(node)));
    return Number((record?.stake ?? 0n) / 10_000_000n);
  }

  /** Nodes that mean to stay. */
  get staying(): number[] {
    return Array.from({ length: this.#count }, (_, node) => node).filter((node) => this.#stakeOf(node) > 0);
  }

  get members(): number[] {
    const { state, subnet } = this.#chain;
    return (state.subnet(subnet)?.members ?? []).map(({ key }) => nodeOfKey(key));
  }

  /** Newcomers gain weight turn by turn: whether those who decide now and stay outweigh the liars without them, and without this one. */
  #mayGo(node: number): boolean {
    const { state, subnet } = this.#chain;
    const staying = new Set(this.staying);
    let honest = 0;
    let liars = 0;
    for (const { key, weight } of state.subnet(subnet)?.members ?? []) {
      const member = nodeOfKey(key);
      if (member < this.#byzantine) liars += weight;
      else if (member !== node && staying.has(member)) honest += weight;
    }
    return honest > 2 * liars;
  }

  /** What somebody does on the main chain; its name, for the tally. */
  act(): string {
    const random = this.#random;
    const { subnet } = this.#chain;
    const staying = this.staying;
    const honest = staying.filter((node) => node >= this.#byzantine);
    const away = Array.from({ length: this.#count }, (_, node) => node).filter(
      (node) => node >= this.#byzantine && !staying.includes(node),
    );
    const node = random.pick(honest);
    switch (random.pick(['join', 'join', 'leave', 'leave', 'more', 'less'])) {
      case 'join': {
        if (away.length === 0) return 'nobody is left to join';
        const key = keyOfNode(random.pick(away));
        return this.#send('join', {
          kind: 'join-subnet',
          subnet,
          ...this.#chain.stakeOf(key, HONEST_WEIGHT),
        });
      }
      case 'leave': {
        if (honest.length <= Math.max(3, 2 * this.#byzantine + 1) || !this.#mayGo(node))
          return 'too few to leave';
        const value = BigInt(this.#stakeOf(node)) * 10_000_000n;
        const member = addressOf(keyOfNode(node));
        return this.#send('leave', { kind: 'leave-subnet', subnet, member, amount: amount(value) });
      }
      case 'more':
        return this.#send('more stake', {
          kind: 'join-subnet',
          subnet,
          ...this.#chain.stakeOf(keyOfNode(node), random.between(5, 30)),
        });
      case 'less': {
        if (this.#stakeOf(node) < HONEST_WEIGHT) return 'little stake already';
        const member = addressOf(keyOfNode(node));
        const value = amount(10_000_000n * BigInt(random.between(5, 20)));
        return this.#send('less stake', { kind: 'leave-subnet', subnet, member, amount: value });
      }
      default:
        return 'nothing';
    }
  }

  #send(what: string, body: Parameters<MainChain['send']>[1]): string {
    return `${what}: ${this.#chain.send(BANK, body)}`;
  }
}
