/**
 * What is said between a process that takes over a state and those that have it (spec SNAPSHOT-5): a request names
 * one thing, its answer repeats the number of the request and brings that thing or a refusal.
 */
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { KeyPrefix } from '@itc/core/crypto/state-tree.js';
import { readCertificate, readHeader, writeCertificate, writeHeader } from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CertifiedHeader } from '@itc/core/light/trust.js';
import { STATE_LIMITS } from '@itc/core/state/limits.js';
import { readManifest, readPrefix, writePrefix, type SnapshotManifest } from '@itc/core/state/snapshot.js';

/** `height` is that of the anchor. */
export type SyncRequest =
  | { readonly kind: 'manifests' }
  /** How the validator sets followed one another, from the block that closed epoch `from` up. */
  | { readonly kind: 'epochs'; readonly from: number }
  | { readonly kind: 'chunk'; readonly height: number; readonly prefix: KeyPrefix }
  | { readonly kind: 'hashes'; readonly height: number; readonly index: number }
  /** The anchor's own block. */
  | { readonly kind: 'block'; readonly height: number };

/** `unknown`: not held here, or not any more. */
export type SyncAnswer = { readonly kind: 'piece'; readonly body: Uint8Array } | { readonly kind: 'unknown' };

/** The block that closes an epoch, and who decides in the next one. */
export interface EpochTurn {
  readonly closing: CertifiedHeader;
  readonly validators: ValidatorSet;
}

export interface Numbered<T> {
  readonly number: number;
  readonly content: T;
}

export const SYNC_LIMITS = {
  /** Anchors one process offers at a time. */
  manifestsMax: 4,
  /** Turns of epochs in one answer. */
  turnsMax: 64,
  requestBytesMax: 64,
} as const;

/** Number, kind, and the largest thing there is. */
export const SYNC_REPLY_BYTES_MAX: number =
  16 + Math.max(LIMITS.blockBytesMax, STATE_LIMITS.snapshotChunkBytesMax);

const REQUESTS = ['manifests', 'epochs', 'chunk', 'hashes', 'block'] as const;
const ANSWERS = ['piece', 'unknown'] as const;

export function encodeRequest({ number, content }: Numbered<SyncRequest>): Uint8Array {
  const writer = new Writer(32).u32(number).u8(REQUESTS.indexOf(content.kind));
  switch (content.kind) {
    case 'manifests':
      break;
    case 'epochs':
      writer.u32(content.from);
      break;
    case 'chunk':
      writer.u53(content.height);
      writePrefix(writer, content.prefix);
      break;
    case 'hashes':
      writer.u53(content.height).u32(content.index);
      break;
    case 'block':
      writer.u53(content.height);
      break;
  }
  return writer.finish();
}

function readRequest(reader: Reader): Numbered<SyncRequest> {
  return { number: reader.u32(), content: readContent(reader) };
}

function readContent(reader: Reader): SyncRequest {
  const kind =
    REQUESTS[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'expected a known kind of request');
  switch (kind) {
    case 'manifests':
      return { kind };
    case 'epochs':
      return { kind, from: reader.u32() };
    case 'chunk':
      return { kind, height: reader.u53(), prefix: readPrefix(reader) };
    case 'hashes':
      return { kind, height: reader.u53(), index: reader.u32() };
    case 'block':
      return { kind, height: reader.u53() };
  }
}

export function decodeRequest(bytes: Uint8Array): Result<Numbered<SyncRequest>, DecodeCode> {
  return decode(readRequest, bytes);
}

export function encodeAnswer({ number, content }: Numbered<SyncAnswer>): Uint8Array {
  const body = content.kind === 'piece' ? content.body : new Uint8Array(0);
  return new Writer(8 + body.length).u32(number).u8(ANSWERS.indexOf(content.kind)).raw(body).finish();
}

export function decodeAnswer(bytes: Uint8Array): Result<Numbered<SyncAnswer>, DecodeCode> {
  return decode(readAnswer, bytes);
}

function readAnswer(reader: Reader): Numbered<SyncAnswer> {
  const number = reader.u32();
  const kind =
    ANSWERS[reader.u8()] ?? reader.refuse('decode.unknown-kind', 'expected a known kind of answer');
  return { number, content: kind === 'piece' ? { kind, body: reader.fixed(reader.remaining) } : { kind } };
}

export function encodeManifests(manifests: readonly Uint8Array[]): Uint8Array {
  return new Writer(4096).list(manifests, (w, manifest) => w.raw(manifest)).finish();
}

export function decodeManifests(bytes: Uint8Array): Result<SnapshotManifest[], DecodeCode> {
  return decode((reader) => reader.list(SYNC_LIMITS.manifestsMax, readManifest), bytes);
}

export function encodeTurns(turns: readonly EpochTurn[]): Uint8Array {
  const writer = new Writer(4096);
  writer.list(turns, (w, { closing, validators }) => {
    writeHeader(w, closing.header);
    writeCertificate(w, closing.certificate);
    writeValidatorSet(w, validators);
  });
  return writer.finish();
}

export function decodeTurns(bytes: Uint8Array): Result<EpochTurn[], DecodeCode> {
  const readTurn = (reader: Reader): EpochTurn => ({
    closing: { header: readHeader(reader), certificate: readCertificate(reader) },
    validators: readValidatorSet(reader),
  });
  return decode((reader) => reader.list(SYNC_LIMITS.turnsMax, readTurn), bytes);
}
