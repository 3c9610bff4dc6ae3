/** Bugs other engines had in checkpoints, state transfer and after crashes (background 1.3), each tried on this replica. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  contextOf,
  GENESIS_ID,
  makeBlock,
  makeChain,
  newView,
  preparedCertificate,
  prePrepare,
  stableCertificate,
  status,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import { height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { BlockId, Candidate } from './messages.ts';
import { viewTimeout, TIMING } from './timing.ts';
import { verifyCertificate } from './verify.ts';

const K = LIMITS.checkpointInterval;
const blocks = makeChain(K + 2);
const [b1, b2] = blocks as [Candidate, Candidate];
const atK = blocks[K - 1] as Candidate;
const root = sha256(Uint8Array.of(4));
const id = (block: Candidate): BlockId => ({ height: block.height, hash: block.hash });

/** Delivers and executes everything up to the checkpoint height by synchronisation. */
function atCheckpoint(self: number): Bench {
  const bench = new Bench(self);
  for (const block of blocks.slice(0, K)) {
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 1, 3], 4) });
    bench.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: root });
  }
  return bench;
}

// Checkpoints and state transfer.

test('PBFT-5.3: concord-bft#912, #927: late replicas reach the checkpoint though nothing new is decided any more', () => {
  const bench = atCheckpoint(2);
  bench.forget();
  bench.tick(10_000);
  bench.tick(10_000);
  assert.ok(bench.messages('checkpoint').length >= 2);
  const stable = stableCertificate(K, atK.hash, root, [0, 1, 3], 4);
  bench.hear(status(0, { stable: height(K), committed: height(K), stableCertificate: stable }));
  bench.forget();
  bench.tick(1_000);
  bench.hear(status(1));
  const shown = bench.messages('status').filter((message) => message.stableCertificate !== undefined);
  assert.equal(shown[0]?.stableCertificate?.height, K);
});

test('PBFT-8.3: concord-bft#1177: after state transfer the replica takes part again in the view it is in', () => {
  const bench = atCheckpoint(3);
  const next = blocks[K] as Candidate;
  bench.hear(prePrepare(Math.floor(K / LIMITS.rotationBlocks) % 4, next));
  assert.equal(bench.messages('prepare').at(-1)?.height, K + 1);
});

test('PBFT-6.1: concord-bft#2707: a stable checkpoint that arrives after the request leaves the timer running', () => {
  const bench = atCheckpoint(2);
  bench.pending(1);
  bench.tick(500);
  bench.hear(checkpoint(0, K, atK.hash, root), checkpoint(1, K, atK.hash, root));
  assert.equal(bench.replica.status().stableHeight, K);
  bench.tick(501);
  assert.equal(bench.messages('view-change').length, 1);
});

test('PBFT-7.2: concord-bft#805: after a restart the view is the one of the log, not an older one', () => {
  const before = new Bench(2);
  const viewChanges = [0, 1, 3].map((sender) => viewChange(sender, 5));
  before.hear(newView(1, 5, { viewChanges, base: GENESIS_ID, reproposals: [] }));
  assert.equal(new Bench(2, { restore: before.log }).replica.view, 5);
});

test('PBFT-5.2: concord-bft#1709: what a truncation leaves is in the batch of its mark: no state in between can be found on disk', () => {
  const bench = atCheckpoint(2);
  const before = bench.log.length;
  bench.hear(checkpoint(0, K, atK.hash, root), checkpoint(1, K, atK.hash, root));
  const batch = bench.log.slice(before).map(({ kind }) => kind);
  assert.deepEqual(batch.slice(0, 2), ['stable', 'truncate']);
  // A crash that tears the batch anywhere leaves a log from which the same replica comes back.
  for (let cut = before; cut <= bench.log.length; cut += 1) {
    const restored = new Bench(2, {
      restore: bench.log.slice(0, cut),
      tip: commitCertificate(atK, [0, 1, 3], 4),
    });
    assert.deepEqual([restored.replica.committedHeight, restored.replica.view], [K, 0]);
  }
});

test('PBFT-5.3: TigerBeetle#1262: cut off right at a checkpoint, the quorum that remains can still show the one before', () => {
  const bench = atCheckpoint(2);
  bench.hear(checkpoint(0, K, atK.hash, root), checkpoint(1, K, atK.hash, root));
  const kinds = bench.log.slice(bench.log.findLastIndex(({ kind }) => kind === 'truncate'));
  assert.ok(kinds.some((record) => record.kind === 'stable' && record.certificate.height === K));
  bench.forget();
  bench.hear(viewChange(0, 1), viewChange(1, 1));
  assert.equal(bench.messages('view-change')[0]?.stable?.height, K);
});

test('PBFT-6.6: Besu#7642: the timeout of round 10 is minutes at most, not hours', () => {
  assert.equal(viewTimeout(TIMING, 10), TIMING.viewTimeoutMaxMs);
  assert.equal(viewTimeout(TIMING, 1_000), TIMING.viewTimeoutMaxMs);
});

test('PBFT-7.4: Besu#8307: a wiped validator follows from the first message on, without a vote and without waiting for a round', () => {
  const bench = new Bench(2, { observer: true });
  bench.hear(prePrepare(0, b1), ...[0, 1, 3].map((sender) => vote('commit', sender, b1)));
  assert.equal(bench.delivered.length, 1);
  bench.pending(5);
  bench.tick(60_000);
  assert.equal(bench.messages('view-change').length + bench.messages('commit').length, 0);
});

test('PBFT-8.2: CometBFT ASA-2025-001, v0.39.2: a peer that claims a height without a proof, or less than it claimed, delays nobody', () => {
  const bench = new Bench(2);
  bench.hear(status(1, { committed: height(1_000_000), stable: height(1_000_000) }));
  bench.tick(1_000);
  bench.hear(status(1, { committed: height(0) }), prePrepare(0, b1));
  assert.equal(bench.wants.filter(({ kind }) => kind === 'sync').length, 0);
  assert.equal(bench.messages('prepare').length, 1);
});

test('PBFT-8.3: CometBFT#5801: a peer that does not deliver is asked once; then others are', () => {
  let draw = 0;
  const bench = new Bench(2, { random: () => (draw = (draw + 0.37) % 1) });
  const committedCertificate = commitCertificate(atK, [0, 1, 3], 4);
  bench.hear(status(1, { committed: height(K), committedCertificate }));
  for (let i = 0; i < 12; i += 1) bench.tick(300);
  const asked = bench.wants.flatMap((want) => (want.kind === 'sync' ? [want.from] : []));
  assert.equal(asked[0], 1);
  assert.ok(new Set(asked).size > 1 && !asked.includes(2));
});

test('PBFT-1.3: CometBFT v0.39.0: block synchronisation verifies every signature of a commit, not two thirds of them', () => {
  const good = commitCertificate(b1, [0, 1, 2, 3], 4);
  const last = { ...good, signatures: [...good.signatures.slice(0, 3), new Uint8Array(64)] };
  assert.equal(verifyCertificate(contextOf([1, 1, 1, 1]), good), true);
  assert.equal(verifyCertificate(contextOf([1, 1, 1, 1]), last), false);
});

test('PBFT-4.9: CometBFT adaptive_sync: a validator that catches up signs nothing for what was synchronised', () => {
  const bench = atCheckpoint(2);
  const fork = makeBlock(1, CHAIN, 5);
  bench.hear(prePrepare(0, b1), prePrepare(0, fork));
  bench.tick(1_000);
  assert.equal(bench.messages('prepare').length + bench.messages('commit').length, 0);
});

// Crash durability.

test('PBFT-7.1: telcoin-network#934, #391, bsc#2598, mainsail#1449: a vote leaves in the step that writes it down, or later', () => {
  const bench = new Bench(2);
  const written = new Set<string>();
  const step = (effects: ReturnType<Bench['step']>): void => {
    for (const record of effects.persist)
      if (record.kind === 'accepted') written.add(`prepare/${toHex(record.block.hash)}`);
      else if (record.kind === 'prepared') written.add(`commit/${toHex(record.certificate.digest)}`);
    for (const { message } of effects.send)
      if (message.kind === 'prepare' || message.kind === 'commit')
        assert.ok(written.has(`${message.kind}/${toHex(message.hash)}`));
  };
  for (const message of [
    prePrepare(0, b1),
    prePrepare(0, b2),
    ...[b1, b2].flatMap((block) => [0, 1, 3].map((sender) => vote('prepare', sender, block))),
    ...[b1, b2].flatMap((block) => [0, 1, 3].map((sender) => vote('commit', sender, block))),
  ])
    for (const effects of bench.hear(message)) step(effects);
  assert.equal(written.size, 4);
});

test('PBFT-7.2: tendermint#3089: after a crash a replica signs again what it had signed, and is not mute for ever', () => {
  const before = new Bench(2);
  before.hear(prePrepare(0, b1));
  const after = new Bench(2, { restore: before.log });
  after.tick(300);
  const signatures = (bench: Bench): string[] => [
    ...new Set(bench.messages('prepare').map(({ signature }) => toHex(signature))),
  ];
  assert.equal(signatures(after).length, 1);
  assert.deepEqual(signatures(after), signatures(before));
  after.hear(...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  assert.equal(after.messages('commit').length, 1);
});

test('PBFT-4.6: mainsail onProposal (2024): a replica bound by the new view votes for no fresh conflicting proposal', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), ...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  const prepared = [preparedCertificate(b1, [0, 1, 3], 4)];
  const viewChanges = [viewChange(0, 1), viewChange(1, 1), viewChange(3, 1, { prepared })];
  bench.hear(newView(1, 1, { viewChanges, base: GENESIS_ID, reproposals: [id(b1)] }));
  bench.hear(prePrepare(1, makeBlock(1, CHAIN, 8), 1));
  const hashes = bench.messages('prepare').map((message) => toHex(message.hash));
  assert.deepEqual([...new Set(hashes)], [toHex(b1.hash)]);
});
