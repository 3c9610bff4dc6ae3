import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { amount, height, millis, type Epoch } from '@itc/core/ledger/ids.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Certificate } from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import { encodeManifest, type SnapshotManifest } from '@itc/core/state/snapshot.js';
import { prepareBlock, type PreparedBlock } from './prepared-block.ts';
import { fakeSign, type Person } from '@itc/core/testing/state-world.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { MemoryDisk } from '../storage/memory-disk.ts';
import { MemoryTables } from '../storage/memory-tables.ts';
import { chainId, GrownChain, people } from '../testing/grown-chain.ts';
import { SyncWorld, type Reader, type Tamper } from '../testing/sync-world.ts';
import {
  decodeAnswer,
  decodeManifests,
  decodeTurns,
  encodeAnswer,
  encodeManifests,
  encodeTurns,
  type EpochTurn,
} from './state-sync-messages.ts';
import type { EpochStart } from './epoch-table.ts';

installNativeCrypto();

const ANCHOR = 640;
let source: GrownChain;

const newChain = (): Promise<GrownChain> =>
  GrownChain.open({
    disk: new MemoryDisk(),
    folder: '/blocks',
    tables: new MemoryTables(),
    random: new SeededRandom(1),
  });

before(async () => {
  source = await newChain();
  for (let i = 0; i < 10; i += 1) await source.grow(1, source.payments(300));
  await source.grow(ANCHOR + 20 - source.chain.height);
});

/** The reader holds the state, the history and the block of the anchor, and goes on from there. */
function assertAt(reader: Reader, anchor: number, from: GrownChain = source): void {
  const { chain } = reader.grown;
  assert.equal(chain.height, anchor);
  assert.equal(toHex(chain.state.root), toHex(from.chain.stateAt(anchor).root));
  for (const at of [1, 2, anchor - 1, anchor])
    assert.equal(toHex(chain.hashAt(at) as Uint8Array), toHex(from.chain.hashAt(at) as Uint8Array));
  assert.equal(chain.floor, anchor);
  assert.deepEqual(chain.blockAt(anchor), from.chain.blockAt(anchor));
}

/** A block as block synchronisation brings it. */
async function certified(
  from: GrownChain,
  at: number,
): Promise<[{ readonly block: PreparedBlock; readonly certificate: Certificate }]> {
  const stored = from.chain.blockAt(at);
  assert.ok(stored);
  const block = await prepareBlock(chainId, stored.block, 'certified', () => undefined);
  assert.ok(block.ok);
  return [{ block: block.value, certificate: stored.certificate }];
}

async function attempt(reader: Reader): Promise<void> {
  reader.sync.consider();
  await reader.sync.idle();
}

const honest = { anchors: [ANCHOR - 32, ANCHOR] };

test('SNAPSHOT-5: a new process takes over a state from three peers, pieces from each, and says how far it is', async () => {
  const world = new SyncWorld();
  const progress: string[] = [];
  const note: Tamper = (answer) => {
    progress.push(reader.sync.progress ?? '');
    return [answer];
  };
  const served = [
    await world.serve('a', source, honest),
    await world.serve('b', source, honest),
    await world.serve('c', source, { ...honest, tamper: note }),
  ];
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.ok(progress.some((text) => /^state-sync \d+ %, \d+ of \d+ pieces from a, b, c$/.test(text)));
  assert.equal(reader.sync.progress, undefined);
  for (const { requests } of served) assert.ok(requests.some(({ kind }) => kind === 'chunk'));
  assert.deepEqual(reader.warnings, []);
});

test('SNAPSHOT-5: who is less than the bound behind takes nothing over', async () => {
  const world = new SyncWorld();
  const { requests } = await world.serve('a', source, honest);
  const near = await world.read('near', { boundBlocks: 2_000, target: () => 2_000 });
  await attempt(near);
  assert.equal(near.grown.chain.height, 0);
  assert.deepEqual(requests, []);
});

test('SNAPSHOT-9: above the anchor nothing is proposed and judged until the states that headers commit are known', async () => {
  const world = new SyncWorld();
  await world.serve('a', source, honest);
  const reader = await world.read('new');
  await attempt(reader);
  const { chain } = reader.grown;
  const now = millis(Number.MAX_SAFE_INTEGER);
  for (let at = ANCHOR + 1; at <= ANCHOR + LIMITS.pipelineDepth + 2; at += 1) {
    const [next] = await certified(source, at);
    const known = at >= ANCHOR + LIMITS.pipelineDepth;
    assert.equal(chain.check(next.block, true, now), known ? 'valid' : 'later', `block ${at}`);
    assert.equal(chain.propose(height(at), chain.tipHash, now, []) !== undefined, known);
    await chain.commit([next]);
  }
  assert.equal(toHex(chain.state.root), toHex(source.chain.stateAt(chain.height).root));
});

test('SNAPSHOT-8: a process that took a state over starts again from its disk, and goes on', async () => {
  const world = new SyncWorld();
  await world.serve('a', source, honest);
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const reader = await world.read('new', { disk, tables });
  await attempt(reader);
  for (let at = ANCHOR + 1; at <= ANCHOR + 12; at += 1)
    await reader.grown.chain.commit(await certified(source, at));
  await reader.grown.close();
  const again = await GrownChain.open({ disk, folder: '/blocks', tables, random: new SeededRandom(3) });
  assert.equal(again.chain.height, ANCHOR + 12);
  assert.equal(toHex(again.chain.state.root), toHex(source.chain.stateAt(ANCHOR + 12).root));
  assert.equal(again.chain.anchor?.height, ANCHOR);
  await again.chain.commit(await certified(source, ANCHOR + 13));
});

test('SNAPSHOT-5: a process that has blocks keeps what is true of them, and takes over what is above', async () => {
  const world = new SyncWorld();
  await world.serve('a', source, honest);
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const first = await GrownChain.open({ disk, folder: '/blocks', tables, random: new SeededRandom(3) });
  for (let at = 1; at <= 90; at += 1) await first.chain.commit(await certified(source, at));
  await first.close();
  const reader = await world.read('behind', { disk, tables });
  assert.equal(reader.grown.chain.height, 90);
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.equal(reader.grown.chain.transactionCount, 3_000);
});

test('SNAPSHOT-5: attack lying height: a height without an anchor moves nobody, and asking for one gets rarer', async () => {
  const world = new SyncWorld();
  const { requests } = await world.serve('liar', source, { anchors: [] });
  const reader = await world.read('new', { target: () => Number.MAX_SAFE_INTEGER });
  for (let i = 0; i < 50; i += 1) await attempt(reader);
  assert.equal(reader.grown.chain.height, 0);
  assert.equal(requests.length, 1);
});

test('SNAPSHOT-3: attack bad chunk: its sender is banned, and the others deliver what is missing', async () => {
  const world = new SyncWorld();
  const wrong: Tamper = (answer, request) =>
    request?.kind === 'chunk'
      ? [answer.with(answer.length >> 1, (answer[answer.length >> 1] ?? 0) ^ 1)]
      : [answer];
  const bad = await world.serve('bad', source, { ...honest, tamper: wrong });
  await world.serve('good', source, honest);
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.deepEqual(reader.warnings, [{ peer: 'bad', message: 'a peer is banned: a wrong piece: chunk' }]);
  assert.equal(bad.requests.filter(({ kind }) => kind === 'chunk').length, 1);
});

test('SNAPSHOT-4: attack forged history: hashes and blocks that are not the anchor’s ban their sender', async () => {
  for (const kind of ['hashes', 'block'] as const) {
    const world = new SyncWorld();
    const wrong: Tamper = (answer, request) =>
      request?.kind === kind ? [answer.with(100, (answer[100] ?? 0) ^ 1)] : [answer];
    await world.serve('bad', source, { ...honest, tamper: wrong });
    const reader = await world.read('new');
    await attempt(reader);
    assert.equal(reader.grown.chain.height, 0);
    assert.deepEqual(reader.warnings, [{ peer: 'bad', message: `a peer is banned: a wrong piece: ${kind}` }]);
  }
});

/** Changes the manifests of an answer. */
function manifestsBy(change: (manifest: ReturnType<typeof manifestsOf>[number]) => Uint8Array): Tamper {
  return (answer, request) => {
    const decoded = decodeAnswer(answer);
    if (request?.kind !== 'manifests' || !decoded.ok) return [answer];
    const manifests = manifestsOf(answer).map(change);
    const content = { kind: 'piece', body: encodeManifests(manifests) } as const;
    return [encodeAnswer({ number: decoded.value.number, content })];
  };
}

function manifestsOf(answer: Uint8Array): SnapshotManifest[] {
  const decoded = decodeAnswer(answer);
  assert.ok(decoded.ok && decoded.value.content.kind === 'piece');
  const manifests = decodeManifests(decoded.value.content.body);
  assert.ok(manifests.ok);
  return manifests.value;
}

test('SNAPSHOT-1: attack huge counts: who offers more records than there can be is banned, and nothing is made room for', async () => {
  const world = new SyncWorld();
  const huge = manifestsBy((manifest) => encodeManifest({ ...manifest, records: 2 ** 50 }));
  await world.serve('bad', source, { ...honest, tamper: huge });
  await world.serve('good', source, honest);
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.equal(reader.warnings[0]?.peer, 'bad');
  assert.match(reader.warnings[0].message, /records/);
});

test('SNAPSHOT-5: attack stalling peer: who does not answer is left alone, and its pieces go to the others', async () => {
  const world = new SyncWorld();
  const stall: Tamper = (answer, request) => (request?.kind === 'manifests' ? [answer] : []);
  const slow = await world.serve('slow', source, { ...honest, tamper: stall });
  await world.serve('good', source, honest);
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.equal(slow.requests.filter(({ kind }) => kind !== 'manifests').length, 2);
});

test('SNAPSHOT-5: out-of-order replies: late, repeated and unasked answers are passed over', async () => {
  const world = new SyncWorld();
  const earlier: Uint8Array[] = [];
  const shuffle: Tamper = (answer) => {
    const answers = [...earlier.slice(-2), answer, answer];
    earlier.push(answer);
    return answers;
  };
  await world.serve('a', source, { ...honest, tamper: shuffle });
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
  assert.deepEqual(reader.warnings, []);
});

test('SNAPSHOT-5: two anchors: what more peers can deliver comes before what is newer', async () => {
  const world = new SyncWorld();
  const older = [ANCHOR - 32];
  await world.serve('a', source, { anchors: older });
  await world.serve('b', source, { anchors: older });
  await world.serve('c', source, { anchors: [ANCHOR] });
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR - 32);
});

test('SNAPSHOT-5: two anchors: one that quorum weight has not signed bans who shows it, and the other is taken', async () => {
  const forged = (manifest: SnapshotManifest): Uint8Array => {
    const { anchor } = manifest;
    const stateRoot = anchor.hash;
    return encodeManifest({ ...manifest, anchor: { ...anchor, stateRoot } });
  };
  const unsigned = (manifest: SnapshotManifest): Uint8Array => {
    const [first, ...rest] = manifest.certificate.signatures;
    assert.ok(first);
    const signatures = [first.with(0, (first[0] ?? 0) ^ 1), ...rest];
    return encodeManifest({ ...manifest, certificate: { ...manifest.certificate, signatures } });
  };
  for (const change of [forged, unsigned]) {
    const world = new SyncWorld();
    await world.serve('bad', source, { anchors: [ANCHOR], tamper: manifestsBy(change) });
    await world.serve('worse', source, { anchors: [ANCHOR], tamper: manifestsBy(change) });
    await world.serve('good', source, honest);
    const reader = await world.read('new');
    await attempt(reader);
    assertAt(reader, ANCHOR);
    assert.deepEqual(new Set(reader.warnings.map(({ peer }) => peer)), new Set(['bad', 'worse']));
    assert.match(reader.warnings[0]?.message ?? '', /does not verify/);
  }
});

test('SNAPSHOT-2: attack useless cut: a liar’s cut stands alone, and others deliver the true one', async () => {
  const world = new SyncWorld();
  // Chunks so large that nobody hands them out.
  const whole = manifestsBy((manifest) =>
    encodeManifest({ ...manifest, records: 1, depths: Uint8Array.of(0) }),
  );
  await world.serve('bad', source, { ...honest, tamper: whole });
  await world.serve('a', source, honest);
  await world.serve('b', source, honest);
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, ANCHOR);
});

test('SNAPSHOT-7: fetching goes on where it was when the process was killed in between', async () => {
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const dying = new SyncWorld();
  let answers = 0;
  const die: Tamper = (answer) => ((answers += 1) <= 5 ? [answer] : []);
  await dying.serve('a', source, { ...honest, tamper: die });
  const first = await dying.read('new', { disk, tables });
  await attempt(first);
  assert.equal(first.grown.chain.height, 0);
  await first.sync.stop();

  const world = new SyncWorld();
  const { requests } = await world.serve('a', source, honest);
  const again = await world.read('new', { disk: disk.crash(new SeededRandom(5)), tables });
  await attempt(again);
  assertAt(again, ANCHOR);
  const pieces = requests.filter(({ kind }) => kind !== 'manifests');
  const whole = await world.read('another');
  const before = requests.length;
  await attempt(whole);
  const all = requests.slice(before).filter(({ kind }) => kind !== 'manifests');
  // One answer was the manifest.
  assert.equal(pieces.length, all.length - 4);
});

test('SNAPSHOT-7: pieces of a state that nobody has any more are dropped, and the newer one is fetched whole', async () => {
  const [disk, tables] = [new MemoryDisk(), new MemoryTables()];
  const dying = new SyncWorld();
  let answers = 0;
  const die: Tamper = (answer) => ((answers += 1) <= 5 ? [answer] : []);
  await dying.serve('a', source, { anchors: [ANCHOR - 64], tamper: die });
  const first = await dying.read('new', { disk, tables });
  await attempt(first);
  const world = new SyncWorld();
  await world.serve('a', source, { anchors: [ANCHOR] });
  const again = await world.read('new', { disk, tables });
  await attempt(again);
  assertAt(again, ANCHOR);
});

/** Validator 4 takes the place of validator 0: one joins in an epoch, the other leaves in the next. */
async function changeValidators(grown: GrownChain): Promise<void> {
  const joining = people[4] as Person;
  await grown.grow(1, [
    grown.transaction(joining, {
      kind: 'bond',
      key: joining.key,
      amount: amount(1_000n),
      possession: fakeSign(joining.key, possessionSigningBytes(chainId, joining.address)),
    }),
  ]);
  const grant = (validator: Address, weight: number, voters: readonly Person[]): Uint8Array[] =>
    voters.map((voter) => grown.transaction(voter, { kind: 'weight-vote', validator, weight }));
  await grown.grow(40, grant(joining.address, 1, people.slice(1, 4)));
  await grown.grow(40, grant((people[0] as Person).address, 0, people.slice(1, 5)));
}

test('SNAPSHOT-5: from genesis through two changes of validators to an anchor of the third epoch', async () => {
  const grown = await newChain();
  await changeValidators(grown);
  await grown.grow(320 + 10 - grown.chain.height);
  const { epoch, validators } = grown.chain.epoch;
  assert.equal(epoch, 2);
  assert.ok(!validators.some(({ key }) => toHex(key.bytes) === toHex((people[0] as Person).key.bytes)));
  const world = new SyncWorld();
  await world.serve('a', grown, { anchors: [320] });
  const reader = await world.read('new');
  await attempt(reader);
  assertAt(reader, 320, grown);
  assert.deepEqual(reader.warnings, []);
  const { chain } = reader.grown;
  assert.deepEqual(chain.contextAt(height(1)).validators, grown.chain.contextAt(height(1)).validators);
  for (const of of [1, 2]) {
    const { since, closing } = grown.chain.epochStart(of as Epoch) as EpochStart;
    assert.deepEqual(chain.epochStart(of as Epoch)?.since, since);
    assert.deepEqual(chain.epochStart(of as Epoch)?.closing, closing);
  }
  for (let at = 321; at <= 330; at += 1) await chain.commit(await certified(grown, at));
  assert.equal(toHex(chain.state.root), toHex(grown.chain.stateAt(330).root));
});

test('SNAPSHOT-5: an anchor that closes an epoch leads into the next one, whichever of the two has signed it', async () => {
  const grown = await newChain();
  await changeValidators(grown);
  await grown.grow(4);
  const closing = grown.chain.epoch.since - 1;
  assert.equal(grown.chain.epoch.epoch, 2);
  await grown.grow(LIMITS.pipelineDepth);
  const old = grown.stable(closing);
  const next = grown.stable(closing, grown.chain.epoch);
  assert.notEqual(old.epoch, next.epoch);
  for (const anchor of [old, next]) {
    const world = new SyncWorld();
    const { server } = await world.serve('a', grown, { anchors: [] });
    server.noteStable(anchor);
    const reader = await world.read('new', { boundBlocks: 10 });
    await attempt(reader);
    assertAt(reader, closing, grown);
    assert.equal(reader.grown.chain.epoch.epoch, 2);
    assert.deepEqual(reader.grown.chain.epoch.stateRoot, grown.chain.epoch.stateRoot);
    assert.equal(reader.grown.chain.contextAt(height(closing)).epoch, 1);
  }
});

test('SNAPSHOT-5: attack forged epochs: a set that the one before has not named, or not signed for, bans who shows it', async () => {
  const grown = await newChain();
  await changeValidators(grown);
  await grown.grow(320 + 10 - grown.chain.height);
  const turnsBy =
    (change: (turns: EpochTurn[]) => EpochTurn[]): Tamper =>
    (answer, request) => {
      const decoded = decodeAnswer(answer);
      if (request?.kind !== 'epochs' || !decoded.ok || decoded.value.content.kind !== 'piece')
        return [answer];
      const turns = decodeTurns(decoded.value.content.body);
      assert.ok(turns.ok);
      const body = encodeTurns(change(turns.value));
      return [encodeAnswer({ number: decoded.value.number, content: { kind: 'piece', body } })];
    };
  const attacks: ((turns: EpochTurn[]) => EpochTurn[])[] = [
    ([first, ...rest]) => [{ ...first, validators: grown.chain.epoch.validators } as EpochTurn, ...rest],
    ([, ...rest]) => rest,
    ([first, second]) => [first, first, second] as EpochTurn[],
    ([first, ...rest]) => {
      const { closing, validators } = first as EpochTurn;
      const [signature, ...others] = closing.certificate.signatures;
      const signatures = [(signature as Uint8Array).with(3, 77), ...others];
      const certificate = { ...closing.certificate, signatures };
      return [{ closing: { header: closing.header, certificate }, validators }, ...rest];
    },
  ];
  for (const attack of attacks) {
    const world = new SyncWorld();
    await world.serve('bad', grown, { anchors: [320], tamper: turnsBy(attack) });
    await world.serve('good', grown, { anchors: [320] });
    const reader = await world.read('new');
    await attempt(reader);
    assertAt(reader, 320, grown);
    assert.deepEqual(
      reader.warnings.map(({ peer }) => peer),
      ['bad'],
    );
  }
});
