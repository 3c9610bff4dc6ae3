/** Bugs other engines had in normal operation and view changes (background 1.3), each tried on this replica. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Bench,
  CHAIN,
  commitCertificate,
  contextOf,
  GENESIS_ID,
  makeBlock,
  makeChain,
  newView,
  parseTestBlock,
  preparedCertificate,
  prePrepare,
  validatorsOf,
  verified,
  viewChange,
  vote,
} from '../testing/pbft.ts';
import { toHex } from '../bytes/hex.ts';
import { height } from '../ledger/ids.ts';
import { quorumOf, validatorSetFlaw, validatorsHash } from '../ledger/validators.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import type { BlockId, Candidate, SoundViewChange, ViewChange } from './messages.ts';
import { signersOf, Weights } from './quorum.ts';
import { RULES } from './rules.ts';
import { scheduleOf } from './schedule.ts';
import { verifyMessage } from './verify.ts';

const [b1, b2, b3] = makeChain(3) as [Candidate, Candidate, Candidate];
const other1 = makeBlock(1, CHAIN, 9);
const id = (block: Candidate): BlockId => ({ height: block.height, hash: block.hash });
const UNIT = [1, 1, 1, 1];

function sound(message: ViewChange): SoundViewChange {
  const result = verified(UNIT, message);
  assert.ok(result.kind === 'view-change');
  return result.sound;
}

function commit(bench: Bench, block: Candidate, by: readonly number[] = [0, 1, 3], inView = 0): void {
  bench.hear(...by.map((sender) => vote('commit', sender, block, inView)));
}

/** Validator 2 after it has asked for view 1, with block 1 prepared when so wished. */
function changing(prepared = false): Bench {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  if (prepared) bench.hear(...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  bench.tick(10);
  bench.tick(1_001);
  assert.equal(bench.replica.status().phase, 'view-changing');
  return bench;
}

// Quorums and identity.

test('PBFT-1.2: raijin#19, celo#253, polygon-edge#513, electroneum-sc#48, mir#61, quorum#796: 2f + 1 of n other than 3f + 1', () => {
  for (let n = 1; n <= 10; n += 1) {
    const { total, faulty, strong } = quorumOf(Array.from({ length: n }, () => 1));
    // Not safe: two quorums could meet in faulty members only. Not live: the correct ones could not reach it (n ≤ 3 too).
    assert.ok(2 * strong - total > faulty && total - faulty >= strong, `n = ${n}`);
  }
  assert.deepEqual(
    [2, 3, 5, 6, 8].map((n) => quorumOf(Array.from({ length: n }, () => 1)).strong),
    [2, 3, 4, 5, 6],
  );
});

test('PBFT-2.1: raijin#17, FISCO FIB-134: a recorded PREPARE quorum passed off as COMMITs finalises nothing', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  for (const sender of [0, 1, 3]) {
    const relabelled = { ...vote('prepare', sender, b1), kind: 'commit' as const };
    assert.equal(verifyMessage(contextOf(UNIT), relabelled).ok, false);
  }
  bench.hear(...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  assert.equal(bench.delivered.length, 0);
});

test('PBFT-2.2: raijin#5, raijin#6: a PREPARE or COMMIT whose signature was never made is refused', () => {
  for (const kind of ['prepare', 'commit'] as const) {
    const forged = { ...vote(kind, 1, b1), signature: new Uint8Array(64) };
    assert.equal(verifyMessage(contextOf(UNIT), forged).ok, false);
    // Nor does another validator's signature do.
    assert.equal(verifyMessage(contextOf(UNIT), { ...vote(kind, 3, b1), sender: 1 }).ok, false);
  }
});

test('PBFT-4.3: raijin#7: a voter that repeats itself is counted once', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  for (let i = 0; i < 5; i += 1) bench.hear(vote('prepare', 0, b1), vote('commit', 0, b1));
  assert.deepEqual([bench.messages('commit').length, bench.delivered.length], [0, 0]);
});

test('PBFT-2.2: FISCO FIB-130: the height outside of a block is not believed, the one inside counts', () => {
  const message = prePrepare(0, b2);
  const moved = { ...message, block: { ...b2, height: height(1) } };
  assert.equal(verifyMessage(contextOf(UNIT), moved).ok, false);
  const decoded = decodeMessage(encodeMessage(moved), parseTestBlock);
  assert.ok(decoded.ok && decoded.value.kind === 'pre-prepare');
  assert.equal(decoded.value.block.height, 2);
});

test('PBFT-1.3: cardano-ibc-incubator#668: no weight is negative or wraps, none is counted twice', () => {
  for (const weight of [-1, 0, 2 ** 32, 2 ** 53, Number.NaN, 0.5])
    assert.notEqual(validatorSetFlaw(validatorsOf([5, 5, 5, weight])), undefined, `${weight}`);
  const large = [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_fffe];
  const signed = { signers: Uint8Array.of(0b0011), signatures: [new Uint8Array(64), new Uint8Array(64)] };
  assert.equal(signersOf(new Weights(validatorsOf(large)), signed), undefined);
});

test('PBFT-10.1: CometBFT ASA-2024-009: whose turn it is follows from nothing that the hash of the set leaves out', () => {
  const set = validatorsOf([3, 3, 2, 2]);
  assert.notEqual(toHex(validatorsHash(set)), toHex(validatorsHash(validatorsOf([3, 2, 3, 2]))));
  // Not even weights or history: number of validators, base and skips are all there is.
  assert.deepEqual(scheduleOf(4, 0), scheduleOf(4, 0));
  assert.deepEqual(scheduleOf(4, 8, [2]).eligible, [0, 1, 3]);
});

// View change.

test('PBFT-6.2: raijin#8, cothority#2079, #2080: what was prepared, and perhaps decided, is carried into the next view', () => {
  const bench = changing(true);
  const [message] = bench.messages('view-change');
  assert.deepEqual(
    message?.prepared.map(({ digest }) => toHex(digest)),
    [toHex(b1.hash)],
  );
  const decision = RULES.decideNewView(GENESIS_ID, [
    sound(message as ViewChange),
    sound(viewChange(0, 1)),
    sound(viewChange(3, 1)),
  ]);
  assert.deepEqual(decision.reproposals, [id(b1)]);
});

test('PBFT-6.5: raijin#7, FISCO FIB-124: a NEW-VIEW counts with VIEW-CHANGE of weight Q and the list these give, else not', () => {
  const held = preparedCertificate(b1, [0, 1, 3], 4);
  const set = [viewChange(0, 1), viewChange(1, 1, { prepared: [held] }), viewChange(3, 1)];
  for (const [viewChanges, reproposals] of [
    [set.slice(0, 1), []],
    [set.slice(0, 2), [id(b1)]],
    [set, []],
    [set, [id(other1)]],
  ] as const) {
    const bench = new Bench(2);
    bench.hear(newView(1, 1, { viewChanges, base: GENESIS_ID, reproposals }));
    assert.equal(bench.replica.view, 0);
  }
});

test('PBFT-6.4: concord-bft 11d4c91: an invalid prepared certificate hides no valid one, in its message or another', () => {
  const good = preparedCertificate(b1, [0, 1, 3], 4);
  const bad = { ...preparedCertificate(other1, [0, 1, 3], 4), view: good.view, signatures: [] };
  const set = [
    viewChange(0, 1, { prepared: [bad] }),
    viewChange(1, 1, { prepared: [bad, good] }),
    viewChange(3, 1),
  ];
  const decision = RULES.decideNewView(GENESIS_ID, set.map(sound));
  assert.deepEqual(decision.reproposals, [id(b1)]);
});

test('PBFT-6.5: Fabric PR 1111: the base is taken from the whole set, not from those who agree with a candidate', () => {
  const committed = commitCertificate(b2, [0, 1, 3], 4);
  const high = preparedCertificate(b3, [0, 1, 3], 4);
  // One is far ahead, one lags, one is in between: there is one answer, and it is reached at once.
  const set = [
    viewChange(0, 1, { committed, prepared: [high] }),
    viewChange(1, 1, { prepared: [preparedCertificate(b1, [0, 1, 3], 4)] }),
    viewChange(3, 1),
  ];
  const decision = RULES.decideNewView(GENESIS_ID, set.map(sound));
  assert.deepEqual([decision.base, decision.reproposals], [id(b2), [id(b3)]]);
});

test('PBFT-4.9: Fabric PR 1174: a NEW-VIEW that begins below what was delivered moves nothing back and delivers nothing twice', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), prePrepare(0, b2));
  for (const block of [b1, b2]) commit(bench, block);
  assert.equal(bench.delivered.length, 2);
  const viewChanges = [0, 1, 3].map((sender) => viewChange(sender, 1));
  bench.hear(newView(1, 1, { viewChanges, base: GENESIS_ID, reproposals: [] }));
  commit(bench, other1, [0, 1, 3], 1);
  assert.deepEqual([bench.replica.view, bench.replica.committedHeight, bench.delivered.length], [1, 2, 2]);
});

test('PBFT-4.6: mir f33dc4f: a proposal that is made again in a later view leaves the stored one as it was', () => {
  const bench = new Bench(2);
  const proposal = Object.freeze(prePrepare(0, Object.freeze(b1)));
  bench.hear(proposal, ...[0, 1, 3].map((sender) => Object.freeze(vote('prepare', sender, b1))));
  const held = bench.log.filter(({ kind }) => kind === 'accepted' || kind === 'prepared');
  const before = structuredClone(held);
  const set = [0, 1, 3].map((sender) =>
    viewChange(sender, 1, { prepared: [preparedCertificate(b1, [0, 1, 3], 4)] }),
  );
  bench.hear(newView(1, 1, { viewChanges: set, base: GENESIS_ID, reproposals: [id(b1)] }));
  assert.deepEqual(held, before);
  const views = bench.messages('prepare').map((message) => [message.view, toHex(message.hash)]);
  assert.deepEqual(views, [
    [0, toHex(b1.hash)],
    [1, toHex(b1.hash)],
  ]);
});

test('PBFT-4.2: FISCO FIB-133: a PRE-PREPARE of a higher view is not handled under the present one', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(1, other1, 1));
  assert.equal(bench.messages('prepare').length, 0);
  bench.hear(prePrepare(0, b1));
  assert.deepEqual(
    bench.messages('prepare').map((message) => [message.view, toHex(message.hash)]),
    [[0, toHex(b1.hash)]],
  );
});

test('PBFT-6.3: FISCO FIB-115: thousands of view changes in a row grow no stack', () => {
  const bench = new Bench(3);
  for (let at = 1; at <= 3_000; at += 1) bench.hear(viewChange(0, at), viewChange(1, at));
  assert.equal(bench.replica.view, 3_000);
});

test('PBFT-6.3: FISCO#2211: one validator that names a huge view is followed by nobody', () => {
  const bench = new Bench(3);
  bench.hear(viewChange(1, 2 ** 40));
  assert.deepEqual([bench.replica.view, bench.messages('view-change').length], [0, 0]);
});

test('PBFT-4.8: SmartBFT 30764c3: a proposal decided during the view change does no harm when the new view brings it again', () => {
  const bench = changing(true);
  commit(bench, b1);
  assert.equal(bench.delivered.length, 1);
  const held = preparedCertificate(b1, [0, 1, 3], 4);
  const viewChanges = [viewChange(0, 1), viewChange(1, 1, { prepared: [held] }), viewChange(3, 1)];
  bench.hear(newView(1, 1, { viewChanges, base: GENESIS_ID, reproposals: [id(b1)] }));
  commit(bench, b1, [0, 1, 3], 1);
  assert.deepEqual(
    [bench.replica.view, bench.delivered.length, bench.replica.status().phase],
    [1, 1, 'normal'],
  );
});

test('PBFT-4.9: SmartBFT 93a8786, d9182ed, 57f434c: view change and synchronisation deliver the same block once', () => {
  const bench = changing(true);
  bench.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 1, 3], 4) });
  commit(bench, b1);
  const viewChanges = [0, 1, 3].map((sender) =>
    viewChange(sender, 1, { committed: commitCertificate(b1, [0, 1, 3], 4) }),
  );
  bench.hear(newView(1, 1, { viewChanges, base: id(b1), reproposals: [] }));
  assert.deepEqual(
    bench.delivered.map(({ block }) => block.height),
    [1],
  );
});

test('PBFT-8.3: SmartBFT 62e7161: a block of a height that is here already changes nothing and restarts nothing', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1));
  commit(bench, b1);
  bench.pending(1);
  bench.tick(900);
  bench.step({ kind: 'certified', block: b1, certificate: commitCertificate(b1, [0, 1, 3], 4) });
  bench.tick(101);
  assert.deepEqual([bench.delivered.length, bench.messages('view-change').length], [1, 1]);
});

test('PBFT-7.2: SmartBFT 2a0557b: a leader that restarts goes on with what it had proposed, without waiting for new requests', () => {
  const before = new Bench(0);
  before.pending(1);
  before.step({ kind: 'proposal', block: b1 });
  const after = new Bench(0, { restore: before.log });
  after.tick(300);
  const hashes = after.messages('pre-prepare').map(({ block }) => toHex(block.hash));
  assert.deepEqual([...new Set(hashes)], [toHex(b1.hash)]);
});

test('PBFT-4.8: sawtooth-pbft#90, #113: whoever left the view alone still follows what the others decide in it', () => {
  const bench = changing();
  bench.hear(prePrepare(0, b2), prePrepare(0, b3));
  for (const block of [b1, b2, b3]) commit(bench, block);
  assert.equal(bench.replica.committedHeight, 3);
  // And it is not alone for good: the view it asked for opens, or the next one does, with everything in between decided.
  const committed = commitCertificate(b3, [0, 1, 3], 4);
  const viewChanges = [0, 1, 3].map((sender) => viewChange(sender, 1, { committed }));
  bench.hear(newView(1, 1, { viewChanges, base: id(b3), reproposals: [] }));
  assert.equal(bench.replica.status().phase, 'normal');
});

test('PBFT-6.6: sawtooth-pbft#133: between views the timer starts with VIEW-CHANGE of weight Q, not with the own one', () => {
  const bench = changing();
  bench.tick(60_000);
  assert.equal(bench.replica.view, 1);
  bench.hear(viewChange(0, 1), viewChange(3, 1));
  bench.tick(10);
  bench.tick(2_001);
  assert.ok(bench.replica.view > 1);
});

test('PBFT-6.5: sawtooth-pbft#140: the old primary lets go of its block when the new view does without it', () => {
  const bench = new Bench(0);
  bench.pending(1);
  bench.step({ kind: 'proposal', block: b1 });
  const viewChanges = [1, 2, 3].map((sender) => viewChange(sender, 1));
  bench.hear(newView(1, 1, { viewChanges, base: GENESIS_ID, reproposals: [] }), prePrepare(1, other1, 1));
  const views = bench.messages('prepare').map((message) => [message.view, toHex(message.hash)]);
  assert.deepEqual(views.at(-1), [1, toHex(other1.hash)]);
});

test('PBFT-6.1: sawtooth-pbft#68, #87: no proposal while requests wait, and a proposal without a decision, both end the view', () => {
  const silent = new Bench(2);
  silent.pending(1);
  silent.tick(1_001);
  assert.equal(silent.messages('view-change').length, 1);
  assert.equal(changing().messages('view-change').length, 1);
});

test('PBFT-6.2: neo#320, dbft#17: having sent COMMIT keeps nobody from changing the view', () => {
  const bench = changing(true);
  assert.ok(bench.messages('commit').length > 0);
  assert.equal(bench.messages('view-change')[0]?.prepared.length, 1);
});

test('PBFT-4.8: Zyzzyva, FaB (arXiv 1712.01367): PREPARE of all validators is no decision, there is no quick way', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), ...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  assert.equal(bench.delivered.length, 0);
});

test('PBFT-4.4: hotstuff#249: a decision never spans views: certificates of h in view 0 and of h + 1 in view 1 prove nothing about each other', () => {
  const bench = new Bench(2);
  bench.hear(prePrepare(0, b1), ...[0, 1, 3].map((sender) => vote('prepare', sender, b1)));
  bench.hear(
    newView(1, 1, {
      viewChanges: [0, 1, 3].map((sender) => viewChange(sender, 1)),
      base: GENESIS_ID,
      reproposals: [],
    }),
  );
  // The parent was prepared in view 0; in view 1 it is not, so nothing above it is voted for.
  bench.hear(prePrepare(1, b2, 1));
  assert.equal(bench.messages('prepare').filter((message) => message.view === 1).length, 0);
});
