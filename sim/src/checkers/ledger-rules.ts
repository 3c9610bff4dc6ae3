/**
 * What must hold of every block, whoever sent what: nothing is made or lost, no record is without its deposit, a nonce counts
 * once, a refusal leaves fee and nonce and nothing else, and no grant is wider than what it was made from.
 */
import { idText } from '@itc/core/bytes/id-text.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { SUPPLY } from '@itc/core/ledger/ids.js';
import { Draft } from '@itc/core/state/draft.js';
import { parseStateKey, RECORD_KINDS } from '@itc/core/state/keys.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { KINDS } from '@itc/core/state/record-store.js';
import { decodeRecord } from '@itc/core/state/records.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { AccessReference } from '@itc/core/testing/access-reference.js';
import { assertConserved } from '@itc/core/testing/ledger-model.js';
import { subnetOfGenesis, type Person } from '@itc/core/testing/state-world.js';
import type { Execution, Machine } from '../pbft/executions.ts';
import { Violation } from './checker.ts';

export class LedgerRules {
  readonly #machine: Machine;
  readonly #people: readonly Person[];
  readonly #access: AccessReference = new AccessReference();
  /** Executed transactions by account and lane. */
  readonly #nonces: Map<string, number> = new Map();

  constructor(machine: Machine, people: readonly Person[]) {
    this.#machine = machine;
    this.#people = people;
  }

  executed(execution: Execution): void {
    const { below, receipts, transactions, context } = execution;
    promised('supply', () => assertConserved(below, execution));
    for (const [i, { outcome, fee, kind }] of receipts.entries()) {
      const transaction = transactions[i] as VerifiedTransaction;
      const { tx, sender } = transaction;
      const isExecuted = kind !== 'checkpoint' && (outcome.ok || fee > 0n);
      if (isExecuted) {
        const slot = `${idText(sender)} ${tx.lane}`;
        this.#nonces.set(slot, (this.#nonces.get(slot) ?? 0) + 1);
      }
      if (outcome.ok) promised('access', () => this.#access.accept(sender, tx.body, context.time));
      else this.#leavesNothing(execution, transaction);
    }
    this.#changes(execution);
  }

  /** After the last block. */
  ended(state: LedgerState): void {
    const supply = state.supply();
    if (supply !== SUPPLY) throw new Violation('supply', `all records hold ${supply}, not ${SUPPLY}`);
    promised('access', () =>
      this.#access.check(
        state,
        this.#people.map(({ address }) => address),
      ),
    );
  }

  #changes({ changes, state }: Execution): void {
    for (const { key, value } of changes) {
      const parsed = parseStateKey(key);
      const record = parsed && value && decodeRecord(parsed.kind, value);
      if (parsed === undefined || record?.ok === false)
        throw new Violation('records', 'a record has not the one encoding of its kind');
      if (record === undefined) continue;
      if (key[0] === RECORD_KINDS.account)
        for (const [lane, nonce] of (state.record('account', idText(parsed.id))?.nonces ?? []).entries())
          if (nonce !== (this.#nonces.get(`${idText(parsed.id)} ${lane}`) ?? 0))
            throw new Violation(
              'nonces',
              `lane ${lane} of an account is at nonce ${nonce}, which counted another number of times`,
            );
      if (!('deposit' in record.value) || record.value.deposit.amount > 0n) continue;
      const isGenesis = parsed.kind === 'subnet' && equalBytes(parsed.id, subnetOfGenesis);
      const isRetired = 'state' in record.value && record.value.state === 'retired';
      if (!isGenesis && !isRetired && state.parameters.depositPerByte > 0n)
        throw new Violation('deposits', `a ${parsed.kind} without a deposit`);
    }
  }

  /** Alone on the state below its block: who is accepted there was refused for what came before it. */
  #leavesNothing({ below, context }: Execution, transaction: VerifiedTransaction): void {
    const alone = new Draft(below);
    const { receipt } = this.#machine.applyTransaction(alone, context, transaction, 0);
    if (receipt.outcome.ok) return;
    const left = KINDS.filter((kind) =>
      [...alone.changed[kind]].some(([id, record]) => below.record(kind, id) !== record),
    );
    const isPaidByOther = transaction.tx.sponsor !== undefined;
    const allowed = isPaidByOther ? ['account', 'sponsorship', 'sponsored', 'expiry'] : ['account'];
    const wrong = left.filter((kind) => receipt.fee === 0n || !allowed.includes(kind));
    if (wrong.length > 0)
      throw new Violation(
        'refusals',
        `a refused ${receipt.kind} (${receipt.outcome.code}) leaves ${wrong.join(', ')}`,
      );
  }
}

/** The core's own claims throw assertions; here each is a broken promise. */
function promised(checker: string, claim: () => void): void {
  try {
    claim();
  } catch (error) {
    throw new Violation(checker, error instanceof Error ? error.message : String(error));
  }
}
