import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  contextOf,
  GENESIS_ID,
  inEpoch,
  keyOf,
  makeBlock,
  makeChain,
  newView,
  preparedCertificate,
  prePrepare,
  signAs,
  stableCertificate,
  status,
  verifySlowly,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { sha256 } from '../crypto/hash.ts';
import { CertificateCache } from './certificate-cache.ts';
import { PBFT_LIMITS } from './limits.ts';
import type { Candidate, Message } from './messages.ts';
import { verifyMessage, type VerifyContext } from './verify.ts';

const [b1, b2] = makeChain(2) as [Candidate, Candidate];

/** Everything that says the same about a replica before and after. */
const stateOf = (bench: Bench): string => JSON.stringify(bench.replica.status());

test('PBFT-3.4: a vote for a decided height, below the view, repeated, or out of the window is of no use', () => {
  const bench = new Bench(1);
  bench.hear(prePrepare(0, b1), vote('prepare', 0, b1), vote('prepare', 2, b1));
  assert.equal(bench.replica.isUseful(vote('prepare', 0, b1)), false, 'repeated');
  assert.equal(bench.replica.isUseful(vote('prepare', 3, b1)), false, 'prepared already');
  assert.equal(bench.replica.isUseful(vote('commit', 3, b1)), true);
  bench.hear(vote('commit', 0, b1), vote('commit', 2, b1));
  assert.equal(bench.delivered.length, 1);
  assert.equal(bench.replica.isUseful(vote('commit', 3, b1)), false, 'final');
  assert.equal(bench.replica.isUseful(prePrepare(0, b1)), false, 'final');
  assert.equal(bench.replica.isUseful(vote('commit', 3, makeBlock(99, CHAIN))), false, 'window');
  assert.equal(bench.replica.isUseful(vote('commit', 3, b2)), true);
  assert.equal(bench.replica.isUseful(inEpoch(1, vote('commit', 3, b2))), false, 'epoch');
  bench.hear(...[0, 2, 3].map((sender) => viewChange(sender, 1)));
  assert.equal(bench.replica.view, 1);
  assert.equal(bench.replica.isUseful(vote('prepare', 3, b2)), false, 'view left');
  assert.equal(bench.replica.isUseful(vote('commit', 3, b2)), true, 'COMMIT of any view');
});

test('PBFT-3.4: a vote that contradicts one held from its author is of use: it is evidence', () => {
  const bench = new Bench(1);
  const other = makeBlock(1, CHAIN, 8);
  bench.hear(prePrepare(0, b1), vote('commit', 3, b1), vote('prepare', 3, b1));
  assert.equal(bench.replica.isUseful(vote('commit', 3, other)), true);
  assert.equal(bench.replica.isUseful(vote('prepare', 3, other)), true);
  bench.hear(vote('commit', 3, other));
  assert.deepEqual(
    bench.evidence.map(({ culprit }) => culprit),
    [3],
  );
});

test('PBFT-3.4: what is dropped as useless would have changed nothing', () => {
  const blocks = [b1, b2, makeBlock(1, CHAIN, 3), makeBlock(30, CHAIN)];
  const root = sha256(Uint8Array.of(1));
  const message: fc.Arbitrary<Message> = fc.oneof(
    fc
      .tuple(
        fc.constantFrom('prepare' as const, 'commit' as const),
        fc.nat({ max: 3 }),
        fc.nat({ max: 3 }),
        fc.nat({ max: 2 }),
      )
      .map(([kind, sender, block, inView]) => vote(kind, sender, blocks[block] as Candidate, inView)),
    fc
      .tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 }), fc.nat({ max: 2 }))
      .map(([sender, block, inView]) => prePrepare(sender, blocks[block] as Candidate, inView)),
    fc
      .tuple(fc.nat({ max: 3 }), fc.constantFrom(32, 64))
      .map(([sender, at]) => checkpoint(sender, at, b1.hash, root)),
    fc
      .tuple(fc.nat({ max: 3 }), fc.integer({ min: 1, max: 3 }))
      .map(([sender, to]) => viewChange(sender, to)),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
      const bench = new Bench(1);
      for (const received of messages) {
        if (received.sender === 1) continue;
        const before = stateOf(bench);
        const useful = bench.replica.isUseful(received);
        if (received.kind === 'pre-prepare') bench.replica.isAwaited(received);
        bench.forget();
        const recorded = [bench.log.length, bench.delivered.length, bench.evidence.length];
        bench.hear(received);
        if (useful) continue;
        assert.equal(stateOf(bench), before, received.kind);

        assert.deepEqual([bench.log.length, bench.delivered.length, bench.evidence.length], recorded);
        assert.equal(bench.sent.length, 0);
      }
    }),
    { numRuns: 200 },
  );
});

test('PBFT-3.4: NEW-VIEW, VIEW-CHANGE and CHECKPOINT are of use as long as they are news, or ask for help', () => {
  const bench = new Bench(2);
  const root = sha256(Uint8Array.of(1));
  assert.equal(bench.replica.isUseful(checkpoint(0, 32, b1.hash, root)), true);
  bench.hear(checkpoint(0, 32, b1.hash, root));
  assert.equal(bench.replica.isUseful(checkpoint(0, 32, b1.hash, root)), false);
  assert.equal(bench.replica.isUseful(checkpoint(0, 32, b2.hash, root)), true, 'evidence');
  assert.equal(bench.replica.isUseful(viewChange(3, 1)), true);
  bench.hear(viewChange(3, 3), viewChange(1, 3));
  assert.equal(bench.replica.status().phase, 'view-changing');
  assert.equal(bench.replica.isUseful(viewChange(3, 3)), false);
  const opening = newView(1, 1, { viewChanges: [], base: GENESIS_ID, reproposals: [] });
  assert.equal(bench.replica.isUseful(opening), false);
  const asking = [0, 1, 3].map((sender) => viewChange(sender, 3));
  bench.hear(newView(3, 3, { viewChanges: asking, base: GENESIS_ID, reproposals: [] }));
  assert.equal(bench.replica.status().phase, 'normal');
  assert.equal(bench.replica.isUseful(viewChange(3, 3)), true, 'it has missed the NEW-VIEW');
  for (const message of [status(1), inEpoch(0, status(1))])
    assert.equal(bench.replica.isUseful(message), true);
});

test('PBFT-3.4: a proposal out of turn and a body nobody asked for are of no use', () => {
  const bench = new Bench(2);
  assert.equal(bench.replica.isUseful(prePrepare(0, b1)), true);
  assert.equal(bench.replica.isUseful(prePrepare(3, b1)), false);
  // Whose turn it is in a later view is not known.
  assert.equal(bench.replica.isUseful(prePrepare(3, b1, 1)), true);
  const body = (block: Candidate): Message => ({ kind: 'body', sender: 0, epoch: status(0).epoch, block });
  assert.equal(bench.replica.isUseful(body(b1)), false);
  bench.hear(...[0, 1, 3].map((sender) => vote('commit', sender, b1)));
  assert.equal(bench.replica.isUseful(body(b1)), true);
  assert.equal(bench.replica.isUseful(body(makeBlock(1, CHAIN, 3))), false);
  bench.hear(body(b1));
  assert.equal(bench.delivered.length, 1);
});

test('PBFT-3.5: of the proposals of one author only the first in each place of the present view is worth checking ahead', () => {
  const bench = new Bench(2);
  const [first, second] = [makeBlock(1, CHAIN, 3), makeBlock(1, CHAIN, 4)];
  assert.equal(bench.replica.isAwaited(prePrepare(0, first)), true);
  assert.equal(bench.replica.isAwaited(prePrepare(0, first, 7)), false);
  bench.hear(prePrepare(0, first));
  assert.equal(bench.replica.isAwaited(prePrepare(0, second)), false);
  assert.equal(bench.replica.isAwaited(prePrepare(0, b2)), true);
});

/** A verifier that counts, and a context with memory. */
function counting(): { context: VerifyContext; calls: () => number } {
  let calls = 0;
  const verify: SignatureVerifier = (...args) => {
    calls += 1;
    return verifySlowly(...args);
  };
  return {
    context: { ...contextOf([1, 1, 1, 1]), verify, cache: new CertificateCache() },
    calls: () => calls,
  };
}

const prepared = preparedCertificate(b2, [0, 1, 2], 4);
const committed = commitCertificate(b1, [0, 1, 3], 4);
const stable = stableCertificate(32, b1.hash, CHAIN, [1, 2, 3], 4);
const asking = [0, 2, 3].map((sender) => viewChange(sender, 1, { prepared: [prepared], committed, stable }));
const opening = newView(1, 1, { viewChanges: asking, base: GENESIS_ID, reproposals: [] });

test('PBFT-6.8: a certificate and a VIEW-CHANGE are verified once, however many messages they are nested in', () => {
  const { context, calls } = counting();
  for (const message of asking) assert.equal(verifyMessage(context, message).ok, true);
  assert.equal(calls(), 3 + 3 * 3, 'three authors, three certificates of three signatures');
  assert.equal(verifyMessage(context, opening).ok, true);
  assert.equal(calls(), 12 + 1, 'the author of the NEW-VIEW');
});

test('PBFT-6.8: with and without memory the verdicts are the same, also for what was tampered with after a good one', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 }), fc.nat({ max: 63 }), fc.boolean(), (which, at, swap) => {
      const { context } = counting();
      const { cache: _, ...plain } = context;
      assert.ok(verifyMessage(context, opening).ok);
      const signatures = prepared.signatures.map((signature, i) => {
        const copy = signature.slice();
        if (i === which) copy[at] = (copy[at] as number) ^ 1;
        return copy;
      });
      const forged = swap ? { ...prepared, digest: b1.hash } : { ...prepared, signatures };
      const message = viewChange(2, 1, { prepared: [forged], committed, stable });
      assert.deepEqual(verifyMessage(context, message), verifyMessage(plain, message));
      const relabelled = { ...committed, signers: Uint8Array.of(7) };
      const second = viewChange(3, 1, { committed: relabelled });
      assert.deepEqual(verifyMessage(context, second), verifyMessage(plain, second));
    }),
  );
});

test('PBFT-6.8: what did not verify is not remembered, and the memory is bounded', () => {
  const cache = new CertificateCache();
  let calls = 0;
  const ask = (n: number, verdict: boolean): boolean =>
    cache.check(Uint8Array.of(n & 255, n >> 8), () => {
      calls += 1;
      return verdict;
    });
  assert.equal(ask(1, false), false);
  assert.equal(ask(1, true), true);
  assert.equal(ask(1, false), true);
  assert.equal(calls, 2);
  for (let n = 2; n < 2 + PBFT_LIMITS.provenMax; n += 1) ask(n, true);
  assert.equal(ask(1, false), false, 'forgotten, and asked again');
});

test('PBFT-2.2: signatures of one validator do not pass for another one through the memory', () => {
  const { context } = counting();
  const mine = viewChange(2, 1);
  assert.ok(verifyMessage(context, mine).ok);
  assert.equal(verifyMessage(context, { ...mine, sender: 3 }).ok, false);
  assert.equal(signAs(2)(keyOf(3).bytes).length, 64);
});
