/**
 * Sets, headers and certificates as light streams have them (spec LIGHT-9.1): without what the client knows already, because it trusts it, or
 * because it stands elsewhere in the stream. Read back here for programs that keep the certified headers of a stream they have judged.
 */
import { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { equalBytes } from '../bytes/hex.ts';
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../crypto/signature.ts';
import {
  closesEpoch,
  HEADER_FLAGS,
  HEADER_VERSION,
  headerHash,
  type Certificate,
  type Header,
} from '../ledger/block.ts';
import { epoch, height, millis, view, type Epoch } from '../ledger/ids.ts';
import { readHash } from '../ledger/fields.ts';
import { indicesOf, validatorsHash, type ValidatorSet } from '../ledger/validators.ts';
import { ADJACENT, EARLIER, NEWEST, SKIPPING } from './engine/believe.ts';
import { ITEM_HISTORY } from './engine/items.ts';
import { FLAG_OTHER_SET } from './engine/layout.ts';
import type { CertifiedHeader } from './trust.ts';

/** Which header it is, as `I_FORM` has it: of an adjacent or a skipping hop, the newest, or one of its history. */
export type HeaderForm = number;

/** A header and who certified it. */
export interface ShownHead extends CertifiedHeader {
  readonly validators: ValidatorSet;
}

/** Six bytes: enough for a time until the year 10889, and for as many blocks. */
export function writeU48(writer: Writer, value: number): Writer {
  return writer.u16(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
}

function readU48(reader: Reader): number {
  return reader.u16() * 2 ** 32 + reader.u32();
}

/** One weight for all, or each its own behind its key. */
export function writeShownSet(writer: Writer, set: ValidatorSet): void {
  const [first] = set;
  const isEven = first !== undefined && set.every(({ weight }) => weight === first.weight);
  writer.u8(set.length).bool(isEven);
  if (isEven) writer.u32(first.weight);
  for (const { key, weight } of set) {
    writer.fixed(key.bytes, PUBLIC_KEY_BYTES);
    if (!isEven) writer.u32(weight);
  }
}

function readShownSet(reader: Reader): ValidatorSet {
  const count = reader.u8();
  const common = reader.bool() ? reader.u32() : undefined;
  return Array.from({ length: count }, () => {
    const key = { algorithm: ED25519, bytes: reader.kept(PUBLIC_KEY_BYTES) } as const;
    return { key, weight: common ?? reader.u32() };
  });
}

/** `newest`: of an earlier header the one that stands before it in the stream. */
export function writeShownHeader(writer: Writer, header: Header, form: HeaderForm, newest?: Header): void {
  const isOther = newest !== undefined && !equalBytes(header.validatorsHash, newest.validatorsHash);
  writer.u8(header.flags | (isOther ? FLAG_OTHER_SET : 0));
  if (form === SKIPPING || form === EARLIER) writer.u32(header.epoch);
  writeU48(writer, header.height);
  writeU48(writer, header.time);
  for (const hash of [header.parentHash, header.txRoot, header.stateRoot, header.historyRoot])
    writer.fixed(hash, HASH_BYTES);
  if (isOther) writer.fixed(header.validatorsHash, HASH_BYTES);
  if (closesEpoch(header) && form !== ADJACENT) writer.fixed(header.nextValidatorsHash, HASH_BYTES);
}

/** What a header's form leaves out. */
interface Known {
  readonly epoch: Epoch;
  readonly validatorsHash: Hash;
  /** Of an adjacent hop. */
  readonly next?: Hash;
}

function readShownHeader(reader: Reader, form: HeaderForm, known: Known): Header {
  const shown = reader.u8();
  const flags = shown & HEADER_FLAGS.closes;
  const at = form === SKIPPING || form === EARLIER ? epoch(reader.u32()) : known.epoch;
  const start = {
    version: HEADER_VERSION,
    flags,
    epoch: at,
    height: height(readU48(reader)),
    time: millis(readU48(reader)),
    parentHash: readHash(reader),
    txRoot: readHash(reader),
    stateRoot: readHash(reader),
    historyRoot: readHash(reader),
  };
  const set = (shown & FLAG_OTHER_SET) === 0 ? known.validatorsHash : readHash(reader);
  const next = flags === 0 ? set : (known.next ?? readHash(reader));
  return { ...start, validatorsHash: set, nextValidatorsHash: next };
}

/** View, who signed, and their signatures: the rest is the header's. */
export function writeShownCertificate(writer: Writer, { view: at, signers, signatures }: Certificate): void {
  writeU48(writer, at).raw(signers);
  for (const signature of signatures) writer.fixed(signature, SIGNATURE_BYTES);
}

function readShownCertificate(reader: Reader, header: Header, set: ValidatorSet): Certificate {
  const at = view(readU48(reader));
  const signers = reader.kept(Math.ceil(set.length / 8));
  const count = indicesOf(signers, set.length)?.length ?? 0;
  const signatures = Array.from({ length: count }, () => reader.kept(SIGNATURE_BYTES));
  return {
    epoch: header.epoch,
    view: at,
    height: header.height,
    hash: headerHash(header),
    signers,
    signatures,
  };
}

/**
 * Every certified header of a stream that was judged, the newest last; returns the header of a history item right behind it. Throws
 * `DecodeError` at bytes a verifier would refuse, and where the stream ends.
 */
export function* shownHeads(
  stream: Uint8Array,
  trusted: Epoch,
): Generator<ShownHead, Header | undefined, void> {
  const reader = new Reader(stream.slice(), true);
  const head = (form: HeaderForm, known: Known, validators: ValidatorSet): ShownHead => {
    const header = readShownHeader(reader, form, known);
    return { validators, header, certificate: readShownCertificate(reader, header, validators) };
  };
  reader.u8();
  let validators = readShownSet(reader);
  let known: Known = { epoch: trusted, validatorsHash: validatorsHash(validators) };
  for (let hops = reader.u16(); hops > 0; hops -= 1) {
    const isAdjacent = reader.u8() === ADJACENT;
    const shown = readShownSet(reader);
    const hash = validatorsHash(shown);
    const taken = isAdjacent
      ? head(ADJACENT, { ...known, next: hash }, validators)
      : head(SKIPPING, { ...known, validatorsHash: hash }, shown);
    yield taken;
    const { epoch: at } = taken.header;
    known = { epoch: isAdjacent ? epoch(at + 1) : at, validatorsHash: hash };
    validators = shown;
  }
  yield head(NEWEST, known, validators);
  const isEarlier = reader.remaining > 0 && reader.u8() === ITEM_HISTORY;
  return isEarlier ? readShownHeader(reader, EARLIER, known) : undefined;
}
