import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { asHash, type Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { installNativeSha256, keyPair } from '../testing/keys.ts';
import { decode } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { tollVectors, type TollVector } from '../testing/toll-vectors.ts';
import { fromHex } from '../bytes/hex.ts';
import { sha256 } from '../crypto/hash.ts';
import { leadingZeroBits, RATE } from './proof-of-work.ts';
import {
  readStamp,
  STAMP_BYTES,
  stampBits,
  StampSearch,
  TOLL,
  tollHash,
  Tolls,
  tollUnits,
  writeStamp,
  type Stamp,
  type Tolled,
} from './toll.ts';

installNativeSha256();

const repository = (path: string): string =>
  readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8');

const device = keyPair(70).address;
const hash = (n: number): Hash => asHash(new Uint8Array(32).fill(n));
const tolled: Tolled = { anchor: hash(1), device, payload: hash(2) };

function found(o: { tolled: Tolled; bits: number }): Stamp {
  const search = new StampSearch({ ...o, height: 7 });
  for (;;) {
    const stamp = search.step(64);
    if (stamp !== undefined) return stamp;
  }
}

test('DAG-15.1: a stamp shows work for one payload of one device at one anchor, and for nothing else', () => {
  const stamp = found({ tolled, bits: 10 });
  assert.ok(stampBits(tolled, stamp.nonce) >= 10);
  const others: Tolled[] = [
    { ...tolled, anchor: hash(3) },
    { ...tolled, payload: hash(3) },
    { ...tolled, device: keyPair(71).address },
  ];
  for (const other of others) {
    assert.notDeepEqual(tollHash(other), tollHash(tolled));
    assert.ok(stampBits(other, stamp.nonce) < 10, 'one chance in a thousand, and these numbers are fixed');
  }
});

test('DAG-15.1: a stamp is 16 bytes, height and nonce', () => {
  const stamp = { height: 258, nonce: 2 ** 40 };
  const bytes = writeStamp(new Writer(16), stamp).finish();
  assert.equal(bytes.length, STAMP_BYTES);
  const read = decode(readStamp, bytes);
  assert.deepEqual(read.ok && read.value, stamp);
});

test('DAG-15.2: who keeps to its share shows nothing, however long and however loaded the subnet is', () => {
  const tolls = new Tolls(10);
  for (let i = 0; i < 20_000; i += 1) {
    const at = { now: i * 20, height: Math.floor(i / 50) };
    assert.equal(tolls.asked('a', 1, LIMITS.powBitsMax, at), 0);
    tolls.letIn('a', 1, at);
  }
});

test('DAG-15.3: above its share the base of the subnet and a bit for each further 64 units, up to eight; size counts', () => {
  const tolls = new Tolls(10);
  const at = { now: 0, height: 1 };
  for (let i = 0; i < RATE.free; i += 1) {
    assert.equal(tolls.asked('a', 1, 14, at), 0);
    tolls.letIn('a', 1, at);
  }
  assert.equal(tolls.asked('a', 1, 14, at), 15);
  assert.equal(tolls.asked('a', 1, 0, at), TOLL.bitsLeast + 1, 'not less where members pay less');
  assert.equal(tolls.asked('a', 65, 14, at), 16, 'larger is dearer');
  for (let i = 0; i < 1000; i += 1) tolls.letIn('a', 1, at);
  assert.equal(tolls.asked('a', 1, 14, at), 14 + RATE.surchargeMax);
  assert.equal(tolls.asked('a', 1, LIMITS.powBitsMax, at), LIMITS.powBitsMax);
  assert.equal(tolls.asked('b', 1, 14, at), 0, 'others are not concerned');
  assert.equal(tolls.asked('a', 1, 14, { now: 30_000, height: 1 }), 0, 'it drains with time');
});

test('DAG-15.3: units are a payload and each full KiB that comes with it', () => {
  assert.deepEqual([0, 300, 1_023, 1_024, 16_384].map(tollUnits), [1, 1, 1, 2, 17]);
});

test('DAG-15.4: a signature that does not verify costs four bits at once, which go in 64 heights; eight at most', () => {
  const tolls = new Tolls(10);
  tolls.letIn('a', 1, { now: 0, height: 1 });
  tolls.forged('a', { now: 0, height: 1 });
  const asked = (height: number): number => tolls.asked('a', 1, 12, { now: 1_000, height });
  assert.equal(asked(1), 16);
  assert.equal(asked(18), 15);
  assert.equal(asked(70), 0);
  for (let i = 0; i < 9; i += 1) tolls.forged('a', { now: 0, height: 71 });
  assert.equal(asked(71), 20);
});

test('DAG-15.4: payloads that are known already are free as long as a connection may have lost them, then a bit each', () => {
  const tolls = new Tolls(10);
  const at = { now: 0, height: 1 };
  for (let i = 0; i < TOLL.duplicatesFree; i += 1) tolls.duplicate('a', at);
  assert.equal(tolls.asked('a', 1, 12, at), 0);
  tolls.duplicate('a', at);
  assert.equal(tolls.asked('a', 1, 12, at), 13);
  const after = { now: 60_000, height: 40 };
  for (let i = 0; i < TOLL.duplicatesFree; i += 1) tolls.duplicate('a', after);
  assert.equal(tolls.asked('a', 1, 12, after), 0, 'it begins anew with a height');
});

test('DAG-15.4: good conduct takes up to three bits off, and a fault takes it away', () => {
  const tolls = new Tolls(10);
  for (let height = 0; height < 200; height += 1) tolls.letIn('a', 1, { now: 1_000 * height, height });
  const at = { now: 200_000, height: 200 };
  for (let i = 0; i < RATE.free; i += 1) tolls.letIn('a', 1, at);
  assert.equal(tolls.asked('a', 1, 12, at), 12 + 1 - 3);
  tolls.forged('a', at);
  assert.equal(tolls.asked('a', 1, 12, at), 12 + 1 + 4);
});

test('DAG-15.3: property: work is never asked of a device whose bucket and record are clean, nor more than the limit', () => {
  const step = fc.record({
    wait: fc.nat(2_000),
    blocks: fc.nat(3),
    units: fc.integer({ min: 1, max: 64 }),
    what: fc.constantFrom('let-in', 'duplicate', 'forged'),
    powBits: fc.nat(LIMITS.powBitsMax),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const tolls = new Tolls(4);
      let now = 0;
      let height = 1;
      let units = 0;
      let isClean = true;
      for (const { wait, blocks, powBits, what, ...of } of steps) {
        now += wait;
        height += blocks;
        const at = { now, height };
        const bits = tolls.asked('a', of.units, powBits, at);
        assert.equal(tolls.asked('a', of.units, powBits, at), bits, 'asking changes nothing');
        assert.ok(bits >= 0 && bits <= LIMITS.powBitsMax);
        if (isClean && units + of.units <= RATE.free) assert.equal(bits, 0);
        // No less for a larger one.
        assert.ok(tolls.asked('a', of.units + 64, powBits, at) >= bits);
        units += of.units;
        tolls.letIn('a', of.units, at);
        if (what === 'let-in') continue;
        isClean = false;
        tolls[what]('a', at);
      }
    }),
    { numRuns: 100 },
  );
});

test('DAG-15.5: attack: what it takes to send at many times the share grows with the rate, and others pay nothing', () => {
  const tolls = new Tolls(100);
  let work = 0;
  // 500 a second for ten seconds, ten times the share.
  for (let i = 0; i < 5_000; i += 1) {
    const at = { now: 2 * i, height: 1 + Math.floor(i / 500) };
    const bits = tolls.asked('spammer', 1, 12, at);
    work += bits === 0 ? 0 : 2 ** bits;
    tolls.letIn('spammer', 1, at);
    if (i % 50 === 0) {
      assert.equal(tolls.asked('honest', 1, 12, at), 0);
      tolls.letIn('honest', 1, at);
    }
  }
  // Some 4 000 stamps of 20 bits: more than an hour of a chip that does a million hashes a second.
  assert.ok(work > 2 ** 31, `2^${Math.log2(work)}`);
});

test('DAG-15.5: attack: more devices than are remembered push out those that were used least lately, not the busy one', () => {
  const tolls = new Tolls(8);
  const at = { now: 0, height: 1 };
  for (let i = 0; i < RATE.free; i += 1) tolls.letIn('busy', 1, at);
  for (let i = 0; i < 100; i += 1) {
    tolls.letIn(`other ${i}`, 1, at);
    tolls.letIn('busy', 1, at);
  }
  assert.equal(tolls.size, 8);
  assert.ok(tolls.asked('busy', 1, 12, at) > 0);
});

test('DEVICE-5.4: the vectors in the repository are those the documented command writes, and hold by hashing alone', () => {
  const stored = JSON.parse(repository('spec/vectors/toll.json')) as TollVector[];
  assert.deepEqual(stored, tollVectors());
  const bytesOf = (hex: string): Uint8Array => {
    const bytes = fromHex(hex);
    assert.ok(bytes.ok);
    return bytes.value;
  };
  for (const { anchor, device: from, payload, body, nonce, bits, shows } of stored) {
    const letters = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
    const join = (...parts: readonly Uint8Array[]): Uint8Array =>
      Uint8Array.from(parts.flatMap((part) => [...part]));
    assert.deepEqual(
      sha256(join(letters('ITC1:toll'), bytesOf(anchor), bytesOf(from), bytesOf(payload))),
      bytesOf(body),
    );
    const work = (n: number): number =>
      leadingZeroBits(sha256(join(letters('ITC1:pow'), bytesOf(body), new Writer(8).u53(n).finish())));
    assert.equal(work(nonce), shows);
    for (let less = 0; less < nonce; less += 1) if (work(less) >= bits) assert.fail(`${less} does as well`);
  }
});

test('DAG-15.3: the guide for C names the share, the tags and the age as they are', () => {
  const guide = repository('docs/guide/c-client.md');
  for (const text of [
    `${RATE.drainPerMs} units a second and ${RATE.free} at once`,
    '"ITC1:toll" 00',
    'ITC1:pow',
    `newest ${TOLL.anchorAgeMax} headers`,
  ])
    assert.ok(guide.includes(text), text);
});
