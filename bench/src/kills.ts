/**
 * Four validator processes under load, killed one after another without warning (SIGKILL), with a torn last record in
 * their logs, and started again. Stated: how long each needs to answer and hold the block the others were at. Checked,
 * and an error when it does not hold: every validator has the same blocks, nothing that any of them called final is
 * gone, and what was sent is executed exactly once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { amount, height } from '@itc/core/ledger/ids.js';
import { Client } from '@itc/client/client.js';
import { buildTransaction, transfer, type SignedTransaction } from '@itc/client/transactions.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { killAndRestart, killFigures, until } from './killing.ts';
import { Network, type NetworkNode } from './network.ts';
import { figure, seededRandom, type BenchOptions, type Result } from './result.ts';

export const name = 'kills';

const VALIDATORS = 4;
const ACCOUNTS = 32;
const TIMES = 100;
const TIMES_QUICK = 4;
const BLOCKS_PER_PAGE = 100;

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { seed, quick, log } = options;
  const times = options.times ?? (quick ? TIMES_QUICK : TIMES);
  const random = seededRandom(seed);
  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: 0,
    accounts: ACCOUNTS,
    powBits: 0,
  });
  await network.start(network.nodes);
  const load = new Load(network);
  const witness = new Witness(network.nodes);
  load.start();
  witness.start();
  const killed = await killAndRestart({
    network,
    victims: network.nodes,
    times,
    random,
    log,
    goal: () => witness.highest,
    reached: heightOf,
    failed: () => load.failed ?? witness.failed,
  });
  await load.finish();
  const highest = await witness.finish(network);
  log(
    `${times} kills and ${killed.twice} more on the way back, ${killed.torn} torn records, ${highest} blocks alike on ${VALIDATORS} validators, ${load.sent} transfers executed once each`,
  );
  return [
    ...killFigures('back at the height of the others', killed),
    figure('transfers executed exactly once, of those sent', '%', [100]),
  ];
}

async function heightOf(node: NetworkNode): Promise<number | undefined> {
  return (
    await clientOf(node)
      .status()
      .catch(() => undefined)
  )?.height;
}

function clientOf(node: NetworkNode): Client {
  return new Client({ url: node.url, fetch });
}

/** One transfer after the other per account, to whichever validator answers, until it is final: then the next nonce. */
class Load {
  readonly #network: Network;
  readonly #clients: readonly Client[];
  #running: Promise<void>[] = [];
  #stopped = false;
  sent = 0;
  failed: Error | undefined;

  constructor(network: Network) {
    this.#network = network;
    this.#clients = network.nodes.map(clientOf);
  }

  start(): void {
    this.#running = this.#network.accounts.map((account, i) =>
      this.#send(account, i).catch((error: unknown) => {
        this.failed ??= error as Error;
      }),
    );
  }

  /** What is under way becomes final; then every account must hold what its transfers left it. */
  async finish(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    if (this.failed !== undefined) throw this.failed;
  }

  async #send(account: KeyPair, index: number): Promise<void> {
    const { chain, genesis, accounts } = this.#network;
    const to = (accounts[(index + 1) % accounts.length] as KeyPair).address;
    for (let nonce = 0; !this.#stopped; nonce += 1) {
      const signed = await buildTransaction(
        {
          chain,
          signer: account,
          nonce,
          feePerByte: genesis.feePerByte,
          validUntil: height(10_000_000),
        },
        transfer(to, amount(1n)),
      );
      await this.#untilFinal(signed, nonce, index);
      this.sent += 1;
    }
  }

  /** The same signed bytes to one validator after another: they can be executed once only. */
  async #untilFinal(signed: SignedTransaction, nonce: number, index: number): Promise<void> {
    for (let turn = index + nonce; ; turn += 1) {
      const client = this.#clients[turn % this.#clients.length] as Client;
      try {
        const { status } = await client.submitAndWait(signed, { timeoutMs: 5_000 });
        if (status.receipt?.ok === false)
          throw new Refused(`transfer ${nonce} of account ${index}: ${status.receipt.message}`);
        return;
      } catch (error) {
        if (error instanceof Refused) throw error;
        await sleep(20);
      }
    }
  }
}

class Refused extends Error {}

/** Hears from every validator which block it calls final, and remembers: nobody may ever say anything else. */
class Witness {
  readonly #nodes: readonly NetworkNode[];
  readonly #final = new Map<number, { readonly hash: string; readonly by: string }>();
  #running: Promise<void>[] = [];
  #stopped = false;
  highest = 0;
  failed: Error | undefined;

  constructor(nodes: readonly NetworkNode[]) {
    this.#nodes = nodes;
  }

  start(): void {
    this.#running = this.#nodes.map(async (node) => {
      while (!this.#stopped) {
        const page = await clientOf(node)
          .blocks({ limit: BLOCKS_PER_PAGE })
          .catch(() => []);
        try {
          for (const block of page) this.#note(node, block);
        } catch (error) {
          this.failed ??= error as Error;
        }
        await sleep(100);
      }
    });
  }

  /** Reads all blocks of all validators once more; resolves with the height they share. */
  async finish(network: Network): Promise<number> {
    this.#stopped = true;
    await Promise.all(this.#running);
    const goal = this.highest;
    for (const node of network.nodes) {
      await until({ network, reached: heightOf }, node, goal);
      let before = goal + 1;
      let seen = 0;
      while (before > 1) {
        const page = await clientOf(node).blocks({ limit: BLOCKS_PER_PAGE, before });
        if (page.length === 0) break;
        for (const block of page) this.#note(node, block);
        seen += page.length;
        before = Math.min(...page.map((block) => block.height));
      }
      if (seen < goal) throw new Error(`${node.name} shows ${seen} blocks of ${goal}`);
    }
    return goal;
  }

  #note(node: NetworkNode, block: { readonly height: number; readonly hash: string }): void {
    const known = this.#final.get(block.height);
    if (known !== undefined && known.hash !== block.hash)
      throw new Error(
        `a fork at height ${block.height}: ${known.by} said ${known.hash}, ${node.name} says ${block.hash}`,
      );
    if (known === undefined) this.#final.set(block.height, { hash: block.hash, by: node.name });
    this.highest = Math.max(this.highest, block.height);
  }
}
