/** Records as proofs show them: bytes with the path that proves them, or that there is none (spec CRYPTO-7). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import {
  readStateProof,
  writeStateProof,
  type StateProof,
  type StateTreeView,
} from '../crypto/state-tree.ts';
import { stateKeyHash, type StateKey } from '../state/keys.ts';

/** A record with what proves it, or that there is none. */
export interface Shown {
  readonly record: Uint8Array | undefined;
  readonly proof: StateProof;
}

/** A record that is there. */
export interface ShownRecord {
  readonly record: Uint8Array;
  readonly proof: StateProof;
}

/** The prover's side. */
export function showIn(tree: StateTreeView, key: StateKey): Shown {
  const hash = stateKeyHash(key);
  return { record: tree.get(hash), proof: tree.prove(hash) };
}

/** Undefined when there is none. */
export function present({ record, proof }: Shown): ShownRecord | undefined {
  return record && { record, proof };
}

/** Whether there is one, its bytes, and the path. */
export function writeShown(writer: Writer, { record, proof }: Shown): void {
  writer.bool(record !== undefined);
  if (record !== undefined) writer.bytes(record);
  writeStateProof(writer, proof);
}

export function readShown(reader: Reader, recordBytesMax: number): Shown {
  const record = reader.bool() ? reader.bytes(recordBytesMax).slice() : undefined;
  return { record, proof: readStateProof(reader) };
}

/** The bytes and the path of one that must be there. */
export function writeShownRecord(writer: Writer, { record, proof }: ShownRecord): void {
  writeStateProof(writer.bytes(record), proof);
}

export function readShownRecord(reader: Reader, recordBytesMax: number): ShownRecord {
  return { record: reader.bytes(recordBytesMax).slice(), proof: readStateProof(reader) };
}
