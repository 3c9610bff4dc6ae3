/**
 * The file `itc proof` writes and `itc verify` reads: the proof itself and, for people, the reading it is about.
 * There is one form of it: what is read is written again and must give the same bytes, so no change goes unseen.
 */
import { LedgerError } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { CO_SIGNED_BYTES_MAX } from './co-signed-proof.ts';
import type { BatchPart } from './proven-record.ts';
import type { SenmlRecord } from '@itc/edge/2-conversion/senml.js';

export interface ProofFile {
  readonly format: 'itc-proof-1';
  /** Hash of the genesis document, for information: `verify` takes the hash it trusts from its caller. */
  readonly genesis: string;
  readonly reading: ReadingText;
  /** base64url of the canonical proof (spec LIGHT-2). */
  readonly proof: string;
  /** Of a reading that came in a batch: the payload holds the root, this shows the reading under it (spec DEVICE-3.3). */
  readonly batch?: {
    /** Which record of that reading. */
    readonly record: number;
    /** base64url */
    readonly proof: string;
  };
  /** base64url of a co-signed stream from genesis (spec QUANTUM-3) that shows the header of the proof. */
  readonly coSigned?: string;
}

export interface ReadingText {
  readonly payload: string;
  /** In the payload, or of the reading in its batch. */
  readonly index: number;
  readonly device: string;
  readonly name: string;
  readonly unit?: string;
  readonly value: string | number | boolean;
  readonly time: number;
}

/** With co-signatures, which take four characters for three bytes, and a reading of a batch. */
export const FILE_BYTES_MAX: number = 6 * LIMITS.proofBytesMax + Math.ceil((4 * CO_SIGNED_BYTES_MAX) / 3);

export function formatProofFile(file: ProofFile): string {
  const { payload, index, device, name, unit, value, time } = file.reading;
  const reading = { payload, index, device, name, ...(unit === undefined ? {} : { unit }), value, time };
  const { format, genesis, proof, batch, coSigned } = file;
  const written = {
    format,
    genesis,
    reading,
    proof,
    ...(batch && { batch: { record: batch.record, proof: batch.proof } }),
    ...(coSigned !== undefined && { coSigned }),
  };
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** Throws `request.malformed` for anything but a file `formatProofFile` has written. */
export function parseProofFile(text: string): {
  readonly file: ProofFile;
  readonly proof: Uint8Array;
  readonly coSigned: Uint8Array | undefined;
  readonly batch: BatchPart | undefined;
} {
  if (text.length > FILE_BYTES_MAX)
    throw new LedgerError('request.malformed', `a proof file has at most ${FILE_BYTES_MAX} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new LedgerError('request.malformed', 'the file is not JSON', {}, error);
  }
  const file = parsed as ProofFile;
  const flaw = flawOf(file);
  if (flaw !== undefined) throw new LedgerError('request.malformed', flaw);
  const proof = new Uint8Array(Buffer.from(file.proof, 'base64url'));
  const coSigned =
    file.coSigned === undefined ? undefined : new Uint8Array(Buffer.from(file.coSigned, 'base64url'));
  const { batch } = file;
  const batchProof = batch && new Uint8Array(Buffer.from(batch.proof, 'base64url'));
  const again = formatProofFile({
    ...file,
    ...(batch &&
      batchProof && {
        batch: { record: batch.record, proof: Buffer.from(batchProof).toString('base64url') },
      }),
    proof: Buffer.from(proof).toString('base64url'),
    ...(coSigned && { coSigned: Buffer.from(coSigned).toString('base64url') }),
  });
  if (again !== text)
    throw new LedgerError('request.malformed', 'the file is not in the one form that itc proof writes');
  return {
    file,
    proof,
    coSigned,
    batch: batch && batchProof && { record: batch.record, proof: batchProof },
  };
}

function flawOf(file: ProofFile | null): string | undefined {
  if (typeof file !== 'object' || file === null || Array.isArray(file)) return 'expected a JSON object';
  if (file.format !== 'itc-proof-1') return 'expected "format": "itc-proof-1"';
  if (typeof file.genesis !== 'string' || typeof file.proof !== 'string')
    return 'expected texts for "genesis" and "proof"';
  if (file.coSigned !== undefined && typeof file.coSigned !== 'string')
    return 'expected a text for "coSigned"';
  const { batch } = file;
  if (
    batch !== undefined &&
    (typeof batch !== 'object' ||
      batch === null ||
      typeof batch.proof !== 'string' ||
      !Number.isSafeInteger(batch.record))
  )
    return 'expected record and proof in "batch"';
  if (typeof file.reading !== 'object' || file.reading === null) return 'expected an object for "reading"';
  return undefined;
}

/** The reading as the file tells it. */
export function readingText(parts: {
  readonly payload: string;
  readonly index: number;
  readonly device: string;
  readonly record: SenmlRecord;
}): ReadingText {
  const { record } = parts;
  const given = record.value ?? record.sum ?? 0;
  const value = given instanceof Uint8Array ? Buffer.from(given).toString('base64url') : given;
  return {
    payload: parts.payload,
    index: parts.index,
    device: parts.device,
    name: record.name,
    ...(record.unit === undefined ? {} : { unit: record.unit }),
    value,
    time: record.time,
  };
}
