/**
 * A state in pieces (spec SNAPSHOT): what a node that is far behind takes over instead of executing history. It
 * starts from an anchor, a block whose state quorum weight has signed. Every piece verifies alone against the anchor,
 * so pieces may come from anybody, in any order, and a wrong one names its sender.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { verifyMmrRange } from '../crypto/mmr.ts';
import { halvesOf, verifySubtree, WHOLE_TREE } from '../crypto/state-subtree.ts';
import {
  readStateProof,
  writeStateProof,
  type KeyPrefix,
  type StateTreeView,
  type Subtree,
} from '../crypto/state-tree.ts';
import {
  closesEpoch,
  headerHash,
  readCertificate,
  readHeader,
  writeCertificate,
  writeHeader,
  type Certificate,
  type Header,
} from '../ledger/block.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readStable, writeStable, type StableCertificate } from '../ledger/stable-certificate.ts';
import { readHash } from '../ledger/fields.ts';
import { parseStateKey, stateKeyHash, type StateKey } from './keys.ts';
import type { StateEntry } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';
import { idBytes } from './record-map.ts';

/** What there is to fetch. Anchor, header and certificate prove themselves; records and depths are its sender's word. */
export interface SnapshotManifest {
  /** Quorum weight has executed the block and stored this state. */
  readonly anchor: StableCertificate;
  /** Of the anchor's block: the root of the history below it. */
  readonly header: Header;
  readonly certificate: Certificate;
  /** How many there are, for those who wait. */
  readonly records: number;
  /** Bits of each chunk's prefix, in the order of the keys. The prefixes cover all keys once. */
  readonly depths: Uint8Array;
}

/** All records whose keys hash to one prefix, with the path to the root. */
export interface SnapshotChunk {
  readonly prefix: KeyPrefix;
  /** In the order of their hashed keys. */
  readonly entries: readonly StateEntry[];
  readonly siblings: readonly Hash[];
}

/** Hashes of the headers from height `start` + 1 up, with what leads to the root of the history. */
export interface HashPiece {
  readonly start: number;
  readonly hashes: readonly Hash[];
  readonly siblings: readonly Hash[];
}

/** How a state is cut: the largest pieces of the tree that do not exceed the records of a chunk. */
export function chunkDepths(tree: StateTreeView): Uint8Array {
  const depths: number[] = [];
  const rest: KeyPrefix[] = [WHOLE_TREE];
  for (let prefix = rest.pop(); prefix !== undefined; prefix = rest.pop()) {
    const count = tree.subtree(prefix)?.count ?? 0;
    if (count <= STATE_LIMITS.snapshotChunkRecordsMax || prefix.depth === STATE_LIMITS.snapshotDepthMax) {
      depths.push(prefix.depth);
      continue;
    }
    const [lower, upper] = halvesOf(prefix);
    rest.push(upper, lower);
  }
  return Uint8Array.from(depths);
}

/** The prefixes with these depths in the order of keys, or undefined when they do not cover all keys exactly once. */
export function chunkPrefixes(depths: Uint8Array): KeyPrefix[] | undefined {
  const prefixes: KeyPrefix[] = [];
  const rest: KeyPrefix[] = [WHOLE_TREE];
  for (const depth of depths) {
    let prefix = rest.pop();
    if (depth > STATE_LIMITS.snapshotDepthMax) return undefined;
    while (prefix !== undefined && prefix.depth < depth) {
      const [lower, upper] = halvesOf(prefix);
      rest.push(upper);
      prefix = lower;
    }
    if (prefix === undefined || prefix.depth !== depth) return undefined;
    prefixes.push(prefix);
  }
  return rest.length === 0 ? prefixes : undefined;
}

/** Pieces of the history below an anchor. */
export function hashPieceCount(anchorHeight: number): number {
  return Math.ceil((anchorHeight - 1) / STATE_LIMITS.snapshotHashesMax);
}

/** Which leaves of the history piece `index` holds: height − 1 counts them. */
export function hashPieceBounds(
  anchorHeight: number,
  index: number,
): { readonly start: number; readonly end: number } {
  const start = index * STATE_LIMITS.snapshotHashesMax;
  return { start, end: Math.min(start + STATE_LIMITS.snapshotHashesMax, anchorHeight - 1) };
}

/**
 * Why the parts of a manifest do not belong together, or undefined. The signatures of both certificates are for the
 * caller, who knows the validators of the epochs they name.
 */
export function manifestFlaw(manifest: SnapshotManifest): string | undefined {
  const { anchor, header, certificate } = manifest;
  const hash = headerHash(header);
  if (anchor.height < 1 || anchor.height % LIMITS.checkpointInterval !== 0)
    return `height ${anchor.height} is no checkpoint height`;
  if (header.height !== anchor.height || !equalBytes(hash, anchor.hash))
    return 'the header is not that of the anchor';
  if (
    certificate.height !== header.height ||
    certificate.epoch !== header.epoch ||
    !equalBytes(certificate.hash, hash)
  )
    return 'the certificate is not for the anchor’s header';
  // The block that closes an epoch is signed as executed by its own validators and by those who take over.
  const isNext = closesEpoch(header) && anchor.epoch === header.epoch + 1;
  if (anchor.epoch !== header.epoch && !isNext)
    return `an anchor in epoch ${header.epoch} is not for epoch ${anchor.epoch} to sign`;
  return undefined;
}

/** The piece of a state under a prefix; undefined where the tree has no such piece, or one too large to send. */
export function chunkOf(tree: StateTreeView, prefix: KeyPrefix): SnapshotChunk | undefined {
  const subtree: Subtree | undefined = tree.subtree(prefix);
  if (subtree === undefined || subtree.count > STATE_LIMITS.snapshotChunkRecordsMax) return undefined;
  const entries: StateEntry[] = [];
  for (const { label, value } of subtree.entries) entries.push({ key: idBytes(label) as StateKey, value });
  return { prefix, entries, siblings: subtree.siblings };
}

/** Whether a chunk is exactly what the state under this root has below the chunk's prefix. */
export function verifyChunk(root: Hash, chunk: SnapshotChunk): boolean {
  const { prefix, siblings } = chunk;
  if (chunk.entries.some(({ key }) => parseStateKey(key) === undefined)) return false;
  const entries = chunk.entries.map(({ key, value }) => ({ key: stateKeyHash(key), value }));
  return verifySubtree({ root, prefix, entries, siblings });
}

/** Whether header hashes are those the anchor's header commits to. */
export function verifyHashPiece(header: Header, piece: HashPiece): boolean {
  const { start, hashes: leaves, siblings } = piece;
  return verifyMmrRange(header.historyRoot, { start, count: header.height - 1, leaves, siblings });
}

export function encodeManifest(manifest: SnapshotManifest): Uint8Array {
  const writer = new Writer(2048);
  writeStable(writer, manifest.anchor);
  writeHeader(writer, manifest.header);
  writeCertificate(writer, manifest.certificate);
  return writer.u53(manifest.records).bytes(manifest.depths).finish();
}

/** Numbers beyond the limits are refused here, before anything is made room for. */
export function readManifest(reader: Reader): SnapshotManifest {
  const manifest: SnapshotManifest = {
    anchor: readStable(reader),
    header: readHeader(reader),
    certificate: readCertificate(reader),
    records: reader.u53(),
    depths: reader.bytes(STATE_LIMITS.snapshotChunksMax).slice(),
  };
  if (manifest.records > STATE_LIMITS.snapshotRecordsMax)
    reader.refuse(
      'decode.too-long',
      `expected at most ${STATE_LIMITS.snapshotRecordsMax} records, got ${manifest.records}`,
    );
  if (manifest.records > manifest.depths.length * STATE_LIMITS.snapshotChunkRecordsMax)
    reader.refuse('decode.not-canonical', `${manifest.records} records do not fit the chunks`);
  if (chunkPrefixes(manifest.depths) === undefined)
    reader.refuse('decode.not-canonical', 'expected chunks that cover every key once');
  return manifest;
}

export function decodeManifest(bytes: Uint8Array): Result<SnapshotManifest, DecodeCode> {
  return decode(readManifest, bytes);
}

export function writePrefix(writer: Writer, prefix: KeyPrefix): void {
  writer.u8(prefix.depth).raw(prefix.bits);
}

export function readPrefix(reader: Reader): KeyPrefix {
  const depth = reader.u8();
  if (depth > STATE_LIMITS.snapshotDepthMax)
    reader.refuse('decode.out-of-range', `expected at most ${STATE_LIMITS.snapshotDepthMax} bits`);
  const bits = reader.fixed(Math.ceil(depth / 8)).slice();
  const last = bits.at(-1) ?? 0;
  if ((depth & 7) !== 0 && (last & (0xff >> (depth & 7))) !== 0)
    reader.refuse('decode.not-canonical', 'expected no bit beyond the depth');
  return { depth, bits };
}

export function encodeChunk(chunk: SnapshotChunk): Uint8Array {
  const writer = new Writer(64 * 1024);
  writePrefix(writer, chunk.prefix);
  writer.list(chunk.entries, (w, entry) => w.bytes(entry.key).bytes(entry.value));
  writeStateProof(writer, { siblings: chunk.siblings, terminal: undefined });
  return writer.finish();
}

export function readChunk(reader: Reader): SnapshotChunk {
  const prefix = readPrefix(reader);
  const entries = reader.list(STATE_LIMITS.snapshotChunkRecordsMax, (r) => ({
    key: r.bytes(KEY_BYTES_MAX).slice() as StateKey,
    value: r.bytes(STATE_LIMITS.snapshotChunkBytesMax).slice(),
  }));
  const { siblings, terminal } = readStateProof(reader);
  if (terminal !== undefined) reader.refuse('decode.not-canonical', 'a chunk proves records, not an absence');
  return { prefix, entries, siblings };
}

export function decodeChunk(bytes: Uint8Array): Result<SnapshotChunk, DecodeCode> {
  return decode(readChunk, bytes);
}

export function encodeHashPiece(piece: HashPiece): Uint8Array {
  return new Writer(64 + HASH_BYTES * piece.hashes.length)
    .u53(piece.start)
    .list(piece.hashes, (w, hash) => w.fixed(hash, HASH_BYTES))
    .list(piece.siblings, (w, hash) => w.fixed(hash, HASH_BYTES))
    .finish();
}

export function readHashPiece(reader: Reader): HashPiece {
  return {
    start: reader.u53(),
    hashes: reader.list(STATE_LIMITS.snapshotHashesMax, readHash),
    siblings: reader.list(MMR_SIBLINGS_MAX, readHash),
  };
}

export function decodeHashPiece(bytes: Uint8Array): Result<HashPiece, DecodeCode> {
  return decode(readHashPiece, bytes);
}

/** A kind and two hashes. */
const KEY_BYTES_MAX = 1 + 2 * HASH_BYTES;
/** Heights are below 2^53. */
const MMR_SIBLINGS_MAX = 53;
