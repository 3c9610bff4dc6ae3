/**
 * States in and out of one process and old blocks out of it, by its configuration (spec SNAPSHOT): serving is for
 * everybody, taking over for validators.
 */
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { NodeConfig } from '../config.ts';
import type { Clock, Random, Tables, Transport } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import { CHANNELS } from './channels.ts';
import type { Chain } from './chain.ts';
import type { Consensus } from './consensus.ts';
import type { Logger } from './logger.ts';
import { Pruning } from './pruning.ts';
import { SnapshotServer } from './snapshot-server.ts';
import { StateSync } from './state-sync.ts';

export interface SnapshotsOptions {
  readonly config: NodeConfig;
  readonly chain: Chain;
  readonly tables: Tables;
  readonly log: BlockLog;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly verify: SignatureVerifier;
  /** Undefined for an observer: a member of a subnet needs every checkpoint, so it executes every block. */
  readonly consensus: Consensus | undefined;
}

/** A minute or two of execution. */
const BOUND_BLOCKS = 2_000;

export class Snapshots {
  readonly #server: SnapshotServer;
  readonly #sync: StateSync | undefined;
  readonly #pruning: Pruning;

  constructor(options: SnapshotsOptions) {
    const { config, transport, logger, consensus } = options;
    const { retainBlocks, retainBytes } = config;
    this.#pruning = new Pruning({
      ...options,
      ...(retainBlocks === undefined ? {} : { retainBlocks }),
      ...(retainBytes === undefined ? {} : { retainBytes }),
    });
    this.#server = new SnapshotServer({
      ...options,
      blame: (peer, message) => {
        logger.warn({ peer }, `a peer is disconnected: ${message}`);
        transport.disconnect(peer);
      },
    });
    if (consensus === undefined) {
      // An observer hears no checkpoints. No quorum goes further than the window above its stable checkpoint.
      const { chain } = options;
      chain.onCommitted(({ block }) =>
        this.#pruning.noteStable(block.header.height - LIMITS.watermarkWindow),
      );
    }
    const boundBlocks = config.stateSyncBlocks ?? BOUND_BLOCKS;
    if (consensus === undefined || boundBlocks === 0) {
      transport.open({ ...CHANNELS.stateReply, receive: () => undefined });
      return;
    }
    const names = new Map(config.peers.map(({ key, name }) => [key, name]));
    this.#sync = new StateSync({
      ...options,
      boundBlocks,
      target: () => consensus.syncTarget,
      isPruned: () => consensus.isPruned,
      between: (work) => consensus.between(work),
      nameOf: (peer) => names.get(peer) ?? peer.slice(0, 8),
    });
  }

  noteStable(certificate: StableCertificate): void {
    this.#server.noteStable(certificate);
    this.#pruning.noteStable(certificate.height);
  }

  /** While a state comes in, how far it is. */
  get progress(): string | undefined {
    return this.#sync?.progress;
  }

  start(): void {
    this.#sync?.start();
  }

  async stop(): Promise<void> {
    await this.#sync?.stop();
    await this.#pruning.idle();
  }
}
