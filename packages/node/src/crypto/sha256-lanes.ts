/**
 * SHA-256 (FIPS 180-4) of four messages at a time, in the lanes of a vector unit. A state tree hashes tens of thousands of
 * short inputs per block, and a call to the native function costs more than its work. The function below is put together
 * as a WebAssembly module when it is first needed: sixteen rounds in a row, run four times, all of it in registers.
 */
import { serialBatchHasher, type BatchHasher, type MessageSource } from '@itc/core/crypto/batch-hasher.js';
import { HASH_BYTES, sha256Into } from '@itc/core/crypto/hash.js';
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
/** A bit, and the length in eight bytes. */
const PADDING_MIN = 9;

/** Longest message hashed here; of longer ones the work is more than the call. */
const BLOCKS_MAX = 16;

/** Places in the module's memory. */
const CONSTANTS = 0;
const INITIAL = 256;
const SCHEDULE = 512;
const STATE = 768;
const INPUT = 4096;
/** Messages of one call. */
const BATCH = 4096;
const OUTPUT: number = INPUT + BATCH * BLOCK_BYTES;
/** Messages of n blocks wait here until there are four of them. */
const WAITING: number = OUTPUT + BATCH * HASH_BYTES;
const waitingAt = (blocks: number, lane: number): number =>
  WAITING + BLOCK_BYTES * ((LANES * blocks * (blocks - 1)) / 2 + lane * blocks);
const MEMORY_BYTES: number = waitingAt(BLOCKS_MAX + 1, 0);

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

/** Word `i` of four messages, so many bytes apart, into local `to`. */
function loadWord(i: number, to: number, apart: number = BLOCK_BYTES): Code {
  return [
    ...Array.from({ length: LANES }, (_, lane) => lane).reduce<Code>(
      (below, lane) => [...get(0), ...below, ...loadLane(4 * i + apart * lane, lane)],
      ZERO,
    ),
    ...SWAP,
    ...set(to),
  ];
}

const STATE_WORDS = Array.from({ length: 8 }, (_, i) => i);
const BEGIN: Code = STATE_WORDS.flatMap((i) => [
  ...number(0),
  ...number(0),
  ...loadEverywhere(INITIAL + 4 * i),
  ...store(STATE + 16 * i),
]);
/** The digests, one behind another, to where the second parameter says. */
const FINISH: Code = STATE_WORDS.flatMap((i) => [
  ...number(0),
  ...load(STATE + 16 * i),
  ...SWAP,
  ...set(5),
  ...Array.from({ length: LANES }, (_, lane) => [
    ...get(1),
    ...get(5),
    ...storeLane(4 * i + HASH_BYTES * lane, lane),
  ]).flat(),
]);
const moveOn = (local: number, bytes: number): Code => [
  ...get(local),
  ...number(bytes),
  ...ADD_I32,
  ...set(local),
];
/** One less in this local, and from the start of the loop again while that is not zero. */
const again = (local: number): Code => [...get(local), ...number(1), 0x6b, 0x22, local, 0x0d, 0];
const put = (i: number, code: Code): Code => [...number(0), ...code, ...store(SCHEDULE + 16 * i)];

/** Parameters: input, output, groups of four messages so many bytes apart, domain. */
function overGroups(apart: number, body: Code): Code {
  return [
    0x03,
    0x40,
    ...BEGIN,
    ...body,
    ...FINISH,
    ...moveOn(0, LANES * apart),
    ...moveOn(1, LANES * HASH_BYTES),
    ...again(2),
    0x0b,
  ];
}

/** Words of which each takes a byte of the one before; `first` stands before them all, and the last byte is left in local 6. */
function shifted(count: number, apart: number, first: Code): Code {
  const [word, last] = [4, 6];
  return Array.from({ length: count }, (_, i) => [
    ...loadWord(i, word, apart),
    ...put(i, [
      ...(i === 0 ? first : [...get(last), ...shiftLeft(24)]),
      ...get(word),
      ...shiftRight(8),
      ...OR,
    ]),
    ...get(word),
    ...set(last),
  ]).flat();
}

/** That last byte as word `from`, what follows it, and the length of the message. */
function ending(from: number, length: number): Code {
  const last = 6;
  return [
    ...put(from, [...get(last), ...shiftLeft(24), ...number(0x80_0000), ...EVERYWHERE, ...OR]),
    ...Array.from({ length: 14 - from }, (_, i) => put(from + 1 + i, ZERO)).flat(),
    ...put(15, [...number(8 * length), ...EVERYWHERE]),
    ...COMPRESS,
  ];
}

/** A byte and 64 bytes, in two blocks. */
function pairs(): Code {
  const domain = [...get(3), ...number(24), 0x74, ...EVERYWHERE];
  return overGroups(BLOCK_BYTES, [
    ...shifted(16, BLOCK_BYTES, domain),
    ...COMPRESS,
    ...ending(0, 1 + BLOCK_BYTES),
  ]);
}

/** A zero byte and 32 bytes, in one block. */
function leaves(): Code {
  return overGroups(HASH_BYTES, [...shifted(8, HASH_BYTES, ZERO), ...ending(8, 1 + HASH_BYTES)]);
}

/** Four messages, padded by the caller. Parameters: input, output, blocks of each, bytes from one to the next. */
function messages(): Code {
  const word = 4;
  const lanes = Array.from({ length: LANES }, (_, lane) => lane);
  const input = (lane: number): number => (lane === 0 ? 0 : 6 + lane);
  const loadFrom = (i: number): Code => [
    ...lanes.reduce<Code>((below, lane) => [...get(input(lane)), ...below, ...loadLane(4 * i, lane)], ZERO),
    ...SWAP,
    ...set(word),
  ];
  return [
    ...lanes
      .slice(1)
      .flatMap((lane) => [...get(input(lane - 1)), ...get(3), ...ADD_I32, ...set(input(lane))]),
    ...BEGIN,
    0x03,
    0x40,
    ...Array.from({ length: 16 }, (_, i) => [...loadFrom(i), ...put(i, get(word))]).flat(),
    ...COMPRESS,
    ...lanes.flatMap((lane) => moveOn(input(lane), BLOCK_BYTES)),
    ...again(2),
    0x0b,
    ...FINISH,
  ];
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
    { name: 'pairs', parameters: 4, locals: [[3, V128]], code: pairs() },
    { name: 'leaves', parameters: 4, locals: [[3, V128]], code: leaves() },
    {
      name: 'messages',
      parameters: 4,
      locals: [
        [3, V128],
        [3, I32],
      ],
      code: messages(),
    },
  ]);
}

interface Lanes {
  readonly memory: WasmMemory;
  readonly pairs: (input: number, output: number, groups: number, domain: number) => void;
  readonly leaves: (input: number, output: number, groups: number, domain: number) => void;
  readonly messages: (input: number, output: number, blocks: number, apart: number) => void;
}

let hasher: (StateHasher & BatchHasher) | undefined;

/** By lanes; one by one where the engine has no vectors. */
export function laneHasher(): StateHasher & BatchHasher {
  return (hasher ??= lanesOf() ?? { ...serialBatchHasher, ...serialHasher });
}

function lanesOf(): LaneHasher | undefined {
  const lanes = instantiate(moduleBytes()) as Lanes | undefined;
  if (lanes === undefined) return undefined;
  const memory = new Uint8Array(lanes.memory.buffer);
  const view = new DataView(lanes.memory.buffer);
  for (const [i, word] of fractions(64, Math.cbrt).entries()) view.setUint32(CONSTANTS + 4 * i, word, true);
  for (const [i, word] of fractions(8, Math.sqrt).entries()) view.setUint32(INITIAL + 4 * i, word, true);
  return new LaneHasher(lanes, memory);
}

class LaneHasher implements StateHasher, BatchHasher {
  readonly #lanes: Lanes;
  readonly #memory: Uint8Array;
  /** By number of blocks: how many messages wait for four, and which. */
  readonly #waiting = new Uint8Array(BLOCKS_MAX + 1);
  readonly #waitingOf = new Uint32Array(LANES * (BLOCKS_MAX + 1));

  constructor(lanes: Lanes, memory: Uint8Array) {
    this.#lanes = lanes;
    this.#memory = memory;
  }

  pairs(domain: 0 | 1, input: Uint8Array, count: number, output: Uint8Array): void {
    for (let done = 0; done < count; done += BATCH) {
      const batch = this.#take(input, done, count, BLOCK_BYTES);
      this.#lanes.pairs(INPUT, OUTPUT, Math.ceil(batch / LANES), domain);
      output.set(this.#memory.subarray(OUTPUT, OUTPUT + HASH_BYTES * batch), HASH_BYTES * done);
    }
  }

  leaves(input: Uint8Array, count: number, output: Uint8Array): void {
    for (let done = 0; done < count; done += BATCH) {
      const batch = this.#take(input, done, count, HASH_BYTES);
      this.#lanes.leaves(INPUT, OUTPUT, Math.ceil(batch / LANES), 0);
      output.set(this.#memory.subarray(OUTPUT, OUTPUT + HASH_BYTES * batch), HASH_BYTES * done);
    }
  }

  /** How many were taken from `done` on. */
  #take(input: Uint8Array, done: number, count: number, bytes: number): number {
    const batch = Math.min(BATCH, count - done);
    this.#memory.set(input.subarray(bytes * done, bytes * (done + batch)), INPUT);
    return batch;
  }

  stretches(bytes: Uint8Array, places: Uint32Array, count: number, output: Uint8Array): void {
    const source: MessageSource = {
      lengthOf: (i) => places[2 * i + 1] as number,
      write: (i, into, at) => {
        const start = places[2 * i] as number;
        const length = places[2 * i + 1] as number;
        for (let j = 0; j < length; j += 1) into[at + j] = bytes[start + j] as number;
      },
    };
    this.messages(count, source, output);
  }

  messages(count: number, source: MessageSource, output: Uint8Array): void {
    this.#waiting.fill(0);
    for (let i = 0; i < count; i += 1) {
      const length = source.lengthOf(i);
      const blocks = Math.ceil((length + PADDING_MIN) / BLOCK_BYTES);
      if (blocks > BLOCKS_MAX) {
        const message = new Uint8Array(length);
        source.write(i, message, 0);
        sha256Into(message, output, HASH_BYTES * i);
        continue;
      }
      const lane = this.#waiting[blocks] as number;
      const at = waitingAt(blocks, lane);
      source.write(i, this.#memory, at);
      this.#pad(at, length, at + blocks * BLOCK_BYTES);
      this.#waitingOf[LANES * blocks + lane] = i;
      this.#waiting[blocks] = lane + 1;
      if (lane + 1 === LANES) this.#finish(blocks, output);
    }
    for (let blocks = 1; blocks <= BLOCKS_MAX; blocks += 1)
      if (this.#waiting[blocks] !== 0) this.#finish(blocks, output);
  }

  #finish(blocks: number, output: Uint8Array): void {
    const memory = this.#memory;
    this.#lanes.messages(waitingAt(blocks, 0), OUTPUT, blocks, blocks * BLOCK_BYTES);
    const count = this.#waiting[blocks] as number;
    this.#waiting[blocks] = 0;
    for (let lane = 0; lane < count; lane += 1) {
      const to = HASH_BYTES * (this.#waitingOf[LANES * blocks + lane] as number);
      const from = OUTPUT + HASH_BYTES * lane;
      for (let j = 0; j < HASH_BYTES; j += 1) output[to + j] = memory[from + j] as number;
    }
  }

  /** Behind a message of so many bytes at `at`, up to the end of its last block (FIPS 180-4 §5.1.1). */
  #pad(at: number, length: number, end: number): void {
    const memory = this.#memory;
    memory[at + length] = 0x80;
    for (let i = at + length + 1; i < end - 2; i += 1) memory[i] = 0;
    memory[end - 2] = length >> 5;
    memory[end - 1] = length << 3;
  }
}
