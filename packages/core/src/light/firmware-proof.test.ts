import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ok, refused } from '../bytes/result.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { asHash, sha256, type Hash } from '../crypto/hash.ts';
import { MerkleTree } from '../crypto/merkle.ts';
import { verifySignature } from '../crypto/verify.ts';
import {
  attestationLeaf,
  decodeAttestation,
  encodeAttestation,
  type Attestation,
} from '../ledger/firmware.ts';
import { millis } from '../ledger/ids.ts';
import { parsePayload } from '../ledger/payload.ts';
import { decodeRentalWord, encodeRentalWord } from '../ledger/rental.ts';
import { decideFirmware } from '../state/firmware-decision.ts';
import type { LedgerState } from '../state/ledger-state.ts';
import { assertStrict } from '../testing/arbitraries.ts';
import { ChainBuilder, world, type World } from '../testing/chain.ts';
import { BOARD, FirmwareWorld, maker, MODEL, releasers, version } from '../testing/firmware.ts';
import { anyAttestation, anyRentalWord } from '../testing/market-arbitraries.ts';
import { signedWord } from '../testing/market.ts';
import { fakeVerify, person } from '../testing/state-world.ts';
import {
  decodeFirmwareProof,
  encodeFirmwareProof,
  proveFirmware,
  verifyAttested,
  verifyFirmware,
  type FirmwareProof,
} from './firmware-proof.ts';
import { trustGenesis, type Trust } from './trust.ts';

interface Line {
  readonly of: World;
  readonly w: FirmwareWorld;
  readonly trust: Trust;
  readonly chain: ChainBuilder;
  /** Of the state as it is now, under a new header. */
  prove(state?: LedgerState, count?: number): FirmwareProof;
}

/** Three releases, the newest one halted. The ledger of the line and the chain that certifies it share their state roots alone. */
function line(): Line {
  const of = world();
  const w = FirmwareWorld.opened();
  for (let i = 0; i < 3; i += 1) w.published();
  w.accept(maker, w.rollOut(3, { halted: true, by: releasers.slice(0, 1) }));
  const chain = new ChainBuilder(of);
  return {
    of,
    w,
    trust: trustGenesis(of.genesis),
    chain,
    prove(state = w.state, count) {
      const { block, certificate } = chain.append([], { stateRoot: state.root });
      const proof = proveFirmware({
        tree: state.tree,
        channel: w.channel,
        hops: [],
        header: block.header,
        certificate,
        ...(count !== undefined && { count }),
      });
      assert.ok(proof);
      return proof;
    },
  };
}

function judged(l: Line, proof: FirmwareProof, trust: Trust = l.trust): string {
  const verdict = verifyFirmware({ trust, channel: l.w.channel, proof, verify: verifySignature });
  return verdict.ok ? 'ok' : verdict.code;
}

test('LIGHT-11.1: a device sees the releases of its line by itself, and decides', () => {
  const l = line();
  const read = decodeFirmwareProof(encodeFirmwareProof(l.prove()));
  assert.ok(read.ok);
  const verdict = verifyFirmware({
    trust: l.trust,
    channel: l.w.channel,
    proof: read.value,
    verify: verifySignature,
  });
  assert.ok(verdict.ok);
  const { head, releases, trust } = verdict.value;
  assert.deepEqual(
    releases.map(({ number }) => number),
    [3, 2, 1],
  );
  const device = person('a device').address;
  const installed = { device, model: MODEL, board: BOARD, version: version(0), counter: 0, others: [] };
  const decision = decideFirmware({ channel: l.w.channel, head, releases, installed, now: trust.last.time });
  // The chain of this test is years ahead of its ledger: what the keys signed has expired there.
  assert.deepEqual(decision, { kind: 'stay', reason: 'expired' });
  const then = decideFirmware({ channel: l.w.channel, head, releases, installed, now: millis(l.w.now) });
  assert.equal(then.kind === 'install' && then.number, 2);
});

test('LIGHT-11.1: a proof of one release alone shows that release', () => {
  const l = line();
  const proof = l.prove(l.w.state, 1);
  assert.equal(proof.releases.length, 1);
  assert.equal(judged(l, proof), 'ok');
  assert.equal(
    proveFirmware({ ...proof, tree: l.w.state.tree, channel: asHash(new Uint8Array(32)) }),
    undefined,
  );
});

test('LIGHT-11.2: records of different states, of another line, or without the newest are refused (mix and match)', () => {
  const l = line();
  const before = l.w.state;
  l.w.published();
  const old = l.prove(before);
  const now = l.prove();
  const other = FirmwareWorld.opened();
  assert.equal(
    judged(l, { ...now, releases: [...old.releases] }),
    'release',
    'older releases under the new header',
  );
  assert.equal(judged(l, { ...now, head: old.head }), 'channel', 'the older channel under the new header');
  assert.equal(judged(l, { ...now, releases: now.releases.slice(1) }), 'release', 'the newest is hidden');
  const [first, , third] = now.releases;
  assert.ok(first && third);
  assert.equal(judged(l, { ...now, releases: [first, third] }), 'release', 'one between is hidden');
  assert.equal(judged(l, { ...now, releases: [{ ...first, record: third.record }] }), 'release');
  assert.equal(judged(l, { ...now, channel: asHash(new Uint8Array(32)) }), 'channel');
  assert.deepEqual(other.channel, l.w.channel, 'the same line has the same name on each chain');
});

test('LIGHT-11.3: what is older than what was believed, or than the device’s clock allows, is refused (freeze)', () => {
  const l = line();
  const old = l.prove();
  const now = l.prove();
  const verdict = verifyFirmware({
    trust: l.trust,
    channel: l.w.channel,
    proof: now,
    verify: verifySignature,
  });
  assert.ok(verdict.ok);
  assert.equal(judged(l, old, verdict.value.trust), 'stale');
  const at = (later: number): string => {
    const clock = { now: millis(now.header.time + later), ageMsMax: 1000 };
    const seen = verifyFirmware({
      trust: l.trust,
      channel: l.w.channel,
      proof: now,
      verify: verifySignature,
      clock,
    });
    return seen.ok ? 'ok' : seen.code;
  };
  assert.deepEqual([at(0), at(1000), at(1001)], ['ok', 'ok', 'age']);
});

test('LIGHT-11.2: a header that no quorum has signed proves nothing', () => {
  const l = line();
  const { block, certificate } = l.chain.append([], { stateRoot: l.w.state.root, signers: [0, 1] });
  const proof = { ...l.prove(), header: block.header, certificate };
  assert.notEqual(judged(l, proof), 'ok');
});

test('LIGHT-11.2: with any byte changed a proof is refused', () => {
  const l = line();
  const bytes = encodeFirmwareProof(l.prove(l.w.state, 1));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const read = decodeFirmwareProof(bytes.with(at, (bytes[at] as number) ^ bits));
      if (read.ok) assert.notEqual(judged(l, read.value), 'ok', `byte ${at}`);
    }),
    { numRuns: 40 },
  );
  assert.equal(decodeFirmwareProof(new Uint8Array(70_000)).ok, false);
});

/** Of so many devices, as the member of their subnet reports them. */
function attested(count: number): {
  readonly chain: Hash;
  readonly payloads: readonly Uint8Array[];
  readonly tree: MerkleTree;
} {
  const chain = sha256(utf8Encode('chain'));
  const attestation: Attestation = {
    channel: chain,
    number: 3,
    version: version(1, 3),
    outcome: 'installed',
    boots: 7,
    measurement: chain,
  };
  const payloads = Array.from({ length: count }, (_, i) =>
    signedWord(chain, person(`device ${i}`), {
      contentType: 'attestation',
      content: encodeAttestation({ ...attestation, boots: i }),
    }),
  );
  const leaves = payloads.map((bytes) => {
    const payload = parsePayload(chain, bytes);
    assert.ok(payload.ok);
    return attestationLeaf(payload.value.id);
  });
  return { chain, payloads, tree: new MerkleTree(leaves) };
}

test('LIGHT-11.4: each attestation is provable under the root of its report, and nothing else is', () => {
  const { chain, payloads, tree } = attested(5);
  const report = { root: tree.root, count: 5 };
  const judge = (o: {
    payload?: Uint8Array;
    index?: number;
    path?: readonly Hash[];
    count?: number;
  }): string => {
    const { payload = payloads[2] as Uint8Array, index = 2, path = tree.path(2), count = 5 } = o;
    const found = verifyAttested({
      chain,
      payload,
      report: { ...report, count },
      index,
      path,
      verify: fakeVerify,
    });
    const said = found.ok ? ok(found.value.attestation.boots) : refused(found.code, found.message);
    return said.ok ? `boots ${said.value}` : said.code;
  };
  assert.equal(judge({}), 'boots 2');
  assert.equal(judge({ index: 3 }), 'path');
  assert.equal(judge({ count: 9 }), 'path');
  assert.equal(judge({ payload: payloads[1] as Uint8Array }), 'path');
  const own = payloads[2] as Uint8Array;
  assert.equal(judge({ payload: own.with(own.length - 1, (own.at(-1) as number) ^ 1) }), 'signature');
  assert.equal(judge({ payload: new Uint8Array(3) }), 'payload.malformed');
});

test('STATE-23.7: what a device attests has one encoding', () => {
  assertStrict(anyAttestation, { encode: encodeAttestation, decode: decodeAttestation });
});

test('STATE-22.5: what a device says about a rental has one encoding', () => {
  assertStrict(anyRentalWord, { encode: encodeRentalWord, decode: decodeRentalWord });
});
