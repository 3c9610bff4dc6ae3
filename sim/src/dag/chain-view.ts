/** What one node knows of the main chain: durable, and as old as its last contact. */
import type { MemberOptions } from '@itc/core/dag/effects.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { Deposit } from '@itc/core/ledger/escrow.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { electable } from '@itc/core/state/member-turns.js';
import type { Disk } from '../disk.ts';
import type { MainChain } from './main-chain.ts';

const DEPOSITS_TOLD = 8;

/** Whether the members are about to change: a set is elected, or the next election would give another one. */
export function isTurnDue(chain: MainChain, state: LedgerState): boolean {
  const record = state.subnet(chain.subnet);
  const membership = state.membership(chain.subnet);
  if (record === undefined || membership === undefined) return false;
  if (record.next !== undefined) return true;
  const stakes = Array.from(state.stakes(chain.subnet), ({ member, stake }) => [member, stake] as const);
  return electable(record.members, stakes, membership) !== record.members;
}

export class ChainView {
  readonly #chain: MainChain;
  readonly #disk: Disk;
  #height: number;
  #dueAt = -1;
  #isDue = false;

  constructor(chain: MainChain, disk: Disk) {
    this.#chain = chain;
    this.#disk = disk;
    // A node is not started before its subnet is there.
    this.#height = disk.file<number>('chain').durable.at(-1) ?? chain.height;
  }

  get state(): LedgerState {
    return this.#chain.stateAt(this.#height);
  }

  get members(): ValidatorSet {
    return this.state.subnet(this.#chain.subnet)?.members ?? [];
  }

  /** Last checkpoint known. */
  get committed(): number {
    return this.state.subnet(this.#chain.subnet)?.lastSequence ?? 0;
  }

  /** Reaches the main chain now. */
  refresh(): void {
    if (this.#height === this.#chain.height) return;
    this.#height = this.#chain.height;
    const file = this.#disk.file<number>('chain');
    file.append(this.#height);
    file.sync();
    file.dropBefore(file.length - 1);
  }

  depositsAbove(known: number): readonly Deposit[] {
    const newest = this.state.escrow(this.#chain.subnet)?.deposits ?? 0;
    return this.#chain.deposits.slice(known, Math.min(newest, known + DEPOSITS_TOLD));
  }

  /** As a shell gives them to its member, where members are by stake. */
  turns(own: PublicKey): Pick<MemberOptions, 'own' | 'turnAfter' | 'isAwaited'> {
    const { subnet } = this.#chain;
    if (this.state.membership(subnet) === undefined) return {};
    return {
      own,
      turnAfter: (sequence) => this.state.memberTurn(subnet, sequence + 1),
      isAwaited: () => {
        if (this.#dueAt !== this.#height) this.#isDue = isTurnDue(this.#chain, this.state);
        this.#dueAt = this.#height;
        return this.#isDue;
      },
    };
  }
}
