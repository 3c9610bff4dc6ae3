import assert from 'node:assert/strict';
import type { Outcome, RefusalCode } from '../outcome.ts';
import type { Prio3, Report, ReportShare } from '../prio3.ts';
import { XofTurboShake128 } from '../xof.ts';

export const CONTEXT: Uint8Array = new TextEncoder().encode('a test of @itc/vdaf');
export const VERIFY_KEY: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => 3 * i + 1);

/** Reproducible random bytes: another stream for every seed. */
export function randomFrom(seed: number): (length: number) => Uint8Array {
  const tag = new TextEncoder().encode(String(seed));
  const xof = new XofTurboShake128(new Uint8Array(32), tag, new Uint8Array());
  return (length) => xof.next(length);
}

export function value<T>(outcome: Outcome<T>): T {
  assert.equal(outcome.kind, 'ok', outcome.kind === 'refused' ? outcome.code : '');
  return outcome.value;
}

export interface Sharded {
  readonly nonce: Uint8Array;
  readonly report: Report;
}

export function shardOne<M, R>(
  prio3: Prio3<M, R>,
  measurement: M,
  random: (n: number) => Uint8Array,
): Sharded {
  const nonce = random(16);
  const rand = random(prio3.sizes.rand);
  return { nonce, report: prio3.shard({ context: CONTEXT, measurement, nonce, rand }) };
}

export const shareOf = ({ nonce, report }: Sharded, aggregatorId: number): ReportShare => ({
  nonce,
  publicShare: report.publicShare,
  inputShare: report.inputShares[aggregatorId] ?? new Uint8Array(),
});

/** Places where a test may tamper on the way; each gets a copy and returns what is sent instead. */
export interface Tampering {
  readonly share?: (share: ReportShare, aggregatorId: number) => ReportShare;
  readonly context?: (aggregatorId: number) => Uint8Array;
  readonly verifierShare?: (bytes: Uint8Array, aggregatorId: number) => Uint8Array;
  readonly message?: (bytes: Uint8Array, aggregatorId: number) => Uint8Array;
}

/** The whole verification: the output shares, or the first refusal. */
export function verify<M, R>(
  prio3: Prio3<M, R>,
  sharded: Sharded,
  tampering: Tampering = {},
): Outcome<readonly Uint8Array[]> {
  const verifiers = [];
  for (let aggregatorId = 0; aggregatorId < prio3.shares; aggregatorId += 1) {
    const context = tampering.context?.(aggregatorId) ?? CONTEXT;
    const clean = shareOf(sharded, aggregatorId);
    const share = tampering.share?.(clean, aggregatorId) ?? clean;
    const outcome = prio3.verifyInit({ verifyKey: VERIFY_KEY, context, aggregatorId }, share);
    if (outcome.kind === 'refused') return outcome;
    verifiers.push(outcome.value);
  }
  const shares = verifiers.map(
    ({ verifierShare }, id) => tampering.verifierShare?.(verifierShare, id) ?? verifierShare,
  );
  const message = prio3.verifierSharesToMessage(CONTEXT, shares);
  if (message.kind === 'refused') return message;
  const outputs: Uint8Array[] = [];
  for (const [id, { state }] of verifiers.entries()) {
    const output = prio3.verifyNext(state, tampering.message?.(message.value, id) ?? message.value);
    if (output.kind === 'refused') return output;
    outputs.push(output.value);
  }
  return { kind: 'ok', value: outputs };
}

/** Shards, verifies and aggregates all measurements; asserts that every step accepts. */
export function runAll<M, R>(
  prio3: Prio3<M, R>,
  measurements: readonly M[],
  random: (n: number) => Uint8Array,
): R {
  const outputs = measurements.map((m) => value(verify(prio3, shardOne(prio3, m, random))));
  const aggregates = Array.from({ length: prio3.shares }, (_, id) =>
    prio3.aggregate(outputs.map((shares) => shares[id] ?? new Uint8Array())),
  );
  return value(prio3.unshard(aggregates));
}

export function refusal(outcome: Outcome<unknown>): RefusalCode | undefined {
  return outcome.kind === 'refused' ? outcome.code : undefined;
}

/** A copy with one bit turned over. */
export function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const out = bytes.slice();
  out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return out;
}
