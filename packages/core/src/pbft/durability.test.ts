import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  GENESIS_ID,
  makeBlock,
  makeChain,
  newView,
  parseTestBlock,
  preparedCertificate,
  prePrepare,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { decodeLogRecord, encodeLogRecord, type LogRecord } from './log.ts';
import { encodeMessage } from './message-codec.ts';
import type { Candidate } from './messages.ts';
import { turnOf } from './schedule.ts';

const [b1, b2] = makeChain(3) as [Candidate, Candidate];

/** The same replica after a crash: only its log is left, through its bytes. */
function restarted(bench: Bench, self: number, records: readonly LogRecord[] = bench.log): Bench {
  const restore = records.map((record) => {
    const decoded = decodeLogRecord(encodeLogRecord(record), parseTestBlock);
    assert.ok(decoded.ok);
    return decoded.value;
  });
  const again = new Bench(self, { restore });
  again.tick(0);
  return again;
}

test('PBFT-7.1: each vote leaves together with the record it depends on, never before', () => {
  const bench = new Bench(1);
  const [accepted] = bench.hear(prePrepare(0, b1));
  assert.deepEqual(
    [accepted?.persist.map(({ kind }) => kind), accepted?.send.map(({ message }) => message.kind)],
    [['accepted'], ['prepare']],
  );
  const [, prepared] = bench.hear(vote('prepare', 0, b1), vote('prepare', 2, b1));
  assert.deepEqual(
    [prepared?.persist.map(({ kind }) => kind), prepared?.send.map(({ message }) => message.kind)],
    [['prepared'], ['commit']],
  );
  const [, final] = bench.hear(vote('commit', 0, b1), vote('commit', 2, b1));
  assert.deepEqual([final?.persist.map(({ kind }) => kind), final?.deliver.length], [['committed'], 1]);
  const primary = new Bench(0);
  primary.pending(1);
  const proposed = primary.step({ kind: 'proposal', block: b1 });
  assert.deepEqual(
    [proposed.persist.map(({ kind }) => kind), proposed.send.map(({ message }) => message.kind)],
    [['accepted'], ['pre-prepare', 'prepare']],
  );
});

test('PBFT-7.2: after a restart a backup sends the same votes, byte for byte, and rejects another proposal (mainsail 1449)', () => {
  const bench = new Bench(1);
  bench.hear(prePrepare(0, b1), vote('prepare', 0, b1), vote('prepare', 2, b1));
  const again = restarted(bench, 1);
  const votes = (one: Bench): string[] =>
    [...one.messages('prepare'), ...one.messages('commit')].map((message) => toHex(encodeMessage(message)));
  assert.deepEqual(votes(again), votes(bench));
  again.hear(prePrepare(0, makeBlock(1, CHAIN, 5)));
  again.tick(250);
  assert.deepEqual(new Set(votes(again)), new Set(votes(bench)));
});

test('PBFT-7.2: a primary that restarts sends its proposals again and makes no others for their heights (SmartBFT 2a0557b)', () => {
  const primary = new Bench(0);
  primary.pending(1);
  primary.step({ kind: 'proposal', block: b1 });
  const again = restarted(primary, 0);
  again.step({ kind: 'proposal', block: makeBlock(1, CHAIN, 5) });
  again.tick(250);
  assert.deepEqual(
    new Set(again.messages('pre-prepare').map(({ block }) => toHex(block.hash))),
    new Set([toHex(b1.hash)]),
  );
});

test('PBFT-7.2: after a restart a replica stays out of the view it left, and sends the same VIEW-CHANGE', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  bench.tick(1_001);
  const again = restarted(bench, 2);
  assert.deepEqual([again.replica.view, again.replica.status().phase], [1, 'view-changing']);
  again.hear(prePrepare(0, b2), vote('prepare', 0, b1), vote('prepare', 3, b1));
  again.tick(250);
  assert.deepEqual(again.messages('prepare').length + again.messages('commit').length, 0);
  assert.deepEqual(again.messages('view-change').at(-1), bench.messages('view-change').at(-1));
});

test('PBFT-7.2: an entered view, its list and its votes survive a restart (concord 805: restart with a stale view)', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  const prepared = preparedCertificate(b1, [0, 1, 3], 4);
  bench.hear(
    newView(1, 1, {
      viewChanges: [viewChange(0, 1, { prepared: [prepared] }), viewChange(1, 1), viewChange(3, 1)],
      base: GENESIS_ID,
      reproposals: [{ height: b1.height, hash: b1.hash }],
    }),
  );
  const again = restarted(bench, 2);
  assert.deepEqual([again.replica.view, again.replica.status().phase], [1, 'normal']);
  assert.deepEqual(
    again.messages('prepare').map((message) => [message.view, toHex(message.hash)]),
    [[1, toHex(b1.hash)]],
  );
  again.hear(prePrepare(1, makeBlock(1, CHAIN, 5), 1));
  again.tick(250);
  assert.ok(again.messages('prepare').every((message) => toHex(message.hash) === toHex(b1.hash)));
});

test('PBFT-7.2: a prepared certificate from before the crash is in the next VIEW-CHANGE (ByzCoin 2079)', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), vote('prepare', 0, b1), vote('prepare', 1, b1));
  const again = restarted(bench, 2);
  again.tick(1_001);
  assert.deepEqual(
    again.messages('view-change').map((message) => message.prepared.map(({ digest }) => toHex(digest))),
    [[toHex(b1.hash)]],
  );
});

test('PBFT-7.2: reading records twice gives the same state as reading them once', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), vote('prepare', 0, b1), vote('prepare', 1, b1));
  bench.tick(1_001);
  const once = restarted(bench, 2).replica.status();
  assert.deepEqual(restarted(bench, 2, [...bench.log, ...bench.log]).replica.status(), once);
});

test('PBFT-7.3: final blocks that the block log does not have are delivered again from the write-ahead log', () => {
  const bench = new Bench(1);
  bench.hear(prePrepare(0, b1), prePrepare(0, b2));
  bench.hear(
    ...[b1, b2].flatMap((block) => [
      vote('commit', 0, block),
      vote('commit', 2, block),
      vote('commit', 3, block),
    ]),
  );
  assert.equal(bench.delivered.length, 2);
  assert.deepEqual(
    restarted(bench, 1).delivered.map(({ block }) => block.height),
    [1, 2],
  );
  const stored = new Bench(1, { restore: bench.log, tip: commitCertificate(b1, [0, 2, 3], 4) });
  assert.deepEqual(
    stored.delivered.map(({ block }) => block.height),
    [2],
  );
});

test('PBFT-7.3: a VIEW-CHANGE after a restart proves the tip of the block log, not only its height', () => {
  const tip = commitCertificate(b1, [0, 2, 3], 4);
  const bench = new Bench(1, { tip });
  bench.pending(1);
  bench.tick(0);
  bench.tick(1_001);
  assert.deepEqual(
    bench.messages('view-change').map((message) => message.committed),
    [tip],
  );
});

test('PBFT-7.4: an observer follows and delivers but signs nothing', () => {
  for (const bench of [
    new Bench(1, { observer: true }),
    new Bench(-1, { sign: () => assert.fail('signed') }),
  ]) {
    bench.pending(5);
    bench.hear(
      prePrepare(0, b1),
      vote('prepare', 0, b1),
      vote('prepare', 2, b1),
      viewChange(2, 1),
      viewChange(3, 1),
    );
    bench.hear(vote('commit', 0, b1), vote('commit', 2, b1), vote('commit', 3, b1));
    for (let round = 0; round < 10; round += 1) bench.tick(1_000);
    assert.deepEqual(
      bench.delivered.map(({ block }) => block.height),
      [1],
    );
    assert.deepEqual(bench.sent.filter(({ message }) => 'signature' in message).length, 0);
    assert.equal(bench.replica.status().phase, 'observer');
  }
});

test('PBFT-7.5: a chain that was lost, or set back, far behind the log makes nobody forget what it promised above', () => {
  const chain = makeChain(60);
  const at = (of: number): Candidate => chain[of - 1] as Candidate;
  const before = new Bench(3);
  for (const block of chain.slice(0, 40)) {
    before.hear(prePrepare(proposerAt(block.height), block));
    before.hear(
      ...[0, 1, 2].flatMap((sender) => [vote('prepare', sender, block), vote('commit', sender, block)]),
    );
    before.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: CHAIN });
  }
  before.hear(...[0, 1, 2].map((sender) => checkpoint(sender, 32, at(32).hash, CHAIN)));
  // Above the last final block: one prepared, one promised a PREPARE for.
  before.hear(prePrepare(proposerAt(41), at(41)), vote('prepare', 0, at(41)), vote('prepare', 1, at(41)));
  before.hear(prePrepare(proposerAt(42), at(42)));
  assert.deepEqual(
    before
      .messages('prepare')
      .slice(-2)
      .map(({ height: of }) => of),
    [41, 42],
  );

  // Somebody removed blocks and tables and left the log: everything is fetched again.
  const cut = before.log.findLastIndex(({ kind }) => kind === 'truncate');
  const after = new Bench(3, { restore: before.log.slice(cut) });
  assert.equal(after.replica.committedHeight, 0);
  for (const block of chain.slice(0, 40)) {
    const certificate = commitCertificate(block, [0, 1, 2], 4);
    after.step({ kind: 'certified', block, certificate });
    after.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: CHAIN });
  }
  const other = makeBlock(42, at(41).hash, 9);
  after.hear(prePrepare(proposerAt(42), other), prePrepare(proposerAt(41), makeBlock(41, at(40).hash, 9)));
  after.tick(100);
  for (const message of [...after.messages('prepare'), ...after.messages('commit')])
    assert.equal(toHex(message.hash), toHex(at(message.height).hash), `${message.kind} ${message.height}`);
  after.pending(1);
  for (let i = 0; i < 8; i += 1) after.tick(300);
  assert.deepEqual(
    after
      .messages('view-change')
      .at(-1)
      ?.prepared.map(({ height: of }) => of),
    [41],
  );
});

/** Of view 0 with everybody in turn. */
function proposerAt(of: number): number {
  return turnOf(of) % 4;
}
