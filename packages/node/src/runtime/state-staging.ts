/**
 * A state on its way in: verified pieces on disk, beside the state in use, so that fetching goes on where it was after
 * a crash (spec SNAPSHOT-7). Each piece and the note that it is there are one batch.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { KeyPrefix } from '@itc/core/crypto/state-tree.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import {
  chunkPrefixes,
  decodeManifest,
  encodeManifest,
  hashPieceCount,
  type HashPiece,
  type SnapshotChunk,
  type SnapshotManifest,
} from '@itc/core/state/snapshot.js';
import { PagedRecords } from '@itc/core/state/paged-records.js';
import type { Change, Table, Tables } from '../ports.ts';
import { forgetChange, StatePages, stateTables } from '../storage/state-pages.ts';
import { heightKey } from './executed-blocks.ts';
import { otherStateName, type StateName } from './snapshot-base.ts';

export type PieceId =
  | { readonly kind: 'block' }
  | { readonly kind: 'hashes'; readonly index: number }
  | { readonly kind: 'chunk'; readonly index: number };

/** Keys: 0 = manifest, 1 = the anchor's block, 2 ‖ index = hashes are in, 3 ‖ index = chunk is in. */
const STAGING_TABLE = 'state-sync';
const MANIFEST_KEY = Uint8Array.of(0);
const BLOCK_KEY = Uint8Array.of(1);
const REMOVED_AT_ONCE = 512;

export class StateStaging {
  readonly manifest: SnapshotManifest;
  readonly prefixes: readonly KeyPrefix[];
  /** Where the records are gathered. */
  readonly state: StateName;
  readonly #tables: Tables;
  readonly #pages: StatePages;
  #records: PagedRecords;
  /** Pieces come from several peers; their pages follow one another. */
  #turn: Promise<void> = Promise.resolve();

  private constructor(tables: Tables, manifest: SnapshotManifest) {
    this.#tables = tables;
    this.manifest = manifest;
    this.state = otherStateName(tables);
    this.#pages = StatePages.open(tables, this.state);
    this.#records = PagedRecords.open(this.#pages, this.#pages.stored?.top);
    const prefixes = chunkPrefixes(manifest.depths);
    if (prefixes === undefined)
      throw new RangeError('the manifest was decoded, so its chunks cover every key');
    this.prefixes = prefixes;
  }

  /** What a crash or a loss of all peers left; undefined when nothing was begun. */
  static stored(tables: Tables): StateStaging | undefined {
    const bytes = tables.table(STAGING_TABLE).get(MANIFEST_KEY);
    const manifest = bytes === undefined ? undefined : decodeManifest(bytes);
    if (manifest === undefined) return undefined;
    if (!manifest.ok)
      throw new LedgerError('storage.corrupt', `a stored manifest does not decode: ${manifest.message}`);
    return new StateStaging(tables, manifest.value);
  }

  /** Goes on with what is there of this state cut this way, or removes what is there of another one. */
  static async begin(tables: Tables, manifest: SnapshotManifest): Promise<StateStaging> {
    const stored = StateStaging.stored(tables);
    if (stored !== undefined && isSameCut(stored.manifest, manifest)) return stored;
    await StateStaging.clear(tables);
    await tables.commit([{ table: STAGING_TABLE, key: MANIFEST_KEY, value: encodeManifest(manifest) }]);
    return new StateStaging(tables, manifest);
  }

  /** Removes every trace of a state that was begun, or of the one that was in use before the present one. */
  static async clear(tables: Tables): Promise<void> {
    // The manifest goes first: what is left after a crash then belongs to nothing, and the next begin removes it.
    const state = otherStateName(tables);
    await tables.commit([{ table: STAGING_TABLE, key: MANIFEST_KEY, value: undefined }, forgetChange(state)]);
    for (const table of [STAGING_TABLE, ...stateTables(state)]) await emptyTable(tables, table);
  }

  /** Everything there is to fetch, the block first: the smallest proof that a peer means it. */
  pieces(): PieceId[] {
    const hashes = hashPieceCount(this.manifest.anchor.height);
    return [
      { kind: 'block' },
      ...Array.from({ length: hashes }, (_, index): PieceId => ({ kind: 'hashes', index })),
      ...this.prefixes.map((_, index): PieceId => ({ kind: 'chunk', index })),
    ];
  }

  has(piece: PieceId): boolean {
    return this.#table.has(keyOf(piece));
  }

  get block(): Uint8Array | undefined {
    return this.#table.get(BLOCK_KEY);
  }

  async addBlock(block: Uint8Array): Promise<void> {
    await this.#tables.commit([{ table: STAGING_TABLE, key: BLOCK_KEY, value: block }]);
  }

  /** Hashes of heights above `committed`: those below are known, and the caller has compared them. */
  async addHashes(index: number, piece: HashPiece, committed: number): Promise<void> {
    const changes: Change[] = [note({ kind: 'hashes', index })];
    for (const [i, value] of piece.hashes.entries()) {
      const of = piece.start + i + 1;
      // Final hashes are final: they may stand in the table in use before the state that goes with them.
      if (of > committed) changes.push({ table: 'hashes', key: heightKey(of), value });
    }
    await this.#tables.commit(changes);
  }

  async addChunk(index: number, chunk: SnapshotChunk): Promise<void> {
    const turn = this.#turn.then(async () => {
      this.#records = this.#records.load(chunk.entries);
      const sealed = [this.#pages.seal(this.#records.top, 0)];
      await this.#tables.commit([note({ kind: 'chunk', index }), ...this.#pages.changes(sealed, 0)]);
      this.#pages.written(sealed, 0);
    });
    // Who fails hears of it; the others go on.
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  /** Of the records that are in. */
  get root(): Hash {
    return this.#records.tree.root;
  }

  /** For the batch that takes the state into use, as that of the anchor's height. */
  adopt(): Change[] {
    return this.#pages.changes([this.#pages.seal(this.#records.top, this.manifest.anchor.height)], 0);
  }

  /** For the same batch: no piece is waited for any more. */
  forget(): Change[] {
    return this.pieces()
      .map((piece): Change => ({ table: STAGING_TABLE, key: keyOf(piece), value: undefined }))
      .concat({ table: STAGING_TABLE, key: MANIFEST_KEY, value: undefined });
  }

  get #table(): Table {
    return this.#tables.table(STAGING_TABLE);
  }
}

/** Certificates may differ: each is proof enough. */
function isSameCut(a: SnapshotManifest, b: SnapshotManifest): boolean {
  return (
    equalBytes(a.anchor.hash, b.anchor.hash) &&
    equalBytes(a.anchor.stateRoot, b.anchor.stateRoot) &&
    equalBytes(a.depths, b.depths)
  );
}

function note(piece: PieceId): Change {
  return { table: STAGING_TABLE, key: keyOf(piece), value: Uint8Array.of(1) };
}

function keyOf(piece: PieceId): Uint8Array {
  switch (piece.kind) {
    case 'block':
      return BLOCK_KEY;
    case 'hashes':
      return new Writer(5).u8(2).u32(piece.index).finish();
    case 'chunk':
      return new Writer(5).u8(3).u32(piece.index).finish();
  }
}

async function emptyTable(tables: Tables, name: string): Promise<void> {
  for (;;) {
    const keys = [...tables.table(name).range({ limit: REMOVED_AT_ONCE })].map(({ key }) => key);
    if (keys.length === 0) return;
    await tables.commit(keys.map((key) => ({ table: name, key, value: undefined })));
  }
}
