import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { Stamp } from '@itc/core/dag/toll.js';
import { anchorOf, StampWork } from './stamp-work.ts';

/** A chip of a given speed, and a search that ends at a given nonce. */
function chip(o: { readonly hashesPerMs: number; readonly answer: number }): {
  readonly search: { readonly tried: number; step(tries: number): Stamp | undefined };
  readonly slices: number[];
  readonly now: () => number;
} {
  const slices: number[] = [];
  let tried = 0;
  let now = 0;
  return {
    slices,
    now: () => now,
    search: {
      get tried() {
        return tried;
      },
      step: (tries) => {
        slices.push(tries / o.hashesPerMs);
        now += tries / o.hashesPerMs;
        tried += tries;
        return tried > o.answer ? { height: 1, nonce: o.answer } : undefined;
      },
    },
  };
}

function run(work: StampWork): ReturnType<StampWork['slice']> {
  for (;;) {
    const step = work.slice();
    if (step.kind !== 'goes-on') return step;
  }
}

test('DEVICE-5.1: no slice holds up a chip for longer than it may, from the slowest to the fastest', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.nat(60_000),
      fc.integer({ min: 16, max: 100 }),
      (hashesPerMs, answer, sliceMs) => {
        const { search, slices, now } = chip({ hashesPerMs, answer });
        const work = new StampWork({ search, bits: 16, policy: { sliceMs }, monotonicMs: now });
        assert.equal(run(work).kind, 'found');
        assert.ok(Math.max(...slices) <= sliceMs);
        // And it is used: after the first few all but the last are a quarter of it at least, or as long as any may be.
        const tries = slices.map((ms) => ms * hashesPerMs);
        for (const [i, ms] of slices.entries())
          if (i > 16 && i < slices.length - 1) assert.ok(ms >= sliceMs / 4 || (tries[i] as number) >= 65_536);
      },
    ),
    { numRuns: 100 },
  );
});

test('DEVICE-5.1: a slice that was interrupted for long makes the next one short', () => {
  let now = 0;
  const slices: number[] = [];
  const search = {
    tried: 0,
    step: (tries: number): undefined => {
      slices.push(tries);
      now += slices.length === 5 ? 1_000 : tries / 100;
      return undefined;
    },
  };
  const work = new StampWork({ search, bits: 20, policy: { sliceMs: 20 }, monotonicMs: () => now });
  for (let i = 0; i < 7; i += 1) work.slice();
  assert.ok((slices[5] as number) < (slices[4] as number) / 10);
  assert.equal(slices[6], 2 * (slices[5] as number));
});

test('DEVICE-5.2: a search that finds nothing ends after eight times what it takes on average', () => {
  const { search, now } = chip({ hashesPerMs: 100, answer: Infinity });
  const work = new StampWork({ search, bits: 10, policy: { sliceMs: 20 }, monotonicMs: now });
  assert.equal(run(work).kind, 'given-up');
  assert.ok(search.tried >= 8 * 1_024 && search.tried < 16 * 1_024);
});

test('DEVICE-5.3: work is anchored to what the device believes; a gateway that contradicts it gets none', () => {
  const hash = (n: number): Hash => asHash(new Uint8Array(32).fill(n));
  const demand = { bits: 12, height: 9, anchor: hash(1) };
  assert.deepEqual(anchorOf(demand, undefined), demand);
  assert.deepEqual(anchorOf(demand, { height: 8, hash: hash(2) }), { height: 8, anchor: hash(2) });
  assert.deepEqual(anchorOf(demand, { height: 9, hash: hash(1) }), { height: 9, anchor: hash(1) });
  assert.equal(anchorOf(demand, { height: 9, hash: hash(2) }), undefined);
  assert.deepEqual(anchorOf(demand, { height: 0, hash: hash(3) }), demand, 'genesis alone is not a header');
});
