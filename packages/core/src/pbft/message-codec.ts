/** Canonical bytes of the messages (spec PBFT-3, WIRE-1). Decoding checks form only; `verifyMessage` checks the rest. */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import { SIGNATURE_BYTES } from '../crypto/signature.ts';
import { readCertificate, writeCertificate } from '../ledger/block.ts';
import { epoch, height, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { readStable, writeStable } from '../ledger/stable-certificate.ts';
import { readHash } from '../ledger/fields.ts';
import { PBFT_LIMITS } from './limits.ts';
import type {
  BlockId,
  Candidate,
  Checkpoint,
  Include,
  Message,
  NewView,
  ParseBlock,
  PreparedCertificate,
  ViewChange,
} from './messages.ts';

const KINDS = [
  'pre-prepare',
  'prepare',
  'commit',
  'checkpoint',
  'view-change',
  'new-view',
  'status',
  'fetch',
  'body',
  'include',
] as const;

export function encodeMessage(message: Message): Uint8Array {
  const carriesBlock = message.kind === 'pre-prepare' || message.kind === 'body';
  const writer = new Writer(carriesBlock ? message.block.bytes.length + 128 : 512);
  writer.u8(KINDS.indexOf(message.kind));
  switch (message.kind) {
    case 'pre-prepare':
      writer.u16(message.sender).u32(message.epoch).u53(message.view);
      writeCandidate(writer, message.block);
      writer.fixed(message.signature, SIGNATURE_BYTES);
      break;
    case 'prepare':
    case 'commit':
      writer.u16(message.sender).u32(message.epoch).u53(message.view).u53(message.height);
      writer.fixed(message.hash, HASH_BYTES).fixed(message.signature, SIGNATURE_BYTES);
      break;
    case 'checkpoint':
      writeCheckpointMessage(writer, message);
      break;
    case 'view-change':
      writeViewChange(writer, message);
      break;
    case 'new-view':
      writeNewView(writer, message);
      break;
    case 'status':
      writer
        .u16(message.sender)
        .u32(message.epoch)
        .u53(message.view)
        .bool(message.changing)
        .u53(message.committed)
        .u53(message.stable);
      writeOptional(writer, message.committedCertificate, writeCertificate);
      writeOptional(writer, message.stableCertificate, writeStable);
      writer.bytes(message.suspects);
      break;
    case 'include':
      writeIncludeBody(writer, message);
      writer.fixed(message.signature, SIGNATURE_BYTES);
      break;
    case 'fetch':
      writer.u16(message.sender).u32(message.epoch).u53(message.height).fixed(message.hash, HASH_BYTES);
      break;
    case 'body':
      writer.u16(message.sender).u32(message.epoch);
      writeCandidate(writer, message.block);
      break;
  }
  return writer.finish();
}

/** Fields are copies, except the bytes of a block, which `parseBlock` may keep or copy as it likes. */
export function decodeMessage(bytes: Uint8Array, parseBlock: ParseBlock): Result<Message, DecodeCode> {
  return decode((reader) => readMessage(reader, parseBlock), bytes);
}

function readMessage(reader: Reader, parseBlock: ParseBlock): Message {
  const kind = KINDS[reader.u8()];
  if (kind === undefined) return reader.refuse('decode.unknown-kind', 'expected a known kind of message');
  switch (kind) {
    case 'pre-prepare':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        view: view(reader.u53()),
        block: readCandidate(reader, parseBlock),
        signature: readSignature(reader),
      };
    case 'prepare':
    case 'commit':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        view: view(reader.u53()),
        height: height(reader.u53()),
        hash: readHash(reader),
        signature: readSignature(reader),
      };
    case 'checkpoint':
      return readCheckpointMessage(reader);
    case 'view-change':
      return readViewChange(reader);
    case 'new-view':
      return readNewView(reader);
    case 'status':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        view: view(reader.u53()),
        changing: reader.bool(),
        committed: height(reader.u53()),
        stable: height(reader.u53()),
        committedCertificate: readOptional(reader, readCertificate),
        stableCertificate: readOptional(reader, readStable),
        suspects: readBitmap(reader),
      };
    case 'include':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        ids: reader.list(LIMITS.inclusionMax, readHash),
        signature: readSignature(reader),
      };
    case 'fetch':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        height: height(reader.u53()),
        hash: readHash(reader),
      };
    case 'body':
      return {
        kind,
        sender: reader.u16(),
        epoch: epoch(reader.u32()),
        block: readCandidate(reader, parseBlock),
      };
  }
}

export function writeCandidate(writer: Writer, block: Candidate): void {
  // Height, parent and hash are inside the bytes: what is not repeated cannot contradict.
  writer.bytes(block.bytes);
}

export function readCandidate(reader: Reader, parseBlock: ParseBlock): Candidate {
  const block = parseBlock(reader.bytes(LIMITS.blockBytesMax));
  return block ?? reader.refuse('decode.not-canonical', 'expected the canonical bytes of a block');
}

export function writePrepared(writer: Writer, certificate: PreparedCertificate): void {
  writer
    .u32(certificate.epoch)
    .u53(certificate.view)
    .u53(certificate.height)
    .fixed(certificate.digest, HASH_BYTES);
  writeSignatures(writer, certificate);
}

export function readPrepared(reader: Reader): PreparedCertificate {
  return {
    epoch: epoch(reader.u32()),
    view: view(reader.u53()),
    height: height(reader.u53()),
    digest: readHash(reader),
    ...readSignatures(reader),
  };
}

export function writeCheckpointMessage(writer: Writer, message: Checkpoint): void {
  writer.u16(message.sender).u32(message.epoch).u53(message.height);
  writer
    .fixed(message.hash, HASH_BYTES)
    .fixed(message.stateRoot, HASH_BYTES)
    .fixed(message.signature, SIGNATURE_BYTES);
}

export function readCheckpointMessage(reader: Reader): Checkpoint {
  return {
    kind: 'checkpoint',
    sender: reader.u16(),
    epoch: epoch(reader.u32()),
    height: height(reader.u53()),
    hash: readHash(reader),
    stateRoot: readHash(reader),
    signature: readSignature(reader),
  };
}

/** Everything of a VIEW-CHANGE its signature covers. */
export function writeViewChangeBody(writer: Writer, message: Omit<ViewChange, 'signature'>): void {
  writer.u16(message.sender).u32(message.epoch).u53(message.view);
  writeOptional(writer, message.stable, writeStable);
  writeOptional(writer, message.committed, writeCertificate);
  writer.list(message.prepared, writePrepared);
  writer.bytes(message.suspects);
}

export function writeViewChange(writer: Writer, message: ViewChange): void {
  writeViewChangeBody(writer, message);
  writer.fixed(message.signature, SIGNATURE_BYTES);
}

export function readViewChange(reader: Reader): ViewChange {
  return {
    kind: 'view-change',
    sender: reader.u16(),
    epoch: epoch(reader.u32()),
    view: view(reader.u53()),
    stable: readOptional(reader, readStable),
    committed: readOptional(reader, readCertificate),
    prepared: reader.list(PBFT_LIMITS.preparedMax, readPrepared),
    suspects: readBitmap(reader),
    signature: readSignature(reader),
  };
}

/** Everything of a NEW-VIEW its signature covers. */
export function writeNewViewBody(writer: Writer, message: Omit<NewView, 'signature'>): void {
  writer.u16(message.sender).u32(message.epoch).u53(message.view);
  writer.list(message.viewChanges, writeViewChange);
  writeBlockId(writer, message.base);
  writer.list(message.reproposals, writeBlockId);
  writer.bytes(message.skipped);
}

export function writeNewView(writer: Writer, message: NewView): void {
  writeNewViewBody(writer, message);
  writer.fixed(message.signature, SIGNATURE_BYTES);
}

export function readNewView(reader: Reader): NewView {
  return {
    kind: 'new-view',
    sender: reader.u16(),
    epoch: epoch(reader.u32()),
    view: view(reader.u53()),
    viewChanges: reader.list(LIMITS.validatorsMax, readViewChange),
    base: readBlockId(reader),
    reproposals: reader.list(PBFT_LIMITS.preparedMax, readBlockId),
    skipped: readBitmap(reader),
    signature: readSignature(reader),
  };
}

/** Everything of an INCLUDE its signature covers. */
export function writeIncludeBody(writer: Writer, message: Omit<Include, 'signature'>): void {
  writer.u16(message.sender).u32(message.epoch);
  writer.list(message.ids, (w, id) => w.fixed(id, HASH_BYTES));
}

function writeBlockId(writer: Writer, id: BlockId): void {
  writer.u53(id.height).fixed(id.hash, HASH_BYTES);
}

function readBlockId(reader: Reader): BlockId {
  return { height: height(reader.u53()), hash: readHash(reader) };
}

function writeSignatures(
  writer: Writer,
  from: { readonly signers: Uint8Array; readonly signatures: readonly Uint8Array[] },
): void {
  writer.bytes(from.signers).list(from.signatures, (w, signature) => w.fixed(signature, SIGNATURE_BYTES));
}

function readSignatures(reader: Reader): { signers: Uint8Array; signatures: Uint8Array[] } {
  return {
    signers: readBitmap(reader),
    signatures: reader.list(LIMITS.validatorsMax, readSignature),
  };
}

function readBitmap(reader: Reader): Uint8Array {
  return reader.bytes(Math.ceil(LIMITS.validatorsMax / 8)).slice();
}

function readSignature(reader: Reader): Uint8Array {
  return reader.fixed(SIGNATURE_BYTES).slice();
}

function writeOptional<T>(
  writer: Writer,
  value: T | undefined,
  write: (writer: Writer, value: T) => void,
): void {
  writer.bool(value !== undefined);
  if (value !== undefined) write(writer, value);
}

function readOptional<T>(reader: Reader, read: (reader: Reader) => T): T | undefined {
  return reader.bool() ? read(reader) : undefined;
}
