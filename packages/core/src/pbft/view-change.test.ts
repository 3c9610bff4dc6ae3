import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Bench,
  CHAIN,
  checkpoint,
  commitCertificate,
  GENESIS_ID,
  makeBlock,
  makeChain,
  newView,
  preparedCertificate,
  prePrepare,
  stableCertificate,
  verified,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import { height, view } from '../ledger/ids.ts';
import type { BlockId, Candidate, NewView, SoundViewChange, ViewChange } from './messages.ts';
import { RULES } from './rules.ts';

const [b1, b2, b3] = makeChain(4) as [Candidate, Candidate, Candidate];
const id = (block: Candidate): BlockId => ({ height: block.height, hash: block.hash });
const UNIT = [1, 1, 1, 1];

function sound(message: ViewChange): SoundViewChange {
  const result = verified(UNIT, message);
  assert.ok(result.kind === 'view-change');
  return result.sound;
}

/** A backup that waits for view 1 with an accepted block it could not prepare. */
function waiting(self = 2): Bench {
  const bench = new Bench(self);
  bench.hear(prePrepare(0, b1));
  bench.tick(10);
  bench.tick(1_001);
  assert.equal(bench.replica.status().phase, 'view-changing');
  return bench;
}

test('PBFT-6.1: requests that wait, or a proposal that is not final, bring a view change when the timer ends', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.tick(900);
  assert.equal(bench.messages('view-change').length, 0);
  bench.tick(101);
  assert.deepEqual(
    bench.messages('view-change').map((message) => message.view),
    [1],
  );
  waiting();
});

test('PBFT-6.1: an idle chain changes no view, and each delivered block restarts the timer', () => {
  const bench = new Bench(2);
  for (let round = 0; round < 20; round += 1) bench.tick(1_000);
  assert.equal(bench.messages('view-change').length, 0);
  bench.pending(1);
  for (const block of makeChain(4)) {
    bench.tick(700);
    bench.hear(
      prePrepare(0, block),
      vote('commit', 0, block),
      vote('commit', 1, block),
      vote('commit', 3, block),
    );
  }
  assert.equal(bench.delivered.length, 4);
  assert.equal(bench.messages('view-change').length, 0);
});

test('PBFT-6.1: whoever fetches final blocks suspects nobody', () => {
  const bench = new Bench(2);
  bench.pending(1);
  bench.hear(...[0, 1, 3].map((sender) => vote('commit', sender, b2)));
  for (let round = 0; round < 5; round += 1) bench.tick(1_000);
  assert.equal(bench.replica.status().phase, 'normal');
  assert.match(bench.replica.status().reason ?? '', /blocks 1 to 2 are final/);
});

test('PBFT-6.1: a replica that is cut off, or comes back from a long pause, stays in its view', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  bench.alone = true;
  for (let round = 0; round < 10; round += 1) bench.tick(1_000);
  assert.equal(bench.replica.status().phase, 'normal');
  // Heard from again, it gives the others a whole timeout before it suspects them.
  bench.alone = false;
  bench.tick(900);
  assert.equal(bench.replica.status().phase, 'normal');
  bench.tick(200);
  assert.equal(bench.replica.status().phase, 'view-changing');
});

test('PBFT-6.2: VIEW-CHANGE carries the commit certificate and the prepared certificates above it, and is durable before it leaves', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), prePrepare(0, b2), prePrepare(0, b3));
  bench.hear(...[b1, b2].flatMap((block) => [0, 1].map((sender) => vote('prepare', sender, block))));
  bench.hear(vote('commit', 0, b1), vote('commit', 1, b1));
  const effects = bench.tick(1_001);
  const [message] = bench.messages('view-change');
  assert.equal(message?.committed?.height, 1);
  assert.deepEqual(
    message?.prepared.map(({ height: at, digest }) => [at, toHex(digest)]),
    [[2, toHex(b2.hash)]],
  );
  assert.deepEqual(
    effects.persist.map((record) => record.kind),
    ['view-change'],
  );
});

test('PBFT-6.2: after its VIEW-CHANGE a replica neither accepts, prepares nor commits in the view it left', () => {
  const bench = waiting();
  bench.forget();
  const records = bench.log.length;
  bench.hear(prePrepare(0, b2), vote('prepare', 0, b1), vote('prepare', 1, b1), vote('prepare', 3, b1));
  bench.tick(500);
  assert.equal(bench.messages('prepare').length + bench.messages('commit').length, 0);
  assert.equal(bench.log.length, records);
});

test('PBFT-6.3: F + 1 asking for later views make a replica join the smallest of them; one alone, whatever it names, does not (FISCO 2211)', () => {
  const bench = new Bench(3);
  bench.hear(viewChange(1, 1_000_000_007));
  assert.equal(bench.replica.view, 0);
  bench.hear(viewChange(2, 5));
  assert.equal(bench.replica.view, 5);
  assert.equal(bench.messages('view-change').length, 1);
});

test('PBFT-6.3: weight counts, not the number of voices', () => {
  const bench = new Bench(0, { weights: [3, 3, 3, 1] });
  bench.hear(viewChange(3, 1));
  bench.hear(viewChange(3, 2));
  assert.equal(bench.replica.view, 0);
  bench.hear(viewChange(2, 1));
  assert.equal(bench.replica.view, 1);
});

test('PBFT-6.4: a forged prepared certificate beside valid ones is skipped, the valid ones count (concord 11d4c91)', () => {
  const good = preparedCertificate(b1, [0, 1, 3], 4);
  const forged = { ...preparedCertificate(b2, [0, 1, 3], 4), digest: sha256(CHAIN) };
  const short = preparedCertificate(b3, [0, 1], 4);
  const future = preparedCertificate(makeBlock(1, CHAIN, 4), [0, 1, 3], 4, 9);
  const parts = sound(
    viewChange(1, 1, {
      prepared: [forged, future, good, short],
      committed: { ...commitCertificate(b1, [0, 1, 3], 4), height: height(2) },
    }),
  );
  assert.deepEqual(parts.prepared, [good]);
  assert.equal(parts.committed, undefined);
});

test('PBFT-6.4: a VIEW-CHANGE with a bad signature inside a NEW-VIEW is dropped, the rest decides', () => {
  const bad = { ...viewChange(0, 1), signature: new Uint8Array(64) };
  const good = [viewChange(1, 1), viewChange(2, 1), viewChange(3, 1)];
  const bench = new Bench(2);
  bench.hear(newView(1, 1, { viewChanges: [bad, ...good], base: GENESIS_ID, reproposals: [] }));
  assert.equal(bench.replica.view, 1);
  const lacking = new Bench(2);
  lacking.hear(newView(1, 1, { viewChanges: [bad, ...good.slice(1)], base: GENESIS_ID, reproposals: [] }));
  assert.equal(lacking.replica.view, 0);
});

test('PBFT-6.5: a NEW-VIEW that hides a prepared block, adds one, repeats a voice or has too little weight is ignored (raijin 7, FIB-124)', () => {
  const prepared = preparedCertificate(b1, [0, 1, 3], 4);
  const set = [viewChange(0, 1), viewChange(1, 1, { prepared: [prepared] }), viewChange(3, 1)];
  const right = { viewChanges: set, base: GENESIS_ID, reproposals: [id(b1)] };
  const wrong: Record<string, Pick<NewView, 'viewChanges' | 'base' | 'reproposals'>> = {
    hides: { ...right, reproposals: [] },
    adds: { ...right, reproposals: [id(b1), id(b2)] },
    replaces: { ...right, reproposals: [id(makeBlock(1, CHAIN, 3))] },
    'claims a base': { ...right, base: id(b1), reproposals: [] },
    'too little weight': { ...right, viewChanges: set.slice(1) },
    'one voice twice': {
      ...right,
      viewChanges: [set[1] as ViewChange, set[1] as ViewChange, set[2] as ViewChange],
    },
    'voices for another view': {
      ...right,
      viewChanges: [viewChange(0, 2), viewChange(1, 2, { prepared: [prepared] }), viewChange(3, 2)],
    },
  };
  for (const [what, parts] of Object.entries(wrong)) {
    const bench = new Bench(2);
    bench.hear(newView(1, 1, parts));
    assert.equal(bench.replica.view, 0, what);
  }
  const bench = new Bench(2);
  bench.hear(newView(1, 1, right));
  assert.equal(bench.replica.view, 1);
});

test('PBFT-6.5: per height the certificate of the highest view wins, wherever in the set it is', () => {
  const other = makeBlock(1, CHAIN, 6);
  const old = preparedCertificate(b1, [0, 1, 2], 4, 0);
  const newer = preparedCertificate(other, [1, 2, 3], 4, 2);
  for (const certificates of [
    [old, newer],
    [newer, old],
  ]) {
    const set = certificates.map((certificate, i) => sound(viewChange(i, 3, { prepared: [certificate] })));
    assert.deepEqual(RULES.decideNewView(GENESIS_ID, [...set, sound(viewChange(3, 3))]).reproposals, [
      id(other),
    ]);
  }
});

test('PBFT-6.5: the base is the highest final block of the whole set; heights up to it are not proposed again (Fabric 1111, 1174)', () => {
  const set = [
    sound(
      viewChange(0, 1, {
        prepared: [preparedCertificate(b1, [0, 1, 2], 4), preparedCertificate(b2, [0, 1, 2], 4)],
      }),
    ),
    sound(viewChange(1, 1, { committed: commitCertificate(b1, [0, 1, 2], 4) })),
    sound(viewChange(2, 1)),
  ];
  assert.deepEqual(RULES.decideNewView(GENESIS_ID, set), { base: id(b1), reproposals: [id(b2)] });
  const stable = stableCertificate(32, b3.hash, CHAIN, [0, 1, 2], 4);
  assert.deepEqual(RULES.decideNewView(GENESIS_ID, [...set, sound(viewChange(3, 1, { stable }))]), {
    base: { height: 32, hash: b3.hash },
    reproposals: [],
  });
});

test('PBFT-6.5: the decision does not depend on the order of the set, and stops at the first gap', () => {
  const chain = makeChain(8);
  const certificate = fc
    .tuple(fc.integer({ min: 1, max: 8 }), fc.nat(3))
    .map(([at, inView]) => preparedCertificate(chain[at - 1] as Candidate, [0, 1, 2], 4, inView));
  const message = fc.record({ prepared: fc.array(certificate, { maxLength: 8 }), base: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(message, { minLength: 3, maxLength: 4 }), (parts) => {
      const set: SoundViewChange[] = parts.map(({ prepared, base }, i) => ({
        message: viewChange(i, 5),
        stable: undefined,
        committed: base === 0 ? undefined : commitCertificate(chain[base - 1] as Candidate, [0, 1, 2], 4),
        prepared,
      }));
      const decision = RULES.decideNewView(GENESIS_ID, set);
      assert.deepEqual(RULES.decideNewView(GENESIS_ID, [...set].reverse()), decision);
      assert.equal(decision.base.height, Math.max(...parts.map(({ base }) => base)));
      const heights = new Set(set.flatMap(({ prepared }) => prepared.map((one) => one.height as number)));
      decision.reproposals.forEach(({ height: at }, i) =>
        assert.ok(at === decision.base.height + 1 + i && heights.has(at)),
      );
      assert.equal(heights.has(decision.base.height + decision.reproposals.length + 1), false);
    }),
    { numRuns: 60 },
  );
});

test('PBFT-6.5: the new primary opens the view at weight Q, with its own VIEW-CHANGE among them', () => {
  const primary = waiting(1);
  primary.hear(viewChange(2, 1));
  assert.equal(primary.messages('new-view').length, 0);
  const [effects] = primary.hear(viewChange(3, 1, { prepared: [preparedCertificate(b1, [0, 2, 3], 4)] }));
  const [message] = primary.messages('new-view');
  assert.deepEqual(
    message?.viewChanges.map(({ sender }) => sender),
    [1, 2, 3],
  );
  assert.deepEqual(message?.reproposals, [id(b1)]);
  assert.deepEqual(
    effects?.persist.map((record) => record.kind),
    ['new-view', 'accepted'],
  );
  assert.equal(primary.replica.status().phase, 'normal');
});

test('PBFT-6.6: between views the timer runs only once weight Q asks; alone a replica never runs ahead (sawtooth 133)', () => {
  const bench = waiting();
  for (let round = 0; round < 30; round += 1) bench.tick(1_000);
  assert.equal(bench.replica.view, 1);
  bench.hear(viewChange(1, 1));
  for (let round = 0; round < 10; round += 1) bench.tick(1_000);
  assert.equal(bench.replica.view, 1);
  bench.hear(viewChange(3, 1));
  bench.tick(1_999);
  assert.equal(bench.replica.view, 1);
  bench.tick(2);
  assert.equal(bench.replica.view, 2);
});

test('PBFT-6.6: the timeout doubles, is capped (Besu 7642), and falls back with the first delivered block', () => {
  const bench = new Bench(3);
  const timeouts: number[] = [];
  for (let to = 1; to <= 8; to += 1) {
    bench.hear(viewChange(0, to), viewChange(1, to), viewChange(2, to));
    timeouts.push(bench.replica.status().timeoutMs);
  }
  assert.deepEqual(timeouts, [2_000, 4_000, 6_000, 6_000, 6_000, 6_000, 6_000, 6_000]);
  bench.hear(
    newView(0, 8, {
      viewChanges: [viewChange(0, 8), viewChange(1, 8), viewChange(2, 8)],
      base: GENESIS_ID,
      reproposals: [],
    }),
  );
  bench.hear(prePrepare(0, b1, 8), ...[0, 1, 2].map((sender) => vote('commit', sender, b1, 8)));
  assert.equal(bench.replica.status().timeoutMs, 1_000);
});

test('PBFT-6.6: VIEW-CHANGE is sent again, the same bytes, until the view is open', () => {
  const bench = waiting();
  bench.tick(250);
  bench.tick(250);
  const sent = bench.messages('view-change');
  assert.equal(sent.length, 3);
  assert.ok(sent.every((message) => message === sent[0]));
});

test('PBFT-6.7: a NEW-VIEW of any later view is entered, and a body that is missing is fetched and then voted for', () => {
  const prepared = preparedCertificate(b1, [0, 1, 3], 4);
  const bench = new Bench(2);
  bench.hear(
    newView(3, 7, {
      viewChanges: [viewChange(0, 7, { prepared: [prepared] }), viewChange(1, 7), viewChange(3, 7)],
      base: GENESIS_ID,
      reproposals: [id(b1)],
    }),
  );
  assert.equal(bench.replica.view, 7);
  assert.deepEqual(
    new Set(bench.messages('fetch').map(({ hash }) => toHex(hash))),
    new Set([toHex(b1.hash)]),
  );
  assert.equal(bench.messages('prepare').length, 0);
  const body = (block: Candidate) => ({ kind: 'body', sender: 0, epoch: prepared.epoch, block }) as const;
  bench.hear(body(makeBlock(1, CHAIN, 8)));
  assert.equal(bench.messages('prepare').length, 0);
  bench.hear(body(b1));
  assert.deepEqual(
    bench.messages('prepare').map((message) => message.view),
    [7],
  );
});

test('PBFT-6.7: a peer’s fetch is answered from what is in flight, within bounds', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  bench.forget();
  const fetch = {
    kind: 'fetch',
    sender: 3,
    epoch: viewChange(0, 1).epoch,
    height: b1.height,
    hash: b1.hash,
  } as const;
  for (let i = 0; i < 20; i += 1) bench.hear(fetch);
  assert.equal(bench.messages('body').length, 8);
  assert.ok(bench.sent.every(({ to }) => to === 3));
});

test('PBFT-6.7: an old NEW-VIEW does not bring a replica back', () => {
  const bench = new Bench(3);
  bench.hear(viewChange(1, 5), viewChange(2, 5));
  bench.hear(
    newView(1, 1, {
      viewChanges: [viewChange(0, 1), viewChange(1, 1), viewChange(2, 1)],
      base: GENESIS_ID,
      reproposals: [],
    }),
  );
  assert.equal(bench.replica.view, view(5));
  assert.equal(bench.replica.status().phase, 'view-changing');
});

test('PBFT-6.5: a base proved by a stable certificate alone is taken, and the blocks below it are fetched', () => {
  const stable = stableCertificate(32, b3.hash, CHAIN, [0, 1, 3], 4);
  const bench = new Bench(2);
  bench.hear(
    newView(1, 1, {
      viewChanges: [viewChange(0, 1, { stable }), viewChange(1, 1), viewChange(3, 1)],
      base: { height: height(32), hash: b3.hash },
      reproposals: [],
    }),
  );
  assert.equal(bench.replica.status().certifiedHeight, 32);
  bench.tick(10);
  assert.deepEqual(
    bench.wants.map((want) => [want.kind, want.kind === 'sync' && want.target]),
    [['sync', 32]],
  );
  assert.ok(
    bench.log.findIndex((record) => record.kind === 'truncate') <
      bench.log.findLastIndex((record) => record.kind === 'new-view'),
    'a truncation by the proofs keeps the new view',
  );
  assert.equal(checkpoint(0, 32, b3.hash, CHAIN).height, 32);
});
