/** What the main chain holds of a subnet: its checkpoints, by sequence. */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Committed } from '@itc/core/dag/effects.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeTransaction } from '@itc/core/ledger/transaction.js';
import type { Chain } from './chain.ts';

/** What a member needs of the main chain. */
export type SubnetChain = Pick<
  Chain,
  'id' | 'genesis' | 'time' | 'state' | 'checkpointPlace' | 'included' | 'stateUnder' | 'onCommitted'
>;

export interface CommittedCheckpoint extends Committed {
  /** Encoded transaction that brought it. */
  readonly transaction: Uint8Array;
}

/** Undefined while it is not committed, or when nothing of its block is kept here. Throws `storage.corrupt`. */
export function committedCheckpoint(
  chain: Pick<SubnetChain, 'checkpointPlace' | 'included'>,
  subnet: Hash,
  sequence: number,
): CommittedCheckpoint | undefined {
  const place = chain.checkpointPlace(subnet, sequence);
  const included = place === undefined ? undefined : chain.included(place);
  if (place === undefined || included === undefined) return undefined;
  const { transaction } = included;
  const tx = decodeTransaction(transaction);
  if (!tx.ok || tx.value.body.kind !== 'checkpoint') {
    throw new LedgerError(
      'storage.corrupt',
      `checkpoint ${sequence} is not where the index says: block ${place.height}, ${place.index}`,
    );
  }
  return { certificate: tx.value.body.certificate, height: place.height, txIndex: place.index, transaction };
}
