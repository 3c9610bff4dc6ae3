/**
 * Brings what a replica, or a member of a subnet, found before the ledger: what somebody has signed against the rules becomes a
 * transaction, once per culprit. Everybody finds the same evidence, and only the first to bring it is heard, so those
 * who know it wait for each other in the order of the set.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Body } from '@itc/core/ledger/body.js';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import { evidenceOf, type Accusation } from '@itc/core/ledger/evidence.js';
import { height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { Clock } from '../ports.ts';
import type { Chain } from './chain.ts';
import type { Logger } from './logger.ts';
import { OWN_LANES, ownTransaction } from './own-transaction.ts';

export interface AccuserOptions {
  readonly chain: Chain;
  readonly keys: KeyPair;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes a transaction for the network; throws the code of a refusal. */
  readonly submit: (encoded: Uint8Array) => Promise<Hash>;
}

/** What is brought, and when that has come to its end. */
export interface Charge {
  /** Of whom one charge is enough, as hex. */
  readonly culprit: string;
  /** For the log. */
  readonly kind: string;
  readonly body: Body;
  readonly isPunished: () => boolean;
}

/** How long a validator waits for each one before it in the set. */
const TURN_MS = 1_000;
const TRIES_MAX = 60;
/** What a pool has taken it may drop again for what pays more: looked after until the culprit is punished. */
const LOOK_MS = 10_000;
/** Refusals that pass: the accusation of somebody else is on its way in the same lane, or there is no room just now. */
const PASSING: ReadonlySet<string> = new Set<ErrorCode>(['transaction.nonce', 'pool.full', 'not-ready']);
/** Blocks for which an accusation may wait. */
const VALID_BLOCKS = 10_000;
/** Keys of which this process remembers that it accused them. */
const ACCUSED_MAX = 2 * LIMITS.candidatesMax;

export class Accuser {
  readonly #o: AccuserOptions;
  readonly #accused = new Set<string>();
  #stopped = false;

  constructor(options: AccuserOptions) {
    this.#o = options;
  }

  /** `turn` is this node's place among those who know the same. */
  accuse(culprit: PublicKey, evidence: Accusation, turn: number): void {
    const { chain } = this.#o;
    const name = toHex(culprit.bytes);
    const isPunished = (): boolean => {
      for (const { validator } of chain.state.validators())
        if (validator.jailed && toHex(validator.key.bytes) === name) return true;
      return false;
    };
    const body: Body = { kind: 'evidence', evidence: evidenceOf(culprit, evidence) };
    this.bring({ culprit: name, kind: evidence.kind, body, isPunished }, turn);
  }

  bring(charge: Charge, turn: number): void {
    const { clock, logger } = this.#o;
    const { culprit, kind } = charge;
    if (this.#accused.has(culprit) || this.#accused.size >= ACCUSED_MAX) return;
    this.#accused.add(culprit);
    logger.warn({ culprit, kind }, 'somebody has signed what nobody may who keeps to the rules');
    clock.after(turn * TURN_MS, () => void this.#submit(charge, TRIES_MAX));
  }

  /** The chain it would ask is about to close. */
  stop(): void {
    this.#stopped = true;
  }

  async #submit(charge: Charge, tries: number, waiting?: Uint8Array): Promise<void> {
    const { clock, logger, submit } = this.#o;
    const { culprit } = charge;
    if (this.#stopped || charge.isPunished()) return undefined;
    const again = (ms: number, sent?: Uint8Array): void => {
      if (tries > 1) clock.after(ms, () => void this.#submit(charge, tries - 1, sent));
    };
    // Another one with the same nonce would compete with it.
    const encoded = waiting ?? this.#make(charge.body);
    try {
      const id = await submit(encoded);
      logger.warn({ culprit, transaction: toHex(id) }, 'the evidence is brought before the ledger');
      return again(LOOK_MS, encoded);
    } catch (error) {
      if (this.#stopped) return undefined;
      if (!(error instanceof LedgerError)) throw error;
      if (error.code === 'transaction.duplicate') return again(LOOK_MS, encoded);
      if (PASSING.has(error.code)) return again(TURN_MS);
      // For example an account without money for the fee: somebody else may have some.
      logger.warn({ culprit, code: error.code }, `the evidence is not brought: ${error.message}`);
    }
    return undefined;
  }

  #make(body: Body): Uint8Array {
    const { chain, keys } = this.#o;
    const validUntil = height(chain.height + VALID_BLOCKS);
    return ownTransaction(chain, keys, { body, lane: OWN_LANES.evidence, validUntil });
  }
}
