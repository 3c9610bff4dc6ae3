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

export function proofFile(
  reading: Reading,
  answer: { readonly proof: string; readonly genesis: string },
): ProofFile {
  const { payload, index, device, name, unit, value, time } = reading;
  const told = { payload, index, device, name, ...(unit === undefined ? {} : { unit }), value, time };
  const { proof, genesis } = answer;
  const file = `reading-${payload.slice(0, 12)}-${index}.json`;
  return {
    name: file,
    text: `${JSON.stringify({ format: 'itc-proof-1', genesis, reading: told, proof }, null, 2)}\n`,
    bytes: Math.floor((proof.length * 3) / 4),
    command: `itc verify ${file} --genesis ${genesis}`,
  };
}
