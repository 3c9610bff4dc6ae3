/** The write-ahead log: what a replica must not forget (spec PBFT-7). */
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import type { Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { readCertificate, writeCertificate, type Certificate } from '../ledger/block.ts';
import { epoch, view, type Epoch, type View } from '../ledger/ids.ts';
import { readStable, writeStable } from '../ledger/stable-certificate.ts';
import {
  readCheckpointMessage,
  readNewView,
  readPrepared,
  readViewChange,
  readCandidate,
  writeCandidate,
  writeCheckpointMessage,
  writeNewView,
  writePrepared,
  writeViewChange,
} from './message-codec.ts';
import type {
  Candidate,
  Checkpoint,
  NewView,
  ParseBlock,
  PreparedCertificate,
  StableCertificate,
  ViewChange,
} from './messages.ts';

/**
 * Each record belongs to one epoch; the replica of another one passes it over.
 * Replaying records in order, also some of them twice, gives the state back. `truncate` marks that what follows
 * in the same batch stands for everything before it: once the batch is durable the shell may drop the rest.
 */
export type LogRecord =
  /** In this view, at this height, this block and no other. Durable before its PRE-PREPARE or PREPARE leaves. */
  | { readonly kind: 'accepted'; readonly epoch: Epoch; readonly view: View; readonly block: Candidate }
  /** Durable before the COMMIT of this height and the PREPARE of the next. */
  | { readonly kind: 'prepared'; readonly certificate: PreparedCertificate }
  | { readonly kind: 'committed'; readonly certificate: Certificate }
  /** No vote below its view from now on. Durable before the VIEW-CHANGE leaves. */
  | { readonly kind: 'view-change'; readonly message: ViewChange }
  /** The view is entered. Durable before any vote in it. */
  | { readonly kind: 'new-view'; readonly message: NewView }
  | { readonly kind: 'checkpoint'; readonly message: Checkpoint }
  | { readonly kind: 'stable'; readonly certificate: StableCertificate }
  | { readonly kind: 'truncate' };

const KINDS = [
  'accepted',
  'prepared',
  'committed',
  'view-change',
  'new-view',
  'checkpoint',
  'stable',
  'truncate',
] as const;

/** The epoch a record belongs to; a mark belongs to none. */
export function epochOfRecord(record: LogRecord): Epoch | undefined {
  switch (record.kind) {
    case 'accepted':
      return record.epoch;
    case 'prepared':
    case 'committed':
    case 'stable':
      return record.certificate.epoch;
    case 'view-change':
    case 'new-view':
    case 'checkpoint':
      return record.message.epoch;
    case 'truncate':
      return undefined;
  }
}

export function encodeLogRecord(record: LogRecord): Uint8Array {
  const writer = new Writer(record.kind === 'accepted' ? record.block.bytes.length + 64 : 512);
  writer.u8(KINDS.indexOf(record.kind));
  switch (record.kind) {
    case 'accepted':
      writer.u32(record.epoch).u53(record.view);
      writeCandidate(writer, record.block);
      break;
    case 'prepared':
      writePrepared(writer, record.certificate);
      break;
    case 'committed':
      writeCertificate(writer, record.certificate);
      break;
    case 'view-change':
      writeViewChange(writer, record.message);
      break;
    case 'new-view':
      writeNewView(writer, record.message);
      break;
    case 'checkpoint':
      writeCheckpointMessage(writer, record.message);
      break;
    case 'stable':
      writeStable(writer, record.certificate);
      break;
    case 'truncate':
      break;
  }
  return writer.finish();
}

export function decodeLogRecord(bytes: Uint8Array, parseBlock: ParseBlock): Result<LogRecord, DecodeCode> {
  return decode((reader) => readLogRecord(reader, parseBlock), bytes);
}

function readLogRecord(reader: Reader, parseBlock: ParseBlock): LogRecord {
  const kind = KINDS[reader.u8()];
  if (kind === undefined) return reader.refuse('decode.unknown-kind', 'expected a known kind of log record');
  switch (kind) {
    case 'accepted':
      return {
        kind,
        epoch: epoch(reader.u32()),
        view: view(reader.u53()),
        block: readCandidate(reader, parseBlock),
      };
    case 'prepared':
      return { kind, certificate: readPrepared(reader) };
    case 'committed':
      return { kind, certificate: readCertificate(reader) };
    case 'view-change':
      return { kind, message: readViewChange(reader) };
    case 'new-view':
      return { kind, message: readNewView(reader) };
    case 'checkpoint':
      return { kind, message: readCheckpointMessage(reader) };
    case 'stable':
      return { kind, certificate: readStable(reader) };
    case 'truncate':
      return { kind };
  }
}
