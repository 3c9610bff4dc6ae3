/**
 * What is kept of a pruned block (spec SNAPSHOT-11): header, certificate, and the subnet checkpoints in it with their paths, so
 * that every reading that was ever final stays provable. A kilobyte in place of a block.
 */
import { decode, type Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import {
  readCertificate,
  readHeader,
  writeCertificate,
  writeHeader,
  type Block,
  type Certificate,
} from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { decodeTransaction, transactionId } from '@itc/core/ledger/transaction.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import type { Change, Table, Tables } from '../ports.ts';
import { heightKey } from './executed-blocks.ts';

/** One transaction of a certified block, with what proves it there. */
export interface Included extends CertifiedHeader {
  readonly transaction: Uint8Array;
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
}

export interface KeptBlock extends CertifiedHeader {
  readonly transactionCount: number;
  readonly checkpoints: readonly Pick<Included, 'transaction' | 'index' | 'path'>[];
}

const TABLE = 'kept-blocks';

export class KeptBlocks {
  readonly #table: Table;

  constructor(tables: Tables) {
    this.#table = tables.table(TABLE);
  }

  at(of: number): KeptBlock | undefined {
    const stored = this.#table.get(heightKey(of));
    const kept = stored === undefined ? undefined : decode(readKept, stored);
    if (kept === undefined) return undefined;
    if (!kept.ok)
      throw new LedgerError(
        'storage.corrupt',
        `what was kept of block ${of} does not decode: ${kept.message}`,
      );
    return kept.value;
  }

  included(of: number, index: number): Included | undefined {
    const kept = this.at(of);
    const checkpoint = kept?.checkpoints.find((each) => each.index === index);
    if (kept === undefined || checkpoint === undefined) return undefined;
    const { header, certificate, transactionCount: count } = kept;
    return { header, certificate, count, ...checkpoint };
  }
}

/** From the whole block. */
export function includedIn(block: Block, certificate: Certificate, index: number): Included | undefined {
  const { header, transactions } = block;
  const transaction = transactions[index];
  if (transaction === undefined) return undefined;
  const path = new MerkleTree(transactions.map(transactionId)).path(index);
  return { header, certificate, transaction, index, count: transactions.length, path };
}

export function keptChange(block: Block, certificate: Certificate): Change {
  const { header, transactions } = block;
  const checkpoints = transactions.flatMap((transaction, index) => {
    const decoded = decodeTransaction(transaction);
    return decoded.ok && decoded.value.body.kind === 'checkpoint' ? [{ transaction, index }] : [];
  });
  const tree = checkpoints.length === 0 ? undefined : new MerkleTree(transactions.map(transactionId));
  const writer = new Writer(1024);
  writeHeader(writer, header);
  writeCertificate(writer, certificate);
  writer.u32(transactions.length).list(checkpoints, (w, { transaction, index }) => {
    w.u32(index).bytes(transaction);
    w.list(tree?.path(index) ?? [], (each, hash) => each.fixed(hash, HASH_BYTES));
  });
  return { table: TABLE, key: heightKey(header.height), value: writer.finish() };
}

function readKept(reader: Reader): KeptBlock {
  return {
    header: readHeader(reader),
    certificate: readCertificate(reader),
    transactionCount: reader.u32(),
    checkpoints: reader.list(LIMITS.blockTransactionsMax, (r) => ({
      index: r.u32(),
      transaction: r.bytes(LIMITS.transactionBytesMax).slice(),
      path: r.list(LIMITS.merklePathMax, readHash),
    })),
  };
}
