import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { MmrLog } from '../crypto/mmr.ts';
import { StateTree } from '../crypto/state-tree.ts';
import { asAddress } from '../ledger/address.ts';
import { HEADER_FLAGS, headerHash, type Header } from '../ledger/block.ts';
import { amount, epoch, height, millis } from '../ledger/ids.ts';
import { anyCertificate, anyHash, anyHeader, assertStrict } from '../testing/arbitraries.ts';
import { world } from '../testing/chain.ts';
import { installNativeSha256 } from '../testing/keys.ts';
import { accountKey } from './keys.ts';
import { LedgerState, type StateEntry } from './ledger-state.ts';
import { STATE_LIMITS } from './limits.ts';
import { encodeRecord } from './records.ts';
import {
  chunkDepths,
  chunkOf,
  chunkPrefixes,
  decodeChunk,
  decodeHashPiece,
  decodeManifest,
  encodeChunk,
  encodeHashPiece,
  encodeManifest,
  hashPieceBounds,
  hashPieceCount,
  manifestFlaw,
  verifyChunk,
  verifyHashPiece,
  type SnapshotChunk,
  type SnapshotManifest,
} from './snapshot.ts';

installNativeSha256();

const RECORDS_MAX = STATE_LIMITS.snapshotChunkRecordsMax;

function account(n: number): StateEntry {
  const address = asAddress(sha256(new Writer(8).u53(n).finish()));
  return { key: accountKey(address), value: encodeRecord('account', { balance: amount(1n), nonces: [n] }) };
}

/** Genesis and as many accounts more; the sum of balances does not matter here. */
function stateOf(accounts: number): LedgerState {
  const more = Array.from({ length: accounts }, (_, i) => account(i + 1));
  const state = LedgerState.fromRecords([...LedgerState.fromGenesis(world().genesis).entries(), ...more]);
  assert.ok(state.ok);
  return state.value;
}

const large = stateOf(5_000);

function chunksOf(state: LedgerState): SnapshotChunk[] {
  const prefixes = chunkPrefixes(chunkDepths(state.tree));
  assert.ok(prefixes);
  return prefixes.map((prefix) => {
    const chunk = chunkOf(state.tree, prefix);
    assert.ok(chunk);
    return chunk;
  });
}

function headerAt(at: number, historyRoot: Hash, flags = 0): Header {
  const none = sha256(new Uint8Array(0));
  return {
    version: 1,
    flags,
    epoch: epoch(3),
    height: height(at),
    time: millis(1),
    parentHash: none,
    txRoot: none,
    stateRoot: none,
    historyRoot,
    validatorsHash: none,
    nextValidatorsHash: none,
  };
}

function manifestOf(header: Header, records = 0, depths = Uint8Array.of(0)): SnapshotManifest {
  const hash = headerHash(header);
  const signed = { signers: Uint8Array.of(1), signatures: [new Uint8Array(64)] };
  return {
    anchor: { epoch: header.epoch, height: header.height, hash, stateRoot: hash, ...signed },
    header,
    certificate: { epoch: header.epoch, view: 0 as never, height: header.height, hash, ...signed },
    records,
    depths,
  };
}

test('SNAPSHOT-2: the chunks of a state cover every record once, none exceeds its bounds, and they give the root again', () => {
  for (const state of [stateOf(0), stateOf(1), stateOf(RECORDS_MAX), large]) {
    const chunks = chunksOf(state);
    const entries = chunks.flatMap((chunk) => chunk.entries);
    assert.equal(entries.length, state.size);
    for (const chunk of chunks) {
      assert.ok(chunk.entries.length <= RECORDS_MAX);
      assert.ok(encodeChunk(chunk).length <= STATE_LIMITS.snapshotChunkBytesMax);
    }
    const again = LedgerState.fromRecords(entries);
    assert.ok(again.ok && equalBytes(again.value.root, state.root));
  }
  assert.ok(chunksOf(large).length > 1);
});

test('SNAPSHOT-2: how a state is cut follows from its records alone, not from the way they came', () => {
  const entries = [...large.entries()];
  const other = LedgerState.fromRecords(entries.toReversed());
  assert.ok(other.ok);
  assert.deepEqual(chunkDepths(other.value.tree), chunkDepths(large.tree));
});

test('SNAPSHOT-2: records ground to one prefix are cut further, so that no chunk grows without bound', () => {
  // Keys of the tree are hashes; here they are chosen, as somebody who grinds addresses would.
  const tree = StateTree.empty.update(
    Array.from({ length: 3 * RECORDS_MAX }, (_, i) => {
      const key = new Uint8Array(32);
      new DataView(key.buffer).setUint32(4, i << 16);
      return { key: key as Hash, value: Uint8Array.of(1), label: 'x' };
    }),
  );
  const depths = chunkDepths(tree);
  const prefixes = chunkPrefixes(depths);
  assert.ok(prefixes && Math.max(...depths) > 32);
  for (const prefix of prefixes) assert.ok((tree.subtree(prefix)?.count ?? 0) <= RECORDS_MAX);
});

test('SNAPSHOT-2: depths that leave keys out, cover some twice or go too deep are no cut', () => {
  assert.equal(chunkPrefixes(Uint8Array.of(0))?.length, 1);
  assert.equal(chunkPrefixes(Uint8Array.of(1, 2, 2))?.length, 3);
  for (const depths of [[], [1], [1, 2], [0, 0], [2, 1, 2], [1, 1, 1], [49], [255]])
    assert.equal(chunkPrefixes(Uint8Array.from(depths)), undefined, String(depths));
});

test('SNAPSHOT-3: a chunk verifies alone against the root of the state', () => {
  const other = stateOf(4_999).root;
  for (const chunk of chunksOf(large)) {
    const decoded = decodeChunk(encodeChunk(chunk));
    assert.ok(decoded.ok && verifyChunk(large.root, decoded.value));
    assert.ok(!verifyChunk(other, chunk));
  }
});

test('SNAPSHOT-3: attack bad chunk: a record changed, hidden, added or shown under another prefix is refused', () => {
  const [first, second] = chunksOf(large);
  assert.ok(first && second);
  const [entry, ...others] = first.entries;
  assert.ok(entry);
  const richer = { key: entry.key, value: encodeRecord('account', { balance: amount(9n), nonces: [] }) };
  const bad: SnapshotChunk[] = [
    { ...first, entries: others },
    { ...first, entries: [richer, ...others] },
    { ...first, entries: [...first.entries, ...second.entries] },
    { ...first, entries: [entry, ...first.entries] },
    { ...first, prefix: second.prefix },
    { ...first, siblings: second.siblings },
    { ...first, entries: [{ key: Uint8Array.of(200) as never, value: entry.value }, ...others] },
  ];
  for (const chunk of bad) assert.ok(!verifyChunk(large.root, chunk));
});

test('SNAPSHOT-3: what lies under a prefix too short for one chunk is not handed out', () => {
  assert.equal(chunkOf(large.tree, { depth: 0, bits: new Uint8Array(0) }), undefined);
  assert.equal(chunkOf(stateOf(0).tree, { depth: 40, bits: new Uint8Array(5) }), undefined);
});

test('SNAPSHOT-4: pieces of the history verify alone against the anchor’s header, the last one as short as it is', () => {
  const log = new MmrLog();
  const hashes = Array.from({ length: 2 * STATE_LIMITS.snapshotHashesMax + 31 }, (_, i) =>
    sha256(new Writer(8).u53(i).finish()),
  );
  for (const hash of hashes) log.append(hash);
  const header = headerAt(hashes.length + 1, log.root());
  assert.equal(hashPieceCount(header.height), 3);
  let covered = 0;
  for (let i = 0; i < 3; i += 1) {
    const { start, end } = hashPieceBounds(header.height, i);
    assert.equal(start, covered);
    covered = end;
    const piece = { start, hashes: hashes.slice(start, end), siblings: log.rangePath(start, end) };
    const decoded = decodeHashPiece(encodeHashPiece(piece));
    assert.ok(decoded.ok && verifyHashPiece(header, decoded.value));
    const swapped = [piece.hashes[1] as Hash, piece.hashes[0] as Hash, ...piece.hashes.slice(2)];
    assert.ok(!verifyHashPiece(header, { ...piece, hashes: swapped }));
    assert.ok(!verifyHashPiece(header, { ...piece, hashes: piece.hashes.slice(1) }));
    assert.ok(!verifyHashPiece(header, { ...piece, start: start + 1 }));
  }
  assert.equal(covered, hashes.length);
});

test('SNAPSHOT-1: header, certificate and anchor of a manifest must name one block at a checkpoint height', () => {
  const sound = manifestOf(headerAt(64, sha256(new Uint8Array(1))));
  assert.equal(manifestFlaw(sound), undefined);
  const other = manifestOf(headerAt(64, sha256(new Uint8Array(2))));
  assert.match(manifestFlaw({ ...sound, header: other.header }) ?? '', /not that of the anchor/);
  assert.match(manifestFlaw({ ...sound, certificate: other.certificate }) ?? '', /not for the anchor/);
  assert.match(manifestFlaw({ ...sound, anchor: other.anchor }) ?? '', /not that of the anchor/);
  assert.match(manifestFlaw(manifestOf(headerAt(65, sha256(new Uint8Array(1))))) ?? '', /no checkpoint/);
});

test('SNAPSHOT-1: the next epoch may sign a block only when that block closes an epoch', () => {
  const none = sha256(new Uint8Array(1));
  const signedByNext = (flags: number, of: number): string | undefined => {
    const manifest = manifestOf(headerAt(64, none, flags));
    return manifestFlaw({ ...manifest, anchor: { ...manifest.anchor, epoch: epoch(of) } });
  };
  assert.equal(signedByNext(HEADER_FLAGS.closes, 3), undefined);
  assert.equal(signedByNext(HEADER_FLAGS.closes, 4), undefined);
  assert.match(signedByNext(0, 4) ?? '', /epoch 3/);
  assert.match(signedByNext(HEADER_FLAGS.closes, 5) ?? '', /epoch 3/);
  assert.match(signedByNext(HEADER_FLAGS.closes, 2) ?? '', /epoch 3/);
});

test('SNAPSHOT-1: attack huge counts: numbers beyond the limits are refused while they are read', () => {
  const header = headerAt(64, sha256(new Uint8Array(1)));
  const fits = manifestOf(header, RECORDS_MAX);
  assert.ok(decodeManifest(encodeManifest(fits)).ok);
  for (const manifest of [
    manifestOf(header, Number.MAX_SAFE_INTEGER),
    manifestOf(header, RECORDS_MAX + 1),
    manifestOf(header, 0, new Uint8Array(STATE_LIMITS.snapshotChunksMax + 1).fill(16)),
    manifestOf(header, 0, Uint8Array.of(1)),
  ])
    assert.ok(!decodeManifest(encodeManifest(manifest)).ok);
  // A chunk that announces more records than there can be, and a piece with more hashes.
  const count = new Writer(8)
    .u8(0)
    .u16(RECORDS_MAX + 1)
    .finish();
  const chunk = decodeChunk(count);
  assert.ok(!chunk.ok && chunk.code === 'decode.too-long');
  const piece = decodeHashPiece(
    new Writer(16)
      .u53(0)
      .u16(STATE_LIMITS.snapshotHashesMax + 1)
      .finish(),
  );
  assert.ok(!piece.ok && piece.code === 'decode.too-long');
});

test('SNAPSHOT-1: manifests, chunks and pieces of the history have one encoding each', () => {
  const anyManifest = fc
    .tuple(anyHeader, anyCertificate, anyHash, anyHash)
    .map(([header, certificate, hash, stateRoot]): SnapshotManifest => {
      const { signers, signatures } = certificate;
      const anchor = { epoch: header.epoch, height: header.height, hash, stateRoot, signers, signatures };
      return { anchor, header, certificate, records: 7, depths: Uint8Array.of(1, 2, 2) };
    });
  assertStrict(anyManifest, { encode: encodeManifest, decode: decodeManifest });
  const chunks = [...chunksOf(stateOf(3)), ...chunksOf(large).slice(1, 2)];
  assertStrict(fc.constantFrom(...chunks), { encode: encodeChunk, decode: decodeChunk }, 30);
  const hashes = fc.array(anyHash, { maxLength: 4 });
  const anyPiece = fc.record({ start: fc.maxSafeNat(), hashes, siblings: hashes }, { noNullPrototype: true });
  assertStrict(anyPiece, { encode: encodeHashPiece, decode: decodeHashPiece });
});
