/** Members as processes of their own, and between all of them a network that is as bad as networks get. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VALUE_MIN } from '@itc/core/ledger/escrow.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { SeededRandom } from '@itc/node/random.js';
import { FaultyProxy, type Faults } from '@itc/node/testing/faulty-proxy.js';
import { keyPair } from '@itc/node/testing/local-network.js';
import { until } from './devnet.ts';
import { Processes } from './processes.ts';

installNativeCrypto();

const BAD: Faults = { delayMs: 20, loss: 0.03, lossMs: 250, reset: 0.004, bytesPerSecond: 400_000 };
const VALIDATOR = 0;
const MEMBERS = [1, 2, 3] as const;
/** Each pays through a member of its own, and all pay one. */
const PAYERS = [101, 102, 103].map(keyPair);
const PAYEE = keyPair(110);
const EACH = 90;
const FUNDS = BigInt(EACH + 10) * VALUE_MIN;

test('SUBNET-7.2: three members as processes over links that lose, delay, throttle, reset, go silent one way and break end with one state: what was sent is final, once', async () => {
  await using network = await Processes.create({ validators: 1, members: MEMBERS.length });
  await using links = await Links.between(network, [VALIDATOR, ...MEMBERS]);
  await network.start(VALIDATOR, ...MEMBERS);
  await network.ready(VALIDATOR, ...MEMBERS);
  await network.deposit(VALIDATOR, PAYERS, FUNDS);

  const sent: string[] = [];
  const pay = async (count: number): Promise<void> => {
    await Promise.all(
      MEMBERS.map(async (member, i) => {
        const payer = PAYERS[i] as (typeof PAYERS)[number];
        const paid = sent.length / MEMBERS.length;
        for (let number = 1; number <= count; number += 1) {
          sent.push(await network.order(member, payer, paid + number, PAYEE.address));
        }
      }),
    );
  };
  const received = async (member: number): Promise<bigint> => (await network.balance(member, PAYEE)).balance;
  await until('the deposits are credited everywhere', async () => {
    for (const member of MEMBERS)
      for (const payer of PAYERS) if ((await network.balance(member, payer)).balance !== FUNDS) return false;
    return true;
  });
  await pay(EACH / 3);

  // One alone: the others are no quorum, and it has none either.
  links.cut(1, true);
  const before = await received(2);
  await pay(EACH / 3);
  await sleep(3_000);
  const meanwhile = await received(2);
  links.cut(1, false);
  assert.ok(meanwhile < BigInt(sent.length) * VALUE_MIN, 'not everything is final while one is cut off');
  assert.ok(meanwhile >= before);

  // One that is not heard, and hears: neither end is told.
  links.mute(3, true);
  await pay(EACH / 3);
  await sleep(2_000);
  links.mute(3, false);

  const all = BigInt(MEMBERS.length * EACH);
  await until(
    'all is final everywhere',
    async () => {
      for (const member of MEMBERS) if ((await received(member)) < all * VALUE_MIN) return false;
      return true;
    },
    120_000,
  );
  assert.equal(sent.length, Number(all));
  assert.equal(new Set(sent).size, sent.length);
  const heads = await until('all are at one checkpoint', async () => {
    const answers = await Promise.all(MEMBERS.map((member) => network.balance(member, PAYEE)));
    return new Set(answers.map(({ checkpoint }) => checkpoint)).size === 1 ? answers : undefined;
  });
  // The checkpoint holds the state root, and each member has shown the balance by it.
  for (const { balance } of heads) assert.equal(balance, all * VALUE_MIN, 'nothing twice');
  for (const member of MEMBERS)
    for (const payer of PAYERS)
      assert.equal((await network.balance(member, payer)).balance, FUNDS - BigInt(EACH) * VALUE_MIN);
  const [subnet] = (await network.client(VALIDATOR).status()).subnets;
  assert.equal(subnet?.payloads, sent.length, 'as many are final on the main chain as were sent');
});

interface Link {
  readonly from: number;
  readonly to: number;
  readonly proxy: FaultyProxy;
}

/** A proxy for each process and each of its peers, in the direction in which the process dials. */
class Links implements AsyncDisposable {
  readonly #proxies: readonly Link[];

  private constructor(proxies: readonly Link[]) {
    this.#proxies = proxies;
  }

  static async between(network: Processes, indices: readonly number[]): Promise<Links> {
    const random = new SeededRandom(7);
    const proxies: Link[] = [];
    for (const from of indices) {
      const peers = [];
      for (const peer of network.config(from).peers) {
        const proxy = await FaultyProxy.open({ target: peer, faults: BAD, random });
        proxies.push({ from, to: Number(peer.name.slice(1)), proxy });
        peers.push({ ...peer, port: proxy.port });
      }
      network.change(from, { peers });
    }
    return new Links(proxies);
  }

  /** Every link of one process, in both directions. */
  cut(index: number, dark: boolean): void {
    for (const { from, to, proxy } of this.#proxies) if (from === index || to === index) proxy.setDark(dark);
  }

  /** Nothing that one process says arrives; what others say reaches it. */
  mute(index: number, silent: boolean): void {
    for (const { from, to, proxy } of this.#proxies) {
      if (from === index) proxy.setSilent(silent ? 'there' : undefined);
      if (to === index) proxy.setSilent(silent ? 'back' : undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { proxy } of this.#proxies) await proxy[Symbol.asyncDispose]();
  }
}
