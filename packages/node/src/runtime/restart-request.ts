/**
 * How a validator without its write-ahead log comes back (spec NODE-9): it asks the ledger for a new epoch, and votes
 * from then on. The log is the memory of votes given; in an epoch that began after the loss there are none.
 *
 * That the epoch began after the loss must be shown, not believed: an old chain, fetched from the start, is full of
 * epochs that look new, and of earlier requests. So the request carries a number nobody could guess (as the height up to
 * which it is valid), and only the epoch after the block with this very request counts.
 */
import { join } from 'node:path';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { height, type Epoch } from '@itc/core/ledger/ids.js';
import type { Receipt } from '@itc/core/ledger/receipt.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { STATE_LIMITS } from '@itc/core/state/limits.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import type { Clock } from '../ports.ts';
import type { Chain } from './chain.ts';
import type { Logger } from './logger.ts';
import { OWN_LANES, ownTransaction } from './own-transaction.ts';
import type { ReplicaLogPlace } from './replica-log.ts';

export interface RestartRequestOptions {
  readonly chain: Chain;
  readonly keys: KeyPair;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the request is kept, so that a process that ends before the answer need not ask twice. */
  readonly place: ReplicaLogPlace;
  /** Takes a transaction for the network; throws the code of a refusal. */
  readonly submit: (encoded: Uint8Array) => Promise<Hash>;
}

const FILE = 'restart-request';
const BYTES_MAX = 1_024;
const RETRY_MS = 2_000;
const RETRY_MS_MAX = 60_000;

export class RestartRequest {
  readonly #o: RestartRequestOptions;
  readonly #path: string;
  #encoded: Uint8Array | undefined;
  #isAsking = false;
  #nextAt = 0;
  #pauseMs = RETRY_MS;

  constructor(options: RestartRequestOptions) {
    this.#o = options;
    this.#path = join(options.place.folder, FILE);
    this.#encoded = this.#read();
  }

  /** For operators: how far this is, and until when it has to wait. */
  get progress(): string {
    const { chain } = this.#o;
    const receipt = this.#receipt();
    if (receipt?.outcome.ok === true)
      return `it asked for a new epoch in block ${receipt.height}, which begins at a checkpoint height above`;
    const from = this.#mayAskFrom();
    if (chain.height + 1 < from)
      return `it may ask for a new epoch from height ${from} on, because it asked at height ${from - STATE_LIMITS.restartBlocks} for the last time`;
    return this.#encoded === undefined ? 'it will ask for a new epoch' : 'it asks for a new epoch';
  }

  /** Whether the epoch is known to have begun after the request, and so after the loss. */
  allows(of: Epoch): boolean {
    if (this.#encoded === undefined) return false;
    const receipt = this.#receipt();
    return receipt?.outcome.ok === true && this.#o.chain.contextAt(receipt.height).epoch < of;
  }

  /** There is a log again: what is remembered of this loss must not serve for the next one. */
  async forget(): Promise<void> {
    const { disk, folder } = this.#o.place;
    this.#encoded = undefined;
    if (!disk.list(folder).includes(FILE)) return;
    disk.remove(this.#path);
    await disk.syncFolder(folder);
  }

  /** Asks, unless it was asked a moment ago. For a validator of the present epoch that has caught up. */
  pursue(): void {
    const { chain, clock } = this.#o;
    if (this.#isAsking || clock.monotonicMs() < this.#nextAt) return;
    const receipt = this.#receipt();
    if (receipt?.outcome.ok === true) return;
    // It was executed and refused (the account had sent another one a moment before, say): this one is never heard again.
    if (receipt !== undefined) this.#encoded = undefined;
    // The ledger would refuse it; the reason is in `progress`.
    if (chain.height + 1 < this.#mayAskFrom()) return;
    this.#isAsking = true;
    this.#nextAt = clock.monotonicMs() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, RETRY_MS_MAX);
    void this.#ask().finally(() => {
      this.#isAsking = false;
    });
  }

  async #ask(): Promise<void> {
    const { logger, submit } = this.#o;
    try {
      this.#encoded ??= await this.#make();
      await submit(this.#encoded);
      logger.warn({}, 'the write-ahead log was lost: a new epoch is asked for');
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      logger.warn({ code: error.code }, `a new epoch could not be asked for: ${error.message}`);
      // Its nonce is used up by another transaction: this request will never be heard. Unless it is by this very one,
      // which a block has brought meanwhile.
      if (error.code === 'transaction.nonce' && this.#receipt() === undefined) this.#encoded = undefined;
    }
  }

  #receipt(): Receipt | undefined {
    return this.#encoded && this.#o.chain.receipt(transactionId(this.#encoded));
  }

  /** Height from which on the ledger hears the next restart of this key (STATE-10.9). */
  #mayAskFrom(): number {
    const { chain, keys } = this.#o;
    for (const { validator } of chain.state.validators())
      if (equalBytes(validator.key.bytes, keys.publicKey.bytes))
        return validator.restartAt === 0 ? 0 : validator.restartAt + STATE_LIMITS.restartBlocks;
    return 0;
  }

  /** On disk before it is sent: afterwards it may be answered at any time. */
  async #make(): Promise<Uint8Array> {
    const { chain, keys, place } = this.#o;
    const { disk, folder, random } = place;
    const bytes = random.bytes(8);
    const drawn = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0) >> 12n;
    const encoded = ownTransaction(chain, keys, {
      body: { kind: 'restart' },
      lane: OWN_LANES.restart,
      validUntil: height(Number(drawn | (1n << 51n))),
    });
    const file = disk.open(this.#path);
    try {
      file.truncate(0);
      file.write(encoded, 0);
      await file.sync();
    } finally {
      file.close();
    }
    await disk.syncFolder(folder);
    return encoded;
  }

  /** A torn file is as good as none: its request was not sent. */
  #read(): Uint8Array | undefined {
    const { disk, folder } = this.#o.place;
    if (!disk.list(folder).includes(FILE)) return undefined;
    const file = disk.open(this.#path);
    try {
      const bytes = file.read(0, BYTES_MAX);
      return verifyTransaction(this.#o.chain.id, bytes, verifyNative).ok ? bytes : undefined;
    } finally {
      file.close();
    }
  }
}
