/** Follows the main chain: takes certified blocks, executes them, and answers for them. Never votes. */
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Clock, Timer, Transport } from '../ports.ts';
import { BlockSync, type CertifiedBlock } from './block-sync.ts';
import type { Chain } from './chain.ts';
import type { Logger } from './logger.ts';
import { isFull } from './full-disk.ts';
import { prepareBlock } from './prepared-block.ts';

const PURSUE_MS = 500;

export class Observer {
  readonly #chain: Chain;
  readonly #sync: BlockSync;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Timer | undefined;
  #fatal: unknown;
  #full: LedgerError | undefined;

  constructor(options: {
    readonly chain: Chain;
    readonly transport: Transport;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#chain = options.chain;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#sync = new BlockSync({
      ...options,
      accept: (blocks) => this.#accept(blocks),
      warn: (message, peer) => options.logger.warn({ peer }, message),
    });
  }

  get syncTarget(): number {
    return this.#sync.target;
  }

  /** Blocks are missing here that every peer in sight has pruned. */
  get isPruned(): boolean {
    return this.#sync.isPruned;
  }

  /** Why no block can be written now; undefined while it can. */
  get full(): LedgerError | undefined {
    return this.#full;
  }

  get failure(): unknown {
    return this.#fatal;
  }

  start(): void {
    const pursue = (): void => {
      this.#sync.pursue();
      this.#timer = this.#clock.after(PURSUE_MS, pursue);
    };
    pursue();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  async #accept(blocks: readonly CertifiedBlock[]): Promise<void> {
    if (this.#fatal !== undefined) return;
    try {
      const prepared = [];
      for (const { candidate, certificate } of blocks) {
        const block = await prepareBlock(this.#chain.id, candidate.bytes, 'certified', () => undefined);
        if (!block.ok)
          throw new LedgerError(
            'internal',
            `certified block ${candidate.height} is not acceptable: ${block.message}`,
          );
        prepared.push({ block: block.value, certificate });
      }
      await this.#chain.commit(prepared);
      this.#full = undefined;
      // Whoever follows us (a phone behind a gateway) hears of it the same way.
      this.#sync.announce();
    } catch (error) {
      if (isFull(error)) {
        // Nothing is lost: the same blocks are asked for again, and taken when there is room.
        this.#full = error;
        this.#logger.warn({}, `a block could not be taken: ${error.message}`);
        return;
      }
      this.#fatal = error;
      this.#logger.error({ err: error }, 'the observer stops: a block could not be taken');
    }
  }
}
