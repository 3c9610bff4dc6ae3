import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  commitCertificate,
  GENESIS_ID,
  makeBlock,
  makeChain,
  newView,
  prePrepare,
  status,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { height, view } from '../ledger/ids.ts';
import { encodeMessage } from './message-codec.ts';
import type { Candidate } from './messages.ts';

const [b1, b2] = makeChain(3) as [Candidate, Candidate];

test('PBFT-8.1: proposals and votes without progress are sent again on ticks, the same bytes, and not while they are fresh', () => {
  const primary = new Bench(0);
  primary.pending(1);
  primary.step({ kind: 'proposal', block: b1 });
  primary.hear(vote('prepare', 1, b1), vote('prepare', 2, b1));
  const first = ['pre-prepare', 'prepare', 'commit'].map(
    (kind) => primary.sent.find(({ message }) => message.kind === kind)?.message,
  );
  primary.forget();
  primary.tick(100);
  assert.equal(primary.messages('prepare').length, 0);
  primary.tick(150);
  const again = ['pre-prepare', 'prepare', 'commit'].map(
    (kind) => primary.sent.find(({ message }) => message.kind === kind)?.message,
  );
  assert.deepEqual(
    again.map((message) => message && toHex(encodeMessage(message))),
    first.map((message) => message && toHex(encodeMessage(message))),
  );
});

test('PBFT-8.2: a height claimed without a certificate moves nobody (CometBFT ASA-2025-001)', () => {
  const bench = new Bench(1);
  bench.hear(status(2, { committed: height(1_000_000), view: view(500) }));
  bench.tick(2_000);
  assert.deepEqual([bench.replica.view, bench.replica.status().certifiedHeight], [0, 0]);
  assert.equal(bench.wants.filter((want) => want.kind === 'sync').length, 0);
});

test('PBFT-8.2: a forged certificate in a status is dropped, the status stays', () => {
  const bench = new Bench(1);
  bench.hear(status(2, { committed: height(9), committedCertificate: commitCertificate(b1, [0, 1], 4) }));
  assert.equal(bench.replica.status().certifiedHeight, 0);
});

test('PBFT-8.2: whoever is behind is shown the proof, and no more often than half a resend interval', () => {
  const bench = new Bench(1, { tip: commitCertificate(b1, [0, 2, 3], 4) });
  bench.tick(1_000);
  bench.forget();
  for (let i = 0; i < 10; i += 1) bench.hear(status(2));
  assert.deepEqual(
    bench.sent.map(({ to, message }) => [
      to,
      message.kind === 'status' && message.committedCertificate?.height,
    ]),
    [[2, 1]],
  );
});

test('PBFT-8.2: whoever has missed the NEW-VIEW is sent it', () => {
  const message = newView(1, 1, {
    viewChanges: [viewChange(0, 1), viewChange(1, 1), viewChange(3, 1)],
    base: GENESIS_ID,
    reproposals: [],
  });
  for (const call of [
    status(3, { view: view(0) }),
    status(3, { view: view(1), changing: true }),
    viewChange(3, 1),
  ]) {
    const bench = new Bench(2);
    bench.hear(message);
    bench.tick(1_000);
    bench.forget();
    bench.hear(call);
    assert.deepEqual(bench.messages('new-view'), [message]);
  }
});

test('PBFT-8.3: with proof of final blocks it lacks, a replica asks for synchronisation, later from other peers', () => {
  let random = 0;
  const bench = new Bench(1, { random: () => random });
  bench.hear(status(2, { committed: height(2), committedCertificate: commitCertificate(b2, [0, 2, 3], 4) }));
  for (const next of [0, 0.4, 0.9]) {
    random = next;
    bench.tick(200);
    bench.tick(200);
  }
  const syncs = bench.wants.flatMap((want) => (want.kind === 'sync' ? [want] : []));
  assert.ok(syncs.every(({ target }) => target === 2) && syncs.length >= 2);
  assert.equal(syncs[0]?.from === undefined, false);
  assert.ok(new Set(syncs.map(({ from }) => from)).size >= 2 && syncs.every(({ from }) => from !== 1));
  bench.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 2, 3], 4) });
  bench.step({ kind: 'certified', block: b2, certificate: commitCertificate(b2, [0, 2, 3], 4) });
  assert.deepEqual(
    bench.delivered.map(({ block }) => block.height),
    [1, 2],
  );
  assert.equal(bench.replica.status().reason, undefined);
});

test('PBFT-8.3: synchronisation that ends during a view change delivers, and the view change goes on (sawtooth 90)', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(1_001);
  bench.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 1, 3], 4) });
  assert.equal(bench.delivered.length, 1);
  bench.hear(
    newView(1, 1, {
      viewChanges: [
        viewChange(0, 1),
        viewChange(1, 1),
        viewChange(3, 1, { committed: commitCertificate(b1, [0, 1, 3], 4) }),
      ],
      base: { height: b1.height, hash: b1.hash },
      reproposals: [],
    }),
  );
  bench.hear(prePrepare(1, b2, 1));
  assert.deepEqual(
    bench.messages('prepare').map((message) => [message.view, message.height]),
    [[1, 2]],
  );
});

test('PBFT-9.1: two votes of one author in one place are reported with both signatures, once', () => {
  const bench = new Bench(1);
  const other = makeBlock(1, CHAIN, 3);
  bench.hear(vote('commit', 3, b1), vote('commit', 3, other), vote('commit', 3, other));
  assert.equal(bench.evidence.length, 1);
  const [evidence] = bench.evidence;
  assert.ok(evidence?.kind === 'vote');
  assert.deepEqual([evidence.first, evidence.second], [vote('commit', 3, b1), vote('commit', 3, other)]);
});

test('PBFT-9.1: votes in different views, and votes repeated, accuse nobody', () => {
  const bench = new Bench(1);
  bench.hear(
    vote('commit', 3, b1),
    vote('commit', 3, makeBlock(1, CHAIN, 3), 1),
    vote('commit', 3, b1),
    vote('prepare', 3, makeBlock(1, CHAIN, 4)),
  );
  assert.equal(bench.evidence.length, 0);
});

test('PBFT-9.2: the status names what is waited for, and whose votes are missing', () => {
  const bench = new Bench(1);
  assert.equal(bench.replica.status().reason, undefined);
  bench.pending(3);
  assert.match(bench.replica.status().reason ?? '', /waiting for a proposal of validator 0 at height 1/);
  bench.hear(prePrepare(0, b1), vote('prepare', 0, b1));
  assert.match(
    bench.replica.status().reason ?? '',
    /height 1 has prepare weight 2 of 3; no vote of validators 2, 3/,
  );
  bench.hear(vote('prepare', 2, b1));
  assert.match(
    bench.replica.status().reason ?? '',
    /height 1 has commit weight 1 of 3; no vote of validators 0, 2, 3/,
  );
  bench.tick(10);
  bench.tick(1_001);
  assert.match(bench.replica.status().reason ?? '', /view 1 is asked for by weight 1 of 3/);
});
