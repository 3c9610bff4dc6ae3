/** The honest load of an attack run behind one small interface: transfers of many senders, and those of one watched sender. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { encodeTransaction, transactionId, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { Client } from '@itc/client/client.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { ChainClient } from './chain-client.ts';

export interface LoadPhase {
  /** Final per second, from the first to the last moment of the phase: a stall weighs by its length. */
  readonly perSecond: number;
  readonly p99Ms: number;
}

export interface AttackLoad extends AsyncDisposable {
  /** A closed loop; what is under way at the end is waited for and not counted. */
  run(durationMs: number): Promise<LoadPhase>;
}

const IN_FLIGHT = 256;

/** Hands in to all of `urls` in turn and hears from the first of them what is final. */
export async function openLoad(o: {
  readonly urls: readonly string[];
  readonly accounts: readonly KeyPair[];
  readonly chain: Hash;
}): Promise<AttackLoad> {
  const client = await ChainClient.connect(o.urls);
  const nonces = o.accounts.map(() => 0);
  let turn = 0;
  const next = (): { id: string; encoded: Uint8Array } => {
    const at = turn % o.accounts.length;
    turn += 1;
    const nonce = nonces[at] as number;
    nonces[at] = nonce + 1;
    const to = o.accounts[(at + 1) % o.accounts.length] as KeyPair;
    return transferOf(o.accounts[at] as KeyPair, { to, nonce, chain: o.chain });
  };
  return {
    run: async (durationMs) => {
      const samples = await client.closed({ rampMs: 0, durationMs, windows: 1, inFlight: IN_FLIGHT, next });
      return { perSecond: samples.throughput[0] ?? 0, p99Ms: samples.p99[0] ?? Number.NaN };
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
  #failed: unknown;

  constructor(o: { readonly urls: readonly string[]; readonly key: KeyPair; readonly chain: Hash }) {
    this.#clients = o.urls.map((url) => new Client({ url, fetch }));
    this.#key = o.key;
    this.#chain = o.chain;
  }

  start(): void {
    this.#running = this.#send().catch((error: unknown) => {
      this.#failed = error;
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
