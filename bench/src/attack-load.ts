/** The honest load of an attack run behind one small interface: transfers of many senders, and those of one watched sender. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { encodeTransaction, transactionId, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { Client } from '@itc/client/client.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { LoadClient } from './load-client.ts';
import type { LoadReport, LoadSetup } from './main-chain-load.ts';

export interface LoadPhase {
  /** Final per second, from the first to the last moment of the phase: a stall weighs by its length. */
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly refused: LoadReport['refused'];
}

export interface AttackLoad extends AsyncDisposable {
  /** A closed loop; what is under way at the end is waited for and not counted. */
  run(durationMs: number): Promise<LoadPhase>;
}

const IN_FLIGHT = 256;

/** Brings them to all of `urls` over submission streams. */
export async function openLoad(setup: Omit<LoadSetup, 'kind'>): Promise<AttackLoad> {
  const client = await LoadClient.start(setup);
  return {
    run: async (durationMs) => {
      const command = {
        kind: 'closed',
        level: IN_FLIGHT,
        rampMs: 0,
        durationMs,
        windows: 1,
        operations: 1,
      } as const;
      // Signed under way, in both phases alike: what is needed differs too much.
      const { samples, refused } = await client.load(command, IN_FLIGHT);
      return { perSecond: samples.throughput[0] ?? 0, p99Ms: samples.p99[0] ?? Number.NaN, refused };
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

export function transferOf(
  from: KeyPair,
  o: { readonly to: KeyPair; readonly nonce: number; readonly chain: Hash },
): { readonly id: string; readonly encoded: Uint8Array } {
  const unsigned = {
    key: { algorithm: ED25519, bytes: from.publicKey.bytes },
    lane: 0,
    nonce: o.nonce,
    fee: amount(1_000n),
    validUntil: height(1_000_000_000),
    body: { kind: 'transfer' as const, to: o.to.address, amount: amount(1n) },
  };
  const signature = from.sign(transactionSigningBytes(o.chain, unsigned));
  const encoded = encodeTransaction({ ...unsigned, signature });
  return { id: toHex(transactionId(encoded)), encoded };
}

/** One sender with one transfer under way at a time: how long each of them waits. */
export class WatchedSender {
  readonly #clients: readonly Client[];
  readonly #key: KeyPair;
  readonly #chain: Hash;
  #nonce = 0;
  #delays: number[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;
  #failed: Error | undefined;

  constructor(o: { readonly urls: readonly string[]; readonly key: KeyPair; readonly chain: Hash }) {
    this.#clients = o.urls.map((url) => new Client({ url, fetch }));
    this.#key = o.key;
    this.#chain = o.chain;
  }

  start(): void {
    this.#running = this.#send().catch((error: unknown) => {
      this.#failed = error as Error;
    });
  }

  /** Milliseconds from handing in to final, since the last call. */
  delays(): readonly number[] {
    return this.#delays.splice(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    if (this.#failed !== undefined) throw this.#failed;
  }

  async #send(): Promise<void> {
    for (; !this.#stopped; this.#nonce += 1) {
      const { encoded } = transferOf(this.#key, { to: this.#key, nonce: this.#nonce, chain: this.#chain });
      const client = this.#clients[this.#nonce % this.#clients.length] as Client;
      const started = performance.now();
      await client.submitAndWait({ id: transactionId(encoded), encoded }, { timeoutMs: 120_000 });
      this.#delays.push(performance.now() - started);
      await sleep(PAUSE_MS);
    }
  }
}

const PAUSE_MS = 20;
