import {
  Routine,
  and64,
  below32,
  get,
  i32,
  i64,
  load64,
  rotl64,
  set,
  store64,
  whileLoop,
  xor64,
} from './assembler.ts';
import type { Code } from './assembler.ts';
import { advance } from './emit-field.ts';
import { RATE } from './kernel.ts';

/** Rounds of Keccak-p[1600, 12]: the last twelve of Keccak-f. */
const ROUNDS = 12;
/** Where the kernel keeps its round constants: the start of its memory. */
const CONSTANTS = 0;
const LANES = 25;

/** The round constants by the linear feedback shift register of FIPS 202 §3.2.5, as bytes. */
export function roundConstants(): Uint8Array {
  const bytes = new Uint8Array(8 * ROUNDS);
  const view = new DataView(bytes.buffer);
  let register = 1;
  for (let round = 0; round < 24; round += 1) {
    let constant = 0n;
    for (let j = 0; j < 7; j += 1) {
      if ((register & 1) === 1) constant |= 1n << BigInt((1 << j) - 1);
      register = (register << 1) ^ ((register >> 7) * 0x171);
    }
    if (round >= 24 - ROUNDS) view.setBigUint64(8 * (round - (24 - ROUNDS)), constant, true);
  }
  return bytes;
}

/** Lane x, y is number x + 5y. Rotation offsets and targets of ρ and π, walked from lane (1, 0). */
function rhoPi(): { readonly from: number; readonly to: number; readonly by: number }[] {
  const steps = [{ from: 0, to: 0, by: 0 }];
  let [x, y] = [1, 0];
  for (let t = 0; t < LANES - 1; t += 1) {
    const [toX, toY] = [y, (2 * x + 3 * y) % 5];
    steps.push({ from: x + 5 * y, to: toX + 5 * toY, by: (((t + 1) * (t + 2)) / 2) % 64 });
    [x, y] = [toX, toY];
  }
  return steps;
}

/** Emits twelve rounds on 25 lanes held in locals. */
function permutation(routine: Routine, lanes: readonly number[]): Code {
  const moved = Array.from({ length: LANES }, () => routine.i64());
  const columns = Array.from({ length: 5 }, () => routine.i64());
  const constant = routine.i32();
  const theta = routine.i64();
  const at = (list: readonly number[], index: number): number => list[index] as number;
  const round = routine.capture(() => {
    for (let x = 0; x < 5; x += 1) {
      const column = [0, 5, 10, 15, 20].map((y) => get(at(lanes, x + y)));
      routine.emit(
        set(
          at(columns, x),
          column.reduce((a, b) => xor64(a, b)),
        ),
      );
    }
    for (let x = 0; x < 5; x += 1) {
      const left = get(at(columns, (x + 4) % 5));
      const right = rotl64(get(at(columns, (x + 1) % 5)), i64(1n));
      routine.emit(set(theta, xor64(left, right)));
      for (const { from, to, by } of rhoPi()) {
        if (from % 5 !== x) continue;
        const lane = xor64(get(at(lanes, from)), get(theta));
        routine.emit(set(at(moved, to), by === 0 ? lane : rotl64(lane, i64(BigInt(by)))));
      }
    }
    for (let lane = 0; lane < LANES; lane += 1) {
      const row = lane - (lane % 5);
      const next = get(at(moved, row + ((lane + 1) % 5)));
      const after = get(at(moved, row + ((lane + 2) % 5)));
      const chi = xor64(get(at(moved, lane)), and64(xor64(next, i64(-1n)), after));
      routine.emit(set(at(lanes, lane), lane === 0 ? xor64(chi, load64(get(constant))) : chi));
    }
    routine.emit(advance(constant, 8));
  });
  return [
    ...set(constant, i32(CONSTANTS)),
    ...whileLoop(below32(get(constant), i32(CONSTANTS + 8 * ROUNDS)), round),
  ];
}

/**
 * (message, blocks, out, outBlocks): absorbs whole padded blocks into an empty sponge, then squeezes
 * whole blocks.
 */
export function turboShake(): Routine {
  const routine = new Routine('turboShake', 4);
  const [message, blocks, out, outBlocks] = [0, 1, 2, 3];
  const lanes = Array.from({ length: LANES }, () => routine.i64());
  const permute = permutation(routine, lanes);
  const rate = lanes.slice(0, RATE / 8);
  const absorb = routine.capture(() => {
    rate.forEach((lane, index) => routine.emit(set(lane, xor64(get(lane), load64(get(message), 8 * index)))));
    routine.emit(permute, advance(message, RATE), advance(blocks, -1));
  });
  const squeeze = routine.capture(() => {
    rate.forEach((lane, index) => routine.emit(store64(get(out), 8 * index, get(lane))));
    routine.emit(advance(out, RATE), advance(outBlocks, -1));
  });
  routine.emit(
    whileLoop(get(blocks), absorb),
    whileLoop(get(outBlocks), [...squeeze, ...ifNonZero(outBlocks, permute)]),
  );
  return routine;
}

const ifNonZero = (local: number, body: Code): Code => [...get(local), 0x04, 0x40, ...body, 0x0b];
