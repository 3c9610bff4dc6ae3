/** Blocks become states by the real state machine. */
import { idText } from '@itc/core/bytes/id-text.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { EpochRecord } from '@itc/core/ledger/epoch.js';
import { applyBlock, applyTransaction, type AppliedBlock } from '@itc/core/state/apply.js';
import type { BlockContext } from '@itc/core/state/block-context.js';
import { noChanges, type LedgerState } from '@itc/core/state/ledger-state.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { verifyAny } from '../fake-crypto.ts';
import type { SimBlock } from './sim-block.ts';

/** What a block has made of a state. */
export interface Execution extends AppliedBlock {
  readonly below: LedgerState;
  readonly context: BlockContext;
  readonly transactions: readonly VerifiedTransaction[];
}

/** The state machine; a mutation puts another one in its place. */
export interface Machine {
  readonly applyBlock: typeof applyBlock;
  readonly applyTransaction: typeof applyTransaction;
}

export const PRODUCTION_MACHINE: Machine = { applyBlock, applyTransaction };

/** The record of the epoch after a block, from what the state machine says of it. */
export type Elect = (record: EpochRecord) => EpochRecord;

interface Known {
  execution: Execution;
  times: number;
}

/** Of so many blocks one is executed by two nodes, each for itself; of the others the second is told. */
const TWICE_EVERY = 3;

/**
 * Executing is a pure function of a state and a block. That it is one is tried: of every third block two nodes work out by
 * themselves what comes of it, and their roots are compared. The others are told: they would come to the same again.
 * A restarted node finds its states as on a disk.
 */
export class Executions {
  readonly #chain: Hash;
  readonly #machine: Machine;
  readonly #known: WeakMap<LedgerState, Map<string, Known>> = new WeakMap();
  readonly #verified: Map<string, VerifiedTransaction> = new Map();

  constructor(chain: Hash, machine: Machine) {
    this.#chain = chain;
    this.#machine = machine;
  }

  run(below: LedgerState, hash: Hash, block: SimBlock, elect: Elect): Execution {
    let above = this.#known.get(below);
    if (above === undefined) this.#known.set(below, (above = new Map<string, Known>()));
    const name = idText(hash);
    const known = above.get(name);
    const enough = block.header.height % TWICE_EVERY === 0 ? 2 : 1;
    if (known !== undefined && known.times >= enough) return known.execution;
    const execution = this.#execute(below, block, elect);
    if (known === undefined) above.set(name, { execution, times: 1 });
    else if (idText(known.execution.state.root) === idText(execution.state.root)) {
      known.times += 1;
      // States are told apart by identity, and what was executed above the first one is above this one too.
      return known.execution;
    }
    return execution;
  }

  #execute(below: LedgerState, block: SimBlock, elect: Elect): Execution {
    const { height, time } = block.header;
    const context: BlockContext = { chain: this.#chain, height, time, verify: verifyAny };
    const transactions = block.transactions.map((bytes, i) => this.#open(block.ids[i] as Hash, bytes));
    const applied = this.#machine.applyBlock(below, context, transactions);
    const said = applied.state.epoch;
    const record = elect(said);
    if (record === said) return { ...applied, below, context, transactions };
    const changed = noChanges();
    changed.epoch.set('', record);
    return { ...applied, state: applied.state.advance(changed).state, below, context, transactions };
  }

  /** One that was verified when it was made. */
  knows(transaction: VerifiedTransaction): void {
    this.#verified.set(transaction.name, transaction);
  }

  #open(id: Hash, bytes: Uint8Array): VerifiedTransaction {
    const name = idText(id);
    let verified = this.#verified.get(name);
    if (verified === undefined) {
      const result = verifyTransaction(this.#chain, bytes, verifyAny);
      if (!result.ok) throw new Error(`a transaction in a block: ${result.message}`);
      this.#verified.set(name, (verified = result.value));
    }
    return verified;
  }
}
