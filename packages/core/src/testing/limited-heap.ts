/**
 * The light client in MicroQuickJS, an engine for chips, whose whole memory is one array of a size that is given: what does not fit in it
 * fails. It runs as a process of its own, with all streams and the signatures that hold as its input.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setVerifier } from '../light/engine/host.ts';
import { I_READ, LightMachine, NONCE, TRUST } from '../light/engine/layout.ts';
import { begin, push } from '../light/engine/machine.ts';
import { verifyQuickly } from './keys.ts';
import { bytesOf, verifyIn } from './light-drive.ts';
import type { LightVector } from './light-vectors.ts';

const BUILD = fileURLToPath(new URL('../../engines/build-mquickjs.mjs', import.meta.url));

type Stream = Omit<LightVector, 'name' | 'codes' | 'after'>;
export type Judged = Pick<LightVector, 'codes' | 'after'>;

export interface LimitedHeap {
  /** Of the program as bytecode, which lies in flash: for the words of this machine, and for 32 bits. */
  readonly programBytes: number;
  readonly programBytes32: number;
  /** In the order of the streams; the engine's words where its memory was not enough. */
  readonly judge: (heapBytes: number, streams: readonly Stream[]) => readonly Judged[] | string;
}

/** Undefined with the reason where the engine cannot be built: no C compiler, or its source cannot be had. */
export async function limitedHeap(): Promise<LimitedHeap | { readonly missing: string }> {
  const { buildMicroQuickJs } = (await import(pathToFileURL(BUILD).href)) as {
    buildMicroQuickJs: () => Promise<{
      readonly host: string;
      readonly program: string;
      readonly folder: string;
      readonly programBytes: number;
      readonly programBytes32: number;
    }>;
  };
  try {
    const built = await buildMicroQuickJs();
    const { host, program, folder, programBytes, programBytes32 } = built;
    return {
      programBytes,
      programBytes32,
      judge: (heapBytes, streams) => {
        const file = join(folder, `input-${process.pid}.bin`);
        writeFileSync(file, inputOf(streams));
        const { status, stdout, stderr } = spawnSync(host, ['run', String(heapBytes), program, file], {
          encoding: 'utf8',
          maxBuffer: 1 << 24,
        });
        if (status !== 0) return stderr.trim() === '' ? 'ended' : stderr.trim();
        return stdout.trim().split('\n').map(judgedOf);
      },
    };
  } catch (error) {
    return { missing: `MicroQuickJS cannot be built here: ${error instanceof Error ? error.message : ''}` };
  }
}

/** To a kilobyte: the least heap all these streams are judged in. */
export function leastHeap(heap: LimitedHeap, streams: readonly Stream[], most: number): number {
  let enough = most;
  for (let low = 0; enough - low > 1024;) {
    const middle = Math.ceil((low + enough) / 2048) * 1024;
    if (typeof heap.judge(middle, streams) === 'string') low = middle;
    else enough = middle;
    if (low >= enough) break;
  }
  return enough;
}

function judgedOf(line: string): Judged {
  const at = line.indexOf(' ');
  const codes = line.slice(0, at);
  return { codes: codes === '' ? [] : codes.split(',').map(Number), after: line.slice(at + 1) };
}

/** Signatures that hold in any of the streams, then the streams. */
function inputOf(streams: readonly Stream[]): Uint8Array {
  const held = new Map<string, Uint8Array>();
  const m = new LightMachine();
  setVerifier((machine, key, message, length, signature) => {
    const { bytes } = machine;
    if (!verifyIn(bytes, { key, message, length, signature }, verifyQuickly)) return false;
    const places = [
      [key, 32],
      [message, length],
      [signature, 64],
    ] as const;
    const question = Buffer.concat(places.map(([at, count]) => bytes.slice(at, at + count)));
    held.set(question.toString('hex'), question);
    return true;
  });
  const told: Uint8Array[] = [];
  for (const { trust, nonce, now, trusting, stream } of streams) {
    const bytes = bytesOf(stream);
    m.bytes.set(bytesOf(trust), TRUST);
    m.bytes.set(bytesOf(nonce), NONCE);
    begin(m, now, trusting);
    for (let at = 0; at < bytes.length; at += m.ints[I_READ] as number)
      if (push(m, bytes, at, bytes.length) <= 0) break;
    told.push(bytesOf(trust), bytesOf(nonce), f64(now), f64(trusting), f64(bytes.length), bytes);
  }
  const questions = [...held.values()];
  return Buffer.concat([
    u32(questions.length),
    ...questions.flatMap((question) => [u32(question.length), question]),
    ...told,
  ]);
}

const f64 = (value: number): Uint8Array => new Uint8Array(Float64Array.of(value).buffer);
const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
