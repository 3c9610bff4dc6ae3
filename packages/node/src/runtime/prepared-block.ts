/** A block as the runtime carries it: decoded once, hashed once, every signature checked. */
import {
  closesEpoch,
  decodeBlock,
  encodeBlock,
  headerHash,
  type Block,
  type Header,
  transactionsRoot,
} from '@itc/core/ledger/block.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/state/record-map.js';
import { ok, refused, type Brand, type Result } from '@itc/core/bytes/result.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import {
  judgeTransaction,
  openTransaction,
  signingPrefix,
  unsignedPart,
  type OpenedTransaction,
  type VerifiedTransaction,
} from '@itc/core/state/verified-transaction.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import type { VerifyPool } from '../crypto/verify-pool.ts';

export type PreparedBlock = Brand<
  {
    readonly candidate: Candidate;
    readonly header: Header;
    readonly transactions: readonly VerifiedTransaction[];
  },
  'PreparedBlock'
>;

function prepared(
  header: Header,
  bytes: Uint8Array,
  transactions: readonly VerifiedTransaction[],
): PreparedBlock {
  const hash = headerHash(header);
  return {
    candidate: {
      height: header.height,
      parentHash: header.parentHash,
      hash,
      bytes,
      closes: closesEpoch(header),
      count: transactions.length,
    },
    header,
    transactions,
  } as PreparedBlock;
}

/** A block of our own making: its transactions were verified when the pool took them. */
export function assembleBlock(
  header: Omit<Header, 'txRoot'>,
  transactions: readonly VerifiedTransaction[],
): PreparedBlock {
  const block: Block = {
    header: { ...header, txRoot: transactionsRoot(transactions.map((transaction) => transaction.id)) },
    transactions: transactions.map((transaction) => transaction.encoded),
  };
  return prepared(block.header, encodeBlock(block), transactions);
}

/**
 * The one way from bytes of a peer to a block: canonical form, transaction root, every signature. What the
 * pool has verified already is not verified again (`known`); the rest goes through the worker pool in one batch.
 * A certified block was verified by a quorum: only its form is checked.
 */
export async function prepareBlock(
  chain: Hash,
  bytes: Uint8Array,
  pool: VerifyPool | 'certified',
  known: (name: string) => VerifiedTransaction | undefined,
  checking: (names: readonly string[]) => Promise<unknown> | undefined = () => undefined,
): Promise<Result<PreparedBlock, ErrorCode>> {
  if (bytes.length > LIMITS.blockBytesMax)
    return refused('decode.too-long', `expected a block of at most ${LIMITS.blockBytesMax} bytes`);
  const decoded = decodeBlock(bytes);
  if (!decoded.ok) return decoded;
  const { header, transactions } = decoded.value;
  const ids = transactions.map(transactionId);
  if (!equalBytes(transactionsRoot(ids), header.txRoot))
    return refused('decode.not-canonical', 'the transactions do not have the root in the header');
  const names = ids.map(idText);
  // What the intake has handed to the workers is not handed to them again.
  await checking(names.filter((name) => known(name) === undefined));
  const unknown: number[] = [];
  const opened: OpenedTransaction[] = [];
  for (const [i, encoded] of transactions.entries()) {
    const id = ids[i] as Hash;
    const hit = known(names[i] as string);
    if (hit !== undefined) {
      opened[i] = hit;
      continue;
    }
    const read = openTransaction(encoded, id);
    if (!read.ok) return read;
    opened[i] = read.value;
    unknown.push(i);
  }
  if (pool !== 'certified' && unknown.length > 0) {
    const prefix = signingPrefix(chain);
    const verdicts = await pool.verifyBatch(
      unknown.map((i) => {
        const { tx, encoded } = opened[i] as OpenedTransaction;
        return { key: tx.key.bytes, prefix, message: unsignedPart(encoded), signature: tx.signature };
      }),
    );
    const bad = verdicts.indexOf(false);
    if (bad >= 0)
      return refused(
        'signature.invalid',
        `transaction ${unknown[bad]} of block ${header.height} is not signed by its sender`,
      );
  }
  // Known to the pool, found right just now, or vouched for by a quorum.
  const verified = opened
    .map((transaction) => judgeTransaction(transaction, true))
    .flatMap((judged) => (judged.ok ? [judged.value] : []));
  return ok(prepared(header, bytes, verified));
}
