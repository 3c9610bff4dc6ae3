import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../bytes/hex.ts';
import { indicesOf, quorumOf } from '../ledger/validators.ts';
import { groupOf } from '../testing/epochs.ts';
import { installNativeSha256, rememberingVerifier, verifyQuickly } from '../testing/keys.ts';
import { NONCE, sliding, streamFrom, streamWorld } from '../testing/light-streams.ts';
import { leanCertificate, leanStream } from './lean-stream.ts';
import { LightReader } from './light-reader.ts';
import { encodeLightStream, type LightStream } from './stream.ts';
import { encodeTrust, type Trust } from './trust.ts';

installNativeSha256();

const verify = rememberingVerifier(verifyQuickly);

/** The trust a client ends with; undefined when it refuses. */
function trustAfter(from: Trust, stream: LightStream): string | undefined {
  const reader = new LightReader({ trust: encodeTrust(from), verify, nonce: NONCE });
  const events = reader.push(encodeLightStream(stream));
  const believed = events.find(({ kind }) => kind === 'believed');
  return reader.isDone && believed?.kind === 'believed' ? toHex(believed.trust) : undefined;
}

test('LIGHT-9.8: a stream without surplus signatures leads to the same trust, and is shorter', () => {
  // All sign: one of four more than a quorum.
  const of = streamWorld([1, 2, 3, 4, 5, 6].map(sliding));
  const whole = streamFrom(of, 0);
  const lean = leanStream(whole, 2);
  assert.ok(whole.hops.length > 1);
  const trust = trustAfter(of.start, whole);
  assert.ok(trust);
  assert.equal(trustAfter(of.start, lean), trust);
  const saved = encodeLightStream(whole).length - encodeLightStream(lean).length;
  assert.equal(saved, 64 * (lean.hops.length + 1));
});

const { tip } = streamWorld([]);

test('LIGHT-9.8: whatever the weights and whoever signed, what was enough still is, and no signer is left that could go', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ old: fc.nat(9), now: fc.nat(9), signs: fc.boolean() }), {
        minLength: 4,
        maxLength: 12,
      }),
      fc.constantFrom(1, 2),
      (members, thirds) => {
        const trusted = groupOf(members.flatMap(({ old }, i) => (old > 0 ? [[1000 + i, old] as const] : [])));
        const shown = groupOf(members.flatMap(({ now }, i) => (now > 0 ? [[1000 + i, now] as const] : [])));
        fc.pre(trusted.set.length > 0 && shown.set.length > 0);
        const signs = new Set(
          groupOf(
            members.flatMap(({ now, signs: s }, i) => (now > 0 && s ? [[1000 + i, now] as const] : [])),
          ).set.map(({ key }) => toHex(key.bytes)),
        );
        const signers = shown.set.flatMap(({ key }, i) => (signs.has(toHex(key.bytes)) ? [i] : []));
        const weigh = (indices: readonly number[]): readonly [signed: number, known: number] => {
          const old = new Map(trusted.set.map(({ key, weight }) => [toHex(key.bytes), weight]));
          return indices.reduce<readonly [number, number]>(
            ([signed, known], i) => {
              const { key, weight } = shown.set[i] as (typeof shown.set)[number];
              return [signed + weight, known + (old.get(toHex(key.bytes)) ?? 0)];
            },
            [0, 0],
          );
        };
        const quorum = quorumOf(shown.set.map(({ weight }) => weight)).strong;
        const total = trusted.set.reduce((sum, { weight }) => sum + weight, 0);
        const isEnough = (indices: readonly number[]): boolean => {
          const [signed, known] = weigh(indices);
          return signed >= quorum && known * 3 > total * thirds;
        };
        const bits = new Uint8Array(Math.ceil(shown.set.length / 8));
        for (const i of signers) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
        const certificate = {
          ...tip.certificate,
          signers: bits,
          // Each says whose it is.
          signatures: signers.map((i) => new Uint8Array(64).fill(i)),
        };
        const lean = leanCertificate(certificate, shown.set, {
          trusted: trusted.set,
          thirds: thirds as 1 | 2,
        });
        const left = indicesOf(lean.signers, shown.set.length) as number[];
        assert.deepEqual(
          lean.signatures.map((signature) => signature[0]),
          left,
        );
        assert.equal(isEnough(left), isEnough(signers));
        if (!isEnough(signers)) assert.deepEqual(left, signers);
        // With equal weights it is the fewest there are.
        const isEven = members.every(({ old, now }) => old === now);
        if (isEven && isEnough(left))
          for (const i of left) assert.equal(isEnough(left.filter((other) => other !== i)), false);
      },
    ),
    { numRuns: 100 },
  );
});
