import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Circuit } from '../flp/circuit.ts';
import { FIELD64 } from '../field.ts';
import {
  prio3Count,
  prio3Histogram,
  prio3L1BoundSum,
  prio3MultihotCountVec,
  prio3Sum,
  prio3SumVec,
} from '../instances.ts';
import type { KernelChoice } from '../machine.ts';
import { Prio3 } from '../prio3.ts';

/** The published vectors beside the repository, or undefined where they are absent. */
export const vectorFolder: string | undefined = findVectors();
export const skip: string | false = vectorFolder === undefined ? '../shared/vectors is absent' : false;

function findVectors(): string | undefined {
  // dist/testing → the package → packages → the repository → its parent.
  const root = join(dirname(fileURLToPath(import.meta.url)), '../../../..');
  const folder = join(root, '../shared/vectors/vdaf');
  return existsSync(folder) ? folder : undefined;
}

export interface VectorReport {
  readonly measurement: unknown;
  readonly nonce: string;
  readonly rand: string;
  readonly public_share: string;
  readonly input_shares: readonly string[];
  readonly verifier_shares: readonly (readonly string[])[];
  readonly verifier_messages: readonly string[];
  readonly out_shares: readonly string[];
}

export type VectorOperation =
  | { readonly operation: 'shard'; readonly report_index: number; readonly success: boolean }
  | {
      readonly operation: 'verify_init' | 'verify_next';
      readonly report_index: number;
      readonly aggregator_id: number;
      readonly success: boolean;
    }
  | {
      readonly operation: 'verifier_shares_to_message';
      readonly report_index: number;
      readonly success: boolean;
    }
  | { readonly operation: 'aggregate' | 'unshard'; readonly success: boolean };

export interface Vector {
  readonly ctx: string;
  readonly shares: number;
  readonly verify_key: string;
  readonly agg_shares: readonly string[];
  readonly agg_result: number | readonly number[] | null;
  readonly operations: readonly VectorOperation[];
  readonly reports: readonly VectorReport[];
  readonly length?: number;
  readonly chunk_length?: number;
  readonly max_measurement?: number;
  readonly max_weight?: number;
  readonly max_value?: number;
}

export function readVector<T = Vector>(name: string): T {
  return JSON.parse(readFileSync(join(vectorFolder ?? '', name), 'utf8')) as T;
}

/** File names of the Prio3 vectors in the folder, whatever set it holds. */
export const prio3Vectors = (): string[] =>
  vectorFolder === undefined ? [] : readdirSync(vectorFolder).filter((name) => name.startsWith('Prio3'));

/** The circuit x(x - 1)(x - 2) of the draft's higher-degree vector: a gadget of degree three. */
export function higherDegree(calls = 1): Circuit<readonly number[], readonly bigint[]> {
  return {
    field: FIELD64,
    gadget: { kind: 'poly-eval', coefficients: [0n, 2n, -3n, 1n] },
    calls,
    wiring: 'copy',
    measurementLength: calls,
    evaluations: 'each-gadget',
    weights: [1n],
    outputLength: calls,
    encode: (measurement) => Uint8Array.from(measurement),
    decode: (values) => values,
  };
}

/** The instance that a vector of this name describes. */
export function instanceOf(name: string, vector: Vector, kernel: KernelChoice): Prio3<never, unknown> {
  const common = { shares: vector.shares, kernel };
  const shape = { ...common, length: vector.length ?? 0, chunkLength: vector.chunk_length };
  const max = vector.max_measurement ?? vector.max_value ?? 0;
  const circuit = name.slice('Prio3'.length, name.indexOf('_'));
  switch (circuit) {
    case 'Count':
      return prio3Count(common);
    case 'Sum':
      return prio3Sum({ ...common, max });
    case 'SumVec':
      return prio3SumVec({ ...shape, max });
    case 'SumVecWithMultiproof':
      return prio3SumVec({ ...shape, max, proofs: 3 });
    case 'Histogram':
      return prio3Histogram(shape);
    case 'MultihotCountVec':
      return prio3MultihotCountVec({ ...shape, maxWeight: vector.max_weight ?? 0 });
    case 'L1BoundSum':
      return prio3L1BoundSum({ ...shape, max });
    case 'HigherDegree':
      return new Prio3({ ...common, algorithmId: 0xffff_ffff, circuit: higherDegree() });
    default:
      throw new Error(`no instance for the vector ${name}`);
  }
}

export const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
