/**
 * SHA-256 (FIPS 180-4) of four messages at a time, in the lanes of a vector unit. A state tree hashes tens of thousands of
 * short inputs per block, and a call to the native function costs more than its work. The function below is put together
 * as a WebAssembly module when it is first needed: sixteen rounds in a row, run four times, all of it in registers.
 */
import { HASH_BYTES } from '@itc/core/crypto/hash.js';
import { serialHasher, type StateHasher } from '@itc/core/crypto/state-hasher.js';
import {
  ADD,
  ADD_I32,
  call,
  get,
  I32,
  instantiate,
  leb,
  load,
  number,
  set,
  shiftLeft,
  store,
  V128,
  vector,
  wasmModule,
  type Code,
  type WasmMemory,
} from './wasm-code.ts';

/** The first 32 bits of the fractional parts of a root of the first primes. */
function fractions(count: number, root: (prime: number) => number): number[] {
  const words: number[] = [];
  for (let n = 2; words.length < count; n += 1) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d += 1) isPrime &&= n % d !== 0;
    if (isPrime) words.push(((root(n) % 1) * 0x1_0000_0000) >>> 0);
  }
  return words;
}

const LANES = 4;
const BLOCK_BYTES = 64;
/** Longest message that fits one block with its padding. */
const SHORT_MAX = 55;

/** Places in the module's memory. */
const CONSTANTS = 0;
const INITIAL = 256;
const SCHEDULE = 512;
const STATE = 768;
const INPUT = 4096;
/** Messages of one call. */
const BATCH = 4096;
const OUTPUT: number = INPUT + BATCH * BLOCK_BYTES;
const MEMORY_BYTES: number = OUTPUT + BATCH * HASH_BYTES;

const XOR = vector(0x51);
const OR = vector(0x50);
/** Of three operands the mask is the last. */
const SELECT = vector(0x52);
const shiftRight = (bits: number): Code => [...number(bits), ...vector(0xad)];
const loadEverywhere = (offset: number): Code => vector(0x09, 2, ...leb(offset));
const loadLane = (offset: number, lane: number): Code => vector(0x56, 2, ...leb(offset), lane);
const storeLane = (offset: number, lane: number): Code => vector(0x5a, 2, ...leb(offset), lane);
/** Bytes of each word the other way round. */
const SWAP: Code = [
  ...vector(0x0c, ...[0, 4, 8, 12].flatMap((at) => [at + 3, at + 2, at + 1, at])),
  ...vector(0x0e),
];
const EVERYWHERE = vector(0x11);
const ZERO = vector(0x0c, ...Array.from({ length: 16 }, () => 0));

/** Exclusive or of a word turned right by some numbers of bits, and shifted by another. */
function mixed(word: number, turns: readonly number[], shift?: number): Code {
  const terms = turns.flatMap((by) => [shiftRight(by), shiftLeft(32 - by)]);
  if (shift !== undefined) terms.push(shiftRight(shift));
  return terms.flatMap((term, i) => [...get(word), ...term, ...(i === 0 ? [] : XOR)]);
}

/** One block of four messages: words in `SCHEDULE`, the hash so far in `STATE`. */
function compress(): Code {
  const [key, turn, sum] = [0, 1, 2] as const;
  const w = (i: number): number => 3 + (i & 15);
  const v = (i: number): number => 19 + (i & 7);
  const round = (i: number): Code => {
    // What was a moves to b and so on: the names turn instead.
    const [a, b, c, d, e, f, g, h] = Array.from({ length: 8 }, (_, k) => v(k - i)) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return [
      ...get(h),
      ...mixed(e, [6, 11, 25]),
      ...ADD,
      ...get(f),
      ...get(g),
      ...get(e),
      ...SELECT,
      ...ADD,
      ...get(key),
      ...loadEverywhere(CONSTANTS + 4 * i),
      ...ADD,
      ...get(w(i)),
      ...ADD,
      ...set(sum),
      ...get(d),
      ...get(sum),
      ...ADD,
      ...set(d),
      ...get(sum),
      ...mixed(a, [2, 13, 22]),
      ...ADD,
      ...get(a),
      ...get(b),
      ...get(b),
      ...get(c),
      ...XOR,
      ...SELECT,
      ...ADD,
      ...set(h),
      ...get(w(i)),
      ...mixed(w(i + 1), [7, 18], 3),
      ...ADD,
      ...get(w(i + 9)),
      ...ADD,
      ...mixed(w(i + 14), [17, 19], 10),
      ...ADD,
      ...set(w(i)),
    ];
  };
  const words = Array.from({ length: 16 }, (_, i) => i);
  const values = words.slice(0, 8);
  return [
    ...words.flatMap((i) => [...number(0), ...load(SCHEDULE + 16 * i), ...set(w(i))]),
    ...values.flatMap((i) => [...number(0), ...load(STATE + 16 * i), ...set(v(i))]),
    ...number(4),
    ...set(turn),
    0x03,
    0x40, // loop
    ...words.flatMap(round),
    ...get(key),
    ...number(64),
    ...ADD_I32,
    ...set(key),
    ...get(turn),
    ...number(1),
    0x6b,
    0x22,
    turn,
    0x0d,
    0, // again unless that was the last
    0x0b,
    ...values.flatMap((i) => [
      ...number(0),
      ...number(0),
      ...load(STATE + 16 * i),
      ...get(v(i)),
      ...ADD,
      ...store(STATE + 16 * i),
    ]),
  ];
}

const COMPRESS = call(0);

/** Word `i` of four messages, `BLOCK_BYTES` apart, into local `to`. */
function loadWord(i: number, to: number): Code {
  return [
    ...Array.from({ length: LANES }, (_, lane) => lane).reduce<Code>(
      (below, lane) => [...get(0), ...below, ...loadLane(4 * i + BLOCK_BYTES * lane, lane)],
      ZERO,
    ),
    ...SWAP,
    ...set(to),
  ];
}

/** Parameters: input, output, groups of four messages, domain. */
function overGroups(body: Code): Code {
  const words = Array.from({ length: 8 }, (_, i) => i);
  const scratch = 5;
  return [
    0x03,
    0x40,
    ...words.flatMap((i) => [
      ...number(0),
      ...number(0),
      ...loadEverywhere(INITIAL + 4 * i),
      ...store(STATE + 16 * i),
    ]),
    ...body,
    ...words.flatMap((i) => [
      ...number(0),
      ...load(STATE + 16 * i),
      ...SWAP,
      ...set(scratch),
      ...Array.from({ length: LANES }, (_, lane) => [
        ...get(1),
        ...get(scratch),
        ...storeLane(4 * i + HASH_BYTES * lane, lane),
      ]).flat(),
    ]),
    ...get(0),
    ...number(LANES * BLOCK_BYTES),
    ...ADD_I32,
    ...set(0),
    ...get(1),
    ...number(LANES * HASH_BYTES),
    ...ADD_I32,
    ...set(1),
    ...get(2),
    ...number(1),
    0x6b,
    0x22,
    2,
    0x0d,
    0,
    0x0b,
  ];
}

/** Messages of one block, padded by the caller. */
function blocks(): Code {
  const word = 4;
  return overGroups([
    ...Array.from({ length: 16 }, (_, i) => [
      ...loadWord(i, word),
      ...number(0),
      ...get(word),
      ...store(SCHEDULE + 16 * i),
    ]).flat(),
    ...COMPRESS,
  ]);
}

/** One byte and 64 bytes: each word takes a byte of the word before. The second block has the last byte, and the length. */
function pairs(): Code {
  const [word, , last] = [4, 5, 6];
  const first = [...get(3), ...shiftLeftNumber(24), ...EVERYWHERE];
  const put = (i: number, code: Code): Code => [...number(0), ...code, ...store(SCHEDULE + 16 * i)];
  return overGroups([
    ...Array.from({ length: 16 }, (_, i) => [
      ...loadWord(i, word),
      ...put(i, [
        ...(i === 0 ? first : [...get(last), ...shiftLeft(24)]),
        ...get(word),
        ...shiftRight(8),
        ...OR,
      ]),
      ...get(word),
      ...set(last),
    ]).flat(),
    ...COMPRESS,
    ...put(0, [...get(last), ...shiftLeft(24), ...number(0x80_0000), ...EVERYWHERE, ...OR]),
    ...Array.from({ length: 14 }, (_, i) => put(i + 1, ZERO)).flat(),
    ...put(15, [...number(8 * 65), ...EVERYWHERE]),
    ...COMPRESS,
  ]);
}

function shiftLeftNumber(bits: number): Code {
  return [...number(bits), 0x74];
}

function moduleBytes(): Uint8Array {
  return wasmModule(MEMORY_BYTES, [
    {
      parameters: 0,
      locals: [
        [2, I32],
        [25, V128],
      ],
      code: compress(),
    },
    { name: 'blocks', parameters: 4, locals: [[3, V128]], code: blocks() },
    { name: 'pairs', parameters: 4, locals: [[3, V128]], code: pairs() },
  ]);
}

interface Lanes {
  readonly memory: WasmMemory;
  readonly blocks: (input: number, output: number, groups: number, domain: number) => void;
  readonly pairs: (input: number, output: number, groups: number, domain: number) => void;
}

let hasher: StateHasher | undefined;

/** Hashes of state trees by lanes; one by one where the engine has no vectors. */
export function laneHasher(): StateHasher {
  return (hasher ??= lanesOf() ?? serialHasher);
}

function lanesOf(): StateHasher | undefined {
  const lanes = instantiate(moduleBytes()) as Lanes | undefined;
  if (lanes === undefined) return undefined;
  const memory = new Uint8Array(lanes.memory.buffer);
  const view = new DataView(lanes.memory.buffer);
  for (const [i, word] of fractions(64, Math.cbrt).entries()) view.setUint32(CONSTANTS + 4 * i, word, true);
  for (const [i, word] of fractions(8, Math.sqrt).entries()) view.setUint32(INITIAL + 4 * i, word, true);
  return new LaneHasher(lanes, memory);
}

class LaneHasher implements StateHasher {
  readonly #lanes: Lanes;
  readonly #memory: Uint8Array;

  constructor(lanes: Lanes, memory: Uint8Array) {
    this.#lanes = lanes;
    this.#memory = memory;
  }

  pairs(domain: 0 | 1, input: Uint8Array, count: number, output: Uint8Array): void {
    for (let done = 0; done < count; done += BATCH) {
      const batch = Math.min(BATCH, count - done);
      this.#memory.set(input.subarray(BLOCK_BYTES * done, BLOCK_BYTES * (done + batch)), INPUT);
      this.#lanes.pairs(INPUT, OUTPUT, Math.ceil(batch / LANES), domain);
      output.set(this.#memory.subarray(OUTPUT, OUTPUT + HASH_BYTES * batch), HASH_BYTES * done);
    }
  }

  values(values: readonly Uint8Array[], output: Uint8Array): void {
    let batch: number[] = [];
    for (const [i, value] of values.entries()) {
      if (value.length > SHORT_MAX) {
        serialHasher.values([value], output.subarray(HASH_BYTES * i));
        continue;
      }
      this.#pad(value, INPUT + BLOCK_BYTES * batch.length);
      batch.push(i);
      if (batch.length === BATCH) {
        this.#blocks(batch, output);
        batch = [];
      }
    }
    if (batch.length > 0) this.#blocks(batch, output);
  }

  #blocks(batch: readonly number[], output: Uint8Array): void {
    const memory = this.#memory;
    this.#lanes.blocks(INPUT, OUTPUT, Math.ceil(batch.length / LANES), 0);
    for (let i = 0; i < batch.length; i += 1) {
      const to = HASH_BYTES * (batch[i] as number);
      const from = OUTPUT + HASH_BYTES * i;
      for (let j = 0; j < HASH_BYTES; j += 1) output[to + j] = memory[from + j] as number;
    }
  }

  #pad(value: Uint8Array, at: number): void {
    const memory = this.#memory;
    const { length } = value;
    for (let i = 0; i < length; i += 1) memory[at + i] = value[i] as number;
    memory.fill(0, at + length, at + BLOCK_BYTES);
    memory[at + length] = 0x80;
    memory[at + BLOCK_BYTES - 2] = length >> 5;
    memory[at + BLOCK_BYTES - 1] = length << 3;
  }
}
