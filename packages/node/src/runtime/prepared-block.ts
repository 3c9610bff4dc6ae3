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
  verificationCostOf,
  type OpenedTransaction,
  type VerifiedTransaction,
} from '@itc/core/state/verified-transaction.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import { verifySigned } from './signed-transactions.ts';

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

/** What is known of a block that was put together here, by position. */
export interface BlockParts {
  readonly header: Header;
  /** Their root is the one in the header. */
  readonly ids: readonly Hash[];
  /** From the pool, or the bytes a peer sent: those have the id at their place. */
  readonly transactions: readonly (VerifiedTransaction | Uint8Array)[];
}

/** By the very bytes that were made of them, so that nobody can be told other parts than those of its block. */
const partsOf = new WeakMap<Uint8Array, BlockParts>();

/** The bytes of a block; `prepareBlock` neither decodes them nor names their transactions again. */
export function joinParts(parts: BlockParts): Uint8Array {
  const transactions = parts.transactions.map((part) => (part instanceof Uint8Array ? part : part.encoded));
  const bytes = encodeBlock({ header: parts.header, transactions });
  partsOf.set(bytes, parts);
  return bytes;
}

/** Header, ids and what is known already of the transactions, under the root of the header. */
function takeApart(bytes: Uint8Array): Result<BlockParts, ErrorCode> {
  const decoded = decodeBlock(bytes);
  if (!decoded.ok) return decoded;
  const { header, transactions } = decoded.value;
  const ids = transactions.map(transactionId);
  if (!equalBytes(transactionsRoot(ids), header.txRoot))
    return refused('decode.not-canonical', 'the transactions do not have the root in the header');
  return ok({ header, ids, transactions });
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
  const parts = partsOf.get(bytes);
  const taken = parts === undefined ? takeApart(bytes) : ok(parts);
  if (!taken.ok) return taken;
  const { header, ids, transactions } = taken.value;
  const names = transactions.map((part, i) =>
    part instanceof Uint8Array ? idText(ids[i] as Hash) : part.name,
  );
  const found = (i: number): VerifiedTransaction | undefined => {
    const part = transactions[i] as VerifiedTransaction | Uint8Array;
    return part instanceof Uint8Array ? known(names[i] as string) : part;
  };
  // What the intake has handed to the workers is not handed to them again.
  await checking(names.filter((_, i) => found(i) === undefined));
  const unknown: number[] = [];
  const opened: OpenedTransaction[] = [];
  for (const [i, part] of transactions.entries()) {
    const hit = found(i);
    if (hit !== undefined) {
      opened[i] = hit;
      continue;
    }
    const read = openTransaction(part as Uint8Array, ids[i] as Hash);
    if (!read.ok) return read;
    opened[i] = read.value;
    unknown.push(i);
  }
  const cost = opened.reduce((sum, transaction) => sum + verificationCostOf(transaction), 0);
  if (cost > LIMITS.blockVerificationMax)
    return refused(
      'decode.too-long',
      `expected signatures of a cost of at most ${LIMITS.blockVerificationMax}, got ${cost}`,
    );
  if (pool !== 'certified' && unknown.length > 0) {
    const verdicts = await verifySigned(
      pool,
      signingPrefix(chain),
      unknown.map((i) => opened[i] as OpenedTransaction),
    );
    const bad = verdicts.indexOf(false);
    if (bad >= 0)
      return refused(
        'signature.invalid',
        `transaction ${unknown[bad]} of block ${header.height} is not signed by its sender`,
      );
  }
  // Known to the pool, found right just now, or vouched for by a quorum.
  const verified: VerifiedTransaction[] = [];
  for (const transaction of opened) {
    const judged = judgeTransaction(transaction, true);
    if (judged.ok) verified.push(judged.value);
  }
  return ok(prepared(header, bytes, verified));
}
