/**
 * Co-signed streams as a server writes them (spec QUANTUM-3): frames, each judged before the next is read, so that a reader
 * needs room for one frame and for the keys it has met. For programs: a chip of 16 kB has no room for ML-DSA.
 */
import { Writer } from '../bytes/writer.ts';
import { idText } from '../bytes/id-text.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { MmrPath } from '../crypto/mmr.ts';
import { ML_DSA_KEY_BYTES, ML_DSA_SIGNATURE_BYTES } from '../crypto/ml-dsa.ts';
import { writeStateProof } from '../crypto/state-tree.ts';
import { writeHeader, type Header } from '../ledger/block.ts';
import { coSignersQuorum, encodeCoSigners, hasCoSigner, type CoSigners } from '../ledger/co-signers.ts';
import type { Address } from '../ledger/address.ts';
import { bitmapOf } from '../ledger/validators.ts';
import type { StateKey } from '../state/keys.ts';
import { writeShown, type Shown, type ShownRecord } from './shown-record.ts';

export const CO_SIGNED_STREAM_VERSION = 1;

/** Epochs one stream leads across; a client further behind asks again from where it got to. */
export const CO_SIGNED_HOPS_MAX = 256;
/** Of one frame's body: a record and its path. */
export const CO_SIGNED_FRAME_BYTES_MAX = 32_768;

/** Kinds of frames; kind u8 ‖ length u16 ‖ body. */
export const FRAME = {
  /** Nothing: the end. */
  end: 0,
  /** version u8 ‖ the co-signers that are trusted. */
  trusted: 1,
  /** header ‖ state root 32 ‖ bitmap. */
  checkpoint: 2,
  /** [ key 1312, where it was not shown before ] ‖ signature 2420. */
  signature: 3,
  /** The record of co-signers and its path under the checkpoint's state root. */
  successors: 4,
  /** An earlier header ‖ its path to the history root of the checkpoint's header. */
  history: 5,
  /** id 32 ‖ index u32 ‖ count u32 ‖ path to the txRoot of the last header shown. */
  transaction: 6,
  /** State key ‖ record or none ‖ path under the checkpoint's state root. */
  state: 7,
} as const;

/** One validator's signature, with the key it is by. */
export interface CoSignature {
  readonly signer: Address;
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

/** As nodes gather it: by keys, whatever set a client will judge it with. */
export interface CoSignedCheckpoint {
  readonly header: Header;
  /** After this block. */
  readonly stateRoot: Hash;
  readonly coSignatures: readonly CoSignature[];
}

export interface CoSignedHop extends CoSignedCheckpoint {
  readonly successors: ShownRecord;
  /** What the record says. */
  readonly coSigners: CoSigners;
}

export type CoSignedItem =
  /** An earlier header; transactions behind it are judged under it. */
  | { readonly kind: 'history'; readonly header: Header; readonly path: MmrPath }
  | {
      readonly kind: 'transaction';
      readonly id: Hash;
      readonly index: number;
      readonly count: number;
      readonly path: readonly Hash[];
    }
  | { readonly kind: 'state'; readonly key: StateKey; readonly shown: Shown };

export interface CoSignedStream {
  readonly trusted: CoSigners;
  readonly hops: readonly CoSignedHop[];
  readonly checkpoint: CoSignedCheckpoint;
  readonly items: readonly CoSignedItem[];
}

/** Places of those signers, the heaviest first, that are enough for these co-signers. Undefined when there are not enough. */
export function enoughOf(
  trusted: CoSigners,
  coSignatures: readonly Pick<CoSignature, 'signer'>[],
): number[] | undefined {
  const signed = new Set(coSignatures.map(({ signer }) => idText(signer)));
  const places = trusted.members
    .map((member, index) => ({ ...member, index }))
    .filter((member) => hasCoSigner(member) && signed.has(idText(member.key)))
    .toSorted((a, b) => b.weight - a.weight || a.index - b.index);
  const needed = coSignersQuorum(trusted);
  const chosen: number[] = [];
  let weight = 0;
  for (const { index, weight: own } of places) {
    if (weight >= needed) break;
    weight += own;
    chosen.push(index);
  }
  return weight < needed ? undefined : chosen.toSorted((a, b) => a - b);
}

/** The whole stream; throws where a checkpoint is not signed by enough of those trusted when it comes: the caller has found the way. */
export function encodeCoSignedStream(stream: CoSignedStream): Uint8Array {
  const writer = new Writer(65_536);
  for (const frame of coSignedFrames(stream)) writer.raw(frame);
  return writer.finish();
}

export function* coSignedFrames(stream: CoSignedStream): Generator<Uint8Array, void> {
  const { hops, checkpoint, items } = stream;
  if (hops.length > CO_SIGNED_HOPS_MAX)
    throw new RangeError(`expected at most ${CO_SIGNED_HOPS_MAX} hops, got ${hops.length}`);
  const shown = new ShownKeys();
  let trusted = stream.trusted;
  yield frame(FRAME.trusted, (w) => w.u8(CO_SIGNED_STREAM_VERSION).raw(encodeCoSigners(trusted)));
  for (const hop of hops) {
    yield* checkpointFrames(trusted, hop, shown);
    yield frame(FRAME.successors, (w) =>
      writeStateProof(w.bytes(hop.successors.record), hop.successors.proof),
    );
    trusted = hop.coSigners;
    shown.keepOnly(trusted);
  }
  yield* checkpointFrames(trusted, checkpoint, shown);
  for (const item of items) yield itemFrame(item);
  yield frame(FRAME.end, () => undefined);
}

/** Keys that a reader has met and still trusts. */
class ShownKeys {
  #names = new Set<string>();

  /** Whether it is to be shown now. */
  meet(key: Address): boolean {
    const name = idText(key);
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    return true;
  }

  keepOnly({ members }: CoSigners): void {
    const still = new Set(members.map(({ key }) => idText(key)));
    this.#names = new Set([...this.#names].filter((name) => still.has(name)));
  }
}

function* checkpointFrames(
  trusted: CoSigners,
  { header, stateRoot, coSignatures }: CoSignedCheckpoint,
  shown: ShownKeys,
): Generator<Uint8Array, void> {
  const places = enoughOf(trusted, coSignatures);
  if (places === undefined) throw new RangeError(`height ${header.height} is not co-signed by enough`);
  yield frame(FRAME.checkpoint, (w) => {
    writeHeader(w, header);
    w.fixed(stateRoot, HASH_BYTES).bytes(bitmapOf(places, trusted.members.length));
  });
  const bySigner = new Map(coSignatures.map((one) => [idText(one.signer), one]));
  for (const place of places) {
    const one = bySigner.get(idText((trusted.members[place] as CoSigners['members'][number]).key));
    if (one === undefined) throw new RangeError('a signer was chosen that has not signed');
    const isNew = shown.meet(one.signer);
    yield frame(FRAME.signature, (w) => {
      if (isNew) w.fixed(one.key, ML_DSA_KEY_BYTES);
      w.fixed(one.signature, ML_DSA_SIGNATURE_BYTES);
    });
  }
}

function itemFrame(item: CoSignedItem): Uint8Array {
  switch (item.kind) {
    case 'history':
      return frame(FRAME.history, (w) => {
        writeHeader(w, item.header);
        w.list(item.path.siblings, (to, hash) => to.fixed(hash, HASH_BYTES));
      });
    case 'transaction':
      return frame(FRAME.transaction, (w) =>
        w
          .fixed(item.id, HASH_BYTES)
          .u32(item.index)
          .u32(item.count)
          .list(item.path, (to, hash) => to.fixed(hash, HASH_BYTES)),
      );
    case 'state':
      return frame(FRAME.state, (w) => writeShown(w.bytes(item.key), item.shown));
  }
}

function frame(kind: number, write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(4096);
  write(writer);
  const body = writer.finish();
  if (body.length > CO_SIGNED_FRAME_BYTES_MAX)
    throw new RangeError(`a frame holds at most ${CO_SIGNED_FRAME_BYTES_MAX} bytes, got ${body.length}`);
  return new Writer(body.length + 3).u8(kind).u16(body.length).raw(body).finish();
}
