import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '../bytes/hex.ts';
import { asHash, sha256, type Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { millis } from '../ledger/ids.ts';
import {
  CHAIN,
  envelopeOf,
  equalMembers,
  keyNamed,
  membersOf,
  payloadOf,
  SUBNET,
  toyVerify,
} from '../testing/dag.ts';
import {
  decodeEnvelope,
  decodeEnvelopeWithPayloads,
  encodeEnvelope,
  encodeEnvelopeWithPayloads,
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  payloadRootOf,
  type Envelope,
} from '../ledger/envelope.ts';
import { lanesOf } from './verify.ts';

const members = equalMembers(4);
const hash = (n: number): Hash => sha256(Uint8Array.of(n & 255, n >> 8));
const sorted = (...hashes: Hash[]): Hash[] => hashes.sort(compareBytes);

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asHash);
const envelopes: fc.Arbitrary<Envelope> = fc
  .record({
    subnet: bytes32,
    lane: fc.integer({ min: 0, max: LIMITS.envelopeLanesMax - 1 }),
    sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    previous: bytes32,
    others: fc.uniqueArray(bytes32, { minLength: 1, maxLength: 7, selector: String }),
    time: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }).map(millis),
    anchor: bytes32,
    payloadRoot: bytes32,
    payloadCount: fc.integer({ min: 0, max: LIMITS.envelopePayloadsMax }),
    nonce: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  })
  .map(({ others, ...fields }) => {
    const first = fields.sequence === 1;
    const previous = first ? fields.subnet : fields.previous;
    const parents = sorted(...(first ? others : [...others, previous]));
    return { ...fields, issuer: keyNamed('x'), previous, parents };
  });

test('DAG-1.1: decoding and encoding again gives the same bytes', () => {
  fc.assert(
    fc.property(envelopes, (envelope) => {
      const decoded = decodeEnvelope(encodeEnvelope(envelope));
      assert.ok(decoded.ok, decoded.ok ? '' : decoded.message);
      assert.deepEqual(decoded.value, envelope);
    }),
  );
});

test('DAG-1.1: whatever is accepted of altered bytes encodes to exactly those bytes (canonicalisation tricks)', () => {
  const whole = envelopeOf(members, {
    issuer: 1,
    parents: [hash(1), hash(2)],
    payloads: [payloadOf('a', 1)],
  });
  fc.assert(
    fc.property(
      fc.nat(whole.encoded.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.integer({ min: -3, max: 3 }),
      (at, flip, cut) => {
        const longer = new Uint8Array(Math.max(0, whole.encoded.length + cut));
        longer.set(whole.encoded.subarray(0, longer.length));
        if (at < longer.length) longer[at] = (longer[at] as number) ^ flip;
        const decoded = decodeEnvelopeWithPayloads(longer);
        if (decoded.ok) assert.deepEqual(encodeEnvelopeWithPayloads(decoded.value), longer);
      },
    ),
    { numRuns: 2000 },
  );
});

test('DAG-1.2: every broken rule of form is refused, with the rule in the message', () => {
  const good: Envelope = {
    subnet: SUBNET,
    issuer: keyNamed('x'),
    lane: 0,
    sequence: 2,
    previous: hash(1),
    parents: sorted(hash(1), hash(2)),
    time: millis(5),
    anchor: SUBNET,
    payloadRoot: payloadRootOf([]),
    payloadCount: 0,
    nonce: 0,
    signature: new Uint8Array(64),
  };
  assert.equal(decodeEnvelope(encodeEnvelope(good)).ok, true);
  const broken: [string, Partial<Envelope>][] = [
    ['lane', { lane: LIMITS.envelopeLanesMax }],
    ['sequences start', { sequence: 0 }],
    ['1 to 8 parents', { parents: [] }],
    ['at most 8', { parents: sorted(...Array.from({ length: 9 }, (_, i) => hash(i))) }],
    ['ascending', { parents: sorted(hash(1), hash(2)).reverse() }],
    ['ascending', { parents: [hash(1), hash(1)] }],
    ['first envelope', { sequence: 1 }],
    ['first envelope', { previous: SUBNET, parents: sorted(SUBNET, hash(1)) }],
    ['not among the parents', { parents: [hash(2)] }],
    ['payloads', { payloadCount: LIMITS.envelopePayloadsMax + 1 }],
  ];
  for (const [rule, change] of broken) {
    const decoded = decodeEnvelope(encodeEnvelope({ ...good, ...change }));
    assert.equal(decoded.ok, false, rule);
    if (!decoded.ok) assert.match(decoded.message, new RegExp(rule));
  }
});

test('DAG-1.2: another number of payloads than the header says, or too many bytes, are refused', () => {
  const { envelope } = envelopeOf(members, { issuer: 0, parents: [SUBNET], payloads: [payloadOf('a', 1)] });
  assert.equal(decodeEnvelopeWithPayloads(encodeEnvelopeWithPayloads({ envelope, payloads: [] })).ok, false);
  const huge = Array.from({ length: 40 }, () => new Uint8Array(LIMITS.payloadBytesMax));
  const tooLong = encodeEnvelopeWithPayloads({ envelope: { ...envelope, payloadCount: 40 }, payloads: huge });
  const decoded = decodeEnvelopeWithPayloads(tooLong);
  assert.equal(decoded.ok ? 'ok' : decoded.code, 'decode.too-long');
});

test('DAG-1.3: the hash covers every field but the signature', () => {
  const { envelope, hash: name } = envelopeOf(members, { issuer: 0, parents: [hash(1), hash(2)] });
  const hashOf = (e: Envelope): string => String(envelopeHash(envelopeBodyHash(e), e.nonce));
  assert.equal(hashOf(envelope), String(name));
  assert.equal(hashOf({ ...envelope, signature: new Uint8Array(64) }), String(name));
  const changes: Partial<Envelope>[] = [
    { subnet: hash(9) },
    { issuer: keyNamed('y') },
    { lane: 1 },
    { sequence: 2 },
    { previous: hash(9) },
    { parents: [hash(1)] },
    { time: millis(1) },
    { anchor: hash(9) },
    { payloadRoot: hash(9) },
    { payloadCount: 1 },
    { nonce: envelope.nonce + 1 },
  ];
  for (const change of changes) assert.notEqual(hashOf({ ...envelope, ...change }), String(name));
});

test('DAG-1.4: the signature covers domain, chain and hash', () => {
  const { envelope, hash: name } = envelopeOf(members, { issuer: 0, parents: [SUBNET] });
  const { issuer, signature } = envelope;
  assert.equal(toyVerify(issuer, envelopeSigningBytes(CHAIN, name), signature), true);
  assert.equal(toyVerify(issuer, envelopeSigningBytes(hash(3), name), signature), false);
});

test('DAG-1.5: the payload root pins every byte of every payload, and their order', () => {
  const payloads = [payloadOf('a', 1).bytes, payloadOf('b', 1).bytes];
  const root = String(payloadRootOf(payloads));
  assert.notEqual(String(payloadRootOf([...payloads].reverse())), root);
  const altered = payloads.map((bytes) => bytes.slice());
  (altered[1] as Uint8Array)[70] = ((altered[1] as Uint8Array)[70] as number) ^ 1;
  assert.notEqual(String(payloadRootOf(altered)), root);
});

test('DAG-1.6: lanes follow stake, each member has one, none more than sixteen', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => lanesOf(members, i)),
    [16, 16, 16, 16],
  );
  const unequal = membersOf([1, 100, 200, 300, 300]);
  const total = 901;
  for (const [i, member] of unequal.entries()) {
    const lanes = lanesOf(unequal, i);
    assert.equal(lanes, Math.max(1, Math.min(16, Math.floor((64 * member.weight) / total))));
  }
});
