/**
 * Where a transaction or a payload lies: what a proof of it needs besides headers and state, which every node has. Nodes forget it with the
 * bodies they prune, and ask others for it (spec LIGHT-10.6); it is checked against header and state, so whoever has it may say it.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { merkleLeaf, merkleRootFromPath, MerkleTree } from '@itc/core/crypto/merkle.js';
import { verifyMmrPath, type MmrPath } from '@itc/core/crypto/mmr.js';
import { transactionsRootOf } from '@itc/core/ledger/block.js';
import { height, millis, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { checkpointLeaf } from '@itc/core/state/checkpoint-range.js';
import { checkpointRangeKey } from '@itc/core/state/keys.js';
import type { AppliedRange } from './applied-range.ts';
import type { Chain } from './chain.ts';
import type { SubnetStore } from './subnet-store.ts';

export interface TransactionPiece {
  readonly kind: 'transaction';
  readonly id: Hash;
  readonly height: Height;
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
}

export interface PayloadPiece {
  readonly kind: 'payload';
  readonly id: Hash;
  readonly subnet: Hash;
  /** Of the checkpoint that applied it. */
  readonly time: Millis;
  /** Among `count` payloads of the checkpoint. */
  readonly index: number;
  readonly count: number;
  readonly path: readonly Hash[];
  /** The checkpoint among those that the state under a header has. */
  readonly range: MmrPath;
}

export type Piece = TransactionPiece | PayloadPiece;

export interface PieceQuestion {
  readonly kind: Piece['kind'];
  readonly id: Hash;
  /** Header of the answer, whose state decides how many checkpoints there are. */
  readonly under: Height;
}

type PieceChain = Pick<Chain, 'receipt' | 'included' | 'headerAt' | 'stateUnder'>;

export interface LightPiecesOptions {
  readonly chain: PieceChain;
  readonly subnet?: { readonly id: Hash; readonly store: SubnetStore; readonly range: AppliedRange };
}

/** Trees over the payloads of a checkpoint that are kept for the next question. */
const TREES_MAX = 8;
/** Levels of a path: more than any count below 2^53 needs. */
const PATH_MAX = 53;

/** `later`: it is here, and no header commits it yet. */
export class LightPieces {
  readonly #o: LightPiecesOptions;
  /** By checkpoint, the latest last: readings that are asked for lie together. */
  readonly #trees = new Map<number, MerkleTree>();

  constructor(options: LightPiecesOptions) {
    this.#o = options;
  }

  find({ kind, id, under }: PieceQuestion): Piece | 'later' | undefined {
    return kind === 'transaction' ? this.#transaction(id) : this.#payload(id, under);
  }

  #transaction(id: Hash): Piece | undefined {
    const { chain } = this.#o;
    const receipt = chain.receipt(id);
    const included = receipt && chain.included(receipt);
    if (included === undefined) return undefined;
    const { header, index, count, path } = included;
    return { kind: 'transaction', id, height: header.height, index, count, path };
  }

  #payload(id: Hash, under: Height): Piece | 'later' | undefined {
    const { chain, subnet } = this.#o;
    const place = subnet?.store.place(id);
    const kept = place && subnet?.store.kept(place.checkpoint);
    const tree = place && this.#treeOf(place.checkpoint);
    if (subnet === undefined || place === undefined || kept === undefined || tree === undefined)
      return undefined;
    const checkpoints = chain.stateUnder(under)?.checkpointPeaks(subnet.id)?.count ?? 0;
    if (place.checkpoint > checkpoints || checkpoints > subnet.range.count) return 'later';
    const range = subnet.range.path(place.checkpoint, checkpoints);
    // It began later, and does not know what came before this checkpoint.
    if (range === undefined) return undefined;
    const { index } = place;
    const path = tree.path(index);
    return {
      kind: 'payload',
      id,
      subnet: subnet.id,
      time: millis(kept.time),
      index,
      count: tree.count,
      path,
      range,
    };
  }

  #treeOf(checkpoint: number): MerkleTree | undefined {
    const known = this.#trees.get(checkpoint);
    const ids = known === undefined ? this.#o.subnet?.store.appliedIds(checkpoint) : undefined;
    const tree = known ?? (ids && new MerkleTree(ids));
    if (tree === undefined) return undefined;
    this.#trees.delete(checkpoint);
    this.#trees.set(checkpoint, tree);
    const [oldest] = this.#trees.keys();
    if (oldest !== undefined && this.#trees.size > TREES_MAX) this.#trees.delete(oldest);
    return tree;
  }
}

/** Whether what somebody says is so, under the header that was asked about. */
export function holds(
  chain: Pick<PieceChain, 'headerAt' | 'stateUnder'>,
  { kind, id, under }: PieceQuestion,
  piece: Piece,
): boolean {
  if (piece.kind !== kind || !equalBytes(piece.id, id)) return false;
  const { index, count, path } = piece;
  const root = merkleRootFromPath({ leafHash: merkleLeaf(id), index, count, path });
  if (root === undefined) return false;
  if (piece.kind === 'transaction') {
    const header = chain.headerAt(piece.height)?.header;
    return header !== undefined && equalBytes(transactionsRootOf(count, root), header.txRoot);
  }
  const { subnet, time, range } = piece;
  const committed = chain.stateUnder(under)?.get(checkpointRangeKey(subnet));
  if (committed === undefined) return false;
  const leaf = checkpointLeaf({ time, payloadCount: count, appliedRoot: root });
  return verifyMmrPath({ root: committed as Hash, leaf, path: range });
}

export function encodePiece(piece: Piece): Uint8Array {
  const writer = new Writer(2048);
  const { id, index, count, path } = piece;
  writer.u8(piece.kind === 'transaction' ? 1 : 2).fixed(id, HASH_BYTES);
  writer.u32(index).u32(count).list(path, writeHash);
  if (piece.kind === 'transaction') return writer.u53(piece.height).finish();
  const { subnet, time, range } = piece;
  writer.fixed(subnet, HASH_BYTES).u53(time).u53(range.index).u53(range.count);
  return writer.list(range.siblings, writeHash).finish();
}

export function decodePiece(bytes: Uint8Array): Result<Piece, DecodeCode> {
  return decode((reader): Piece => {
    const kind = reader.u8();
    if (kind < 1 || kind > 2) reader.refuse('decode.unknown-kind', `expected a piece, got kind ${kind}`);
    const id = readHash(reader);
    const place = { index: reader.u32(), count: reader.u32(), path: readPath(reader) };
    if (kind === 1) return { kind: 'transaction', id, ...place, height: height(reader.u53()) };
    const subnet = readHash(reader);
    const time = millis(reader.u53());
    const range = { index: reader.u53(), count: reader.u53(), siblings: readPath(reader) };
    return { kind: 'payload', id, subnet, time, ...place, range };
  }, bytes);
}

const writeHash = (writer: Writer, hash: Hash): Writer => writer.fixed(hash, HASH_BYTES);
const readPath = (reader: Reader): Hash[] => reader.list(PATH_MAX, readHash);
