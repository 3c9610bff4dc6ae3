/**
 * The proof of a reading as a file, in the form that `itc proof` writes and `itc verify` reads, and the
 * command that checks it. Pure.
 */
import type { Reading } from './wire.ts';

export interface ProofFile {
  readonly name: string;
  readonly text: string;
  /** Length of the proof itself. */
  readonly bytes: number;
  readonly command: string;
}

/** Shows a reading under the root of its batch (DEVICE-3.3). */
export interface BatchProof {
  readonly proof: string;
  /** Of the reading in its batch, and of the record in that reading. */
  readonly index: number;
  readonly record: number;
}

export function proofFile(
  reading: Reading,
  answer: { readonly proof: string; readonly genesis: string },
  /** Of a reading that came in a batch. */
  batch?: BatchProof,
): ProofFile {
  const { payload, index, device, name, unit, value, time } = reading;
  // In a file a reading of a batch is counted among those of the batch, as its proof does.
  const told = {
    payload,
    index: batch?.index ?? index,
    device,
    name,
    ...(unit === undefined ? {} : { unit }),
    value,
    time,
  };
  const { proof, genesis } = answer;
  const file = `reading-${payload.slice(0, 12)}-${index}.json`;
  const written = {
    format: 'itc-proof-1',
    genesis,
    reading: told,
    proof,
    ...(batch && { batch: { record: batch.record, proof: batch.proof } }),
  };
  return {
    name: file,
    text: `${JSON.stringify(written, null, 2)}\n`,
    bytes: Math.floor((proof.length * 3) / 4),
    command: `itc verify ${file} --genesis ${genesis}`,
  };
}
