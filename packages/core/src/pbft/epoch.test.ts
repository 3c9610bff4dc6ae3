import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  contextOf,
  inEpoch,
  keyOf,
  makeBlock,
  newView,
  preparedCertificate,
  prePrepare,
  stableCertificate,
  status,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { Cluster } from '../testing/pbft-cluster.ts';
import { sha256 } from '../crypto/hash.ts';
import { epoch, height, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { LogRecord } from './log.ts';
import type { Candidate, Message } from './messages.ts';
import type { EpochBase, ReplicaOptions } from './replica.ts';
import { RULES } from './rules.ts';
import { verifyMessage } from './verify.ts';

const K = LIMITS.checkpointInterval;
const root = sha256(Uint8Array.of(7));
const last = makeBlock(K, CHAIN);
const base: EpochBase = { height: last.height, hash: last.hash, stateRoot: root };
const first = makeBlock(K + 1, last.hash);
const second = makeBlock(K + 2, first.hash);

/** A replica of epoch 1, which begins above height K. Turn 2 is validator 2's. */
function opening(self: number, options: Partial<ReplicaOptions> = {}): Bench {
  return new Bench(self, { epoch: epoch(1), base, ...options });
}

const baseCheckpoint = (sender: number): Message => inEpoch(1, checkpoint(sender, K, last.hash, root));

/** The same, once quorum weight has signed the base. */
function open(self: number, options: Partial<ReplicaOptions> = {}): Bench {
  const bench = opening(self, options);
  bench.hear(...[0, 1, 2, 3].filter((sender) => sender !== self).map(baseCheckpoint));
  return bench;
}

const propose = (block: Candidate): Message => inEpoch(1, prePrepare(2, block));

function commit(bench: Bench, ...blocks: Candidate[]): void {
  for (const block of blocks)
    bench.hear(propose(block), ...[0, 2, 3].map((sender) => inEpoch(1, vote('commit', sender, block))));
}

test('PBFT-14.1: an epoch begins above its base with view 0, and its first block follows the base', () => {
  const bench = open(1);
  assert.equal(bench.replica.committedHeight, K);
  assert.equal(bench.replica.view, 0);
  bench.hear(propose(makeBlock(K + 1, CHAIN)));
  assert.equal(bench.messages('prepare').length, 0);
  const other = open(1);
  other.hear(propose(first));
  assert.deepEqual(
    other.messages('prepare').map((message) => [message.epoch, message.height]),
    [[1, K + 1]],
  );
});

test('PBFT-14.1: a base that is no checkpoint height, or a tip of another epoch, is our bug', () => {
  assert.throws(() => opening(1, { base: { ...base, height: height(K + 1) } }), RangeError);
  assert.throws(() => opening(1, { base: { ...base, height: height(0) } }), RangeError);
  assert.throws(() => opening(1, { tip: commitCertificate(first, [0, 1, 2], 4) }), RangeError);
  const stale = { ...commitCertificate(last, [0, 1, 2], 4), epoch: epoch(1) };
  assert.throws(() => opening(1, { tip: stale }), RangeError);
});

test('PBFT-14.1: after a restart inside the epoch the tip is where delivery goes on', () => {
  const tip = { ...commitCertificate(first, [0, 1, 2], 4), epoch: epoch(1) };
  const bench = open(1, { tip });
  bench.hear(propose(second));
  assert.deepEqual(
    bench.messages('prepare').map((message) => message.height),
    [K + 2],
  );
});

test('PBFT-14.2: CHECKPOINT of the base is the first word in an epoch, durable before it leaves, and repeated', () => {
  const bench = opening(1);
  assert.deepEqual(bench.messages('checkpoint'), [baseCheckpoint(1)]);
  assert.deepEqual(
    bench.log.map((record) => record.kind),
    ['checkpoint'],
  );
  bench.forget();
  bench.tick(300);
  bench.tick(300);
  assert.ok(bench.messages('checkpoint').length >= 2);
  assert.equal(bench.log.length, 1);
});

test('PBFT-14.2: nothing above the base is accepted or proposed before weight Q has signed it', () => {
  const backup = opening(1);
  const proposer = opening(2);
  proposer.pending(5);
  backup.hear(propose(first), baseCheckpoint(0));
  proposer.hear(baseCheckpoint(0));
  backup.tick(100);
  proposer.tick(100);
  assert.equal(backup.messages('prepare').length, 0);
  assert.equal(proposer.wants.length, 0);
  backup.hear(baseCheckpoint(3));
  proposer.hear(baseCheckpoint(3));
  assert.equal(backup.messages('prepare').length, 1);
  assert.deepEqual(
    proposer.wants.map((want) => want.kind === 'proposal' && [want.height, want.parentHash]),
    [[K + 1, last.hash]],
  );
});

test('PBFT-14.2: while the base is not stable no timer runs, and the status says who has signed', () => {
  const bench = opening(1);
  bench.pending(3);
  bench.hear(baseCheckpoint(3));
  for (let round = 0; round < 10; round += 1) bench.tick(1_000);
  assert.equal(bench.messages('view-change').length, 0);
  assert.equal(
    bench.replica.status().reason,
    `epoch 1 begins when block ${K} is stable: weight 2 of 3 has signed it`,
  );
});

test('PBFT-14.2: a stable certificate shown by a peer opens the epoch; one of the old epoch does not', () => {
  const bench = opening(1);
  const stable = stableCertificate(K, last.hash, root, [0, 2, 3], 4);
  const show = (certificate: typeof stable): Message =>
    status(0, {
      epoch: epoch(1),
      committed: height(K),
      stable: height(K),
      stableCertificate: certificate,
    });
  bench.hear(show(stable), show({ ...stable, epoch: epoch(1) }));
  assert.equal(bench.replica.status().stableHeight, K - 1);
  const signatures = [0, 2, 3].map((sender) => {
    const message = baseCheckpoint(sender);
    assert.ok(message.kind === 'checkpoint');
    return message.signature;
  });
  bench.hear(show({ ...stable, epoch: epoch(1), signatures }));
  assert.equal(bench.replica.status().stableHeight, K);
});

test('PBFT-14.2: a replica with another state at the base than weight Q stops at once', () => {
  const bench = opening(1, { base: { ...base, stateRoot: CHAIN } });
  bench.hear(baseCheckpoint(0), baseCheckpoint(2), baseCheckpoint(3));
  assert.equal(bench.replica.status().phase, 'halted');
});

test('PBFT-14.3: nothing is accepted, and nothing proposed, above a block that closes the epoch', () => {
  const closing = { ...first, closes: true };
  const backup = open(1);
  backup.hear(propose(closing), propose(second));
  backup.tick(100);
  assert.deepEqual(
    backup.messages('prepare').map((message) => message.height),
    [K + 1],
  );
  const proposer = open(2);
  proposer.pending(5);
  proposer.step({ kind: 'proposal', block: closing });
  proposer.forget();
  proposer.tick(300);
  assert.deepEqual(proposer.wants, []);
});

test('PBFT-14.3: after the last block is delivered there is no timer and no proposal, and the status says so', () => {
  const closing = { ...first, closes: true };
  const bench = open(1);
  bench.pending(9);
  commit(bench, closing);
  assert.equal(bench.delivered.length, 1);
  const { length } = bench.messages('prepare');
  bench.hear(propose(second));
  for (let round = 0; round < 10; round += 1) bench.tick(1_000);
  assert.equal(bench.messages('view-change').length, 0);
  assert.equal(bench.messages('prepare').length, length);
  assert.match(bench.replica.status().reason ?? '', /was the last of epoch 1/);
});

test('PBFT-14.3: above a block known by certificate alone nothing is accepted until its body says whether it closes', () => {
  for (const closes of [false, true]) {
    const bench = open(1);
    bench.hear(...[0, 2, 3].map((sender) => inEpoch(1, vote('commit', sender, first))));
    bench.hear(propose(second));
    assert.equal(bench.messages('prepare').length, 0);
    const certificate = bench.replica.status().certifiedHeight;
    assert.equal(certificate, K + 1);
    bench.hear(propose({ ...first, closes }));
    assert.equal(bench.delivered.length, 1);
    assert.equal(bench.messages('prepare').length, closes ? 0 : 1);
  }
});

test('PBFT-14.4: equivocation at the boundary: two last blocks, or one that closes and one that does not, are evidence', () => {
  const bench = open(1);
  const closing = { ...makeBlock(K + 1, last.hash, 5), closes: true };
  bench.hear(propose(closing), propose(first));
  assert.deepEqual(
    bench.evidence.map((evidence) => [evidence.kind, evidence.culprit]),
    [['pre-prepare', 2]],
  );
  assert.equal(bench.messages('prepare').length, 1);
});

test('PBFT-14.4: messages of one epoch are nothing in another one, replayed or relabelled', () => {
  const old: readonly Message[] = [
    prePrepare(2, first),
    vote('prepare', 0, first),
    vote('commit', 0, first),
    checkpoint(0, K, last.hash, root),
    viewChange(0, 1),
    newView(1, 1, { viewChanges: [], base: { height: height(0), hash: CHAIN }, reproposals: [] }),
  ];
  const context = { ...contextOf([1, 1, 1, 1]), epoch: epoch(1) };
  for (const message of old) {
    assert.equal(verifyMessage(context, message).ok, false, message.kind);
    assert.equal(verifyMessage(context, { ...message, epoch: epoch(1) }).ok, false, message.kind);
    assert.equal(verifyMessage(context, inEpoch(1, message)).ok, true, message.kind);
  }
});

test('PBFT-14.4: votes of a removed validator, and of one who moved to another place, are refused', () => {
  // Validator 3 has left; the one who follows it in the order of keys now has its index.
  const set = [0, 1, 2, 4].map((key) => ({ key: keyOf(key), weight: 1 }));
  const context = { ...contextOf([1, 1, 1, 1]), epoch: epoch(1), validators: set };
  assert.equal(verifyMessage(context, inEpoch(1, vote('commit', 2, first))).ok, true);
  assert.equal(verifyMessage(context, inEpoch(1, vote('commit', 3, first))).ok, false);
  assert.equal(verifyMessage(context, inEpoch(1, vote('commit', 4, first))).ok, false);
});

test('PBFT-14.5: records of other epochs in the write-ahead log are passed over', () => {
  const stale: LogRecord[] = [
    { kind: 'accepted', epoch: epoch(0), view: view(3), block: first },
    { kind: 'prepared', certificate: preparedCertificate(first, [0, 1, 2], 4, 3) },
    { kind: 'committed', certificate: commitCertificate(first, [0, 1, 2], 4, 3) },
    { kind: 'view-change', message: viewChange(1, 9) },
    { kind: 'checkpoint', message: checkpoint(1, K, last.hash, root) },
    { kind: 'stable', certificate: stableCertificate(K, last.hash, root, [0, 1, 2], 4) },
  ];
  fc.assert(
    fc.property(fc.subarray(stale), (restore) => {
      const bench = opening(1, { restore });
      assert.deepEqual(bench.replica.status(), opening(1).replica.status());
      assert.deepEqual(bench.sent, opening(1).sent);
    }),
  );
  const kept = open(1);
  kept.hear(propose(first));
  const again = opening(1, { restore: [...stale, ...kept.log] });
  again.hear(propose(makeBlock(K + 1, last.hash, 9)));
  again.tick(300);
  assert.ok(again.messages('prepare').every((message) => message.hash === first.hash));
});

test('PBFT-14.5: a new epoch’s first stable certificate lets the shell drop everything of the old one', () => {
  const bench = open(1);
  const mark = bench.log.findLastIndex((record) => record.kind === 'truncate');
  assert.deepEqual(
    bench.log.slice(mark).map((record) => record.kind),
    ['truncate', 'stable', 'checkpoint'],
  );
});

test('PBFT-14.6: a NEW-VIEW without proofs begins at the base of the epoch, not at genesis', () => {
  assert.deepEqual(RULES.decideNewView({ height: height(K), hash: last.hash }, []), {
    base: { height: K, hash: last.hash },
    reproposals: [],
  });
  const bench = open(1);
  bench.hear(...[0, 2, 3].map((sender) => inEpoch(1, viewChange(sender, 1))));
  assert.deepEqual(bench.messages('new-view')[0]?.base, { height: K, hash: last.hash });
  assert.equal(bench.replica.status().phase, 'normal');
});

test('PBFT-7.4: a replica that lost its disk signs nothing in the whole epoch, also not the base', () => {
  const bench = open(1, { observer: true });
  bench.pending(5);
  commit(bench, first, second);
  bench.hear(...[0, 2, 3].map((sender) => inEpoch(1, viewChange(sender, 1))));
  bench.tick(2_000);
  assert.equal(bench.delivered.length, 2);
  assert.deepEqual(new Set(bench.sent.map(({ message }) => message.kind)), new Set(['status']));
});

test('PBFT-14.7: epochs follow each other without a gap, through a crash of one validator and slow links', () => {
  const cluster = new Cluster({
    load: () => 0.1,
    closes: (at) => at % K === 0,
    lost: (from, to, message) => message.kind === 'checkpoint' && (from + to) % 3 === 0,
  });
  cluster.run(3_000);
  cluster.crash(3);
  cluster.run(25_000);
  const heights = [0, 1, 2].map((node) => cluster.heightOf(node));
  assert.ok(Math.min(...heights) > 4 * K, heights.join());
  const { delivered } = cluster.nodes[0] as (typeof cluster.nodes)[number];
  for (const [i, { block, certificate }] of delivered.entries()) {
    assert.equal(block.height, i + 1);
    assert.equal(certificate.epoch, Math.floor((block.height - 1) / K));
  }
});

test('PBFT-14.7: a validator set of one goes from epoch to epoch alone', () => {
  const cluster = new Cluster({ weights: [1], load: () => 0.1, closes: (at) => at % K === 0 });
  cluster.run(5_000);
  assert.ok(cluster.heightOf(0) > 2 * K);
  assert.ok(cluster.status(0).epoch >= 2);
});
