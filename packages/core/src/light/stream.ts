/**
 * A light stream as its server writes it (spec LIGHT-9): one answer that leads a client from what it trusts to the newest
 * header and proves items under it, laid out so that every step can be judged as the bytes come. `engine/machine.ts`
 * judges it.
 */
import { equalBytes } from '../bytes/hex.ts';
import { utf8Encode, Writer } from '../bytes/writer.ts';
import { HASH_BYTES, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { SIGNATURE_BYTES, SIGNATURE_DOMAINS, type PublicKey } from '../crypto/signature.ts';
import type { StateProof } from '../crypto/state-tree.ts';
import { writeCertificate, writeHeader, type Header } from '../ledger/block.ts';
import { encodeCheckpoint, type SubnetCheckpoint } from '../ledger/checkpoint.ts';
import type { Millis } from '../ledger/ids.ts';
import { writeValidatorSet, type ValidatorSet } from '../ledger/validators.ts';
import type { StateKey } from '../state/keys.ts';
import { ITEM_APPLIED, ITEM_FRESH, ITEM_HISTORY, ITEM_STATE, ITEM_TRANSACTION } from './engine/items.ts';
import { STREAM_HOPS_MAX, STREAM_VERSION } from './engine/machine.ts';
import type { LinkedHeader } from './certified.ts';

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
  /** A payload the subnet's last checkpoint applied; its record must be the item before. */
  | {
      readonly kind: 'applied';
      readonly checkpoint: SubnetCheckpoint;
      readonly id: Hash;
      readonly index: number;
      readonly path: readonly Hash[];
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
  if (stream.hops.length > STREAM_HOPS_MAX)
    throw new RangeError(`expected at most ${STREAM_HOPS_MAX} hops, got ${stream.hops.length}`);
  const writer = new Writer(4096);
  writer.u8(STREAM_VERSION);
  writeValidatorSet(writer, stream.trusted);
  writer.list(stream.hops, (w, hop) => {
    w.u8(hop.kind === 'adjacent' ? 0 : 1);
    writeValidatorSet(w, hop.validators);
    writeHeader(w, hop.header);
    writeCertificate(w, hop.certificate);
  });
  writeHeader(writer, stream.header);
  writeCertificate(writer, stream.certificate);
  for (const item of stream.items) writeItem(writer, item);
  return writer.u8(0).finish();
}

function writeItem(writer: Writer, item: LightItem): void {
  switch (item.kind) {
    case 'history':
      writer.u8(ITEM_HISTORY);
      writeHeader(writer, item.header);
      writePath(writer, item.siblings);
      return;
    case 'transaction':
      writer.u8(ITEM_TRANSACTION).fixed(item.id, HASH_BYTES).u32(item.index).u32(item.count);
      writePath(writer, item.path);
      return;
    case 'state':
      writeStateItem(writer, item);
      return;
    case 'applied': {
      const checkpoint = encodeCheckpoint(item.checkpoint);
      writer.u8(ITEM_APPLIED).u16(checkpoint.length).raw(checkpoint);
      writer.fixed(item.id, HASH_BYTES).u32(item.index);
      writePath(writer, item.path);
      return;
    }
    case 'fresh':
      writer
        .u8(ITEM_FRESH)
        .fixed(item.gateway.bytes, HASH_BYTES)
        .u53(item.time)
        .fixed(item.signature, SIGNATURE_BYTES);
      return;
  }
}

function writePath(writer: Writer, path: readonly Hash[]): void {
  writer.u8(path.length);
  for (const sibling of path) writer.fixed(sibling, HASH_BYTES);
}

/** Siblings go from the leaf up, so that a reader needs no memory for them. */
function writeStateItem(writer: Writer, item: Extract<LightItem, { kind: 'state' }>): void {
  const { key, value, proof } = item;
  writer.u8(ITEM_STATE).u8(key.length).raw(key);
  if (value !== undefined) writer.u8(2).u16(value.length).raw(value);
  else if (proof.terminal === undefined) writer.u8(0);
  else writer.u8(1).fixed(proof.terminal.key, HASH_BYTES).fixed(proof.terminal.valueHash, HASH_BYTES);
  writer.u16(proof.siblings.length);
  for (const sibling of proof.siblings.toReversed()) {
    const isEmpty = equalBytes(sibling, ZERO_HASH);
    writer.bool(!isEmpty);
    if (!isEmpty) writer.fixed(sibling, HASH_BYTES);
  }
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
