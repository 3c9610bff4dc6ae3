import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bench, commitCertificate, include, makeChain, parseTestBlock, status } from '../testing/pbft.ts';
import { Cluster } from '../testing/pbft-cluster.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf } from '../ledger/validators.ts';
import { INCLUSION_BLOCKS } from './inclusion.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';

const idOf = (n: number): Hash => sha256(Uint8Array.of(n, 77));
const late = idOf(1);
const chain = makeChain(16);

/** Blocks of the present proposer, one every `ms` milliseconds, from `from` on. */
function deliver(bench: Bench, from: number, count: number, ms: number): void {
  for (const block of chain.slice(from - 1, from - 1 + count)) {
    bench.tick(ms);
    bench.step({ kind: 'certified', block, certificate: commitCertificate(block, [0, 1, 3], 4) });
    bench.step({ kind: 'executed', height: block.height, hash: block.hash, stateRoot: block.hash });
  }
}

function overdue(bench: Bench, ...ids: Hash[]): void {
  bench.step({ kind: 'pending', count: ids.length, overdue: ids });
}

test('PBFT-13.1: overdue transactions are reported, signed, and again in each interval as long as they are overdue', () => {
  const bench = new Bench(2);
  overdue(bench, late);
  bench.tick(10);
  assert.deepEqual(
    bench.sent.filter(({ message }) => message.kind === 'include'),
    [{ to: 'all', message: include(2, [late]) }],
  );
  bench.tick(100);
  assert.equal(bench.messages('include').length, 1);
  bench.tick(200);
  assert.equal(bench.messages('include').length, 2);
  overdue(bench);
  bench.tick(500);
  assert.equal(bench.messages('include').length, 2);
});

test('PBFT-13.1: an idle chain and an observer report nothing', () => {
  const idle = new Bench(2);
  idle.tick(2_000);
  assert.equal(idle.messages('include').length, 0);
  const observer = new Bench(2, { observer: true });
  overdue(observer, late);
  observer.tick(500);
  assert.equal(observer.messages('include').length, 0);
});

test('PBFT-13.2: what F + 1 report and the proposer leaves out of P + 2 further blocks is a doubt', () => {
  const bench = new Bench(2);
  overdue(bench, late);
  bench.hear(include(1, [idOf(9), late]));
  deliver(bench, 1, 1, 150);
  for (let at = 2; at <= INCLUSION_BLOCKS; at += 1) {
    deliver(bench, at, 1, 150);
    bench.hear(include(1, [late]));
    assert.deepEqual(bench.replica.status().suspects, [], `height ${at}`);
  }
  deliver(bench, INCLUSION_BLOCKS + 1, 1, 150);
  bench.tick(10);
  assert.deepEqual(bench.replica.status().suspects, [0]);
  bench.hear(status(3, { suspects: bitmapOf([0], 4) }));
  assert.equal(bench.messages('view-change').length, 1);
});

test('PBFT-13.2: without weight F + 1, or once the shell is satisfied, or before the reports can have arrived, there is none', () => {
  const lonely = new Bench(2);
  overdue(lonely, late);
  deliver(lonely, 1, 10, 150);
  assert.deepEqual(lonely.replica.status().suspects, []);
  const satisfied = new Bench(2);
  overdue(satisfied, late);
  satisfied.hear(include(1, [late]), include(3, [late]));
  deliver(satisfied, 1, 4, 100);
  overdue(satisfied);
  deliver(satisfied, 5, 8, 100);
  assert.deepEqual(satisfied.replica.status().suspects, []);
  const quick = new Bench(2);
  overdue(quick, late);
  quick.hear(include(1, [late]));
  deliver(quick, 1, 12, 20);
  assert.deepEqual(quick.replica.status().suspects, []);
});

test('PBFT-13.2: a report that is not repeated expires', () => {
  const bench = new Bench(2);
  overdue(bench, late);
  bench.hear(include(1, [late]));
  deliver(bench, 1, 14, 200);
  assert.deepEqual(bench.replica.status().suspects, []);
});

test('PBFT-13.3: the shell of the proposer is told what to take in, known to it or not, and no more often than it helps', () => {
  const bench = new Bench(0);
  bench.hear(include(1, [late, idOf(2)]), include(2, [late]));
  bench.tick(50);
  bench.tick(50);
  assert.deepEqual(
    bench.wants.filter((want) => want.kind === 'include'),
    [{ kind: 'include', ids: [late] }],
  );
  bench.wants = [];
  bench.hear(include(1, [late]), include(2, [late]));
  bench.tick(200);
  assert.equal(bench.wants.filter((want) => want.kind === 'include').length, 1);
  const backup = new Bench(3);
  backup.hear(include(1, [late]), include(2, [late]));
  backup.tick(50);
  assert.deepEqual(
    backup.wants.filter((want) => want.kind === 'include'),
    [],
  );
});

test('PBFT-13.4: huge INCLUDE lists are not decoded; one list per validator is kept, and what is asked for is bounded', () => {
  const many = Array.from({ length: LIMITS.inclusionMax + 1 }, (_, i) => idOf(i));
  const decoded = decodeMessage(encodeMessage(include(1, many)), parseTestBlock);
  assert.ok(!decoded.ok && decoded.code === 'decode.too-long');
  const bench = new Bench(0);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 99 }), { maxLength: LIMITS.inclusionMax }), (numbers) => {
      bench.wants = [];
      for (const sender of [1, 2, 3]) bench.hear(include(sender, numbers.map(idOf)));
      bench.tick(300);
      for (const want of bench.wants) {
        if (want.kind !== 'include') continue;
        assert.ok(want.ids.length <= LIMITS.inclusionMax);
        assert.equal(new Set(want.ids).size, want.ids.length);
      }
    }),
  );
  // A shell that says too much is cut short as well.
  overdue(bench, ...many);
  bench.forget();
  bench.tick(300);
  assert.equal(bench.messages('include').at(-1)?.ids.length, LIMITS.inclusionMax);
});

test('PBFT-13.5: a proposer that leaves out one client is skipped, and the transaction is delivered in the next turn', () => {
  const cluster = new Cluster({ load: () => 0.1, latencyMs: 250, censored: { by: 0, id: late } });
  cluster.run(12_000);
  assert.deepEqual(cluster.status(1).skipped, [0]);
  assert.ok(cluster.heightOf(1) > 16);
  assert.equal(cluster.of('view-change').filter(({ from }) => from !== 0).length, 3);
});
