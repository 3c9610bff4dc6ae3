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
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Brand, type Result } from '@itc/core/bytes/result.js';
import type { ErrorCode } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import {
  signedBytes,
  verifyTransaction,
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
  known: (id: string) => VerifiedTransaction | undefined,
): Promise<Result<PreparedBlock, ErrorCode>> {
  if (bytes.length > LIMITS.blockBytesMax)
    return refused('decode.too-long', `expected a block of at most ${LIMITS.blockBytesMax} bytes`);
  const decoded = decodeBlock(bytes);
  if (!decoded.ok) return decoded;
  const { header, transactions } = decoded.value;
  const ids = transactions.map(transactionId);
  if (!equalBytes(transactionsRoot(ids), header.txRoot))
    return refused('decode.not-canonical', 'the transactions do not have the root in the header');
  const items: { key: Uint8Array; message: Uint8Array; signature: Uint8Array }[] = [];
  const unknown: number[] = [];
  const verified: VerifiedTransaction[] = [];
  for (const [i, encoded] of transactions.entries()) {
    const hit = known(toHex(ids[i] as Hash));
    if (hit !== undefined) {
      verified[i] = hit;
      continue;
    }
    // Decoding happens before any signature work; the verdict of the pool replaces the verifier below.
    let key: Uint8Array | undefined;
    let signature: Uint8Array | undefined;
    const shape = verifyTransaction(chain, encoded, (publicKey, _message, itsSignature) => {
      key = publicKey.bytes;
      signature = itsSignature;
      return true;
    });
    if (!shape.ok) return shape;
    verified[i] = shape.value;
    unknown.push(i);
    items.push({
      key: key as Uint8Array,
      message: signedBytes(chain, encoded),
      signature: signature as Uint8Array,
    });
  }
  const verdicts = pool === 'certified' ? [] : await pool.verifyBatch(items);
  const bad = verdicts.indexOf(false);
  if (bad >= 0)
    return refused(
      'signature.invalid',
      `transaction ${unknown[bad]} of block ${header.height} is not signed by its sender`,
    );
  return ok(prepared(header, bytes, verified));
}
