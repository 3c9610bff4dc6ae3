import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { encodePayload, parsePayload } from '../ledger/payload.ts';
import {
  CHAIN,
  envelopeOf,
  equalMembers,
  membersOf,
  payloadOf,
  START,
  SUBNET,
  toyVerify,
} from '../testing/dag.ts';
import { schemeKeyPair } from '../testing/schemes.ts';
import { addressOf } from '../ledger/address.ts';
import { encodeEnvelopeWithPayloads } from '../ledger/envelope.ts';
import { leadingZeroBits, powSearch, workBits } from './proof-of-work.ts';
import {
  admitEnvelope,
  envelopeSignatures,
  screenEnvelope,
  verifyEnvelope,
  type AnchorView,
  type VerifyContext,
} from './verify.ts';

const members = equalMembers(4);
const context: VerifyContext = { chain: CHAIN, subnet: SUBNET, members, powBits: 4 };
const payloads = [payloadOf('a', 1), payloadOf('a', 2)];
const good = envelopeOf(members, { issuer: 1, parents: [SUBNET], payloads, bits: 4 });

function verdictOf(encoded: Uint8Array, over: Partial<VerifyContext> = {}, requested = false): string {
  let signatures = 0;
  const count = (...args: Parameters<typeof toyVerify>): boolean => {
    signatures += 1;
    return toyVerify(...args);
  };
  const result = verifyEnvelope({ ...context, ...over }, encoded, count, requested);
  return `${result.ok ? 'ok' : result.code} after ${signatures}`;
}

const anchorAt = (head: number): AnchorView => ({
  head,
  find: (hash) => (String(hash) === String(SUBNET) ? { sequence: 0, powBits: 4 } : undefined),
});

test('DAG-2.1: a sound envelope passes, with one signature for itself and one for each payload', () => {
  assert.equal(verdictOf(good.encoded), 'ok after 3');
});

test('DAG-2.1: what a cheap check refuses never costs a signature', () => {
  const { envelope } = good;
  const bodies = payloads.map((payload) => payload.bytes);
  const encode = (change: object, other = bodies): Uint8Array =>
    encodeEnvelopeWithPayloads({ envelope: { ...envelope, ...change }, payloads: other });
  assert.equal(verdictOf(good.encoded.subarray(1)), 'envelope.malformed after 0');
  assert.equal(verdictOf(new Uint8Array(LIMITS.envelopeBytesMax + 1)), 'envelope.malformed after 0');
  assert.equal(verdictOf(encode({ subnet: sha256(Uint8Array.of(1)) })), 'envelope.malformed after 0');
  let poor = envelope.nonce;
  while (workBits(sha256(Uint8Array.of()), poor) < 0 || workAt(poor) >= 4) poor += 1;
  assert.equal(verdictOf(encode({ nonce: poor })), 'envelope.proof-of-work after 0');
  assert.equal(verdictOf(encode({}, [...bodies].reverse())), 'envelope.payloads after 0');
});

function workAt(nonce: number): number {
  const screened = screenEnvelope(
    { ...context, powBits: 0 },
    encodeEnvelopeWithPayloads({
      envelope: { ...good.envelope, nonce },
      payloads: payloads.map((payload) => payload.bytes),
    }),
  );
  assert.ok(screened.ok);
  return screened.value.workBits;
}

test('DAG-2.1: a bad signature of the issuer or of any payload refuses the whole', () => {
  const { envelope } = good;
  const bodies = payloads.map((payload) => payload.bytes);
  const unsigned = { ...envelope, signature: new Uint8Array(64) };
  assert.equal(
    verdictOf(encodeEnvelopeWithPayloads({ envelope: unsigned, payloads: bodies })),
    'signature.invalid after 1',
  );
  const forged = payloadOf('b', 1);
  const bytes = forged.bytes.slice();
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
  const bad = { ...forged, bytes };
  const carrier = envelopeOf(members, {
    issuer: 0,
    parents: [SUBNET],
    payloads: [payloads[0] as typeof forged, bad],
    bits: 4,
  });
  assert.equal(verdictOf(carrier.encoded), 'payload.signature after 3');
});

test('DAG-2.1: batched verification gives the verdict of one at a time', () => {
  const screened = screenEnvelope(context, good.encoded);
  assert.ok(screened.ok);
  const checks = envelopeSignatures(screened.value);
  const verdicts = checks.map(({ key, message, signature }) => toyVerify(key, message, signature));
  assert.equal(admitEnvelope(screened.value, verdicts).ok, true);
  for (let i = 0; i < verdicts.length; i += 1) {
    const one = verdicts.map((verdict, j) => verdict && j !== i);
    const admitted = admitEnvelope(screened.value, one);
    assert.equal(admitted.ok ? 'ok' : admitted.code, i === 0 ? 'signature.invalid' : 'payload.signature');
  }
  assert.throws(() => admitEnvelope(screened.value, [true]), RangeError);
});

test('DAG-2.2: an issuer that is no member, or uses a lane it does not have, is refused', () => {
  const others = members.filter((_, i) => i !== 1);
  assert.equal(verdictOf(good.encoded, { members: others }), 'envelope.unknown-issuer after 0');
  // One unit of a thousand gives one lane.
  const small = membersOf([1, 300, 300, 300, 300]);
  const poorest = small.findIndex((member) => member.weight === 1);
  const second = envelopeOf(small, { issuer: poorest, lane: 1, parents: [SUBNET], bits: 4 });
  assert.equal(verdictOf(second.encoded, { members: small }), 'envelope.malformed after 0');
  const richer = envelopeOf(small, { issuer: (poorest + 1) % 5, lane: 1, parents: [SUBNET], bits: 4 });
  assert.equal(verdictOf(richer.encoded, { members: small }), 'ok after 1');
});

test('DAG-2.3: an anchor beyond the age limit is refused unasked, and passes when it was asked for', () => {
  const { anchorAgeMax } = LIMITS;
  assert.equal(verdictOf(good.encoded, { anchors: anchorAt(anchorAgeMax) }), 'ok after 3');
  assert.equal(verdictOf(good.encoded, { anchors: anchorAt(anchorAgeMax + 1) }), 'envelope.too-old after 0');
  assert.equal(verdictOf(good.encoded, { anchors: anchorAt(anchorAgeMax + 1) }, true), 'ok after 3');
});

test('DAG-3.1: leading zero bits are counted across bytes', () => {
  const hash = new Uint8Array(32);
  assert.equal(leadingZeroBits(hash), 256);
  hash[2] = 0x10;
  assert.equal(leadingZeroBits(hash), 19);
  hash[0] = 0x80;
  assert.equal(leadingZeroBits(hash), 0);
});

test('DAG-3.1: a search in slices finds the nonce a search in one go finds', () => {
  const bodyHash = sha256(Uint8Array.of(7));
  const whole = powSearch({ bodyHash, bits: 10, start: 0, tries: 100_000 });
  assert.ok(whole !== undefined);
  assert.ok(workBits(bodyHash, whole) >= 10);
  let sliced: number | undefined;
  for (let start = 0; sliced === undefined; start += 100)
    sliced = powSearch({ bodyHash, bits: 10, start, tries: 100 });
  assert.equal(sliced, whole);
  assert.equal(powSearch({ bodyHash, bits: 10, start: 0, tries: whole }), undefined);
});

test('DAG-3.2: base bits are those of the anchor named, not those in force now', () => {
  const costly: AnchorView = { head: 1, find: () => ({ sequence: 1, powBits: good.workBits + 1 }) };
  assert.equal(verdictOf(good.encoded, { anchors: costly }), 'envelope.proof-of-work after 0');
  const cheap: AnchorView = { head: 1, find: () => ({ sequence: 1, powBits: good.workBits }) };
  assert.equal(verdictOf(good.encoded, { anchors: cheap }), 'ok after 3');
});

test('DAG-3.3: work for one anchor shows nothing for another (PoW stockpile)', () => {
  // A thousand nonces searched in advance: with the anchor replaced by a new one, they are as good as random.
  let carried = 0;
  for (let i = 0; i < 100; i += 1) {
    const old = envelopeOf(members, { issuer: 1, parents: [SUBNET], time: START + i, bits: 8 });
    const renewed = { ...old.envelope, anchor: sha256(Uint8Array.of(i)) };
    const screened = screenEnvelope(
      { ...context, powBits: 8 },
      encodeEnvelopeWithPayloads({ envelope: renewed, payloads: [] }),
    );
    if (screened.ok) carried += 1;
  }
  assert.ok(carried <= 5, `${carried} of 100 carried over`);
});

test('DAG-2.11: an envelope whose payloads take longer to check than as many readings is refused before any of it is checked', () => {
  const { key } = schemeKeyPair(3, 1);
  const commands = Array.from({ length: 17 }, (_, i) => {
    const unsigned = {
      signer: key,
      device: addressOf((members[0] as (typeof members)[number]).key),
      sequence: i + 1,
      contentType: 'command' as const,
      content: Uint8Array.of(i),
    };
    const parsed = parsePayload(CHAIN, encodePayload(unsigned, new Uint8Array(2420)));
    assert.ok(parsed.ok);
    return parsed.value;
  });
  const screened = (count: number): string => {
    const { encoded } = envelopeOf(members, {
      issuer: 1,
      parents: [SUBNET],
      payloads: commands.slice(0, count),
      bits: 4,
    });
    const result = screenEnvelope(context, encoded);
    return result.ok ? 'ok' : result.code;
  };
  assert.equal(screened(16), 'ok');
  assert.equal(screened(17), 'envelope.payloads');
});
