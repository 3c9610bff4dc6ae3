/**
 * Streams with random damage, many of them: `ITC_MUTATIONS=1000000 node --test packages/core/dist/light/mutations.test.js`, with
 * `ITC_SEED` for others than those of seed 1. The same engine in WebAssembly and QuickJS is bound by its one page and its heap.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { toHex } from '../bytes/hex.ts';
import { groupOf } from '../testing/epochs.ts';
import { verifyIn } from '../testing/light-drive.ts';
import { verifyQuickly } from '../testing/keys.ts';
import { encodedStream, NONCE, sliding, streamWorld, type StreamWorld } from '../testing/light-streams.ts';
import { checkpointRangeKey } from '../state/keys.ts';
import { BELIEVED, DONE, PROVED } from './engine/codes.ts';
import { setVerifier } from './engine/host.ts';
import { ITEM_STATE } from './engine/items.ts';
import {
  I_ITEM,
  I_KEY_BYTES,
  I_READ,
  I_VALUE_BYTES,
  ID,
  KEY,
  LightMachine,
  NONCE as NONCE_AT,
  STATE_BYTES,
  TARGET_HASH,
  TRUST,
  TRUST_BYTES,
  VALUE,
} from './engine/layout.ts';
import { begin, push } from './engine/machine.ts';

const COUNT = Number(process.env['ITC_MUTATIONS'] ?? 3_000);
const SEED = Number(process.env['ITC_SEED'] ?? 1);

/** Behind the machine's memory: what it writes there would be somebody else's on a chip. */
const GUARD_BYTES = 4096;
const GUARD = 0xa5;

const machine = new LightMachine();
const memory = new Uint8Array(STATE_BYTES + GUARD_BYTES);
Object.defineProperty(machine, 'bytes', { value: memory });

/** Those of honest streams are known; any other question is put to the real verifier. */
const held = new Set<string>();
let isHonest = true;
const questionOf = (...places: readonly (readonly [at: number, length: number])[]): string =>
  places.map(([at, length]) => toHex(memory.subarray(at, at + length))).join(' ');

function listen(): void {
  setVerifier((_, key, message, length, signature) => {
    const question = questionOf([key, 32], [message, length], [signature, 64]);
    if (held.has(question)) return true;
    const holds = verifyIn(memory, { key, message, length, signature }, verifyQuickly);
    if (isHonest && holds) held.add(question);
    assert.ok(isHonest || !holds, 'a signature nobody made');
    return holds;
  });
}

/** What the machine told, and whether the stream came to its end. */
function judge(
  trust: Uint8Array,
  stream: Uint8Array,
): { readonly facts: readonly string[]; readonly done: boolean; readonly refused: boolean } {
  memory.fill(0, 0, STATE_BYTES).fill(GUARD, STATE_BYTES);
  memory.set(trust, TRUST);
  memory.set(NONCE, NONCE_AT);
  begin(machine, 0, 0);
  const facts: string[] = [];
  let done = false;
  for (let at = 0; at < stream.length;) {
    const code = push(machine, stream, at, stream.length);
    if (code === BELIEVED) facts.push(questionOf([TRUST, TRUST_BYTES]));
    if (code === PROVED) facts.push(told());
    if (code === DONE) done = true;
    if (code < 0) return { facts, done: false, refused: true };
    if (code === 0) break;
    at += machine.ints[I_READ] as number;
  }
  return { facts, done, refused: false };
}

function told(): string {
  const item = machine.ints[I_ITEM] as number;
  const under = questionOf([TARGET_HASH, 32]);
  if (item !== ITEM_STATE)
    return `${item} ${under} ${questionOf([ID, 32], [KEY, 33], [VALUE, Math.max(0, machine.ints[I_VALUE_BYTES] as number)])}`;
  const length = machine.ints[I_VALUE_BYTES] as number;
  const key = questionOf([KEY, machine.ints[I_KEY_BYTES] as number]);
  return length < 0 ? `absent ${key}` : `state ${under} ${key} ${questionOf([VALUE, length])}`;
}

/** xorshift32. */
function numbers(seed: number): (below: number) => number {
  let x = seed * 2_654_435_761 || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

type Draw = ReturnType<typeof numbers>;

/** One way of damage, drawn at random; the result may be the same bytes. */
function mutated(stream: Uint8Array, draw: Draw): Uint8Array {
  const at = draw(stream.length);
  const length = 1 + draw(64);
  const piece = stream.subarray(at, at + length);
  const other = draw(stream.length);
  const copy = stream.slice();
  switch (draw(8)) {
    case 0:
      copy[at] = (copy[at] as number) ^ (1 << draw(8));
      return copy;
    case 1:
      copy[at] = draw(256);
      return copy;
    case 2:
      for (let i = 0; i < 4; i += 1) copy[draw(stream.length)] = draw(256);
      return copy;
    case 3:
      return stream.subarray(0, at);
    case 4:
      // Cut out, or twice.
      return joined(stream.subarray(0, at), stream.subarray(at + length));
    case 5:
      return joined(stream.subarray(0, at + length), piece, stream.subarray(at + length));
    case 6:
      copy.set(piece.subarray(0, stream.length - other), other);
      return copy;
    default:
      return joined(
        stream.subarray(0, at),
        Uint8Array.from({ length }, () => draw(256)),
        stream.subarray(at),
      );
  }
}

function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

test(`LIGHT-9.5, LIGHT-9.2: attack random damage: of ${COUNT} streams none proves what is not so, nor moves the trust elsewhere, nor writes beyond the machine`, () => {
  const turning = streamWorld([1, 2, 3].map(sliding));
  const uneven = streamWorld([groupOf([1, 2, 3, 3, 2].map((weight, i) => [1000 + i, weight]))]);
  const honest = [turning, uneven].map((of) => ({ of, ...encodedStream(of), ...listening(of) }));
  const draw = numbers(SEED);
  isHonest = false;
  let refused = 0;
  for (let i = 0; i < COUNT; i += 1) {
    const { trust, stream, facts, present } = honest[i % honest.length] as (typeof honest)[number];
    const bytes = mutated(stream, draw);
    const verdict = judge(trust, bytes);
    const isSame = bytes.length === stream.length && bytes.every((byte, at) => byte === stream[at]);
    for (const fact of verdict.facts) {
      // Another key of which it is true that nothing is there.
      if (fact.startsWith('absent ') && !present.has(fact.slice(7))) continue;
      assert.ok(facts.has(fact), `mutation ${i} of seed ${SEED}: ${fact}`);
    }
    // An end that comes early leaves something out, and whoever asked for it knows.
    if (verdict.done) assert.ok(isSame || verdict.facts.length <= facts.size);
    else refused += 1;
    const after = memory.subarray(TRUST, TRUST + TRUST_BYTES);
    const isMoved = after.some((byte, at) => byte !== trust[at]);
    // Of one that is cut off, nobody has been told a trust to keep.
    if (verdict.done) assert.ok(facts.has(toHex(after)), `mutation ${i}: the trust`);
    if (verdict.refused) assert.ok(!isMoved, `mutation ${i}: trust of what was refused`);
    for (let at = STATE_BYTES; at < memory.length; at += 1)
      if (memory[at] !== GUARD) assert.fail(`mutation ${i} of seed ${SEED} wrote at ${at}`);
  }
  assert.ok(refused > 0.95 * COUNT, `${refused} of ${COUNT} refused`);
  if (COUNT > 100_000) console.log(`${refused} of ${COUNT} streams of seed ${SEED} refused, none believed`);
});

/** What the whole stream tells, and the keys that hold something. */
function listening(of: StreamWorld): {
  readonly facts: ReadonlySet<string>;
  readonly present: ReadonlySet<string>;
} {
  listen();
  const { trust, stream } = encodedStream(of);
  const verdict = judge(trust, stream);
  assert.ok(verdict.done);
  const present = of.items.flatMap((item) =>
    item.kind === 'state' && item.value !== undefined ? [toHex(item.key)] : [],
  );
  return {
    facts: new Set(verdict.facts),
    present: new Set([...present, toHex(checkpointRangeKey(of.home.subnet))]),
  };
}
