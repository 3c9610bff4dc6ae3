/**
 * What a wallet's light client keeps between runs (spec CLIENT-14.3): its trust, the certified header it stands on, the last values it
 * saw proved, and headers that contradict each other. One text of bytes with one encoding; where it lies is the platform's business.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { decode, type DecodeCode, type Reader } from '@itc/core/bytes/reader.js';
import type { Result } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import {
  headerHash,
  readCertificate,
  readHeader,
  writeCertificate,
  writeHeader,
  type Certificate,
  type Header,
} from '@itc/core/ledger/block.js';
import { height, millis, type Height, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { readValidatorSet, writeValidatorSet, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { listSigners } from '@itc/core/light/certificate.js';
import { doubleVotes } from '@itc/core/light/double-vote.js';
import type { Evidence } from '@itc/core/ledger/evidence.js';
import { TRUST_BYTES } from '@itc/core/light/engine/layout.js';
import type { LightHead } from './light-request.ts';

/** IndexedDB in a browser, a file in Node, or memory: `MemoryLightStore`, `fileLightStore`. A write is whole or did not happen. */
export interface LightStore {
  read(): Promise<Uint8Array | undefined>;
  write(bytes: Uint8Array): Promise<void>;
}

/** What was proved last under one name, shown when no gateway answers. */
export interface Seen {
  /** `lightName` of what was asked. */
  readonly name: Uint8Array;
  /** Undefined: that there is nothing. */
  readonly value: Uint8Array | undefined;
  readonly proof: ProofLine;
}

/** Under which certified header something was proved. */
export interface ProofLine {
  readonly height: Height;
  /** Of the header, by the validators' clocks. */
  readonly time: Millis;
  /** Places in the validator set of those who signed the header, and how much of the weight they are. */
  readonly signers: readonly number[];
  readonly weight: number;
  readonly total: number;
}

/** Two headers that cannot both be of one chain, unless a third of the weight or more misbehaved. */
export interface LightConflict {
  readonly height: Height;
  /** The header that was believed; absent when only its hash was pinned. */
  readonly first: LightHead | undefined;
  readonly second: LightHead;
  /** The header at `height` that the second one builds on, where the second is a later one. */
  readonly earlier: Header | undefined;
}

export interface Kept {
  /** 149 bytes, see `encodeTrust`. */
  readonly trust: Uint8Array;
  /** The header the trust stands on; absent right after genesis or a pinned checkpoint. */
  readonly head: LightHead | undefined;
  /** Oldest first. */
  readonly seen: readonly Seen[];
  readonly conflicts: readonly LightConflict[];
}

/** Values that are remembered; the ones seen longest ago go. */
export const SEEN_MAX = 64;
/** Conflicts that are kept: one is a catastrophe already. */
export const CONFLICTS_MAX = 4;
const NAME_BYTES_MAX = 80;
/** A payload, its length, and the time of its checkpoint. */
const VALUE_BYTES_MAX = LIMITS.payloadBytesMax + 12;
const VERSION = 1;

export class MemoryLightStore implements LightStore {
  #bytes: Uint8Array | undefined;

  constructor(bytes?: Uint8Array) {
    this.#bytes = bytes;
  }

  read(): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#bytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.#bytes = bytes.slice();
    return Promise.resolve();
  }
}

export function encodeKept(kept: Kept): Uint8Array {
  const writer = new Writer(4096).u8(VERSION).fixed(kept.trust, TRUST_BYTES);
  writeOptional(writer, kept.head, writeHead);
  writer.list(kept.seen, (w, { name, value, proof }) => {
    w.bytes(name);
    writeOptional(w, value, (v, bytes) => v.bytes(bytes));
    w.u53(proof.height).u53(proof.time);
    w.list(proof.signers, (s, index) => s.u16(index));
    w.u53(proof.weight).u53(proof.total);
  });
  writer.list(kept.conflicts, (w, conflict) => {
    w.u53(conflict.height);
    writeOptional(w, conflict.first, writeHead);
    writeHead(w, conflict.second);
    writeOptional(w, conflict.earlier, writeHeader);
  });
  return writer.finish();
}

export function decodeKept(bytes: Uint8Array): Result<Kept, DecodeCode> {
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected version ${VERSION}, got ${version}`);
    return {
      trust: reader.fixed(TRUST_BYTES).slice(),
      head: readOptional(reader, readHead),
      seen: reader.list(SEEN_MAX, readSeen),
      conflicts: reader.list(CONFLICTS_MAX, (r) => ({
        height: height(r.u53()),
        first: readOptional(r, readHead),
        second: readHead(r),
        earlier: readOptional(r, readHeader),
      })),
    };
  }, bytes);
}

function readSeen(reader: Reader): Seen {
  return {
    name: reader.bytes(NAME_BYTES_MAX).slice(),
    value: readOptional(reader, (r) => r.bytes(VALUE_BYTES_MAX).slice()),
    proof: {
      height: height(reader.u53()),
      time: millis(reader.u53()),
      signers: reader.list(LIMITS.validatorsMax, (r) => r.u16()),
      weight: reader.u53(),
      total: reader.u53(),
    },
  };
}

function writeHead(writer: Writer, head: LightHead): void {
  writeValidatorSet(writer, head.validators);
  writeHeader(writer, head.header);
  writeCertificate(writer, head.certificate);
}

function readHead(reader: Reader): LightHead {
  return {
    validators: readValidatorSet(reader),
    header: readHeader(reader),
    certificate: readCertificate(reader),
  };
}

function writeOptional<T>(writer: Writer, value: T | undefined, write: (w: Writer, value: T) => void): void {
  writer.bool(value !== undefined);
  if (value !== undefined) write(writer, value);
}

function readOptional<T>(reader: Reader, read: (r: Reader) => T): T | undefined {
  return reader.bool() ? read(reader) : undefined;
}

/** Who signed a head that was verified. */
export function proofLine(head: LightHead, under: Pick<Header, 'height' | 'time'> = head.header): ProofLine {
  return { height: under.height, time: under.time, ...signedBy(head.validators, head.certificate) };
}

function signedBy(
  validators: ValidatorSet,
  certificate: Certificate,
): Pick<ProofLine, 'signers' | 'weight' | 'total'> {
  const signed = listSigners(validators, certificate.signers);
  if (signed === undefined) throw new RangeError('the certificate does not fit its set');
  const { signers, weight, total } = signed;
  return { signers: signers.map(({ index }) => index), weight, total };
}

/** Who voted for both in one view: ready to be sent as `evidence`. None where the two lie at different heights or views. */
export function convicted({ first, second }: LightConflict): Evidence[] {
  if (first === undefined || equalBytes(headerHash(first.header), headerHash(second.header))) return [];
  return doubleVotes(first.validators, first.certificate, second.certificate);
}
