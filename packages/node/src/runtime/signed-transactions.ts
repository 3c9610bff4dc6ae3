/** The signatures of many transactions in one batch; one that several signed holds when each of them did. */
import { signaturesOf, unsignedPart, type OpenedTransaction } from '@itc/core/state/verified-transaction.js';
import type { SignedItem } from '../crypto/verify-batch.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';

/**
 * One verdict per transaction, in order. `prefix` is `signingPrefix` of the chain. Rejects with `not-ready` as the pool
 * does.
 */
export async function verifySigned(
  pool: VerifyPool,
  prefix: Uint8Array,
  transactions: readonly OpenedTransaction[],
): Promise<boolean[]> {
  const items: SignedItem[] = [];
  const owners: number[] = [];
  for (const [i, transaction] of transactions.entries()) {
    const message = unsignedPart(transaction);
    for (const { key, signature } of signaturesOf(transaction.tx)) {
      items.push({ algorithm: key.algorithm, key: key.bytes, prefix, message, signature });
      owners.push(i);
    }
  }
  const verdicts = await pool.verifyBatch(items);
  const holds = transactions.map(() => true);
  for (const [k, verdict] of verdicts.entries()) if (!verdict) holds[owners[k] as number] = false;
  return holds;
}
