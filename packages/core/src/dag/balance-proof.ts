/** Proof of a balance inside a subnet against the state root of a checkpoint (spec DAG-12.10); absence is a balance of 0. */
import type { Hash } from '../crypto/hash.ts';
import { verifyStateProof, type StateProof } from '../crypto/state-tree.ts';
import type { Address } from '../ledger/address.ts';
import { AMOUNT_MAX } from '../ledger/ids.ts';
import type { SubnetCheckpoint } from '../ledger/checkpoint.ts';
import { balanceKey, encodeBalance } from './ledger-records.ts';

export interface BalanceProof {
  /** To be shown as committed by a proof of its transaction. */
  readonly checkpoint: SubnetCheckpoint;
  readonly balance: bigint;
  readonly proof: StateProof;
}

/** Whether the holder has exactly this balance under the state root. Never throws: the claim comes from outside. */
export function verifyBalance(
  stateRoot: Hash,
  claim: { readonly address: Address; readonly balance: bigint; readonly proof: StateProof },
): boolean {
  const { address, balance, proof } = claim;
  if (balance < 0n || balance > AMOUNT_MAX) return false;
  const value = balance === 0n ? undefined : encodeBalance({ address, balance });
  return verifyStateProof(stateRoot, balanceKey(address), value, proof);
}
