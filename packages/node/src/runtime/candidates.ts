/**
 * Blocks on their way to a decision: each is decoded and its signatures are checked once, whether it came as a
 * proposal, as the body of one, or was made here. The replica knows them by hash only.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { closesEpoch, decodeBlock, headerHash } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { height, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { precheck } from '@itc/core/state/admission.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Mempool } from '../mempool/mempool.ts';
import type { Chain } from './chain.ts';
import type { Logger } from './logger.ts';
import { prepareBlock, type PreparedBlock } from './prepared-block.ts';

export interface CandidatesOptions {
  readonly chain: Chain;
  readonly mempool: Mempool;
  readonly pool: VerifyPool;
  readonly logger: Logger;
  /** For signatures inside of bodies. */
  readonly verify: SignatureVerifier;
  /** Resolves when those of these transactions that are being checked elsewhere no longer are. */
  readonly checking: (names: readonly string[]) => Promise<unknown> | undefined;
}

/** Proposals, bodies and restored candidates whose signatures were checked; more than the window is not needed. */
const PREPARED_MAX = 4 * LIMITS.watermarkWindow;

export class Candidates {
  readonly #o: CandidatesOptions;
  /** By hash, oldest first. */
  readonly #blocks = new Map<string, PreparedBlock | 'invalid' | 'working'>();

  constructor(options: CandidatesOptions) {
    this.#o = options;
  }

  /** The replica's question whether a block may be voted for; 'later' while its signatures are being checked. */
  check(block: Candidate, fresh: boolean, now: Parameters<Chain['check']>[2]): 'valid' | 'invalid' | 'later' {
    const known = this.#blocks.get(toHex(block.hash));
    if (known === 'invalid') return 'invalid';
    if (known === undefined) void this.prepare(block);
    if (known === undefined || known === 'working') return 'later';
    return this.#o.chain.check(known, fresh, now);
  }

  /** Resolves when `check` has a verdict, or when there is too much to do: then the replica's next question starts anew. */
  async prepare(block: Candidate): Promise<void> {
    const id = toHex(block.hash);
    if (this.#blocks.has(id)) return;
    if (this.#blocks.size >= PREPARED_MAX) {
      const oldest = this.#blocks.keys().next().value;
      if (oldest !== undefined) this.#blocks.delete(oldest);
    }
    this.#blocks.set(id, 'working');
    const { chain, mempool, pool, logger } = this.#o;
    try {
      const known = (name: string): VerifiedTransaction | undefined => mempool.get(name);
      const prepared = await prepareBlock(chain.id, block.bytes, pool, known, this.#o.checking);
      this.#blocks.set(id, prepared.ok ? prepared.value : 'invalid');
      if (prepared.ok) return this.#pool(prepared.value);
      logger.warn(
        { height: block.height, code: prepared.code },
        `a proposed block is refused: ${prepared.message}`,
      );
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#blocks.delete(id);
    }
  }

  /** What the proposer knew before us: when it comes on its own way too, nobody checks it again. */
  #pool({ transactions }: PreparedBlock): void {
    const { chain, mempool, verify } = this.#o;
    const context = { chain: chain.id, height: height(chain.height + 1), verify };
    for (const transaction of transactions) {
      if (mempool.get(transaction.name) === undefined && precheck(chain.state, context, transaction).ok)
        mempool.add(transaction, chain.state);
    }
  }

  /** A block whose signatures were checked, or that was made here. */
  get(hash: Hash): PreparedBlock | undefined {
    const block = this.#blocks.get(toHex(hash));
    return typeof block === 'string' ? undefined : block;
  }

  /** A block made here. */
  keep(block: PreparedBlock): void {
    this.#blocks.set(toHex(block.candidate.hash), block);
  }

  /** A block with a certificate: its signatures were checked by a quorum, so only the form is needed here. */
  async certified(candidate: Candidate): Promise<PreparedBlock> {
    const known = this.#blocks.get(toHex(candidate.hash));
    if (known !== undefined && typeof known !== 'string') return known;
    const { chain, mempool } = this.#o;
    const prepared = await prepareBlock(chain.id, candidate.bytes, 'certified', (id) => mempool.get(id));
    if (!prepared.ok)
      throw new LedgerError(
        'internal',
        `certified block ${candidate.height} is not acceptable: ${prepared.message}`,
      );
    return prepared.value;
  }

  /**
   * Transactions in blocks between the committed one and `parentHash`, inclusive: how many, their bytes, and, when it
   * comes to that, their names.
   */
  inFlight(parentHash: Hash): {
    readonly count: number;
    readonly bytes: number;
    readonly names: () => ReadonlySet<string>;
  } {
    const blocks: PreparedBlock[] = [];
    let [count, bytes] = [0, 0];
    let hash = parentHash;
    for (let i = 0; i < LIMITS.watermarkWindow; i += 1) {
      const block = this.#blocks.get(toHex(hash));
      if (block === undefined || typeof block === 'string' || block.header.height <= this.#o.chain.height)
        break;
      blocks.push(block);
      count += block.transactions.length;
      bytes += block.candidate.bytes.length;
      hash = block.header.parentHash;
    }
    const names = (): ReadonlySet<string> =>
      new Set(blocks.flatMap(({ transactions }) => transactions.map(({ name }) => name)));
    return { count, bytes, names };
  }

  /** Drops what is not above the committed block any more. */
  forgetCommitted(): void {
    for (const [hash, block] of this.#blocks) {
      if (typeof block !== 'string' && block.header.height <= this.#o.chain.height) this.#blocks.delete(hash);
    }
  }
}

/** Decodes a block far enough to name it. Its transactions are looked at in `prepareBlock`. */
export function parseCandidate(bytes: Uint8Array): Candidate | undefined {
  const decoded = decodeBlock(bytes);
  if (!decoded.ok) return undefined;
  const { header, transactions } = decoded.value;
  return {
    height: header.height as Height,
    parentHash: header.parentHash,
    hash: headerHash(header),
    bytes,
    closes: closesEpoch(header),
    count: transactions.length,
  };
}
