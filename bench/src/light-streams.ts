/** Light streams: bytes, memory, signatures and time, here and in other engines, and what it would be on a chip. */
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import {
  ED25519,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  type SignatureVerifier,
} from '@itc/core/crypto/signature.js';
import { setVerifier } from '@itc/core/light/engine/host.js';
import { I_VERIFIED, LightMachine, TRUST, TRUST_BYTES } from '@itc/core/light/engine/layout.js';
import { begin, isDone, push } from '@itc/core/light/engine/machine.js';
import { LightReader } from '@itc/core/light/light-reader.js';
import { PACKET_BYTES } from '@itc/core/testing/light-drive.js';
import {
  enginesMissing,
  quickJsEngine,
  storedVectors,
  wasmEngine,
  type MeasuredEngine,
} from '@itc/core/testing/light-engines.js';
import type { LightVector } from '@itc/core/testing/light-vectors.js';
import { leastHeap, limitedHeap } from '@itc/core/testing/limited-heap.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import { commandCosts } from './light-command.ts';
import { chipMilliseconds, CHIPS, megacycles, type Counts } from './light-costs.ts';
import { sizeSubjects, SleptChain, type StreamSubject } from './light-subjects.ts';
import { figure, rates, type BenchOptions, type Result } from './result.ts';

const SETS = [4, 16, 31];
const SLEPT = [1, 10, 1_000];
/** What was asked for: a reading with 16 validators, and what a changed set may add. */
const AIM_PROOF = 3_072;
const AIM_HOP = 1_700;
/** Height and hash of 256 roots take more in flash; the roots alone are this. */
const RING_BYTES = 256 * 32;
/** The subject whose time is measured. */
const TIMED = 'reading, deep in 10^6 blocks, state of 10^6';
const QUICKJS_HEAP = 131_072;
const HEAP_MAX = 65_536;

const aim = (bytes: number) => ({ name: 'aim', samples: [bytes], better: 'less' as const });

export async function streams(options: BenchOptions): Promise<Result[]> {
  const sets = options.quick ? SETS.slice(0, 1) : SETS;
  const results = memory();
  for (const validators of sets) results.push(...(await sized(validators, options)));
  results.push(...(await slept(options)), ...commandCosts());
  // Their packages may have to be fetched first, which is not quick.
  if (!options.quick) results.push(...(await otherEngines(options)));
  return results;
}

/** What it keeps, and what it computes in. */
function memory(): Result[] {
  const m = new LightMachine();
  const bytes = [m.bytes, m.ints, m.numbers, m.words].reduce((sum, part) => sum + part.byteLength, 0);
  return [
    figure('kept over a restart', 'bytes', [TRUST_BYTES], aim(256)),
    figure('ring of 256 roots, in flash', 'bytes', [RING_BYTES]),
    figure('memory of the machine', 'bytes', [bytes], aim(16_384)),
  ];
}

async function sized(validators: number, options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const subject of sizeSubjects(validators)) {
    const of = `${validators} validators, ${subject.name}`;
    options.log(`stream: ${of}: ${subject.stream.length} bytes`);
    results.push(
      figure(
        `stream, ${of}`,
        'bytes',
        [subject.stream.length],
        validators === 16 ? aim(AIM_PROOF) : undefined,
      ),
    );
    if (subject.name !== TIMED) continue;
    const counts = count(subject);
    results.push(...(await timed(subject, of, options)), ...onChips(counts, of));
  }
  return results;
}

async function timed(subject: StreamSubject, of: string, { quick }: BenchOptions): Promise<Result[]> {
  const repeat = (count: number, verify: SignatureVerifier) => (): number => {
    for (let i = 0; i < count; i += 1) read(subject, verify);
    return count;
  };
  const rounds = quick ? 2 : 7;
  const [native, alone] = await rates(
    rounds,
    repeat(20, verifyNative),
    repeat(20, () => true),
  );
  const [portable] = await rates(quick ? 1 : 3, repeat(1, verifySignature));
  const ms = (rate: { readonly processorUs: readonly number[] }): number[] =>
    rate.processorUs.map((us) => us / 1_000);
  return [
    figure(`processor, native, ${of}`, 'ms', ms(native)),
    figure(`of it without signatures, ${of}`, 'ms', ms(alone)),
    figure(`processor, portable, ${of}`, 'ms', ms(portable)),
  ];
}

function onChips(counts: Counts, of: string): Result[] {
  return [
    figure(`signatures, ${of}`, 'checks', [counts.signatures]),
    figure(`SHA-256, ${of}`, 'blocks', [counts.blocks]),
    ...CHIPS.flatMap((chip) => [
      figure(`estimate, ${chip.name}, ${of}`, 'Mcycles', [megacycles(chip, counts)]),
      figure(`estimate, ${chip.name}, ${of}`, 'ms', [chipMilliseconds(chip, counts)]),
    ]),
  ];
}

function read({ trust, stream }: StreamSubject, verify: SignatureVerifier): void {
  const reader = new LightReader({ trust, verify });
  const last = reader.push(stream).at(-1);
  if (last?.kind !== 'done') throw new Error(`the stream does not verify: ${JSON.stringify(last)}`);
}

/** Signatures and blocks of SHA-256 of one stream. Word 16 of the schedule is written once for each block. */
function count({ trust, stream }: StreamSubject): Counts {
  let blocks = 0;
  const m = new LightMachine();
  const words = new Proxy(m.words, {
    get: (target, place) => Reflect.get(target, place, target) as unknown,
    set: (target, place, value: number) => {
      if (place === '16') blocks += 1;
      return Reflect.set(target, place, value, target);
    },
  });
  Object.defineProperty(m, 'words', { value: words });
  setVerifier((machine, key, message, length, signature) =>
    verifyNative(
      { algorithm: ED25519, bytes: machine.bytes.slice(key, key + PUBLIC_KEY_BYTES) },
      machine.bytes.slice(message, message + length),
      machine.bytes.slice(signature, signature + SIGNATURE_BYTES),
    ),
  );
  m.bytes.set(trust, TRUST);
  begin(m, 0, 0);
  for (let at = 0; at < stream.length;) {
    const code = push(m, stream, at, stream.length);
    if (code < 0) throw new Error(`refused with ${code}`);
    if (code === 0) break;
    at += m.ints[4] as number;
  }
  if (!isDone(m)) throw new Error('the stream does not end');
  return { signatures: m.ints[I_VERIFIED] as number, blocks };
}

async function slept(options: BenchOptions): Promise<Result[]> {
  const spans = options.quick ? SLEPT.slice(0, 2) : SLEPT;
  const chain = new SleptChain(spans.at(-1) as number);
  const results: Result[] = [];
  for (const span of spans) {
    for (const thirds of [2, 1] as const) {
      const subject = chain.subject(span, thirds);
      const of = `slept through ${span} epochs, ${thirds === 2 ? 'two thirds' : 'one third'} vouch`;
      options.log(`stream: ${of}: ${subject.hops} hops, ${subject.stream.length} bytes`);
      const perHop = (subject.stream.length - chain.subject(0, 2).stream.length) / subject.hops;
      results.push(
        figure(`hops, ${of}`, 'hops', [subject.hops]),
        figure(`one answer, ${of}`, 'bytes', [subject.stream.length]),
        figure(`each hop, ${of}`, 'bytes', [perHop], aim(AIM_HOP)),
      );
      // A third is enough only for a client with a clock; its streams are judged by that in the vectors.
      if (thirds === 1) continue;
      const [native] = await rates(options.quick ? 1 : 3, () => {
        read(subject, verifyNative);
        return 1;
      });
      const counts = count(subject);
      results.push(
        figure(
          `processor, native, ${of}`,
          'ms',
          native.processorUs.map((us) => us / 1_000),
        ),
        ...CHIPS.map((chip) =>
          figure(`estimate, ${chip.name}, ${of}`, 's', [chipMilliseconds(chip, counts) / 1_000]),
        ),
      );
    }
  }
  return results;
}

/** Size and memory of the machine elsewhere, and its time beside the signatures, which are remembered. */
async function otherEngines(options: BenchOptions): Promise<Result[]> {
  const missing = enginesMissing();
  if (missing !== undefined) {
    options.log(`WebAssembly and QuickJS are left out: ${missing}`);
    return [];
  }
  const subject = sizeSubjects(16).find(({ name }) => name === TIMED) as StreamSubject;
  const wasm = await wasmEngine();
  const quick = await quickJsEngine(QUICKJS_HEAP);
  const ms: Record<string, number[]> = {};
  for (const [name, engine, rounds] of [
    ['WebAssembly', wasm, 20],
    ['QuickJS', quick, 3],
  ] as const) {
    ms[name] = [];
    for (let i = 0; i <= rounds; i += 1) {
      const before = process.cpuUsage();
      feed(engine, subject);
      const { user, system } = process.cpuUsage(before);
      // The first also verified the signatures.
      if (i > 0) ms[name].push((user + system) / 1_000);
    }
  }
  const heap = await limitedHeap();
  if ('missing' in heap) options.log(heap.missing);
  const least = 'missing' in heap ? [] : [leastHeap(heap, [streamOf(subject), ...storedStreams()], HEAP_MAX)];
  return [
    ...least.flatMap((bytes) => [
      figure('MicroQuickJS, heap that is enough', 'bytes', [bytes], aim(HEAP_MAX)),
      ...('missing' in heap
        ? []
        : [figure('MicroQuickJS, program in flash, 32 bits', 'bytes', [heap.programBytes32])]),
    ]),
    figure('WebAssembly, program', 'bytes', [wasm.programBytes], aim(16_384)),
    figure('WebAssembly, all its memory', 'bytes', [wasm.peakBytes()], aim(65_536)),
    figure('WebAssembly, without signatures, reading, 16 validators', 'ms', ms['WebAssembly'] ?? []),
    figure('QuickJS, program', 'bytes', [quick.programBytes]),
    figure('QuickJS, greatest heap', 'bytes', [quick.peakBytes()]),
    figure('QuickJS, without signatures, reading, 16 validators', 'ms', ms['QuickJS'] ?? []),
  ];
}

/** As the vectors have them. */
function streamOf({ trust, stream }: StreamSubject): Parameters<typeof leastHeap>[1][number] {
  return { trust: toHex(trust), nonce: '00'.repeat(32), now: 0, trusting: 0, stream: toHex(stream) };
}

const storedStreams = (): LightVector[] => JSON.parse(storedVectors()) as LightVector[];

function feed(engine: MeasuredEngine, { trust, stream }: StreamSubject): void {
  engine.write(TRUST, trust);
  engine.begin(0, 0);
  for (let at = 0; at < stream.length;) {
    const { code, taken } = engine.push(stream.subarray(at, at + PACKET_BYTES));
    if (code < 0) throw new Error(`refused with ${code}`);
    at += taken;
  }
}
