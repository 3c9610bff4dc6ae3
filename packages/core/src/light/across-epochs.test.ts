import { test } from 'node:test';
import assert from 'node:assert/strict';
import { equalBytes } from '../bytes/hex.ts';
import { hashTagged } from '../crypto/hash.ts';
import { StateTree } from '../crypto/state-tree.ts';
import { encodeCommand } from '../ledger/command.ts';
import { encodeGenesis } from '../ledger/genesis.ts';
import { millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { transactionId } from '../ledger/transaction.ts';
import { deviceKey, stateKeyHash } from '../state/keys.ts';
import { encodeRecord } from '../state/records.ts';
import {
  GENESIS_TIME,
  signedCheckpoint,
  signedPayload,
  signedTransaction,
  world,
  type CertifiedBlock,
  type Group,
} from '../testing/chain.ts';
import { ownedDevice } from '../testing/devices.ts';
import { EpochChain, groupOf } from '../testing/epochs.ts';
import { installNativeSha256, keyPair, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import { decodeAccessProof, encodeAccessProof, proveAccess } from './access-proof.ts';
import { verifyCommand, type CommandVerdict } from './command.ts';
import type { EpochHop } from './epoch-hop.ts';
import {
  decodeInclusionProof,
  encodeInclusionProof,
  proveInclusion,
  verifyInclusion,
  verifyInclusionBytes,
  type InclusionProof,
} from './inclusion-proof.ts';
import {
  decodeReadingProof,
  encodeReadingProof,
  proveReading,
  verifyReading,
  verifyReadingBytes,
  type ReadingProof,
} from './reading-proof.ts';
import { ReplayWindows } from './replay.ts';
import { decodeTrust, encodeTrust, trustGenesis, type Trust } from './trust.ts';

installNativeSha256();

const home = world();
const device = keyPair(50);
const owner = keyPair(61);
const start = trustGenesis(home.genesis);
const sliding = (from: number): Group => groupOf([0, 1, 2, 3].map((i) => [1000 + from + i, 1]));

const payload = signedPayload(home.chain, device);
const checkpoint = signedTransaction(home.chain, device, {
  kind: 'checkpoint',
  certificate: signedCheckpoint(home, [payload.id]),
});

function readingProof(at: CertifiedBlock, hops: readonly EpochHop[]): ReadingProof {
  return proveReading({
    genesis: encodeGenesis(home.genesis),
    hops,
    ...at,
    transactionIndex: 0,
    payloadIds: [payload.id],
    payloadIndex: 0,
    payload: payload.bytes,
  });
}

/** The reading becomes final in the open epoch after `changes` changes of a quarter of the set. */
function readingAfter(changes: number): { chain: EpochChain; block: CertifiedBlock; proof: ReadingProof } {
  const chain = new EpochChain(
    home,
    Array.from({ length: changes }, (_, i) => sliding(i + 1)),
  );
  const block = chain.append([checkpoint]);
  return { chain, block, proof: readingProof(block, chain.hopsTo(block)) };
}

test('LIGHT-2.1: a reading is proven with nothing but the genesis hash, however often the validators have changed', () => {
  for (const changes of [0, 1, 2, 5]) {
    const { proof } = readingAfter(changes);
    const bytes = encodeReadingProof(proof);
    const verdict = verifyReadingBytes({ genesisHash: home.chain, bytes, verify: verifyQuickly });
    assert.ok(verdict.valid, verdict.valid ? '' : `${verdict.check}: ${verdict.reason}`);
    assert.equal(verdict.epoch, changes);
    assert.equal(proof.hops.length, changes);
    const last = sliding(changes).set;
    assert.ok(
      verdict.signers.every(({ index, key }) =>
        equalBytes(key.bytes, (last[index] as { key: typeof key }).key.bytes),
      ),
    );
  }
});

test('LIGHT-2.2: a proof with hops has one encoding', () => {
  const { proof } = readingAfter(3);
  const back = decodeReadingProof(encodeReadingProof(proof));
  assert.ok(back.ok);
  assert.deepEqual(back.value, proof);
});

test('LIGHT-2.3: any byte changed, anywhere in a proof with hops, refuses it', () => {
  const bytes = encodeReadingProof(readingAfter(2).proof);
  const verify = rememberingVerifier(verifyQuickly);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = bytes.with(at, (bytes[at] as number) ^ (1 << (at % 8)));
    assert.ok(!verifyReadingBytes({ genesisHash: home.chain, bytes: changed, verify }).valid, `byte ${at}`);
  }
});

test('LIGHT-3.9: a header of another epoch than the hops lead to is refused, and the reason names both', () => {
  const { chain, block, proof } = readingAfter(2);
  const judge = (hops: readonly EpochHop[]): { check: string; reason: string } => {
    const verdict = verifyReading({
      genesisHash: home.chain,
      proof: { ...proof, hops },
      verify: verifyQuickly,
    });
    return verdict.valid ? { check: 'valid', reason: '' } : verdict;
  };
  assert.equal(judge(proof.hops).check, 'valid');
  const short = judge([chain.adjacent(0)]);
  assert.equal(short.check, 'epoch');
  assert.match(short.reason, /epoch 2, the hops lead to epoch 1/);
  assert.match(judge([]).reason, /epoch 2, no hops are shown, which leaves epoch 0/);
  assert.equal(judge([chain.adjacent(1)]).check, 'hop-epoch');
  // Hops beyond the header's epoch, from a chain that goes on.
  const longer = new EpochChain(home, [1, 2, 3].map(sliding));
  assert.equal(judge([0, 1, 2].map((at) => longer.adjacent(at))).check, 'epoch');
  assert.equal(judge([...proof.hops, chain.skipping(block)]).check, 'hop-epoch');
});

test('LIGHT-3.9: hops of another chain do not lead into this one', () => {
  const { proof } = readingAfter(1);
  const foreign = new EpochChain(world({ name: 'elsewhere' }), [sliding(1)]);
  const swapped = { ...proof, hops: [foreign.adjacent(0)] };
  const verdict = verifyReading({ genesisHash: home.chain, proof: swapped, verify: verifyQuickly });
  assert.ok(!verdict.valid && verdict.check === 'hop-certificate-signature');
});

test('LIGHT-7.10: a reading proof of 31 validators after three changes fits fourteen thousand bytes', () => {
  const wide = (from: number): Group => groupOf(Array.from({ length: 31 }, (_, i) => [1000 + from + i, 1]));
  const quorum = Array.from({ length: 21 }, (_, i) => i);
  const at = world({ validatorWeights: Array.from({ length: 31 }, () => 1) });
  const chain = new EpochChain(at, [11, 22, 33].map(wide), { signers: () => quorum });
  const tx = signedTransaction(at.chain, device, {
    kind: 'checkpoint',
    certificate: signedCheckpoint(at, [payload.id]),
  });
  const block = chain.append([tx], { signers: quorum });
  const hops = chain.hopsTo(block);
  assert.equal(hops.length, 3);
  const proof = { ...readingProof(block, hops), genesis: encodeGenesis(at.genesis) };
  const { length } = encodeReadingProof(proof);
  assert.ok(length < 14_000 && length < LIMITS.proofBytesMax, `${length} bytes`);
});

/** A lamp's record under the state root of a block of the open epoch. */
function house(chain: EpochChain): { access: Uint8Array; block: CertifiedBlock } {
  const record = ownedDevice({ key: device.key, owner: owner.address, at: home.genesis.time });
  const tree = StateTree.empty.update([
    { key: stateKeyHash(deviceKey(device.address)), value: encodeRecord('device', record) },
    { key: hashTagged('stateKey', Uint8Array.of(1)), value: Uint8Array.of(1) },
  ]);
  const block = chain.append([], { stateRoot: tree.root });
  const { header } = block.block;
  const proof = proveAccess({
    tree,
    hops: chain.hopsTo(block),
    header,
    certificate: block.certificate,
    device: device.address,
    subject: owner.address,
  });
  assert.ok(proof);
  return { access: encodeAccessProof(proof), block };
}

let sequence = 0;
function command(access: Uint8Array, trust: Trust, knowsGenesis = false): CommandVerdict {
  sequence += 1;
  const content = encodeCommand({
    device: device.address,
    action: { kind: 'on' },
    notAfter: millis(GENESIS_TIME + 60_000),
  });
  const { bytes } = signedPayload(home.chain, owner, {
    device: device.address,
    contentType: 'command',
    content,
    sequence,
  });
  const decoded = decodeAccessProof(access);
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.message);
  return verifyCommand({
    trust,
    device: device.address,
    command: bytes,
    access: decoded.value,
    now: millis(GENESIS_TIME + 30_000),
    replay: new ReplayWindows(),
    verify: verifyQuickly,
    ...(knowsGenesis && { genesis: home.genesis }),
  });
}

test('LIGHT-5.10: a lamp follows the validators with the hops a command brings, from genesis or from where it is', () => {
  const chain = new EpochChain(home, [1, 2, 3].map(sliding));
  const { access } = house(chain);
  const fresh = command(access, start);
  assert.equal(fresh.kind, 'accepted');
  assert.equal(fresh.trust.epoch, 3);
  const again = command(house(chain).access, fresh.trust);
  assert.equal(again.kind, 'accepted');
  assert.equal(again.trust.epoch, 3);
  // After a restart, from what is below 256 bytes and the set.
  const kept = decodeTrust(encodeTrust(again.trust), again.trust.validators);
  assert.ok(kept.ok);
  assert.equal(command(house(chain).access, kept.value).kind, 'accepted');
  // What was believed is not undone by a proof of before.
  const old = command(access, again.trust);
  assert.ok(old.kind === 'refused' && old.reason === 'stale-proof');
});

test('LIGHT-5.10: a lamp that slept over a set that came and went begins again at genesis', () => {
  const chain = new EpochChain(home, [groupOf([31, 32, 33, 34].map((seed) => [seed, 1])), sliding(0)]);
  const between = new EpochChain(home, [groupOf([31, 32, 33, 34].map((seed) => [seed, 1]))]);
  const asleep = command(house(between).access, start);
  assert.equal(asleep.kind, 'accepted');
  assert.equal(asleep.trust.epoch, 1);
  const { access } = house(chain);
  const alone = command(access, asleep.trust);
  assert.ok(alone.kind === 'refused' && alone.reason === 'proof');
  assert.equal(alone.trust, asleep.trust);
  const awake = command(access, asleep.trust, true);
  assert.equal(awake.kind, 'accepted');
  assert.equal(awake.trust.epoch, 2);
});

test('LIGHT-5.9, WIRE-9.2: an access proof with hops has one encoding', () => {
  const { access } = house(new EpochChain(home, [1, 2].map(sliding)));
  const back = decodeAccessProof(access);
  assert.ok(back.ok);
  assert.equal(back.value.hops.length, 2);
  assert.deepEqual(encodeAccessProof(back.value), access);
});

const transactions = [1, 2, 3, 4, 5].map((nonce) =>
  signedTransaction(home.chain, home.treasury, { kind: 'register-maker', name: 'm' }, { nonce }),
);
const ids = transactions.map(transactionId);

function inclusion(changes: number, index = 3): InclusionProof {
  const chain = new EpochChain(
    home,
    Array.from({ length: changes }, (_, i) => sliding(i + 1)),
  );
  const block = chain.append(transactions);
  const { header } = block.block;
  return proveInclusion({ hops: chain.hopsTo(block), header, certificate: block.certificate, ids, index });
}

function included(proof: InclusionProof, id = ids[3] as (typeof ids)[number]): string {
  const verdict = verifyInclusion({ trust: start, id, proof, verify: verifyQuickly });
  return verdict.valid ? 'valid' : verdict.check;
}

test('LIGHT-8.1: a transaction is final when a path leads from its id to a certified header, across changes of validators', () => {
  for (const changes of [0, 1, 3]) {
    const bytes = encodeInclusionProof(inclusion(changes));
    const verdict = verifyInclusionBytes({
      trust: start,
      id: ids[3] as (typeof ids)[number],
      bytes,
      verify: verifyQuickly,
    });
    assert.ok(verdict.valid, verdict.valid ? '' : `${verdict.check}: ${verdict.reason}`);
    assert.deepEqual([verdict.epoch, verdict.index, verdict.weight, verdict.total], [changes, 3, 4, 4]);
    assert.equal(verdict.height, 2 * changes + 1);
    assert.equal(verdict.trust.last.height, verdict.height);
  }
});

test('LIGHT-8.2: attack: another transaction, position, count, sibling, header or certificate is refused', () => {
  const proof = inclusion(1);
  assert.equal(included(proof), 'valid');
  assert.equal(included(proof, ids[2]), 'transaction');
  assert.equal(included({ ...proof, index: 2 }), 'transaction');
  assert.equal(included({ ...proof, count: 6 }), 'transaction');
  assert.equal(included({ ...proof, path: proof.path.toReversed() }), 'transaction');
  assert.equal(included({ ...proof, header: inclusion(0).header }), 'epoch');
  assert.equal(included({ ...proof, hops: [] }), 'epoch');
  const other = { ...proof.header, time: millis(proof.header.time + 1) };
  assert.equal(included({ ...proof, header: other }), 'certificate-header');
  assert.equal(included({ ...proof, certificate: inclusion(0).certificate }), 'certificate-header');
});

test('LIGHT-8.3, WIRE-9.4: it has one encoding; any byte changed or cut off makes it invalid', () => {
  const proof = inclusion(1);
  const bytes = encodeInclusionProof(proof);
  const back = decodeInclusionProof(bytes);
  assert.ok(back.ok);
  assert.deepEqual(back.value, proof);
  const verify = rememberingVerifier(verifyQuickly);
  const id = ids[3] as (typeof ids)[number];
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = bytes.with(at, (bytes[at] as number) ^ (1 << (at % 8)));
    assert.ok(!verifyInclusionBytes({ trust: start, id, bytes: changed, verify }).valid, `byte ${at}`);
    const cut = verifyInclusionBytes({ trust: start, id, bytes: bytes.slice(0, at), verify });
    assert.ok(!cut.valid && cut.check === 'format');
  }
  assert.ok(!decodeInclusionProof(Uint8Array.of(...bytes, 0)).ok);
  assert.ok(!decodeInclusionProof(new Uint8Array(LIMITS.proofBytesMax + 1)).ok);
});

test('LIGHT-8.4: a conflict with what is believed comes back with the evidence', () => {
  const seen = verifyInclusion({
    trust: start,
    id: ids[3] as (typeof ids)[number],
    proof: inclusion(0),
    verify: verifyQuickly,
  });
  assert.ok(seen.valid);
  const { block, certificate } = new EpochChain(home, []).append(transactions.slice(0, 1));
  const shown = proveInclusion({
    hops: [],
    header: block.header,
    certificate,
    ids: ids.slice(0, 1),
    index: 0,
  });
  const verdict = verifyInclusion({
    trust: seen.trust,
    id: ids[0] as (typeof ids)[number],
    proof: shown,
    verify: verifyQuickly,
  });
  assert.ok(!verdict.valid && verdict.check === 'conflict');
  assert.equal(verdict.conflict?.doubleVotes.length, 4);
});
