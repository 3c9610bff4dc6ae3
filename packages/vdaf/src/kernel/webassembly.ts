import { KERNEL_PAGES_MAX } from '../limits.ts';
import { assemble } from './assembler.ts';
import { field128, field64 } from './emit-field.ts';
import { roundConstants, turboShake } from './emit-keccak.ts';
import { vectorRoutines } from './emit-vector.ts';
import { RATE } from './kernel.ts';
import type { FieldKernel, Kernel } from './kernel.ts';

/** The part of the WebAssembly interface used here; it is not in the ECMAScript library types. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Exports };
}
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly [routine: string]: unknown;
}

const PAGE = 65536;

/** The bytes of the kernel. They depend on nothing but this source. */
export function kernelBytes(): Uint8Array<ArrayBuffer> {
  return assemble([...vectorRoutines('64', field64), ...vectorRoutines('128', field128), turboShake()], {
    pagesMax: KERNEL_PAGES_MAX,
    constants: roundConstants(),
  });
}

function fieldKernel(exports: Exports, bytes: 8 | 16): FieldKernel {
  const routine = <F>(name: string): F => exports[`${name}${String(8 * bytes)}`] as F;
  return {
    bytes,
    add: routine('add'),
    subtract: routine('subtract'),
    multiply: routine('multiply'),
    scale: routine('scale'),
    dot: routine('dot'),
    rangeWires: routine('rangeWires'),
    transformOut: routine('transformOut'),
    transformIn: routine('transformIn'),
    lagrange: routine('lagrange'),
    firstOverflow: routine('firstOverflow'),
    accumulate: routine('accumulate'),
    reduce: routine('reduce'),
  };
}

/**
 * A kernel in WebAssembly, or undefined where the host has none or forbids it (a content security
 * policy without `wasm-unsafe-eval`, for one).
 */
export function webAssemblyKernel(): Kernel | undefined {
  const api = (globalThis as { readonly WebAssembly?: WebAssemblyApi }).WebAssembly;
  if (api === undefined) return undefined;
  let exports: Exports;
  try {
    exports = new api.Instance(new api.Module(kernelBytes())).exports;
  } catch {
    return undefined;
  }
  const { memory } = exports;
  const shake = exports['turboShake'] as (m: number, blocks: number, out: number, outBlocks: number) => void;
  let view = new Uint8Array(memory.buffer);
  return {
    kind: 'webassembly',
    field64: fieldKernel(exports, 8),
    field128: fieldKernel(exports, 16),
    memory: () => view,
    reserve: (bytes) => {
      const missing = Math.ceil((bytes - view.length) / PAGE);
      if (missing <= 0) return;
      // Growing by half as much again keeps the number of copies small.
      const wish = Math.min(missing + ((view.length / PAGE) >> 1), KERNEL_PAGES_MAX - view.length / PAGE);
      memory.grow(Math.max(missing, wish));
      view = new Uint8Array(memory.buffer);
    },
    turboShake: (message, messageBytes, out, outBytes) => {
      const blocks = Math.floor(messageBytes / RATE) + 1;
      const end = message + blocks * RATE;
      view.fill(0, message + messageBytes, end);
      view[message + messageBytes] = 0x01;
      view[end - 1] = (view[end - 1] ?? 0) ^ 0x80;
      shake(message, blocks, out, Math.ceil(outBytes / RATE));
    },
  };
}
