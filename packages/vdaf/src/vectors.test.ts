import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIELD128, decodeElements, encodeElements } from './field.ts';
import { arenaOf } from './machine.ts';
import type { Outcome, RefusalCode } from './outcome.ts';
import type { Prio3, VerifyState } from './prio3.ts';
import { hex, instanceOf, prio3Vectors, readVector, skip, unhex } from './testing/vectors.ts';
import type { Vector, VectorReport } from './testing/vectors.ts';
import { XofTurboShake128, deriveSeed, expandIntoVector, expandReference } from './xof.ts';

const kernels = ['webassembly', 'plain'] as const;

/** Where each published negative vector must fail, and why. */
const REASONS: Readonly<Record<string, RefusalCode>> = {
  verifier_shares_to_message: 'proof-invalid',
  verify_next: 'joint-randomness-mismatch',
};

function value<T>(outcome: Outcome<T>): T {
  assert.equal(outcome.kind, 'ok');
  return outcome.value;
}

/** Follows one report through the operations of its vector. */
class Replay {
  readonly #prio3: Prio3<never, unknown>;
  readonly #vector: Vector;
  readonly #report: VectorReport;
  readonly #states: VerifyState[] = [];
  readonly #shares: Uint8Array[] = [];

  constructor(prio3: Prio3<never, unknown>, vector: Vector, report: VectorReport) {
    this.#prio3 = prio3;
    this.#vector = vector;
    this.#report = report;
  }

  shard(): void {
    const { measurement, nonce, rand, public_share, input_shares } = this.#report;
    const counted = typeof measurement === 'number' && this.#prio3.algorithmId === 0xffff_ffff;
    const report = this.#prio3.shard({
      context: unhex(this.#vector.ctx),
      // The higher-degree circuit of our tests takes vectors.
      measurement: (counted ? [measurement] : measurement) as never,
      nonce: unhex(nonce),
      rand: unhex(rand),
    });
    assert.equal(hex(report.publicShare), public_share);
    assert.deepEqual(report.inputShares.map(hex), input_shares);
  }

  verifyInit(aggregatorId: number): Outcome<unknown> {
    const { nonce, public_share, input_shares, verifier_shares } = this.#report;
    const outcome = this.#prio3.verifyInit(
      { verifyKey: unhex(this.#vector.verify_key), context: unhex(this.#vector.ctx), aggregatorId },
      {
        nonce: unhex(nonce),
        publicShare: unhex(public_share),
        inputShare: unhex(input_shares[aggregatorId] ?? ''),
      },
    );
    if (outcome.kind === 'ok') {
      this.#states[aggregatorId] = outcome.value.state;
      this.#shares[aggregatorId] = outcome.value.verifierShare;
      assert.equal(hex(outcome.value.verifierShare), verifier_shares[0]?.[aggregatorId]);
    }
    return outcome;
  }

  combine(): Outcome<unknown> {
    const outcome = this.#prio3.verifierSharesToMessage(unhex(this.#vector.ctx), this.#shares);
    if (outcome.kind === 'ok') assert.equal(hex(outcome.value), this.#report.verifier_messages[0]);
    return outcome;
  }

  /** Positive vectors have no step for it, so a replay without failures ends with it. */
  verifyNext(aggregatorId: number): Outcome<Uint8Array> {
    const state = this.#states[aggregatorId];
    assert.ok(state);
    return this.#prio3.verifyNext(state, unhex(this.#report.verifier_messages[0] ?? ''));
  }
}

for (const kernel of kernels) {
  for (const name of prio3Vectors()) {
    test(
      `VDAF-2.1: ${kernel}: the published vector ${name} is reproduced, and refused where it must be`,
      { skip },
      () => {
        const vector = readVector(name);
        const prio3 = instanceOf(name, vector, kernel);
        const replays = vector.reports.map((report) => new Replay(prio3, vector, report));
        let failed = false;
        for (const operation of vector.operations) {
          if (!('report_index' in operation)) continue;
          const replay = replays[operation.report_index];
          assert.ok(replay);
          if (operation.operation === 'shard') {
            replay.shard();
            continue;
          }
          const outcome =
            operation.operation === 'verify_init'
              ? replay.verifyInit(operation.aggregator_id)
              : operation.operation === 'verify_next'
                ? replay.verifyNext(operation.aggregator_id)
                : replay.combine();
          assert.equal(outcome.kind === 'ok', operation.success, operation.operation);
          if (outcome.kind === 'refused') {
            failed = true;
            assert.equal(outcome.code, REASONS[operation.operation]);
          }
        }
        assert.equal(failed, name.includes('_bad_'));
        if (failed) return;
        const outputs = vector.reports.map((report, index) =>
          report.out_shares.map((expected, aggregator) => {
            const output = value(
              replays[index]?.verifyNext(aggregator) ?? { kind: 'refused', code: 'malformed-length' },
            );
            assert.equal(hex(output), expected);
            return output;
          }),
        );
        const aggregates = vector.agg_shares.map((expected, aggregator) => {
          const share = prio3.aggregate(outputs.map((o) => o[aggregator] ?? new Uint8Array()));
          assert.equal(hex(share), expected);
          return share;
        });
        const result = value(prio3.unshard(aggregates));
        const numbers = (Array.isArray(result) ? result : [result]) as bigint[];
        assert.deepEqual(
          numbers,
          [vector.agg_result].flat().map((n) => BigInt(n as number)),
        );
      },
    );
  }

  test(`VDAF-2.2: ${kernel}: the published vector of XofTurboShake128 is reproduced`, { skip }, () => {
    const v = readVector<
      Record<'seed' | 'dst' | 'binder' | 'derived_seed' | 'expanded_vec_field128', string> & {
        length: number;
      }
    >('XofTurboShake128.json');
    const [seed, dst, binder] = [unhex(v.seed), unhex(v.dst), unhex(v.binder)];
    const arena = arenaOf(kernel);
    assert.equal(hex(deriveSeed(arena, seed, dst, [binder])), v.derived_seed);
    const mark = arena.mark();
    const out = arena.allocate(16 * v.length);
    expandIntoVector(arena, arena.kernel.field128, seed, dst, [binder], out, v.length);
    const expanded = arena.read(out, 16 * v.length);
    arena.release(mark);
    assert.equal(hex(expanded), v.expanded_vec_field128);
    assert.equal(
      hex(encodeElements(FIELD128, expandReference(FIELD128, seed, dst, binder, v.length))),
      v.expanded_vec_field128,
    );
    assert.equal(decodeElements(FIELD128, expanded).length, v.length);
    const stream = new XofTurboShake128(seed, dst, binder);
    assert.equal(hex(stream.next(10)) + hex(stream.next(22)), v.derived_seed);
  });
}
