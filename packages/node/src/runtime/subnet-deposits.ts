/** Deposits that the main chain holds for a subnet and its member has not heard of (spec DAG-12.2). */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Deposit } from '@itc/core/ledger/escrow.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';

/** Told at a time; the next tick goes on. */
const BATCH = 256;

/**
 * In order, from the one above `known`. Empty when there is none, which costs one look-up, or when the next one has left the
 * state already: then the member needs a snapshot of its subnet.
 */
export function depositsAbove(state: LedgerState, subnet: Hash, known: number): Deposit[] {
  const newest = state.escrow(subnet)?.deposits ?? 0;
  const deposits: Deposit[] = [];
  for (let number = known + 1; number <= newest && deposits.length < BATCH; number += 1) {
    const deposit = state.deposit(subnet, number);
    if (deposit === undefined) break;
    deposits.push(deposit);
  }
  return deposits;
}
