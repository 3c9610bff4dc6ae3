/** Who is in the story of the lamp, what each has, and how it is said what was expected of them. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { ACTIONS_ALL } from '@itc/core/ledger/bodies/access.js';
import { amount, formatItc, millis, UNITS_PER_ITC, type Amount } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { MINUTE_MS, type RentalTerms } from '@itc/core/ledger/rental.js';
import { LEVEL_MAX } from '@itc/core/ledger/terms.js';
import type { Client } from '@itc/client/client.js';
import { deviceRecord, type DeviceRecordAnswer } from '@itc/client/devices.js';
import { Person, until } from '@itc/client/examples/lamp-story.js';
import type { Address } from '@itc/core/ledger/address.js';
import { KeyPair } from '@itc/node/crypto/keypair.js';
import { systemRandom } from '@itc/node/random.js';
import type { Expect } from './script.ts';

const ROLES = [
  'the maker',
  'the first owner',
  'the second owner',
  'the second owner on a new phone',
  'the guest',
  'the friend',
  'the renter',
  'a stranger',
] as const;
export type Role = (typeof ROLES)[number];

/** Keys that are made for one telling and kept nowhere. */
export class Cast {
  readonly client: Client;
  readonly #people: ReadonlyMap<Role, Person>;

  constructor(o: { readonly client: Client; readonly chain: Hash }) {
    this.client = o.client;
    this.#people = new Map(
      ROLES.map((role) => [role, new Person({ ...o, signer: KeyPair.generate(systemRandom) })]),
    );
  }

  the(role: Role): Person {
    return this.#people.get(role) as Person;
  }

  /** Who an address is, in the words of the story. */
  roleOf(address: string): string {
    for (const [role, person] of this.#people) if (person.name === address) return role;
    return address;
  }

  device(address: Address): Promise<DeviceRecordAnswer> {
    return deviceRecord(this.client, address);
  }

  async ownerIs(expect: Expect, device: Address, role: Role): Promise<void> {
    expect('the owner on the ledger', role, this.roleOf((await this.device(device)).owner));
  }

  async balanceIs(expect: Expect, role: Role, value: bigint): Promise<void> {
    expect(`${role} has`, itc(value), itc(await this.the(role).balance()));
  }

  async budgetIs(expect: Expect, sponsorship: Hash, value: bigint): Promise<void> {
    const { name, balance } = await this.client.sponsorship(sponsorship);
    expect(
      `the budget for ${name}, ${toHex(sponsorship).slice(0, 8)}…, has`,
      itc(value),
      itc(BigInt(balance)),
    );
  }

  /** Until a lamp is shown the state as it is now. */
  async untilShown(): Promise<void> {
    const { height: now } = await this.client.status();
    await until(
      'the next blocks',
      async () => (await this.client.status()).height > now + LIMITS.pipelineDepth,
    );
  }

  /** Until the chain's own clock has passed a moment. */
  untilTime(moment: number): Promise<void> {
    const patienceMs = Math.max(0, moment - Date.now()) + MINUTE_MS;
    return until('the time', async () => (await this.client.status()).blockTime > moment, patienceMs);
  }
}

export function itc(value: bigint): string {
  return `${value < 0n ? '-' : ''}${formatItc(value < 0n ? -value : value)} ITC`;
}

const thousandths = (value: bigint): Amount => amount((value * UNITS_PER_ITC) / 1_000n);

export const MONEY: Readonly<
  Record<'builtIn' | 'ownersBudget' | 'rentersBudget' | 'makerSpare' | 'salePrice' | 'rentPrice', Amount>
> = {
  /** With each device. */
  builtIn: thousandths(1n),
  ownersBudget: thousandths(10_000n),
  rentersBudget: thousandths(1_000n),
  /** What the maker's own transactions and records cost, and more. */
  makerSpare: thousandths(5_000n),
  salePrice: thousandths(25_000n),
  rentPrice: thousandths(500n),
};

export const RENT_MINUTES = 3;

/** A minute that has begun counts. The fast form pays for three in any case, and gives the lamp back early. */
export function rentalTerms(full: boolean): RentalTerms {
  return {
    unit: 'minute',
    price: MONEY.rentPrice,
    minimum: full ? 1 : RENT_MINUTES,
    maximum: RENT_MINUTES,
    duration: millis(0),
    deposit: amount(0n),
    carriage: thousandths(1n),
    startWithin: millis(MINUTE_MS),
    window: millis(MINUTE_MS),
    arbiter: undefined,
    actions: ACTIONS_ALL,
    levelMax: LEVEL_MAX,
  };
}
