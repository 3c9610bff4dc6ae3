/**
 * The light client in other engines: WebAssembly with one page of memory, and QuickJS with a bounded heap. Their packages
 * are not the project's; they are installed here when a test or a bench first asks for them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { I_READ } from '../light/engine/layout.ts';
import { PACKET_BYTES, verifyIn, type Engine } from './light-drive.ts';

const FOLDER = fileURLToPath(new URL('../../engines/', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../src/light/engine/', import.meta.url));

/** Why the other engines cannot be had here; undefined when they are there. */
export function enginesMissing(): string | undefined {
  if (existsSync(`${FOLDER}node_modules/assemblyscript`)) return undefined;
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', FOLDER], {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  return npm.status === 0 ? undefined : 'the packages of packages/core/engines cannot be installed here';
}

export interface MeasuredEngine extends Engine {
  /** Bytes of the program, and the greatest memory of all it has: code, data, stack and heap of the engine. */
  readonly programBytes: number;
  readonly peakBytes: () => number;
}

/** The part of WebAssembly that is used: it belongs to no library the compiler is told of here. */
const { instantiate } = (globalThis as unknown as { WebAssembly: Compiler }).WebAssembly;

interface Compiler {
  readonly instantiate: (
    program: Uint8Array,
    imports: Readonly<Record<string, Readonly<Record<string, (...args: number[]) => number>>>>,
  ) => Promise<{ readonly instance: { readonly exports: unknown } }>;
}

interface WasmExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly memoryAt: () => number;
  readonly intsAt: () => number;
  readonly inputAt: () => number;
  readonly start: (now: number, trusting: number) => void;
  readonly feed: (from: number, to: number) => number;
}

export async function wasmEngine(): Promise<MeasuredEngine> {
  const { buildWasm } = (await import(pathToFileURL(`${FOLDER}build-wasm.mjs`).href)) as {
    buildWasm: () => Promise<Uint8Array<ArrayBuffer>>;
  };
  const program = await buildWasm();
  let memory: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  const verify = (key: number, message: number, length: number, signature: number): number =>
    verifyIn(memory, { key, message, length, signature }) ? 1 : 0;
  const { instance } = await instantiate(program, { host: { verify } });
  const wasm = instance.exports as WasmExports;
  memory = new Uint8Array(wasm.memory.buffer);
  const at = wasm.memoryAt();
  return {
    programBytes: program.length,
    peakBytes: () => wasm.memory.buffer.byteLength,
    write: (to, bytes) => memory.set(bytes, at + to),
    read: (from, length) => memory.slice(at + from, at + from + length),
    begin: (now, trusting) => wasm.start(now, trusting),
    push: (packet) => {
      memory.set(packet, wasm.inputAt());
      const code = wasm.feed(0, packet.length);
      const [read] = new Int32Array(memory.buffer, wasm.intsAt() + 4 * I_READ, 1);
      return { code, taken: code === 0 ? packet.length : (read as number) };
    },
  };
}

/** What the chip's program is in JavaScript: the machine, and the calls its host makes. */
const PROGRAM = `
import { LightMachine, I_READ } from './layout.ts';
import { begin, push } from './machine.ts';
import { setVerifier } from './host.ts';
const m = new LightMachine();
const packet = new Uint8Array(${PACKET_BYTES});
setVerifier((_, key, message, length, signature) => host(key, message, length, signature) === 1);
globalThis.memory = m.bytes.buffer;
globalThis.put = (at, value) => void (m.bytes[at] = value);
globalThis.load = (at, value) => void (packet[at] = value);
globalThis.start = (now, trusting) => begin(m, now, trusting);
globalThis.feed = (length) => push(m, packet, 0, length);
globalThis.taken = () => m.ints[I_READ];
`;

/** The parts of QuickJS's interface that are used here. */
interface Handle {
  readonly value: unknown;
  readonly dispose: () => void;
}
interface QuickContext {
  readonly global: Handle;
  readonly undefined: Handle;
  newNumber(value: number): Handle;
  getNumber(handle: Handle): number;
  newFunction(name: string, call: (...args: readonly Handle[]) => Handle): Handle;
  getProp(of: Handle, name: string): Handle;
  setProp(of: Handle, name: string, value: Handle): void;
  callFunction(call: Handle, self: Handle, ...args: readonly Handle[]): unknown;
  evalCode(source: string): unknown;
  unwrapResult(result: unknown): Handle;
  getArrayBuffer(handle: Handle): { readonly value: Uint8Array; readonly dispose: () => void };
}
interface QuickRuntime {
  newContext(o: { readonly intrinsics: Readonly<Record<string, boolean>> }): QuickContext;
  setMemoryLimit(bytes: number): void;
  dumpMemoryUsage(): string;
}

/** `heapBytes`: what QuickJS may take in all; beyond it, it fails. */
export async function quickJsEngine(heapBytes: number): Promise<MeasuredEngine> {
  const require = createRequire(`${FOLDER}package.json`);
  const load = async (name: string): Promise<Record<string, unknown>> =>
    (await import(pathToFileURL(require.resolve(name)).href)) as Record<string, unknown>;
  const core = await load('quickjs-emscripten-core');
  const variant = await load('@jitl/quickjs-wasmfile-release-sync');
  const make = core['newQuickJSWASMModuleFromVariant'] as (
    of: unknown,
  ) => Promise<{ newRuntime(): QuickRuntime }>;
  const runtime = (await make(variant['default'])).newRuntime();
  runtime.setMemoryLimit(heapBytes);
  const context = runtime.newContext({ intrinsics: { BaseObjects: true, TypedArrays: true, Eval: true } });
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: SOURCE, loader: 'ts' },
    bundle: true,
    minify: true,
    write: false,
    target: 'es2020',
  });
  const program = outputFiles[0]?.text ?? '';
  /** A copy of the machine's memory. */
  const memory = (): Uint8Array => {
    const handle = context.getProp(context.global, 'memory');
    const lifetime = context.getArrayBuffer(handle);
    const bytes = lifetime.value.slice();
    lifetime.dispose();
    handle.dispose();
    return bytes;
  };
  const number = (name: string, ...args: readonly number[]): number => {
    const handles = args.map((value) => context.newNumber(value));
    const call = context.getProp(context.global, name);
    const result = context.unwrapResult(context.callFunction(call, context.undefined, ...handles));
    const value = context.getNumber(result);
    for (const handle of [...handles, call, result]) handle.dispose();
    return value;
  };
  const host = context.newFunction('host', (...args) => {
    const [key, message, length, signature] = args.map((arg) => context.getNumber(arg)) as [
      number,
      number,
      number,
      number,
    ];
    return context.newNumber(verifyIn(memory(), { key, message, length, signature }) ? 1 : 0);
  });
  context.setProp(context.global, 'host', host);
  context.unwrapResult(context.evalCode(program)).dispose();
  let peak = 0;
  const measure = (): void => {
    const used = /memory used\s+\d+\s+(\d+)/.exec(runtime.dumpMemoryUsage())?.[1];
    peak = Math.max(peak, Number(used ?? 0));
  };
  return {
    programBytes: program.length,
    peakBytes: () => peak,
    write: (at, bytes) => {
      for (const [i, byte] of bytes.entries()) number('put', at + i, byte);
    },
    read: (at, length) => memory().slice(at, at + length),
    begin: (now, trusting) => void number('start', now, trusting),
    push: (packet) => {
      for (const [i, byte] of packet.entries()) number('load', i, byte);
      const code = number('feed', packet.length);
      measure();
      return { code, taken: code === 0 ? packet.length : number('taken') };
    },
  };
}

/** The vectors as they are in the repository. */
export function storedVectors(): string {
  return readFileSync(new URL('../../../../spec/vectors/light-streams.json', import.meta.url), 'utf8');
}
