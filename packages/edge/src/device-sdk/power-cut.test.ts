/** What is left of a device's flash when the power goes at any byte of any write. */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FlashChip, PowerCut } from '../testing/flash-chip.ts';
import type { Flash } from './flash.ts';
import { DeviceState, NUMBERS_RESERVED } from './device-state.ts';
import { KeptRecord } from './kept-record.ts';
import { RECENT_ROOTS, RecentRoots, rootSectors } from './recent-roots.ts';
import { Spool, type SpoolPolicy } from './spool.ts';
import { asHash } from '@itc/core/crypto/hash.js';
import { height } from '@itc/core/ledger/ids.js';

const bytesOf = (n: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length).fill(n & 0xff);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
};
const numberIn = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
const trustOf = (n: number): Uint8Array => {
  const trust = new Uint8Array(149);
  trust[140] = n >> 8;
  trust[141] = n;
  return trust;
};
const numberOf = (trust: Uint8Array): number => ((trust[140] as number) << 8) | (trust[141] as number);

/** Runs until the power goes; whether it did. */
function isCut(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof PowerCut) return true;
    throw error;
  }
}

for (const unitBytes of [1, 8]) {
  test(`DEVICE-1.1: cut at any byte, the trust is the old or the new one (units of ${unitBytes})`, () => {
    // Two commits to a sector of 384 bytes: both are erased more than once.
    const scratch = new FlashChip({ sectorBytes: 384, sectors: 2, unitBytes });
    const plain = new DeviceState(scratch, 0, trustOf(0));
    for (let n = 1; n <= 6; n += 1) assert.ok(plain.keep(trustOf(n)));
    const total = scratch.touched;
    assert.ok(total > 1500);
    for (let cut = 0; cut <= total; cut += 1) {
      const chip = new FlashChip({ sectorBytes: 384, sectors: 2, unitBytes });
      chip.cutAfter(cut);
      let kept = 0;
      isCut(() => {
        const state = new DeviceState(chip, 0, trustOf(0));
        for (let n = 1; n <= 6; n += 1) {
          state.keep(trustOf(n));
          kept = n;
        }
      });
      chip.powerOn();
      const after = numberOf(new DeviceState(chip, 0, trustOf(0)).trust);
      assert.ok(after === kept || after === kept + 1, `cut at ${cut}: kept ${kept}, found ${after}`);
    }
  });
}

test('DEVICE-1.1: power that goes again and again, also while it starts, takes nothing that was kept', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1400), { minLength: 1, maxLength: 25 }),
      fc.constantFrom(1, 4, 16),
      (cuts, unitBytes) => {
        const chip = new FlashChip({ sectorBytes: 384, sectors: 2, unitBytes });
        let kept = 0;
        let tried = 0;
        for (const cut of cuts) {
          chip.powerOn();
          chip.cutAfter(cut);
          isCut(() => {
            const record = new KeptRecord(chip, 0);
            const found = record.read();
            const n = found === undefined ? 0 : numberIn(found);
            assert.ok(n === kept || n === tried, `kept ${kept}, tried ${tried}, found ${n}`);
            kept = n;
            for (let next = n + 1; ; next += 1) {
              tried = next;
              if (!record.write(bytesOf(next, 100))) throw new Error('the flash is not worn');
              kept = next;
            }
          });
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('DEVICE-1.5: no number is given out twice, wherever the power goes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ cut: fc.nat(700), take: fc.nat(150) }), { minLength: 1, maxLength: 15 }),
      (runs) => {
        const chip = new FlashChip({ sectorBytes: 512, sectors: 2 });
        let last = 0;
        for (const { cut, take } of runs) {
          chip.powerOn();
          chip.cutAfter(cut);
          let isFirst = true;
          isCut(() => {
            const state = new DeviceState(chip, 0, trustOf(0));
            for (let i = 0; i < take; i += 1) {
              const n = state.nextNumber() as number;
              assert.ok(n > last, `${n} behind ${last}`);
              // What a reservation leaves out is bounded; so is what several that were cut off do.
              assert.ok(isFirst ? n <= last + NUMBERS_RESERVED * (runs.length + 1) : n === last + 1);
              isFirst = false;
              last = n;
            }
          });
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('DEVICE-1.5: a device of another chain begins with its own trust, and still uses no number again', () => {
  const chip = new FlashChip({ sectorBytes: 512, sectors: 2 });
  const before = new DeviceState(chip, 0, trustOf(1));
  const used = before.nextNumber() as number;
  const other = trustOf(9);
  other[0] = 1;
  const after = new DeviceState(chip, 0, other);
  assert.equal(numberOf(after.trust), 9);
  assert.ok((after.nextNumber() as number) > used);
});

const SECTORS = 5;
const newSpool = (chip: FlashChip, policy: SpoolPolicy): Spool =>
  new Spool(chip, { first: 0, count: SECTORS }, policy);
const stepOf = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('store' as const), size: fc.integer({ min: 4, max: 60 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('send' as const), size: fc.integer({ min: 1, max: 6 }) }),
  },
);

test('DEVICE-2.1: what was acknowledged as stored is there after any loss of power, in order, but for what the policy drops', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<SpoolPolicy>('drop-oldest', 'drop-newest', 'thin-out'),
      fc.constantFrom(1, 8),
      fc.array(fc.record({ cut: fc.nat(3000), steps: fc.array(stepOf, { maxLength: 40 }) }), {
        minLength: 1,
        maxLength: 6,
      }),
      (policy, unitBytes, runs) => {
        const chip = new FlashChip({ sectorBytes: 256, sectors: SECTORS, unitBytes });
        /** Acknowledged and not delivered. */
        let owed: number[] = [];
        let attempted: number | undefined;
        /** A gateway has them, and not all may be marked yet. */
        let delivered: number[] = [];
        let next = 1;
        for (const { cut, steps } of runs) {
          chip.powerOn();
          chip.cutAfter(cut);
          isCut(() => {
            const spool = newSpool(chip, policy);
            for (const step of steps) {
              if (step.kind === 'store') {
                attempted = next;
                const before = spool.dropped;
                next += 1;
                const answer = spool.store(bytesOf(attempted, step.size));
                owed = owed.slice(spool.dropped - before);
                if (answer === 'stored') owed.push(attempted);
                attempted = undefined;
              } else {
                const entries = spool.oldest(step.size, 1000);
                const sent = new Set(entries.map(({ bytes }) => numberIn(bytes)));
                // Oldest first.
                assert.deepEqual([...sent], owed.slice(0, sent.size));
                const rest = owed.filter((n) => !sent.has(n));
                delivered = [...sent];
                spool.release(entries);
                owed = rest;
                delivered = [];
              }
            }
          });
          chip.powerOn();
          const found = newSpool(chip, policy)
            .oldest(1000, 100_000)
            .map(({ bytes }) => numberIn(bytes));
          // A store that was cut off may have stored; a release may have released the first of several; a policy
          // that drops the oldest may have dropped the oldest sector before it stored.
          const isDelivered = new Set(delivered);
          const mustBe = owed.filter((n) => !isDelivered.has(n));
          const extra = found.filter((n) => !owed.includes(n));
          assert.ok(
            extra.every((n) => n === attempted),
            `found ${extra.join()} beside ${owed.join()}`,
          );
          const missing = mustBe.filter((n) => !found.includes(n));
          if (policy === 'drop-oldest' && attempted !== undefined) {
            assert.deepEqual(missing, mustBe.slice(0, missing.length));
            assert.ok(missing.length <= 25, 'at most a sector');
          } else assert.deepEqual(missing, []);
          assert.deepEqual(
            found,
            found.toSorted((a, b) => a - b),
          );
          owed = found;
          attempted = undefined;
          delivered = [];
        }
      },
    ),
    { numRuns: 300 },
  );
});
test('DEVICE-2.2: drop-oldest gives up the oldest, drop-newest refuses, thin-out lasts longer and keeps the oldest', () => {
  const found = (
    policy: SpoolPolicy,
    count: number,
  ): { kept: number[]; answers: string[]; dropped: number } => {
    const chip = new FlashChip({ sectorBytes: 256, sectors: 8 });
    const spool = new Spool(chip, { first: 0, count: 8 }, policy);
    const answers = Array.from({ length: count }, (_, i) => spool.store(bytesOf(i + 1, 24)));
    const kept = spool.oldest(1000, 100_000).map(({ bytes }) => numberIn(bytes));
    return { kept, answers, dropped: spool.dropped };
  };
  // Eight entries a sector, sixty-four in all.
  const oldest = found('drop-oldest', 100);
  assert.equal(oldest.kept.at(-1), 100);
  assert.equal(oldest.dropped + oldest.kept.length, 100);
  assert.ok(oldest.kept.length > 56);
  const newest = found('drop-newest', 100);
  assert.deepEqual(
    newest.kept,
    Array.from({ length: 64 }, (_, i) => i + 1),
  );
  assert.equal(newest.answers.filter((answer) => answer === 'full').length, 36);
  const thin = found('thin-out', 1000);
  assert.equal(thin.kept[0], 1);
  assert.equal(thin.answers.filter((answer) => answer === 'stored').length, thin.kept.length);
  const covered = thin.kept.at(-1) as number;
  assert.ok(covered > 2 * 64, `covers ${covered}`);
  const gaps = thin.kept.slice(1).map((n, i) => n - (thin.kept[i] as number));
  assert.deepEqual(
    gaps,
    gaps.toSorted((a, b) => a - b),
  );
  assert.ok(gaps.includes(2) && gaps.includes(4) && !gaps.includes(3));
});

test('DEVICE-1.4: all sectors wear alike: within a lap, and one more for each loss of power while one is opened', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4000), { minLength: 1, maxLength: 12 }), (cuts) => {
      const chip = new FlashChip({ sectorBytes: 256, sectors: SECTORS });
      for (const cut of cuts) {
        chip.powerOn();
        chip.cutAfter(cut);
        isCut(() => {
          const spool = newSpool(chip, 'drop-oldest');
          for (let n = 0; n < 120; n += 1) spool.store(bytesOf(n, 40));
        });
      }
      const spread = Math.max(...chip.wear) - Math.min(...chip.wear);
      assert.ok(spread <= 1 + cuts.length, `${chip.wear.join()} with ${cuts.length} cuts`);
    }),
    { numRuns: 100 },
  );
  const chip = new FlashChip({ sectorBytes: 256, sectors: SECTORS });
  const spool = newSpool(chip, 'drop-oldest');
  for (let n = 0; n < 1000; n += 1) assert.equal(spool.store(bytesOf(n, 40)), 'stored');
  assert.ok(Math.max(...chip.wear) - Math.min(...chip.wear) <= 1, chip.wear.join());
  // Five readings of 40 bytes go into a sector, so 200 sectors were filled in turn.
  assert.equal(
    chip.wear.reduce((sum, n) => sum + n, 0),
    200,
  );
});

test('DEVICE-1.3: delivering erases nothing', () => {
  const chip = new FlashChip({ sectorBytes: 256, sectors: SECTORS });
  const spool = newSpool(chip, 'drop-newest');
  for (let n = 0; n < 20; n += 1) spool.store(bytesOf(n, 20));
  const before = [...chip.wear];
  spool.release(spool.oldest(10, 1000));
  assert.deepEqual(chip.wear, before);
  assert.equal(
    numberIn((newSpool(chip, 'drop-newest').oldest(1, 1000)[0] as { bytes: Uint8Array }).bytes),
    10,
  );
});

test('DEVICE-1.2: a sector whose cells do not hold is reported, and what was kept stands', () => {
  const chip = new FlashChip({ sectorBytes: 256, sectors: 2 });
  const record = new KeptRecord(chip, 0);
  assert.ok(record.write(bytesOf(1, 100)));
  // Bits stay where they are.
  const worn: Flash = {
    sectorBytes: 256,
    sectors: 2,
    unitBytes: 1,
    read: (at, length) => chip.read(at, length),
    program: () => {},
    erase: (sector) => chip.erase(sector),
  };
  const after = new KeptRecord(worn, 0);
  assert.equal(after.write(bytesOf(2, 100)), false);
  assert.equal(numberIn(after.read() as Uint8Array), 1);
  assert.equal(numberIn(new KeptRecord(chip, 0).read() as Uint8Array), 1);
});

test('DEVICE-1.6: the last 256 roots are known after a restart, and the ring is bounded', () => {
  const root = (n: number): ReturnType<typeof asHash> => asHash(bytesOf(n, 32));
  const sectorBytes = 1024;
  const count = rootSectors({ sectorBytes, unitBytes: 4 });
  const chip = new FlashChip({ sectorBytes, sectors: count, unitBytes: 4 });
  const ring = new RecentRoots(chip, { first: 0, count });
  for (let n = 1; n <= 600; n += 1) assert.ok(ring.add({ height: height(n), stateRoot: root(n) }));
  const after = new RecentRoots(chip, { first: 0, count });
  for (let n = 600 - RECENT_ROOTS + 1; n <= 600; n += 1) assert.equal(after.heightOf(root(n)), n);
  assert.equal(after.heightOf(root(1)), undefined);
  assert.equal(rootSectors({ sectorBytes: 4096, unitBytes: 1 }), 4);
});

test('DEVICE-1.2: while the other sector takes nothing, the one that holds the record is not erased', () => {
  const chip = new FlashChip({ sectorBytes: 256, sectors: 2 });
  let isFailing = false;
  const failing: Flash = {
    sectorBytes: 256,
    sectors: 2,
    unitBytes: 1,
    read: (at, length) => chip.read(at, length),
    // Heads still hold, entries do not.
    program: (at, bytes) => {
      if (!isFailing || bytes.length <= 8) chip.program(at, bytes);
    },
    erase: (sector) => chip.erase(sector),
  };
  const record = new KeptRecord(failing, 0);
  for (let n = 1; n <= 2; n += 1) assert.ok(record.write(bytesOf(n, 100)));
  isFailing = true;
  for (let n = 3; n <= 6; n += 1) assert.equal(record.write(bytesOf(n, 100)), false);
  assert.equal(numberIn(record.read() as Uint8Array), 2);
  assert.equal(numberIn(new KeptRecord(chip, 0).read() as Uint8Array), 2);
});
