/** Blocks as the block log keeps them. They were certified, and a frame carries a checksum: what does not decode is damage. */
import type { Hash } from '@itc/core/crypto/hash.js';
import { decodeBlock, decodeCertificate, type Certificate } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import type { BlockLog } from '../storage/block-log.ts';
import { assembleBlock, type PreparedBlock } from './prepared-block.ts';

/** Signatures are not checked again. Errors: `storage.corrupt`, also when the block is not there. */
export function storedBlock(chain: Hash, log: BlockLog, at: number): PreparedBlock {
  const bytes = log.get(at)?.block;
  const decoded = bytes === undefined ? undefined : decodeBlock(bytes);
  if (bytes === undefined || decoded === undefined || !decoded.ok)
    throw new LedgerError('storage.corrupt', `block ${at} cannot be read`);
  const transactions = decoded.value.transactions.map((encoded) => {
    const verified = verifyTransaction(chain, encoded, () => true);
    if (!verified.ok)
      throw new LedgerError(
        'storage.corrupt',
        `a transaction of block ${at} does not decode: ${verified.message}`,
      );
    return verified.value;
  });
  return assembleBlock(decoded.value.header, transactions);
}

/** Undefined when the block is not there. */
export function storedBytes(
  log: BlockLog,
  at: number,
): { readonly block: Uint8Array; readonly certificate: Certificate } | undefined {
  const stored = log.get(at);
  if (stored === undefined) return undefined;
  const certificate = decodeCertificate(stored.certificate);
  if (!certificate.ok)
    throw new LedgerError(
      'storage.corrupt',
      `the certificate of block ${at} does not decode: ${certificate.message}`,
    );
  return { block: stored.block, certificate: certificate.value };
}
