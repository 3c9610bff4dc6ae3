/** The key of a person on this machine, and what it can do through the API: transactions, signed requests, commands. */
import { createClient, parseHash, type Client } from '@itc/client/client.js';
import { buildCommand } from '@itc/client/commands.js';
import type { CommandStatus } from '@itc/client/api.js';
import type { Enrolment } from '@itc/client/client.js';
import { actingFor, type Signer } from '@itc/client/keys.js';
import { buildTransaction } from '@itc/client/transactions.js';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import { parseAddress } from '@itc/core/ledger/address.js';
import type { Action } from '@itc/core/ledger/command.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { height, millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Body } from '@itc/core/ledger/body.js';
import { Finished, UsageError } from './terminal/command.ts';

const VALID_BLOCKS = 10_000;
/** A command that waited longer must not surprise anybody. */
const COMMAND_VALID_MS = 60_000;
/** Blocks that prove a change come at once; a chain that stands still is not waited for. */
const PROVABLE_MS_MAX = 10_000;
const NONCE_TRIES = 10;
const NONCE_PAUSE_MS = 300;

export interface Sent {
  readonly id: string;
  readonly height: number;
  readonly fee: string;
}

/** Where transactions go that are not sent at once (`itc tx draft`). */
export interface Drafting {
  /** Whom the transaction is for, where it is another account than that of the key. */
  readonly account: Address | undefined;
  take(wallet: Wallet, body: Body): Promise<void>;
}

let drafting: Drafting | undefined;

/** From now on, in this process, nothing is sent: the first transaction of a command is taken, and the command ends there. */
export function draftInstead(instead: Drafting): void {
  drafting = instead;
}

export class Wallet {
  readonly client: Client;
  readonly signer: Signer;
  readonly genesis: Genesis;
  readonly chain: Hash;
  /** The sponsorship that pays the fees; the signer's account when there is none. */
  sponsor: Hash | undefined;
  #sequence = 0;

  private constructor(
    client: Client,
    signer: Signer,
    chain: { readonly genesis: Genesis; readonly chain: Hash },
  ) {
    this.client = client;
    this.signer = signer;
    this.genesis = chain.genesis;
    this.chain = chain.chain;
  }

  static async open(url: string, signer: Signer): Promise<Wallet> {
    const client = openClient(url);
    const account = drafting?.account;
    const acting = account === undefined ? signer : actingFor(account, signer);
    const wallet = new Wallet(client, acting, await client.genesis());
    const sponsor = process.env['ITC_SPONSOR'];
    if (sponsor !== undefined && sponsor !== '') wallet.sponsor = parseHash(sponsor);
    return wallet;
  }

  /** Waits until the transaction is final. Throws with the receipt's code when the ledger refused it. */
  async send(body: Body, lane = 0): Promise<Sent> {
    if (drafting !== undefined) {
      await drafting.take(this, body);
      throw new Finished();
    }
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#send(body, lane);
      } catch (error) {
        // Another process of the same owner was quicker: the next nonce is asked for again.
        if (!isNonce(error) || tries >= NONCE_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, NONCE_PAUSE_MS));
      }
    }
  }

  /**
   * As `send`, and waits until the change can be proved to a device: headers commit the state a few blocks below them.
   * Before that a lamp would still be shown the state as it was.
   */
  async sendProvable(body: Body): Promise<Sent> {
    const sent = await this.send(body);
    const deadline = performance.now() + PROVABLE_MS_MAX;
    while (
      (await this.client.status()).height < sent.height + LIMITS.pipelineDepth &&
      performance.now() < deadline
    ) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return sent;
  }

  /** Many at once, in consecutive nonces of one lane; waits until all are final. */
  async sendAll(bodies: readonly Body[], lane = 0): Promise<Sent[]> {
    if (drafting !== undefined) {
      const [body] = bodies;
      if (body === undefined || bodies.length > 1)
        throw new UsageError(`this takes ${bodies.length} transactions; draft one that takes one`);
      return [await this.send(body)];
    }
    const { height: now } = await this.client.status();
    let nonce = await this.client.nextNonce(this.signer.address, lane);
    const submitted = [];
    for (const body of bodies) {
      for (let tries = 1; ; tries += 1) {
        const transaction = await this.#build(body, { lane, nonce, now });
        try {
          await this.client.submit(transaction);
          submitted.push(transaction);
          nonce += 1;
          break;
        } catch (error) {
          if (!isNonce(error) || tries >= NONCE_TRIES) throw error;
          // Somebody else uses the lane: when what waits there is final, the next number is known again.
          await new Promise((resolve) => setTimeout(resolve, NONCE_PAUSE_MS));
          nonce = await this.client.nextNonce(this.signer.address, lane);
        }
      }
    }
    const sent: Sent[] = [];
    for (const transaction of submitted) sent.push(await this.#settled(transaction));
    return sent;
  }

  enrol(enrolment: Enrolment): Promise<{ readonly address: string; readonly name: string }> {
    return this.client.enrolDevice(enrolment, { chain: this.chain, signer: this.signer });
  }

  /** Sends a signed command and waits for the device's word, at most `timeoutMs`. */
  async command(device: Address, action: Action, timeoutMs: number): Promise<CommandStatus> {
    const now = Date.now();
    this.#sequence = Math.max(this.#sequence + 1, now);
    const command = await buildCommand({
      chain: this.chain,
      signer: this.signer,
      device,
      action,
      sequence: this.#sequence,
      notAfter: millis(now + COMMAND_VALID_MS),
    });
    return this.client.commandAndWait(command, { timeoutMs });
  }

  /** By address, or by the name it has at the gateway. */
  async device(text: string): Promise<Address> {
    const direct = parseAddress(text);
    if (direct.ok) return direct.value;
    const found = parseAddress((await this.client.device(text)).address);
    if (!found.ok) throw new LedgerError('not-found', `no device is called ${text}`);
    return found.value;
  }

  async #send(body: Body, lane: number): Promise<Sent> {
    const { height: now } = await this.client.status();
    const nonce = await this.client.nextNonce(this.signer.address, lane);
    const transaction = await this.#build(body, { lane, nonce, now });
    await this.client.submit(transaction);
    return this.#settled(transaction);
  }

  async #build(
    body: Body,
    place: { readonly lane: number; readonly nonce: number; readonly now: number },
  ): ReturnType<typeof buildTransaction> {
    return buildTransaction(
      {
        chain: this.chain,
        signer: this.signer,
        nonce: place.nonce,
        lane: place.lane,
        feePerByte: (await this.client.parameters()).feePerByte,
        ...(this.sponsor && { sponsor: this.sponsor }),
        validUntil: height(place.now + VALID_BLOCKS),
      },
      body,
    );
  }

  async #settled(transaction: Awaited<ReturnType<typeof buildTransaction>>): Promise<Sent> {
    const { status } = await this.#final(transaction.id);
    const { receipt, id, height: at } = status;
    if (receipt?.ok === false) {
      throw new LedgerError(
        receipt.code ?? 'internal',
        `the ledger refused it: ${receipt.message ?? receipt.code ?? 'no reason given'}`,
        { id },
      );
    }
    return { id, height: at ?? 0, fee: receipt?.fee ?? '0' };
  }

  async #final(id: Hash): ReturnType<Client['waitForTransaction']> {
    try {
      return await this.client.waitForTransaction(id);
    } catch (error) {
      if (!(error instanceof LedgerError) || error.code !== 'peer.timeout') throw error;
      const text = toHex(id);
      throw new LedgerError(
        'peer.timeout',
        `taken, and not final yet; it stays valid for ${VALID_BLOCKS} blocks: follow it with itc tx explain ${text}; itc status --why tells what is not well`,
        { id: text },
        error,
      );
    }
  }
}

function isNonce(error: unknown): boolean {
  return error instanceof LedgerError && error.code === 'transaction.nonce';
}

export function openClient(url: string): Client {
  return createClient({ url, fetch });
}
