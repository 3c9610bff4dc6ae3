/**
 * All records in memory: decoded ones in persistent tries, their bytes in the tree that commits them. For tests, simulations
 * and small states; the reference that records in pages are held against.
 */
import type { DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { StateTree, type StateChange } from '../crypto/state-tree.ts';
import {
  parseStateKey,
  RECORD_KINDS,
  stateKey,
  stateKeyHash,
  stateKeyText,
  type RecordKind,
} from './keys.ts';
import { idBytes, idText, RecordMap } from './record-map.ts';
import {
  KINDS,
  type ChangedRecords,
  type RecordChange,
  type RecordStore,
  type StateEntry,
} from './record-store.ts';
import { decodeRecord, encodeRecord, type RecordTypes } from './records.ts';

type Tables = { readonly [K in RecordKind]: RecordMap<RecordTypes[K]> };

const NO_TABLES = Object.fromEntries(KINDS.map((kind) => [kind, RecordMap.empty()])) as unknown as Tables;

export class MemoryRecords implements RecordStore {
  static readonly empty: MemoryRecords = new MemoryRecords(NO_TABLES, StateTree.empty);

  readonly #tables: Tables;
  readonly tree: StateTree;

  private constructor(tables: Tables, tree: StateTree) {
    this.#tables = tables;
    this.tree = tree;
  }

  /** In any order. Refused when a key or value is not canonical. */
  static from(
    entries: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>,
  ): Result<MemoryRecords, DecodeCode> {
    let tables = NO_TABLES;
    const leaves: StateChange[] = [];
    for (const entry of entries) {
      const key = parseStateKey(entry.key);
      if (key === undefined) return refused('decode.unknown-kind', 'expected a state key');
      const record = decodeRecord(key.kind, entry.value);
      if (!record.ok) return record;
      tables = setRecord(tables, key.kind, idText(key.id), record.value);
      // Entries may be views of somebody's pages: what the tree keeps is a copy.
      const own = stateKey(key.kind, key.id);
      leaves.push({ key: stateKeyHash(own), value: entry.value.slice(), label: idText(own) });
    }
    return ok(new MemoryRecords(tables, StateTree.empty.update(leaves)));
  }

  record<K extends RecordKind>(kind: K, id: string): RecordTypes[K] | undefined {
    return this.#tables[kind].get(id);
  }

  *walk<K extends RecordKind>(
    kind: K,
    prefix = '',
    from = '',
  ): Iterable<readonly [id: string, record: RecordTypes[K]]> {
    for (const entry of this.#tables[kind].entries(prefix)) if (entry[0] >= from) yield entry;
  }

  count(kind: RecordKind): number {
    return this.#tables[kind].size;
  }

  *entries(): Iterable<StateEntry> {
    for (const kind of KINDS) {
      for (const [id] of this.#tables[kind].entries()) {
        const key = stateKey(kind, idBytes(id));
        yield { key, value: this.tree.get(stateKeyHash(key)) as Uint8Array };
      }
    }
  }

  advance(changed: ChangedRecords): {
    readonly records: MemoryRecords;
    readonly changes: readonly RecordChange[];
  } {
    // A copy with some tables replaced: the type of a spread with one computed kind would be a union over all of them.
    const tables: Record<string, unknown> = { ...this.#tables };
    const changes: RecordChange[] = [];
    const labels: string[] = [];
    const collect = <K extends RecordKind>(kind: K): void => {
      const table: RecordMap<RecordTypes[K]> = this.#tables[kind];
      for (const [id, record] of changed[kind]) {
        // Written and written back: nothing to tell.
        if (table.get(id) === record) continue;
        changes.push({ key: stateKey(kind, idBytes(id)), value: record && encodeRecord(kind, record) });
        labels.push(String.fromCharCode(RECORD_KINDS[kind]) + id);
      }
      tables[kind] = table.setAll(changed[kind]);
    };
    for (const kind of KINDS) collect(kind);
    const tree = this.tree.update(
      changes.map(({ key, value }, i) => {
        const label = labels[i] as string;
        return { key: stateKeyText(key, label), value, label };
      }),
    );
    return { records: new MemoryRecords(tables as unknown as Tables, tree), changes };
  }
}

function setRecord<K extends RecordKind>(
  tables: Tables,
  kind: K,
  id: string,
  record: RecordTypes[K] | undefined,
): Tables {
  const changed: Record<string, unknown> = { ...tables, [kind]: tables[kind].set(id, record) };
  return changed as unknown as Tables;
}
