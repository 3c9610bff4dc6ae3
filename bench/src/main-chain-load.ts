/**
 * The client of the main-chain bench, in a process of its own: signs before the clock starts, then loads, and answers
 * with what it saw. Commands come one at a time over the channel to the parent.
 */
import { asHash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { fromHex } from '@itc/core/bytes/hex.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import type { TransferOutput } from '@itc/core/ledger/bodies/transfer.js';
import type { Body } from '@itc/core/ledger/body.js';
import { encodeTransaction, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import { frameOf, SUBMISSION_KINDS } from '@itc/node/api/submission-frames.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { joinSamples, type LoadSamples } from './load.ts';
import { keysOf } from './network.ts';
import { seededRandom } from './result.ts';
import { SubmissionClient, type Ready } from './submission-client.ts';

export interface LoadSetup {
  readonly kind: 'setup';
  readonly urls: readonly string[];
  /** Hex. */
  readonly chain: string;
  readonly seed: number;
  readonly accounts: number;
}

export interface LoadCommand {
  readonly kind: 'closed' | 'open';
  /** In flight, or per second. */
  readonly level: number;
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
  /** Transfers in one transaction. */
  readonly operations: number;
}

/** As it goes to the process. */
export interface PreparedCommand extends LoadCommand {
  /** Signed before the clock starts; what goes beyond is signed under way, and told. */
  readonly prepared: number;
}

export interface LoadReport {
  readonly samples: LoadSamples;
  /** Milliseconds of processor time of this process from the first transaction to the last answer. */
  readonly usedMs: number;
  readonly refused: readonly (readonly [code: string, count: number])[];
  readonly signedUnderWay: number;
  /** Bytes of one transaction. */
  readonly bytes: number;
}

/** Signed transfers from the accounts in turn to others at random: lanes never wait for each other. */
class Transfers {
  readonly #accounts: ReturnType<typeof keysOf>[];
  readonly #chain: ReturnType<typeof asHash>;
  readonly #nonces: number[];
  readonly #random: () => number;
  readonly #ready: Ready[] = [];
  #turn = 0;
  #operations = 1;
  underWay = 0;
  bytes = 0;

  constructor({ seed, accounts, chain }: LoadSetup) {
    const bytes = fromHex(chain);
    if (!bytes.ok) throw new Error(bytes.message);
    this.#chain = asHash(bytes.value);
    this.#accounts = Array.from({ length: accounts }, (_, i) => keysOf(seed, `account ${i}`));
    this.#nonces = this.#accounts.map(() => 0);
    this.#random = seededRandom(seed);
  }

  prepare(count: number, operations: number): void {
    this.#operations = operations;

    while (this.#ready.length < count) this.#ready.push(this.#sign());
    this.#ready.reverse();
    this.underWay = 0;
  }

  /** Takes back what was signed and not used: a nonce that is skipped would hold back its account. */
  rest(): void {
    for (const { account } of this.#ready.splice(0)) {
      this.#nonces[account] = (this.#nonces[account] as number) - 1;
      this.#turn -= 1;
    }
  }

  next(): Ready {
    const ready = this.#ready.pop();
    if (ready !== undefined) return ready;
    this.underWay += 1;
    return this.#sign();
  }

  #sign(): Ready {
    const { length } = this.#accounts;
    const account = this.#turn % length;
    this.#turn += 1;
    const from = this.#accounts[account] as ReturnType<typeof keysOf>;
    const nonce = this.#nonces[account] as number;
    this.#nonces[account] = nonce + 1;
    const unsigned = {
      key: { algorithm: ED25519, bytes: from.publicKey.bytes },
      lane: 0,
      nonce,
      fee: amount(4_000n),
      validUntil: height(1_000_000),
      body: this.#body(account),
    };
    const signature = from.sign(transactionSigningBytes(this.#chain, unsigned));
    const encoded = encodeTransaction({ ...unsigned, signature });
    this.bytes = encoded.length;
    return { account, frame: frameOf(SUBMISSION_KINDS.transaction, encoded) };
  }

  #body(account: number): Body {
    const output = (): TransferOutput => ({ to: this.#other(account).address, amount: amount(1n) });
    if (this.#operations === 1) return { kind: 'transfer', ...output() };
    return { kind: 'transfers', outputs: Array.from({ length: this.#operations }, output) };
  }

  #other(account: number): ReturnType<typeof keysOf> {
    const { length } = this.#accounts;
    const other = (account + 1 + Math.floor(this.#random() * (length - 1))) % length;
    return this.#accounts[other] as ReturnType<typeof keysOf>;
  }
}

async function load(
  client: SubmissionClient,
  transfers: Transfers,
  command: PreparedCommand,
): Promise<LoadReport> {
  const { kind, level, rampMs, durationMs, windows, operations, prepared } = command;
  transfers.prepare(prepared, operations);
  client.refused.clear();
  const before = process.cpuUsage();
  const shape = { rampMs, durationMs, windows, next: () => transfers.next() };
  const samples =
    kind === 'closed'
      ? await client.closed({ ...shape, inFlight: level })
      : await client.open({ ...shape, perSecond: level });
  const { user, system } = process.cpuUsage(before);
  transfers.rest();
  return {
    samples: joinSamples([samples]),
    usedMs: (user + system) / 1_000,
    refused: [...client.refused],
    signedUnderWay: transfers.underWay,
    bytes: transfers.bytes,
  };
}

installNativeCrypto();
let client: SubmissionClient | undefined;
let transfers: Transfers | undefined;
process.on('message', (message: LoadSetup | PreparedCommand) => {
  void (async () => {
    if (message.kind === 'setup') {
      transfers = new Transfers(message);
      client = await SubmissionClient.connect(message.urls);
      process.send?.({ ready: true });
    } else if (client !== undefined && transfers !== undefined)
      process.send?.(await load(client, transfers, message));
  })().catch((error: unknown) => {
    process.send?.({ error: (error as Error).stack ?? String(error) });
    process.exitCode = 1;
    process.disconnect();
  });
});
process.on('disconnect', () => process.exit());
