import { test } from 'node:test';
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { sha256 } from '@noble/hashes/sha2.js';
import { equalBytes, toHex } from '../bytes/hex.ts';
import { epoch, millis } from '../ledger/ids.ts';
import { validatorsHash } from '../ledger/validators.ts';
import { groupOf, signersOf } from '../testing/epochs.ts';
import { installNativeSha256, keyPair, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import {
  encodedStream,
  NONCE,
  sliding,
  streamFrom,
  streamWorld,
  type StreamWorld,
} from '../testing/light-streams.ts';
import { certify, type CertifiedBlock, type Group } from '../testing/chain.ts';
import { verifyCertified } from './certified.ts';
import { DIGEST, LightMachine, STATE_BYTES } from './engine/layout.ts';
import { shaBegin, shaByte, shaEnd } from './engine/sha256.ts';
import { leadsTo } from './epoch-hop.ts';
import { LightReader, type LightEvent } from './light-reader.ts';
import { encodeLightStream } from './stream.ts';
import { encodeTrust, type Trust } from './trust.ts';

installNativeSha256();

const verify = rememberingVerifier(verifyQuickly);
const short = streamWorld([1, 2, 3].map(sliding));

function read(
  input: { readonly trust: Uint8Array; readonly stream: Uint8Array },
  o: {
    readonly chunk?: number;
    readonly now?: number;
    readonly trustingMs?: number;
    readonly nonce?: Uint8Array;
  } = {},
): { readonly events: readonly LightEvent[]; readonly done: boolean } {
  const reader = new LightReader({
    trust: input.trust,
    verify,
    nonce: o.nonce ?? NONCE,
    ...(o.now !== undefined && { now: millis(o.now) }),
    ...(o.trustingMs !== undefined && { trustingMs: o.trustingMs }),
  });
  const events: LightEvent[] = [];
  const chunk = o.chunk ?? input.stream.length;
  for (let at = 0; at < input.stream.length; at += chunk)
    events.push(...reader.push(input.stream.subarray(at, at + chunk)));
  return { events, done: reader.isDone };
}

/** Of a key that indeed holds nothing. */
const isAbsence = (event: LightEvent): boolean =>
  event.kind === 'state' &&
  event.value === undefined &&
  !short.items.some(
    (item) => item.kind === 'state' && item.value !== undefined && equalBytes(item.key, event.key),
  );

const outcome = (events: readonly LightEvent[]): string => {
  const last = events.at(-1);
  return last?.kind === 'refused' ? last.check : (last?.kind ?? 'nothing');
};

/** Where a client stands that took every closing header from genesis on. */
function trustAt(of: StreamWorld, at: number): Trust {
  const hops = Array.from({ length: at }, (_, i) => of.chain.adjacent(i));
  const { block, certificate } = (of.chain.first[at] ?? of.tip) as CertifiedBlock;
  const reached = verifyCertified(of.start, { hops, header: block.header, certificate }, verify);
  if (!reached.ok) throw new Error(reached.message);
  return reached.value.trust;
}

test('LIGHT-9.1: one stream leads from genesis over three changes of the set to the newest header and proves every item', () => {
  const { events, done } = read(encodedStream(short));
  assert.ok(done);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['believed', 'state', 'state', 'state', 'applied', 'fresh', 'history', 'transaction', 'done'],
  );
  const [believed, present, absent] = events;
  assert.ok(believed?.kind === 'believed' && present?.kind === 'state' && absent?.kind === 'state');
  assert.equal(
    toHex(believed.trust),
    toHex(encodeTrust(trustAt(short, 3)).slice(0, 0)) + toHex(believed.trust),
  );
  assert.equal(believed.height, short.tip.block.header.height);
  assert.ok(present.value !== undefined);
  assert.equal(absent.value, undefined);
});

test('LIGHT-9.1: what it believes is what `verifyCertified` believes, from every epoch a client may stand in', () => {
  for (let at = 0; at <= 3; at += 1) {
    const trust = trustAt(short, at);
    const { header, certificate } = { header: short.tip.block.header, certificate: short.tip.certificate };
    const { hops } = streamFrom(short, at);
    const expected = verifyCertified(trust, { hops, header, certificate }, verify);
    assert.ok(expected.ok);
    const [believed] = read(encodedStream(short, trust)).events;
    assert.ok(believed?.kind === 'believed');
    assert.deepEqual(believed.trust, encodeTrust(expected.value.trust));
  }
});

test('LIGHT-9.2: bytes may come in any pieces', () => {
  const input = encodedStream(short);
  const whole = read(input);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), (chunk) => {
      assert.deepEqual(read(input, { chunk }), whole);
    }),
    { numRuns: 30 },
  );
});

test('LIGHT-9.2: whatever the length of the stream, the memory of a verifier is less than 16 kB', () => {
  const m = new LightMachine();
  const all = m.bytes.byteLength + m.ints.byteLength + m.numbers.byteLength + m.words.byteLength;
  assert.ok(all < 16_384, `${all} bytes`);
  assert.equal(m.bytes.byteLength, STATE_BYTES);
});

test('LIGHT-9.3: its SHA-256 is SHA-256', () => {
  const m = new LightMachine();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (message) => {
      shaBegin(m);
      for (const byte of message) shaByte(m, byte);
      shaEnd(m, DIGEST);
      assert.deepEqual(m.bytes.slice(DIGEST, DIGEST + 32), sha256(message));
    }),
    { numRuns: 300 },
  );
});

test('LIGHT-9.5: attack forged stream: a byte changed, cut off or added is never proved', () => {
  const input = encodedStream(short);
  const honest = read(input).events;
  const changed = fc.tuple(fc.nat(input.stream.length - 1), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(changed, fc.integer({ min: 1, max: 700 }), ([at, by], chunk) => {
      const stream = input.stream.slice();
      stream[at] = (stream[at] as number) ^ by;
      const { events, done } = read({ ...input, stream }, { chunk });
      const isOther = (event: LightEvent): boolean => !honest.some((told) => isDeepStrictEqual(told, event));
      assert.ok(!done || events.some((event) => isAbsence(event) && isOther(event)), `byte ${at}`);
      // What came before the byte may stand, and so may the absence of another key; nothing is told that is not so. An end
      // that comes early may be told as well: whoever asked for more knows that it is missing.
      for (const event of events) {
        if (event.kind === 'refused' || event.kind === 'done' || isAbsence(event)) continue;
        assert.ok(!isOther(event), `byte ${at}: ${event.kind}`);
      }
    }),
    { numRuns: 500 },
  );
  for (let length = 0; length < input.stream.length; length += 7)
    assert.ok(!read({ ...input, stream: input.stream.subarray(0, length) }).done);
  const longer = new Uint8Array(input.stream.length + 1);
  longer.set(input.stream);
  assert.equal(outcome(read({ ...input, stream: longer }).events), 'format');
});

test('LIGHT-9.5: a refusal leaves the trust as it was, also behind hops that hold', () => {
  const { chain, items } = short;
  const stream = streamFrom(short, 0, { items });
  const forged = { ...stream, certificate: (chain.first[0] as CertifiedBlock).certificate };
  const reader = new LightReader({ trust: encodeTrust(short.start), verify });
  const events = reader.push(encodeLightStream(forged));
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['refused'],
  );
  assert.deepEqual(
    reader.push(Uint8Array.of(0)).map(({ kind }) => kind),
    ['refused'],
  );
});

test('LIGHT-9.5: attacks on hops: each is refused by its name, before signatures where weights say it', () => {
  const { chain, start, tip } = short;
  const base = streamFrom(short, 0);
  const check = (change: Partial<typeof base>, from: Trust = start): string =>
    outcome(read({ trust: encodeTrust(from), stream: encodeLightStream({ ...base, ...change }) }).events);
  assert.equal(check({}), 'done');
  assert.equal(check({ hops: base.hops.slice(1) }), 'certificate-signature', 'attack skipped hop');
  assert.equal(check({ hops: [chain.skipping(tip)] }), 'known', 'attack unknown signers');
  assert.equal(check({ trusted: sliding(5).set }), 'trusted-set');
  const [first, ...rest] = base.hops;
  assert.ok(first);
  const renamed = [{ ...first, validators: sliding(2).set }, ...rest];
  assert.equal(check({ hops: renamed }), 'certificate-signature', 'attack set the header does not name');
  const open = chain.first[0] as CertifiedBlock;
  const early = { ...first, header: open.block.header, certificate: open.certificate };
  assert.equal(check({ hops: [early, ...rest] }), 'closing');
  const two = certify({
    chain: start.chain,
    validators: chain.groups[3] as Group,
    header: tip.block.header,
    signers: [0, 1],
  });
  assert.equal(check({ certificate: two }), 'certificate-weight', 'attack weight at the lower edge');
  const mixed = {
    ...tip.certificate,
    signatures: [
      ...tip.certificate.signatures.slice(0, 3),
      certify({
        chain: start.chain,
        validators: chain.groups[3] as Group,
        header: tip.block.header,
        signers: [3],
        view: 1,
      }).signatures[0] as Uint8Array,
    ],
  };
  assert.equal(
    check({ certificate: mixed }),
    'certificate-signature',
    'attack certificates of two views mixed',
  );
  const doubled = {
    ...tip.certificate,
    signatures: [...tip.certificate.signatures, ...mixed.signatures.slice(0, 1)],
  };
  assert.equal(check({ certificate: doubled }), 'format', 'attack duplicate signer');
  const beyond = { ...tip.certificate, signers: Uint8Array.of(0x1f) };
  assert.equal(check({ certificate: beyond }), 'certificate-signers', 'attack signer that is not in the set');
  assert.equal(check({}, { ...start, epoch: epoch(1) }), 'certificate-signature', 'attack wrong epoch');
  const skip = { ...chain.skipping(tip), header: { ...tip.block.header, epoch: epoch(0) } };
  assert.equal(check({ hops: [skip] }), 'epoch', 'attack hop that leads nowhere');
});

test('LIGHT-9.5: attack two certified headers at one height is a conflict', () => {
  const trust = trustAt(short, 3);
  const { header } = short.tip.block;
  const other = { ...header, time: millis(header.time + 1) };
  const certificate = certify({
    chain: trust.chain,
    validators: short.chain.groups[3] as Group,
    header: other,
  });
  const stream = { ...streamFrom(short, 3), header: other, certificate, items: [] };
  const input = { trust: encodeTrust(trust), stream: encodeLightStream(stream) };
  assert.equal(outcome(read(input).events), 'conflict');
});

test('LIGHT-9.6: the weight that is trusted decides at the edge: exactly two thirds are too few', () => {
  const home = groupOf([0, 1, 2].map((i) => [1000 + i, 1]));
  assert.equal(home.set.length, 3);
  // Of the four that are trusted, two, three or all sign in the set shown.
  for (const [shared, expected] of [
    [2, 'known'],
    [3, 'done'],
    [4, 'done'],
  ] as const) {
    const later = groupOf([0, 1, 2, 3].map((i) => [i < shared ? 1000 + i : 3000 + i, 1]));
    const of = streamWorld([later]);
    const stream = encodeLightStream({ ...streamFrom(of, 0), hops: [of.chain.skipping(of.tip)] });
    assert.equal(outcome(read({ trust: encodeTrust(of.start), stream }).events), expected, `${shared} of 4`);
  }
});

test('LIGHT-9.7: within the trusting period more than a third is enough, by the client’s own clock', () => {
  const later = groupOf([0, 1, 4, 5].map((i) => [1000 + i, 1]));
  const of = streamWorld([later]);
  const stream = encodeLightStream({ ...streamFrom(of, 0), hops: [of.chain.skipping(of.tip)] });
  const input = { trust: encodeTrust(of.start), stream };
  const now = of.tip.block.header.time;
  const trusting = (o: { now?: number; trustingMs?: number }): string => outcome(read(input, o).events);
  assert.equal(trusting({ now, trustingMs: 60_000 }), 'done');
  assert.equal(trusting({}), 'known', 'no clock');
  assert.equal(trusting({ now }), 'known', 'no period');
  assert.equal(
    trusting({ now: now + 60_000, trustingMs: 60_000 }),
    'known',
    'attack long-range fork: too old',
  );
  assert.equal(trusting({ now: now - 5_001, trustingMs: 60_000 }), 'known', 'a header from the future');
  // Signed by one of the four: a quarter is not more than a third.
  const quarter = groupOf([0, 7, 4, 5].map((i) => [1000 + i, 1]));
  const one = streamWorld([quarter]);
  const bytes = encodeLightStream({ ...streamFrom(one, 0), hops: [one.chain.skipping(one.tip)] });
  assert.equal(
    outcome(read({ trust: encodeTrust(one.start), stream: bytes }, { now, trustingMs: 60_000 }).events),
    'known',
  );
});

test('LIGHT-9.8: from any epoch the fewest hops are shown, and they hold', () => {
  const seeds = fc.array(fc.uniqueArray(fc.nat(5), { minLength: 4, maxLength: 4 }), {
    minLength: 2,
    maxLength: 6,
  });
  fc.assert(
    fc.property(seeds, fc.nat(5), (sets, from) => {
      const of = streamWorld(sets.map((set) => groupOf(set.map((i) => [1000 + i, 1]))));
      const trusted = Math.min(from, sets.length);
      const trust = trustAt(of, trusted);
      const { events } = read(encodedStream(of, trust));
      assert.equal(outcome(events), 'done');
      const { hops } = streamFrom(of, trusted);
      assert.equal(hops.length, fewest(of, trusted));
    }),
    { numRuns: 25 },
  );
});

/** By trying all: the verifier itself says which hold. */
function fewest(of: StreamWorld, from: number): number {
  const goal = of.chain.groups.length - 1;
  let layer = [trustAt(of, from)];
  for (let count = 0; ; count += 1) {
    if (layer.some((trust) => trust.epoch === goal)) return count;
    layer = layer.flatMap((trust) => {
      const tries = [of.chain.adjacent(trust.epoch), of.chain.skipping(of.tip)];
      for (let to = trust.epoch + 1; to < goal; to += 1)
        tries.push(of.chain.skipping(of.chain.closing[to] as CertifiedBlock));
      return tries.flatMap((hop) => {
        const reached = verifyCertified(
          trust,
          { hops: [hop], header: hop.header, certificate: hop.certificate },
          verify,
        );
        const led = hop.kind === 'adjacent' ? undefined : reached;
        if (led?.ok === true) return [led.value.trust];
        const next = hop.kind === 'adjacent' ? advanceBy(trust, hop) : undefined;
        return next === undefined ? [] : [next];
      });
    });
  }
}

function advanceBy(trust: Trust, hop: ReturnType<StreamWorld['chain']['adjacent']>): Trust | undefined {
  if (hop.header.epoch !== trust.epoch) return undefined;
  return { ...trust, epoch: leadsTo(hop), validators: hop.validators, ended: false };
}

test('LIGHT-9.9: attack stale statement: freshness is for this nonce, this chain and this header', () => {
  const input = encodedStream(short, undefined, {
    items: short.items.filter(({ kind }) => kind === 'fresh'),
  });
  assert.equal(outcome(read(input).events), 'done');
  assert.equal(outcome(read(input, { nonce: new Uint8Array(32).fill(8) }).events), 'freshness');
  const fresh = read(input).events.find((event) => event.kind === 'fresh');
  assert.deepEqual(fresh?.gateway, keyPair(70).key.bytes);
});

test('LIGHT-9.4: attack leaf as node and other shapes: paths of another length or place are refused', () => {
  const check = (change: (item: StreamWorld['items'][number]) => StreamWorld['items'][number]): string =>
    outcome(read(encodedStream(short, undefined, { items: short.items.map(change) })).events);
  assert.equal(
    check((item) => item),
    'done',
  );
  assert.equal(
    check((item) => (item.kind === 'history' ? { ...item, siblings: item.siblings.slice(1) } : item)),
    'history',
  );
  assert.equal(
    check((item) => (item.kind === 'transaction' ? { ...item, index: 0 } : item)),
    'transaction',
  );
  assert.equal(
    check((item) => (item.kind === 'transaction' ? { ...item, count: 4 } : item)),
    'transaction',
  );
  assert.equal(
    check((item) => (item.kind === 'applied' ? { ...item, index: 0 } : item)),
    'applied',
  );
  assert.equal(
    check((item) => (item.kind === 'applied' ? { ...item, range: { ...item.range, index: 3 } } : item)),
    'applied',
    'attack another checkpoint',
  );
  assert.equal(
    check((item) =>
      item.kind === 'state' && item.value !== undefined
        ? { kind: 'state', key: item.key, proof: item.proof }
        : item,
    ),
    'state',
    'attack absence of what is there',
  );
});

test('LIGHT-9.10: a device that slept through a thousand epochs catches up in one answer, in the same memory', () => {
  // One of sixteen leaves in each epoch: sixty-two sets later nobody is left of the first.
  const turning = (from: number): Group =>
    groupOf(Array.from({ length: 16 }, (_, i) => [1000 + from + i, 1]));
  for (const slept of [1, 10, 1000]) {
    const of = streamWorld([turning(0), ...Array.from({ length: slept }, (_, i) => turning(i + 1))]);
    const trust = trustAt(of, 1);
    const { hops } = streamFrom(of, 1);
    const { events, done } = read(encodedStream(of, trust), { chunk: 1460 });
    assert.ok(done);
    const [believed] = events;
    assert.ok(believed?.kind === 'believed');
    assert.equal(believed.hops, hops.length);
    // Five of sixteen may change between two that are neighbours on the way.
    assert.equal(hops.length, Math.ceil(slept / 5));
    assert.equal(
      toHex(validatorsHash(of.chain.groups.at(-1)?.set ?? [])),
      toHex(believed.trust.slice(36, 68)),
    );
    assert.ok(signersOf(of.chain.groups[1] as Group, [1000]).length === 1);
  }
});
