/** Holders of value inside the subnet, and what they get up to: some of it does not hold, some is brought twice. */
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { VALUE_MIN, withdrawalLeaf, type Withdrawal } from '@itc/core/ledger/escrow.js';
import { amount, millis, SUPPLY } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { ValueOrder } from '@itc/core/ledger/value-order.js';
import { fakeKey } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import { Violation } from './checks.ts';
import { BANK, type MainChain } from './main-chain.ts';
import { EPOCH_MS } from './node.ts';
import { holderKey, orderOf } from './payloads.ts';

const HOLDERS = 5;
/** Accounts of the main chain that withdrawals go to. */
const FIRST_ACCOUNT = 200;

const ACTS = [
  'deposit',
  'transfer',
  'transfer',
  'lane',
  'voucher',
  'voucher',
  'voucher',
  'again',
  'withdraw',
] as const;

export class Value {
  readonly #chain: MainChain;
  readonly #random: Random;
  readonly #sequences = Array.from({ length: HOLDERS }, () => 0);
  readonly #numbers = Array.from({ length: HOLDERS }, () => 0);
  readonly #vouchers: Payload[] = [];
  readonly #paid = new Set<number>();
  #acts = 0;

  constructor(chain: MainChain, random: Random) {
    this.#chain = chain;
    this.#random = random;
  }

  /** One thing somebody does; the orders in it, each with the number of gateways it is brought to at once. */
  act(now: number): { readonly payload: Payload; readonly gateways: number }[] {
    const random = this.#random;
    const time = EPOCH_MS + now;
    this.#acts += 1;
    if (this.#acts <= 2 * HOLDERS) return this.#endow(this.#acts - 1, time);
    const holder = random.below(HOLDERS);
    const some = (): bigint => VALUE_MIN * BigInt(random.between(1, 12));
    switch (random.pick(ACTS)) {
      case 'deposit':
        this.#chain.deposit(addressOf(holderKey(holder)), 4n * some());
        return [];
      case 'transfer':
        return [
          this.#order(holder, {
            kind: 'transfer',
            to: this.#holder(),
            amount: amount(some() + BigInt(random.below(2))),
            expiresAt: millis(time + random.pick([300, 60_000])),
          }),
        ];
      case 'lane': {
        const lane = random.below(2);
        if (random.chance(0.3)) return [this.#order(holder, { kind: 'release', lane })];
        const payee = random.chance(0.5) ? this.#holder() : undefined;
        const until = millis(time + random.pick([1_500, 5_000, 300_000]));
        return [this.#order(holder, { kind: 'set-aside', lane, amount: amount(some()), until, payee })];
      }
      case 'voucher':
        return this.#cash(holder, time);
      case 'again': {
        if (this.#vouchers.length === 0) return [];
        return [{ payload: random.pick(this.#vouchers), gateways: random.between(1, 2) }];
      }
      case 'withdraw':
        return [
          this.#order(holder, {
            kind: 'withdraw',
            to: addressOf(fakeKey(FIRST_ACCOUNT + holder)),
            amount: amount(some()),
            expiresAt: millis(time + 60_000),
          }),
        ];
    }
  }

  /** At first everybody has something, and something set aside: later acts would mostly find nothing. */
  #endow(act: number, time: number): { readonly payload: Payload; readonly gateways: number }[] {
    const holder = act % HOLDERS;
    if (act < HOLDERS) {
      this.#chain.deposit(addressOf(holderKey(holder)), 60n * VALUE_MIN);
      return [];
    }
    const until = millis(time + 300_000);
    const value = amount(20n * VALUE_MIN);
    return [this.#order(holder, { kind: 'set-aside', lane: 0, amount: value, until, payee: undefined })];
  }

  /** Sometimes a number twice, to two payees, at two members at once. */
  #cash(holder: number, time: number): { readonly payload: Payload; readonly gateways: number }[] {
    const random = this.#random;
    const number = (this.#numbers[holder] = (this.#numbers[holder] as number) + 1);
    const lane = random.chance(0.8) ? 0 : 1;
    const voucher = (): Payload => {
      const order: ValueOrder = {
        kind: 'voucher',
        lane,
        to: this.#holder(),
        amount: amount(VALUE_MIN * BigInt(random.between(1, 3))),
        expiresAt: millis(time + random.pick([1_000, 4_000, 60_000])),
      };
      const payload = orderOf({ chain: this.#chain.id, subnet: this.#chain.subnet }, holder, number, order);
      this.#vouchers.push(payload);
      return payload;
    };
    return Array.from({ length: random.chance(0.4) ? 2 : 1 }, () => ({
      payload: voucher(),
      gateways: random.between(1, 2),
    }));
  }

  #order(holder: number, order: ValueOrder): { readonly payload: Payload; readonly gateways: number } {
    const sequence = (this.#sequences[holder] = (this.#sequences[holder] as number) + 1);
    const payload = orderOf({ chain: this.#chain.id, subnet: this.#chain.subnet }, holder, sequence, order);
    return { payload, gateways: this.#random.chance(0.2) ? 2 : 1 };
  }

  #holder(): Address {
    return addressOf(holderKey(this.#random.below(HOLDERS)));
  }

  /** By whoever knows the checkpoint: each leaf is paid once. */
  claim(checkpoint: number, withdrawals: readonly Withdrawal[]): void {
    const { subnet } = this.#chain;
    const tree = new MerkleTree(withdrawals.map((withdrawal) => withdrawalLeaf(subnet, withdrawal)));
    for (const [index, withdrawal] of withdrawals.entries()) {
      const body = { kind: 'withdraw', subnet, checkpoint, withdrawal, path: tree.path(index) } as const;
      if (this.#chain.send(BANK, body) !== 'ok') continue;
      if (this.#paid.has(withdrawal.number))
        throw new Violation(`withdrawal ${withdrawal.number} is paid twice`);
      this.#paid.add(withdrawal.number);
    }
  }

  /** At the end: everything that was let out is paid, and nothing besides. */
  settle(all: ReadonlyMap<number, readonly Withdrawal[]>): void {
    for (const [checkpoint, withdrawals] of all) this.claim(checkpoint, withdrawals);
    const { state, subnet } = this.#chain;
    const claimable = state.escrow(subnet)?.claimable ?? 0n;
    if (claimable !== 0n) throw new Violation(`${claimable} was let out and cannot be fetched`);
    const out = [...all.values()].flat();
    for (const { number } of out)
      if (!this.#paid.has(number)) throw new Violation(`withdrawal ${number} was never paid`);
    const sum = out.reduce((total, withdrawal) => total + withdrawal.amount, 0n);
    let got = 0n;
    for (let holder = 0; holder < HOLDERS; holder += 1)
      got += state.account(addressOf(fakeKey(FIRST_ACCOUNT + holder)))?.balance ?? 0n;
    // What found no room inside goes back to a holder's address; there is room here.
    if (got !== sum) throw new Violation(`${sum} was let out, ${got} has come in`);
    if (state.supply() !== SUPPLY) throw new Violation(`the supply has become ${state.supply()}`);
  }
}
