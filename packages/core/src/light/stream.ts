/**
 * A light stream as its server writes it (spec LIGHT-9): one answer that leads a client from what it trusts to the newest
 * header and proves items under it, laid out so that every step can be judged as the bytes come. `engine/machine.ts`
 * judges it.
 */
import { concatBytes, equalBytes } from '../bytes/hex.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS, type PublicKey } from '../crypto/signature.ts';
import type { MmrPath } from '../crypto/mmr.ts';
import type { StateProof } from '../crypto/state-tree.ts';
import type { Header } from '../ledger/block.ts';
import type { SubnetCheckpoint } from '../ledger/checkpoint.ts';
import type { Millis } from '../ledger/ids.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { StateKey } from '../state/keys.ts';
import { ADJACENT, EARLIER, NEWEST, SKIPPING } from './engine/believe.ts';
import { ITEM_APPLIED, ITEM_FRESH, ITEM_HISTORY, ITEM_STATE, ITEM_TRANSACTION } from './engine/items.ts';
import { STREAM_HOPS_MAX, STREAM_VERSION } from './engine/machine.ts';
import type { LinkedHeader } from './certified.ts';
import { writeShownCertificate, writeShownHeader, writeShownSet, writeU48 } from './stream-parts.ts';

export interface LightStream extends LinkedHeader {
  /** The set of the epoch the client trusts: it keeps its hash only. */
  readonly trusted: ValidatorSet;
  readonly items: readonly LightItem[];
}

export type LightItem =
  /** An earlier header; the items behind it are judged under it. */
  | { readonly kind: 'history'; readonly header: Header; readonly siblings: readonly Hash[] }
  | {
      readonly kind: 'transaction';
      readonly id: Hash;
      readonly index: number;
      readonly count: number;
      readonly path: readonly Hash[];
    }
  | {
      readonly kind: 'state';
      readonly key: StateKey;
      /** Absent: that the key holds nothing. */
      readonly value?: Uint8Array;
      readonly proof: StateProof;
    }
  /** A payload any checkpoint of a subnet applied, however long ago: shown under all checkpoints of the subnet in the state. */
  | {
      readonly kind: 'applied';
      readonly checkpoint: Pick<SubnetCheckpoint, 'subnet' | 'time' | 'payloadCount'>;
      readonly id: Hash;
      /** Among the payloads of the checkpoint, and the path to its appliedRoot. */
      readonly index: number;
      readonly path: readonly Hash[];
      /** Place of the checkpoint, its sequence − 1, among all that the state has. */
      readonly range: MmrPath;
      /** Of the record at `checkpointRangeKey`. */
      readonly proof: StateProof;
    }
  | {
      readonly kind: 'fresh';
      readonly gateway: PublicKey;
      readonly time: Millis;
      /** By the gateway's key over `freshnessSigningBytes`. */
      readonly signature: Uint8Array;
    };

/** Throws when there are more hops than a stream may have: the server then leads the client a part of the way. */
export function encodeLightStream(stream: LightStream): Uint8Array {
  return concatBytes(encodeLightWay(stream), encodeLightItems(stream.items, stream.header));
}

/** From the trusted set to the certificate of the newest header: the same for all clients who trust the same epoch. */
export function encodeLightWay(stream: Omit<LightStream, 'items'>): Uint8Array {
  if (stream.hops.length > STREAM_HOPS_MAX)
    throw new RangeError(`expected at most ${STREAM_HOPS_MAX} hops, got ${stream.hops.length}`);
  const writer = new Writer(4096);
  writer.u8(STREAM_VERSION);
  writeShownSet(writer, stream.trusted);
  writer.list(stream.hops, (w, hop) => {
    const form = hop.kind === 'adjacent' ? ADJACENT : SKIPPING;
    w.u8(form);
    writeShownSet(w, hop.validators);
    writeShownHeader(w, hop.header, form);
    writeShownCertificate(w, hop.certificate);
  });
  writeShownHeader(writer, stream.header, NEWEST);
  writeShownCertificate(writer, stream.certificate);
  return writer.finish();
}

/** What stands behind the way, and the end. */
export function encodeLightItems(items: readonly LightItem[], newest: Header): Uint8Array {
  const writer = new Writer(2048);
  for (const item of items) writeItem(writer, item, newest);
  return writer.u8(0).finish();
}

function writeItem(writer: Writer, item: LightItem, newest: Header): void {
  switch (item.kind) {
    case 'history':
      writer.u8(ITEM_HISTORY);
      writeShownHeader(writer, item.header, EARLIER, newest);
      writePath(writer, item.siblings);
      return;
    case 'transaction':
      writer.u8(ITEM_TRANSACTION).fixed(item.id, HASH_BYTES).u32(item.index).u32(item.count);
      writePath(writer, item.path);
      return;
    case 'state':
      writeStateItem(writer, item);
      return;
    case 'applied':
      writeAppliedItem(writer, item);
      return;
    case 'fresh':
      writer
        .u8(ITEM_FRESH)
        .fixed(item.gateway.bytes, HASH_BYTES)
        .u53(item.time)
        .fixed(item.signature, SIGNATURE_BYTES);
      return;
  }
}

/** As long as index and count ask for: nothing says so twice. */
function writePath(writer: Writer, path: readonly Hash[]): void {
  for (const sibling of path) writer.fixed(sibling, HASH_BYTES);
}

function writeAppliedItem(writer: Writer, item: Extract<LightItem, { kind: 'applied' }>): void {
  const { checkpoint, id, index, path, range, proof } = item;
  writer.u8(ITEM_APPLIED).fixed(checkpoint.subnet, HASH_BYTES).fixed(id, HASH_BYTES);
  writer.u32(index).u32(checkpoint.payloadCount);
  writePath(writer, path);
  writeU48(writer, checkpoint.time);
  writeU48(writer, range.index + 1);
  writeU48(writer, range.count);
  writePath(writer, range.siblings);
  writeStatePath(writer, proof);
}

function writeStateItem(writer: Writer, item: Extract<LightItem, { kind: 'state' }>): void {
  const { key, value, proof } = item;
  writer.u8(ITEM_STATE).u8(key.length).raw(key);
  if (value !== undefined) writer.u8(2).u16(value.length).raw(value);
  else if (proof.terminal === undefined) writer.u8(0);
  else writer.u8(1).fixed(proof.terminal.key, HASH_BYTES).fixed(proof.terminal.valueHash, HASH_BYTES);
  writeStatePath(writer, proof);
}

/**
 * From the leaf up, so that a reader needs no memory for siblings: a bit for each level with something on its other side, then what is there.
 * Throws beyond 255 levels, which two keys would have to share all but the last bit of their hashes for.
 */
function writeStatePath(writer: Writer, proof: StateProof): void {
  const siblings = proof.siblings.toReversed();
  const levels = new Uint8Array(Math.ceil(siblings.length / 8));
  const full = siblings.filter((sibling, i) => {
    const isFull = !equalBytes(sibling, ZERO_HASH);
    if (isFull) levels[i >> 3] = (levels[i >> 3] as number) | (1 << (i & 7));
    return isFull;
  });
  writer.u8(siblings.length).raw(levels);
  writePath(writer, full);
}

/** What a gateway signs to say that it knows no newer header: domain ‖ 0x00 ‖ chain ‖ nonce 32 ‖ header hash ‖ time u53. */
export function freshnessSigningBytes(o: {
  readonly chain: Hash;
  readonly nonce: Uint8Array;
  readonly hash: Hash;
  readonly time: Millis;
}): Uint8Array {
  return new Writer(128)
    .raw(utf8Encode(SIGNATURE_DOMAINS.fresh))
    .u8(0)
    .fixed(o.chain, HASH_BYTES)
    .fixed(o.nonce, HASH_BYTES)
    .fixed(o.hash, HASH_BYTES)
    .u53(o.time)
    .finish();
}
