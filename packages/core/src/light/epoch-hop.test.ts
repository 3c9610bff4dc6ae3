import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { HEADER_FLAGS } from '../ledger/block.ts';
import { epoch, height, view } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { bitmapOf } from '../ledger/validators.ts';
import { certify, world, type Group, type World } from '../testing/chain.ts';
import { EpochChain, groupOf, signersOf } from '../testing/epochs.ts';
import { countingVerifier, installNativeSha256, verifyQuickly } from '../testing/keys.ts';
import { decodeLinkedHeader, encodeLinkedHeader, followChain, verifyCertified } from './certified.ts';
import { advance, decodeHops, encodeHops, hopsBeyond, leadsTo, type EpochHop } from './epoch-hop.ts';
import { trustGenesis, type Trust } from './trust.ts';

installNativeSha256();

const home = world();
const start = trustGenesis(home.genesis);
/** Members 1000 + i of weight one; the world's own set is `sliding(0)`. */
const sliding = (from: number): Group => groupOf([0, 1, 2, 3].map((i) => [1000 + from + i, 1]));

const codeOf = (result: ReturnType<typeof advance>): string => (result.ok ? 'ok' : result.code);
const outcome = (hops: readonly EpochHop[], from: Trust = start): string =>
  codeOf(advance(from, hops, verifyQuickly));

function reached(hops: readonly EpochHop[], from: Trust = start): Trust {
  const result = advance(from, hops, verifyQuickly);
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

/** Epochs 0 to 3, one member leaving and one joining each time. */
const chain = new EpochChain(home, [1, 2, 3].map(sliding));
const tip = chain.append();

test('LIGHT-7.1: the header that closes an epoch, signed by its set, leads to the set it promises', () => {
  const one = reached([chain.adjacent(0)]);
  assert.equal(one.epoch, 1);
  assert.deepEqual(one.validators, sliding(1).set);
  assert.equal(one.last.height, 2);
  const three = reached([0, 1, 2].map((at) => chain.adjacent(at)));
  assert.equal(three.epoch, 3);
  assert.deepEqual(
    reached(
      [1, 2].map((at) => chain.adjacent(at)),
      one,
    ),
    three,
    'in one go or in two',
  );
});

test('LIGHT-7.1: a client that believed the closing header already takes the hop as well', () => {
  const { block, certificate } = chain.closing[0] as (typeof chain.closing)[number];
  const at = verifyCertified(start, { hops: [], header: block.header, certificate }, verifyQuickly);
  assert.ok(at.ok && at.value.trust.ended);
  assert.equal(reached([chain.adjacent(0)], at.value.trust).epoch, 1);
});

test('LIGHT-7.2: attack: closing flag missing, or added to a header that was not signed so', () => {
  const plain = chain.first[0] as (typeof chain.first)[number];
  const hop = chain.adjacent(0);
  assert.equal(
    outcome([{ ...hop, header: plain.block.header, certificate: plain.certificate }]),
    'hop-closing',
  );
  const unflagged = { ...hop.header, flags: 0 };
  assert.equal(outcome([{ ...hop, header: unflagged }]), 'hop-closing');
  // Signed without the flag, although it names another set: no quorum of correct validators does, and it leads nowhere.
  const signed = certify({ chain: home.chain, validators: home.validators, header: unflagged });
  assert.equal(outcome([{ ...hop, header: unflagged, certificate: signed }]), 'hop-closing');
  const forged = {
    ...plain.block.header,
    flags: HEADER_FLAGS.closes,
    nextValidatorsHash: hop.header.nextValidatorsHash,
  };
  assert.equal(
    outcome([{ ...hop, header: forged, certificate: plain.certificate }]),
    'hop-certificate-header',
  );
});

test('LIGHT-7.3: attack: another set than the promised one is refused before a signature is looked at', () => {
  const { verify, calls } = countingVerifier(verifyQuickly);
  const hop = chain.adjacent(0);
  for (const validators of [sliding(0).set, sliding(2).set, sliding(1).set.slice(1), []])
    assert.equal(codeOf(advance(start, [{ ...hop, validators }], verify)), 'hop-validators');
  const heavier = groupOf([0, 1, 2, 3].map((i) => [1001 + i, 2])).set;
  assert.equal(codeOf(advance(start, [{ ...hop, validators: heavier }], verify)), 'hop-validators');
  assert.equal(calls(), 0);
});

test('LIGHT-7.3: attack removed signers: who has left closes nothing and certifies nothing', () => {
  const one = reached([chain.adjacent(0)]);
  const byOld = certify({ chain: home.chain, validators: home.validators, header: chain.adjacent(1).header });
  assert.equal(outcome([{ ...chain.adjacent(1), certificate: byOld }], one), 'hop-certificate-signature');
  assert.equal(
    outcome([{ ...chain.skipping(chain.first[1] as typeof tip), certificate: byOld }]),
    'hop-certificate-header',
  );
  const asOld = certify({ chain: home.chain, validators: home.validators, header: tip.block.header });
  const { header } = tip.block;
  assert.equal(
    codeOf2(
      verifyCertified(reached(chain.hopsTo(tip)), { hops: [], header, certificate: asOld }, verifyQuickly),
    ),
    'certificate-signature',
  );
});

const codeOf2 = (result: ReturnType<typeof verifyCertified>): string => (result.ok ? 'ok' : result.code);

test('LIGHT-7.4: a header of a later epoch leads there when enough of the trusted weight signed it', () => {
  const to = chain.first[1] as (typeof chain.first)[number];
  const there = reached([chain.skipping(to)]);
  assert.equal(there.epoch, 1);
  assert.equal(there.last.height, 3);
  // Three of four have stayed: 3 · 3 > 4 · 2. Two of four have not been enough.
  const far = chain.first[2] as (typeof chain.first)[number];
  assert.equal(outcome([chain.skipping(far)]), 'hop-known');
  assert.equal(outcome([chain.skipping(to), chain.skipping(tip)]), 'hop-known');
  assert.equal(outcome([chain.skipping(to), chain.skipping(far), chain.skipping(tip)]), 'ok');
});

/** One skip from a world of the first weights into a set of the second, signed by the given seeds. */
function skipOnce(
  trusted: readonly (readonly [number, number])[],
  shown: readonly (readonly [number, number])[],
  seeds: readonly number[] = shown.map(([seed]) => seed),
): string {
  const from = groupOf(trusted);
  const at: World = { ...home, validators: from, genesis: { ...home.genesis, validators: from.set } };
  const begin = { ...trustGenesis(at.genesis), chain: home.chain };
  const to = groupOf(shown);
  const built = new EpochChain(at, [to]);
  const block = built.append([], { signers: signersOf(to, seeds) });
  return outcome([built.skipping(block)], begin);
}

test('LIGHT-7.4: attack threshold edge: exactly two thirds of the trusted weight are not enough, one more is', () => {
  const trusted = [
    [1, 2],
    [2, 2],
    [3, 2],
    [4, 2],
    [5, 1],
  ] as const;
  const news = [
    [11, 1],
    [12, 1],
    [13, 1],
    [14, 1],
  ] as const;
  const old = [
    [1, 1],
    [2, 1],
    [3, 1],
  ] as const;
  assert.equal(skipOnce(trusted, [...old, ...news]), 'hop-known', '6 of 9');
  assert.equal(skipOnce(trusted, [...old, [5, 1], ...news]), 'ok', '7 of 9');
  assert.equal(
    skipOnce(trusted, [...old, [5, 1], ...news], [1, 2, 3, 11, 12, 13, 14]),
    'hop-known',
    'it must sign',
  );
});

test('LIGHT-7.4: attack: enough of the trusted weight, and one short of a quorum of the new set', () => {
  const trusted = [
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
  ] as const;
  const shown = [...trusted, [11, 2], [12, 2], [13, 2], [14, 1]] as const;
  assert.equal(skipOnce(trusted, shown, [1, 2, 3, 4, 11, 14]), 'hop-certificate-weight', '7 of 11');
  assert.equal(skipOnce(trusted, shown, [1, 2, 3, 4, 11, 12]), 'ok', '8 of 11');
});

test('LIGHT-7.4: weights count as they were trusted, at both ends of their range', () => {
  const max = LIMITS.weightMax;
  const heavy = [1, 2, 3, 4].map((seed) => [seed, max] as const);
  assert.equal(
    skipOnce(heavy, [
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
    ]),
    'ok',
  );
  assert.equal(
    skipOnce(heavy, [
      [1, 1],
      [2, 1],
      [13, 1],
      [14, 1],
    ]),
    'hop-known',
  );
  // A light member that became heavy vouches for no more than it was trusted for.
  const mixed = [
    [1, max],
    [2, max],
    [3, max],
    [4, max],
    [5, 1],
  ] as const;
  assert.equal(
    skipOnce(mixed, [
      [1, 1],
      [2, 1],
      [5, 1],
      [13, 1],
    ]),
    'hop-known',
  );
  assert.equal(
    skipOnce(mixed, [
      [1, 1],
      [2, 1],
      [3, 1],
      [13, 1],
    ]),
    'ok',
  );
});

test('LIGHT-7.4: attacks unknown signers and duplicate bits: only keys of the trusted set count, each once', () => {
  const trusted = [
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
  ] as const;
  const strangers = [
    [11, 1],
    [12, 1],
    [13, 1],
    [14, 1],
  ] as const;
  assert.equal(skipOnce(trusted, strangers), 'hop-known');
  const to = chain.first[1] as (typeof chain.first)[number];
  const hop = chain.skipping(to);
  const [first] = hop.validators;
  assert.ok(first);
  // The same key twice in the set shown: refused as a set, however well it is hashed and signed.
  const twice = { set: [first, first, ...hop.validators.slice(1)], pairs: [] };
  assert.equal(outcome([{ ...hop, validators: twice.set }]), 'hop-validators');
  const signers = (bits: Uint8Array): EpochHop => ({
    ...hop,
    certificate: { ...hop.certificate, signers: bits },
  });
  assert.equal(outcome([signers(Uint8Array.of(0x1f))]), 'hop-certificate-signers');
  assert.equal(outcome([signers(Uint8Array.of(0x0f, 0))]), 'hop-certificate-signers');
  const three = { ...hop.certificate, signers: bitmapOf([0, 1, 2], 4) };
  assert.notEqual(outcome([{ ...hop, certificate: three }]), 'ok', 'four signatures for three bits');
});

test('LIGHT-7.4: the trusted weight is judged before any signature is', () => {
  const { verify, calls } = countingVerifier(verifyQuickly);
  assert.equal(codeOf(advance(start, [chain.skipping(tip)], verify)), 'hop-known');
  assert.equal(calls(), 0);
});

test('LIGHT-7.4: attack: one certificate of signatures from two views', () => {
  const { header } = tip.block;
  const validators = sliding(3);
  const of = (at: number, signers: readonly number[]): ReturnType<typeof certify> =>
    certify({ chain: home.chain, validators, header, view: at, signers });
  const mixed = { ...of(0, [0, 1, 2]), signatures: [...of(0, [0, 1]).signatures, ...of(1, [2]).signatures] };
  const two = reached([0, 1].map((at) => chain.adjacent(at)));
  assert.equal(outcome([{ ...chain.skipping(tip), certificate: mixed }], two), 'hop-certificate-signature');
  const renamed = { ...of(0, [0, 1, 2]), view: view(1) };
  assert.equal(outcome([{ ...chain.skipping(tip), certificate: renamed }], two), 'hop-certificate-signature');
});

test('LIGHT-7.5: attack skipped hop: without one of them the next does not hold', () => {
  const all = [0, 1, 2].map((at) => chain.adjacent(at));
  for (const left of [0, 1]) assert.equal(outcome(all.toSpliced(left, 1)), 'hop-epoch');
  const short = verifyCertified(start, { hops: all.slice(0, 2), ...certified(tip) }, verifyQuickly);
  assert.ok(!short.ok);
  assert.equal(short.code, 'epoch');
  assert.match(short.message, /epoch 3, the hops lead to epoch 2/);
  const none = verifyCertified(start, { hops: [], ...certified(tip) }, verifyQuickly);
  assert.ok(!none.ok && /epoch 3, no hops are shown, which leaves epoch 0/.test(none.message));
});

const certified = (
  at: typeof tip,
): { header: typeof tip.block.header; certificate: typeof tip.certificate } => ({
  header: at.block.header,
  certificate: at.certificate,
});

test('LIGHT-7.5: attacks order of hops changed, repeated, extended', () => {
  const all = [0, 1, 2].map((at) => chain.adjacent(at));
  const [a, b, c] = all as [EpochHop, EpochHop, EpochHop];
  for (const hops of [
    [b, a, c],
    [a, c, b],
    [c, b, a],
    [a, a, b, c],
    [a, b, b, c],
    [...all, c],
    [...all, a],
  ])
    assert.notEqual(outcome(hops), 'ok');
  assert.equal(outcome([a, b, c, chain.skipping(tip)]), 'hop-epoch', 'a hop into the epoch that is trusted');
  // A hop too many leads past the header it was made for.
  const beyond = verifyCertified(
    start,
    { hops: [a, b], ...certified(chain.first[1] as typeof tip) },
    verifyQuickly,
  );
  assert.ok(!beyond.ok && beyond.code === 'epoch');
});

test('LIGHT-7.5: attack wrong epoch: header, certificate and place must say the same', () => {
  const hop = chain.adjacent(0);
  assert.equal(outcome([{ ...hop, header: { ...hop.header, epoch: epoch(1) } }]), 'hop-epoch');
  const renamed = { ...hop.certificate, epoch: epoch(1) };
  assert.equal(outcome([{ ...hop, certificate: renamed }]), 'hop-certificate-header');
  const skip = chain.skipping(chain.first[1] as typeof tip);
  assert.equal(outcome([{ ...skip, header: { ...skip.header, epoch: epoch(2) } }]), 'hop-certificate-header');
  assert.equal(outcome([{ ...skip, header: { ...skip.header, epoch: epoch(0) } }]), 'hop-epoch');
});

test('LIGHT-7.5: heights and times rise along the hops', () => {
  const one = reached([chain.adjacent(0)]);
  const hop = chain.skipping(chain.first[2] as typeof tip);
  const low = { ...one, last: { ...one.last, height: height(hop.header.height) } };
  assert.equal(outcome([hop], low), 'hop-stale');
  assert.equal(outcome([hop], { ...one, last: { ...one.last, time: hop.header.time } }), 'hop-time');
  assert.equal(
    outcome([chain.adjacent(1)], { ...one, last: { ...one.last, height: height(99) } }),
    'hop-stale',
  );
});

test('LIGHT-7.5: attack hop of another chain', () => {
  const elsewhere = world({ name: 'elsewhere' });
  const foreign = new EpochChain(elsewhere, [sliding(1)]);
  assert.equal(outcome([foreign.adjacent(0)]), 'hop-certificate-signature');
  const block = foreign.append();
  assert.equal(outcome([foreign.skipping(block)]), 'hop-certificate-signature');
});

test('LIGHT-7.6: attack long-range fork with old keys: who has moved on is not led back, and a new client’s bound is stated', () => {
  const fork = new EpochChain(home, [
    groupOf([
      [31, 1],
      [32, 1],
      [33, 1],
      [34, 1],
    ]),
  ]);
  const forked = fork.append();
  const hops = [fork.adjacent(0)];
  const moved = reached([chain.adjacent(0)]);
  assert.equal(outcome(hops, moved), 'hop-epoch');
  const refusal = followChain(moved, {
    hops,
    ...certified(forked),
    genesis: home.genesis,
    verify: verifyQuickly,
  });
  assert.ok(!refusal.ok);
  // All of the old keys, used again years later, fool a client that knows nothing but genesis: they are to be erased.
  assert.equal(outcome(hops), 'ok');
  const minority = certify({
    chain: home.chain,
    validators: home.validators,
    header: fork.adjacent(0).header,
    signers: [0, 1],
  });
  assert.equal(outcome([{ ...fork.adjacent(0), certificate: minority }]), 'hop-certificate-weight');
});

test('LIGHT-7.6: two headers that close one epoch are a conflict, with the evidence against who signed both', () => {
  const { block, certificate } = chain.closing[0] as (typeof chain.closing)[number];
  const at = verifyCertified(start, { hops: [], header: block.header, certificate }, verifyQuickly);
  assert.ok(at.ok);
  const fork = new EpochChain(home, [sliding(7)], { signers: () => [0, 2, 3] });
  const result = advance(at.value.trust, [fork.adjacent(0)], verifyQuickly);
  assert.ok(!result.ok);
  assert.equal(result.code, 'hop-conflict');
  const votes = result.conflict?.doubleVotes ?? [];
  assert.deepEqual(
    votes.map(({ culprit }) => toHex(culprit.bytes)),
    [0, 2, 3].map((i) => toHex((home.validators.set[i] as { key: { bytes: Uint8Array } }).key.bytes)),
  );
});

test('LIGHT-7.8, WIRE-9.3: hops have one encoding; cut off, extended, or too many are refused', () => {
  const hops = [chain.adjacent(0), chain.skipping(chain.first[2] as typeof tip)];
  const bytes = encodeHops(hops);
  const back = decodeHops(bytes);
  assert.ok(back.ok);
  assert.deepEqual(back.value, hops);
  assert.deepEqual(hops.map(leadsTo), [1, 2]);
  for (let length = 0; length < bytes.length; length += 1) assert.ok(!decodeHops(bytes.slice(0, length)).ok);
  assert.ok(!decodeHops(Uint8Array.of(...bytes, 0)).ok);
  assert.ok(!decodeHops(bytes.with(2, 2)).ok, 'no third form');
  const many = Array.from({ length: LIMITS.hopsMax + 1 }, () => chain.adjacent(0));
  assert.ok(!decodeHops(encodeHops(many)).ok);
  assert.ok(decodeHops(encodeHops(many.slice(1))).ok);
  assert.ok(!decodeHops(new Uint8Array(LIMITS.proofBytesMax + 1)).ok);
});

test('WIRE-9.5: a header with the hops to it has one encoding', () => {
  const linked = { hops: [chain.adjacent(0), chain.adjacent(1)], ...certified(tip) };
  const bytes = encodeLinkedHeader(linked);
  const back = decodeLinkedHeader(bytes);
  assert.ok(back.ok);
  assert.deepEqual(back.value, linked);
  for (let length = 0; length < bytes.length; length += 1)
    assert.ok(!decodeLinkedHeader(bytes.slice(0, length)).ok);
  assert.ok(!decodeLinkedHeader(Uint8Array.of(...bytes, 0)).ok);
  assert.ok(!decodeLinkedHeader(new Uint8Array(LIMITS.proofBytesMax + 1)).ok);
});

test('LIGHT-7.8: no byte of the hops can be changed', () => {
  const hops = [chain.adjacent(0), chain.adjacent(1)];
  const bytes = encodeHops(hops);
  const positions = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(positions, ([at, flip]) => {
      const read = decodeHops(bytes.with(at, (bytes[at] as number) ^ flip));
      assert.ok(!read.ok || outcome(read.value) !== 'ok', `byte ${at}`);
    }),
    { numRuns: 300 },
  );
});

test('LIGHT-7.9: a client that has come further passes over the first hops unread', () => {
  const hops = [0, 1, 2].map((at) => chain.adjacent(at));
  const two = reached(hops.slice(0, 2));
  assert.deepEqual(hopsBeyond(hops, two.epoch), hops.slice(2));
  const { verify, calls } = countingVerifier(verifyQuickly);
  const followed = followChain(two, { hops, ...certified(tip), verify });
  assert.ok(followed.ok);
  assert.equal(followed.value.last.height, tip.block.header.height);
  assert.equal(calls(), 8, 'one hop and the header, four signatures each');
  const stale = followChain(followed.value, { hops, ...certified(chain.first[2] as typeof tip), verify });
  assert.ok(!stale.ok && stale.code === 'stale');
});

test('LIGHT-7.9: where the trusted set does not vouch for a skip made for beginners, who knows genesis begins there too', () => {
  // Epoch 1 is all new, epoch 2 is the old set again: from genesis one skip, from epoch 1 none.
  const back = new EpochChain(home, [
    groupOf([
      [31, 1],
      [32, 1],
      [33, 1],
      [34, 1],
    ]),
    sliding(0),
  ]);
  const block = back.append();
  const hops = back.hopsTo(block);
  assert.deepEqual(
    hops.map(({ kind }) => kind),
    ['skipping'],
  );
  const one = reached([back.adjacent(0)]);
  const o = { hops, ...certified(block), verify: verifyQuickly };
  const alone = followChain(one, o);
  assert.ok(!alone.ok && alone.code === 'hop-known');
  const helped = followChain(one, { ...o, genesis: home.genesis });
  assert.ok(helped.ok);
  assert.equal(helped.value.epoch, 2);
  assert.equal(helped.value.last.height, block.block.header.height);
  // Never back below what is believed, whatever genesis leads to.
  const above = { ...one, last: { ...one.last, height: height(98) } };
  const stale = followChain(above, { ...o, genesis: home.genesis });
  assert.ok(!stale.ok && stale.code === 'stale');
});
