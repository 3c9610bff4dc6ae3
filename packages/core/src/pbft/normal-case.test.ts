import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  commitCertificate,
  makeBlock,
  makeChain,
  newView,
  preparedCertificate,
  prePrepare,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Candidate, Message } from './messages.ts';

const [b1, b2, b3] = makeChain(5) as [Candidate, Candidate, Candidate];
const names = (bench: Bench, kind: 'prepare' | 'commit'): number[] =>
  bench.messages(kind).map((message) => message.height);
const prepares = (block: Candidate, ...senders: number[]): Message[] =>
  senders.map((sender) => vote('prepare', sender, block));
const commits = (block: Candidate, ...senders: number[]): Message[] =>
  senders.map((sender) => vote('commit', sender, block));

test('PBFT-4.1: a primary with requests wants one proposal after the other, at most the pipeline depth ahead', () => {
  const primary = new Bench(0);
  primary.pending(1);
  const chain = makeChain(LIMITS.pipelineDepth + 1);
  for (const block of chain) {
    const want = primary.wants.at(-1);
    if (block.height > LIMITS.pipelineDepth) break;
    assert.deepEqual(want, { kind: 'proposal', height: block.height, parentHash: block.parentHash, view: 0 });
    primary.step({ kind: 'proposal', block });
  }
  assert.equal(primary.messages('pre-prepare').length, LIMITS.pipelineDepth);
  primary.step({ kind: 'proposal', block: chain.at(-1) as Candidate });
  assert.equal(primary.messages('pre-prepare').length, LIMITS.pipelineDepth);
});

test('PBFT-4.1: without requests the shell is asked once per heartbeat', () => {
  const primary = new Bench(0);
  primary.step({ kind: 'proposal', block: b1 });
  primary.hear(...prepares(b1, 1, 2), ...commits(b1, 1, 2));
  primary.forget();
  primary.tick(100);
  primary.tick(4_000);
  assert.equal(primary.wants.length, 0);
  primary.tick(1_000);
  assert.equal(primary.wants.length, 1);
});

test('PBFT-4.1: a backup, and a primary that lacks final blocks, propose nothing', () => {
  const backup = new Bench(1);
  backup.pending(5);
  backup.step({ kind: 'proposal', block: b1 });
  assert.deepEqual([backup.wants, backup.messages('pre-prepare')], [[], []]);
  const late = new Bench(0);
  late.hear(...commits(b2, 1, 2, 3));
  late.forget();
  late.pending(5);
  assert.equal(late.wants.filter((want) => want.kind === 'proposal').length, 0);
});

test('PBFT-4.2: a proposal whose parent was not accepted waits for the parent', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b2));
  assert.equal(backup.log.length, 0);
  backup.hear(prePrepare(0, b1));
  assert.deepEqual(
    backup.log.map((record) => record.kind === 'accepted' && record.block.height),
    [1, 2],
  );
});

test('PBFT-4.2: a proposal on another parent than the accepted one is never voted for', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, makeBlock(2, makeBlock(1, CHAIN, 9).hash)));
  backup.hear(...prepares(b1, 0, 2));
  assert.deepEqual(names(backup, 'prepare'), [1]);
});

test('PBFT-4.2: a proposal of a later view is not taken under the present one (FISCO FIB-133)', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1, 4));
  assert.equal(backup.log.length, 0);
});

test('PBFT-4.2: “later” is asked again after a tick, “invalid” is not voted for in this view', () => {
  let verdict: 'later' | 'invalid' | 'valid' = 'later';
  let asked = 0;
  const backup = new Bench(1, {
    application: {
      check: () => {
        asked += 1;
        return verdict;
      },
    },
  });
  backup.hear(prePrepare(0, b1), vote('prepare', 2, b1));
  assert.equal(asked, 1);
  verdict = 'valid';
  backup.tick(50);
  assert.deepEqual(names(backup, 'prepare'), [1]);
  verdict = 'invalid';
  backup.hear(...prepares(b1, 0), ...commits(b1, 0, 2), prePrepare(0, b2));
  backup.tick(50);
  backup.tick(50);
  assert.equal(asked, 3);
  assert.deepEqual(names(backup, 'prepare'), [1]);
  assert.match(backup.replica.status().reason ?? '', /not valid/);
});

test('PBFT-4.3: a backup that accepted a proposal rejects a second one for the same view and height, and reports both', () => {
  const backup = new Bench(1);
  const other = makeBlock(1, CHAIN, 7);
  backup.hear(prePrepare(0, b1), prePrepare(0, other));
  backup.hear(...prepares(other, 2, 3));
  assert.deepEqual(
    backup.messages('prepare').map((message) => toHex(message.hash)),
    [toHex(b1.hash)],
  );
  assert.equal(backup.messages('commit').length, 0);
  assert.equal(backup.evidence.length, 1);
  const [evidence] = backup.evidence;
  assert.deepEqual([evidence?.kind, evidence?.culprit], ['pre-prepare', 0]);
});

test('PBFT-4.3: one author’s votes count once, whatever it sends (raijin 7)', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), ...prepares(b1, 2, 2, 2), vote('prepare', 2, makeBlock(1, CHAIN, 3)));
  assert.deepEqual(names(backup, 'commit'), []);
  backup.hear(...prepares(b1, 0));
  assert.deepEqual(names(backup, 'commit'), [1]);
});

test('PBFT-4.4: PREPARE waits until the parent is prepared in the same view', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, b2));
  assert.deepEqual(names(backup, 'prepare'), [1]);
  const [effects] = backup.hear(...prepares(b1, 0, 2)).slice(-1);
  assert.deepEqual(names(backup, 'prepare'), [1, 2]);
  // The proof of the parent is in the same batch that is durable before the PREPARE leaves.
  assert.ok(effects?.persist.some((record) => record.kind === 'prepared' && record.certificate.height === 1));
});

test('PBFT-4.4: the primary’s PRE-PREPARE is no PREPARE: its own follows the same rule', () => {
  const primary = new Bench(0);
  primary.pending(1);
  primary.step({ kind: 'proposal', block: b1 });
  primary.step({ kind: 'proposal', block: b2 });
  assert.deepEqual(
    primary.messages('pre-prepare').map((message) => message.block.height),
    [1, 2],
  );
  assert.deepEqual(names(primary, 'prepare'), [1]);
});

test('PBFT-4.4: a parent that is final by synchronisation is put on disk before the PREPARE above it leaves', () => {
  const backup = new Bench(1);
  backup.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 2, 3], 4) });
  const [effects] = backup.hear(prePrepare(0, b2));
  assert.deepEqual(
    effects?.persist.map((record) => record.kind),
    ['accepted', 'committed'],
  );
  assert.deepEqual(
    effects?.send.map(({ message }) => message.kind),
    ['prepare'],
  );
});

test('PBFT-4.5: prepared certificates are taken from below: votes for a height alone are not enough', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, b2), ...prepares(b2, 0, 2, 3));
  assert.equal(backup.log.filter((record) => record.kind === 'prepared').length, 0);
  backup.hear(...prepares(b1, 0, 2));
  assert.deepEqual(
    backup.log.flatMap((record) => (record.kind === 'prepared' ? [record.certificate.height] : [])),
    [1, 2],
  );
});

test('PBFT-4.6: a block proposed again by a NEW-VIEW is judged without freshness, and nothing else is taken at its height', () => {
  const asked: [number, boolean][] = [];
  const backup = new Bench(2, {
    application: {
      check: (block, fresh) => {
        asked.push([block.height, fresh]);
        return 'valid';
      },
    },
  });
  backup.hear(prePrepare(0, b1));
  const prepared = preparedCertificate(b1, [0, 1, 3], 4);
  const viewChanges = [viewChange(0, 1, { prepared: [prepared] }), viewChange(1, 1), viewChange(3, 1)];
  backup.hear(
    newView(1, 1, {
      viewChanges,
      base: { height: height(0), hash: CHAIN },
      reproposals: [{ height: height(1), hash: b1.hash }],
    }),
  );
  backup.hear(prePrepare(1, makeBlock(1, CHAIN, 5), 1), prePrepare(1, b2, 1));
  assert.deepEqual(asked, [
    [1, true],
    [1, false],
    [2, true],
  ]);
  assert.deepEqual(
    backup.messages('prepare').map((message) => [message.view, toHex(message.hash)]),
    [
      [0, toHex(b1.hash)],
      [1, toHex(b1.hash)],
    ],
  );
});

test('PBFT-4.7: COMMIT waits for the prepared certificate and for the commit certificate of the parent', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, b2), ...prepares(b1, 0, 2), ...prepares(b2, 0, 2));
  assert.deepEqual(names(backup, 'commit'), [1]);
  backup.hear(...commits(b1, 0));
  assert.deepEqual(names(backup, 'commit'), [1]);
  backup.hear(...commits(b1, 2));
  assert.deepEqual(names(backup, 'commit'), [1, 2]);
});

test('PBFT-4.8: COMMIT of weight Q is final though the replica is changing views', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1));
  backup.tick(10);
  backup.tick(1_001);
  assert.equal(backup.replica.status().phase, 'view-changing');
  backup.hear(...commits(b1, 0, 2, 3));
  assert.deepEqual(
    backup.delivered.map(({ block }) => block.height),
    [1],
  );
});

test('PBFT-4.8: COMMITs of different views do not add up', () => {
  const backup = new Bench(1);
  backup.hear(
    prePrepare(0, b1),
    vote('commit', 0, b1, 0),
    vote('commit', 2, b1, 1),
    vote('commit', 3, b1, 2),
  );
  assert.equal(backup.delivered.length, 0);
});

test('PBFT-4.9: blocks decided out of order are delivered in order, each once, with their own certificates', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, b2), prePrepare(0, b3));
  backup.hear(...commits(b3, 0, 2, 3), ...commits(b2, 0, 2, 3));
  assert.equal(backup.delivered.length, 0);
  backup.hear(...commits(b1, 0, 2, 3));
  backup.hear(...commits(b1, 0, 2, 3), ...commits(b2, 0, 2, 3));
  assert.deepEqual(
    backup.delivered.map(({ block, certificate }) => [block.height, certificate.height]),
    [
      [1, 1],
      [2, 2],
      [3, 3],
    ],
  );
});

test('PBFT-4.9: synchronisation and votes for the same block deliver it once (SmartBFT 93a8786, d9182ed)', () => {
  const backup = new Bench(1);
  backup.hear(prePrepare(0, b1), prePrepare(0, b2));
  backup.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 2, 3], 4) });
  backup.hear(...commits(b1, 0, 2, 3));
  backup.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 1, 2], 4) });
  backup.hear(...commits(b2, 0, 2, 3));
  backup.step({ kind: 'certified', block: b2, certificate: commitCertificate(b2, [0, 1, 2], 4) });
  assert.deepEqual(
    backup.delivered.map(({ block }) => block.height),
    [1, 2],
  );
});

test('PBFT-4.9: a certified block that does not follow the delivered one halts the replica instead of forking it', () => {
  const backup = new Bench(1);
  backup.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 2, 3], 4) });
  const stray = makeBlock(2, makeBlock(1, CHAIN, 4).hash);
  backup.step({ kind: 'certified', block: stray, certificate: commitCertificate(stray, [0, 2, 3], 4) });
  assert.deepEqual(
    backup.delivered.map(({ block }) => block.height),
    [1],
  );
  assert.equal(backup.replica.status().phase, 'halted');
});

test('PBFT-4.9: four replicas without faults deliver every block once and alike', () => {
  const benches = [0, 1, 2, 3].map((self) => new Bench(self));
  const chain = makeChain(12);
  for (const bench of benches) bench.pending(1);
  let read = benches.map(() => 0);
  let next = 0;
  for (let round = 0; round < 200; round += 1) {
    const want = benches[0]?.wants.at(-1);
    if (want?.kind === 'proposal' && want.height === next + 1 && next < chain.length) {
      benches[0]?.step({ kind: 'proposal', block: chain[next] as Candidate });
      next += 1;
    }
    const fresh = benches.map((bench, i) => bench.sent.slice(read[i]));
    read = benches.map((bench) => bench.sent.length);
    for (const outgoing of fresh.flat()) {
      for (const [i, bench] of benches.entries()) {
        if (i !== outgoing.message.sender && (outgoing.to === 'all' || outgoing.to === i))
          bench.hear(outgoing.message);
      }
    }
  }
  for (const bench of benches)
    assert.deepEqual(
      bench.delivered.map(({ block }) => toHex(block.hash)),
      chain.map((block) => toHex(block.hash)),
    );
});
