/**
 * What every reader of co-signed streams must agree on (`spec/vectors/co-signed-streams.json`): streams that hold, and one for
 * each way of cheating. Frames are kept once: signatures of ML-DSA are long.
 */
import { concatBytes, fromHex, toHex } from '../bytes/hex.ts';
import { Writer } from '../bytes/writer.ts';
import { ZERO_HASH } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { writeHeader, type Header } from '../ledger/block.ts';
import { encodeCoSignedTrust, type CoSignedTrust } from '../light/co-signed.ts';
import { CoSignedReader } from '../light/co-signed-reader.ts';
import { coSignedFrames, FRAME, type CoSignedStream } from '../light/co-signed-stream.ts';
import { showIn } from '../light/shown-record.ts';
import { CO_SIGNERS_KEY } from '../state/keys.ts';
import type { CertifiedBlock } from './chain.ts';
import { coSign, CoSignedWorld, coSignersOf, type Members } from './co-signed-world.ts';

export interface CoSignedVector {
  readonly name: string;
  /** Hex, 149 bytes: what the client trusts before. */
  readonly trust: string;
  /** Places in the list of frames, in order. */
  readonly frames: readonly number[];
  /** Bytes missing at the end of the last frame. */
  readonly cut: number;
  /** What a reader tells, in order; of a refusal, which is the last, with the check that failed. */
  readonly events: readonly string[];
  /** Hex: what the client trusts after. */
  readonly after: string;
}

export interface CoSignedVectors {
  /** Hex. */
  readonly frames: readonly string[];
  readonly vectors: readonly CoSignedVector[];
}

interface Case {
  readonly name: string;
  readonly trust: CoSignedTrust;
  readonly frames: readonly Uint8Array[];
  readonly cut?: number;
}

/** What a reader makes of a vector. */
export function readVector(
  o: { readonly trust: Uint8Array; readonly bytes: Uint8Array },
  verify: SignatureVerifier,
): Pick<CoSignedVector, 'events' | 'after'> {
  const reader = new CoSignedReader({ trust: o.trust, verify });
  const events = reader.push(o.bytes);
  const believed = events.find((event) => event.kind === 'believed');
  return {
    events: events.map((event) => (event.kind === 'refused' ? `refused ${event.check}` : event.kind)),
    after: toHex(reader.isDone && believed?.kind === 'believed' ? believed.trust : o.trust),
  };
}

export function streamOf({ frames }: CoSignedVectors, vector: CoSignedVector): Uint8Array {
  const bytes = concatBytes(...vector.frames.map((place) => bytesOf(frames[place] as string)));
  return bytes.subarray(0, bytes.length - vector.cut);
}

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error(bytes.message);
  return bytes.value;
}

export function coSignedVectors(verify: SignatureVerifier): CoSignedVectors {
  const frames: string[] = [];
  const place = (frame: Uint8Array): number => {
    const hex = toHex(frame);
    const at = frames.indexOf(hex);
    return at < 0 ? frames.push(hex) - 1 : at;
  };
  const vectors = cases().map(({ name, trust, frames: own, cut = 0 }) => {
    const bytes = concatBytes(...own);
    const kept = encodeCoSignedTrust(trust);
    const read = readVector({ trust: kept, bytes: bytes.subarray(0, bytes.length - cut) }, verify);
    return { name, trust: toHex(kept), frames: own.map(place), cut, ...read };
  });
  return { frames, vectors };
}

/** The fourth has no key: 7 of 10 are needed, so all three others. */
const FIRST: Members = [
  [0, 3],
  [1, 3],
  [2, 3],
  [-1, 1],
];
const SECOND: Members = [
  [0, 3],
  [1, 3],
  [3, 3],
  [-1, 1],
];

function cases(): Case[] {
  const of = new CoSignedWorld([FIRST, SECOND]);
  const { start: trust } = of;
  const newest = of.first[1] as CertifiedBlock;
  const tree = of.tree(of.coSigners(1));
  const whole: CoSignedStream = {
    trusted: trust.coSigners,
    hops: [of.hop(0)],
    checkpoint: of.checkpoint(newest),
    items: [{ kind: 'state', key: CO_SIGNERS_KEY, shown: showIn(tree, CO_SIGNERS_KEY) }],
  };
  const frames = [...coSignedFrames(whole)];
  const [trusted, closing, first, second, third, successors, ...rest] = frames as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    ...Uint8Array[],
  ];
  const signed = framesOf(trusted, closing, first, second, third);
  const mask = closing.at(-1) as number;
  const header = whole.hops[0]?.header as Header;
  const stranger = coSign(of.chain, header, whole.checkpoint.stateRoot, 9);
  const byStranger = frameOf(FRAME.signature, stranger.key, stranger.signature);
  const other = of.hop(0, { shown: coSignersOf(1, FIRST) });
  const [, otherClosing, ...otherSigned] = asFarAsItGoes({ ...whole, hops: [other] });
  const beside = { ...trust, last: { ...trust.last, height: header.height, time: header.time } };
  const at = (changes: Partial<CoSignedTrust['last']>): CoSignedTrust => ({
    ...trust,
    last: { ...trust.last, ...changes },
  });
  return [
    { name: 'a hop, the newest checkpoint and a record', trust, frames },
    {
      name: 'the checkpoint that closes the epoch, and no more',
      trust,
      frames: framesOf(...signed, rest.at(-1) as Uint8Array),
    },
    { name: 'too few signers', trust, frames: framesOf(trusted, withSigners(closing, mask & (mask - 1))) },
    { name: 'a signer that has no key', trust, frames: framesOf(trusted, withSigners(closing, 15)) },
    { name: 'a bit beyond the members', trust, frames: framesOf(trusted, withSigners(closing, mask | 16)) },
    { name: 'one signature twice', trust, frames: framesOf(trusted, closing, first, first) },
    { name: 'a stranger’s signature', trust, frames: framesOf(trusted, closing, byStranger) },
    {
      name: 'a signature over another checkpoint',
      trust,
      frames: framesOf(trusted, otherClosing as Uint8Array, first),
    },
    { name: 'a signature changed', trust, frames: framesOf(trusted, closing, flipped(first)) },
    { name: 'a signature missing', trust, frames: framesOf(trusted, closing, first, second, successors) },
    { name: 'a signature too many', trust, frames: framesOf(...signed, third) },
    {
      name: 'another list than the one that is trusted',
      trust,
      frames: framesOf(frameOf(FRAME.trusted, flipped(trusted).subarray(3))),
    },
    { name: 'a record of another state', trust, frames: framesOf(...signed, otherSigned[3] as Uint8Array) },
    {
      name: 'a record of another epoch',
      trust,
      frames: framesOf(
        trusted,
        ...asFarAsItGoes({ ...whole, hops: [of.hop(0, { shown: coSignersOf(3, SECOND) })] }).slice(1, 6),
      ),
    },
    {
      name: 'no hop to the epoch of the checkpoint',
      trust,
      frames: framesOf(trusted, rest[0] as Uint8Array),
    },
    {
      name: 'below what is believed',
      trust: at({ height: (header.height + 9) as Header['height'] }),
      frames: framesOf(trusted, closing),
    },
    { name: 'beside what is believed', trust: beside, frames: framesOf(...signed, successors) },
    {
      name: 'no later than what is believed',
      trust: at({ time: header.time }),
      frames: framesOf(trusted, closing),
    },
    {
      name: 'a record that is not so',
      trust,
      frames: framesOf(
        ...frames.slice(0, -2),
        flipped(frames.at(-2) as Uint8Array),
        frames.at(-1) as Uint8Array,
      ),
    },
    {
      name: 'an earlier header that is none',
      trust,
      frames: framesOf(...frames.slice(0, -2), historyOf(header)),
    },
    { name: 'cut off', trust, frames, cut: 1 },
    { name: 'extended', trust, frames: framesOf(...frames, Uint8Array.of(0)) },
    {
      name: 'a frame that is too long',
      trust,
      frames: framesOf(trusted, Uint8Array.of(FRAME.checkpoint, 0x80, 0x01)),
    },
    {
      name: 'another version',
      trust,
      frames: framesOf(frameOf(FRAME.trusted, Uint8Array.of(2), trusted.subarray(4))),
    },
  ];
}

const framesOf = (...parts: readonly Uint8Array[]): readonly Uint8Array[] => parts;

function frameOf(kind: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(...parts);
  return concatBytes(Uint8Array.of(kind, body.length >> 8, body.length & 255), body);
}

/** A server that lies writes on; ours stops where too few have signed, which is behind the lie. */
export function asFarAsItGoes(stream: CoSignedStream): Uint8Array[] {
  const written: Uint8Array[] = [];
  try {
    for (const each of coSignedFrames(stream)) written.push(each);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return written;
}

/** The last byte is another one. */
function flipped(frame: Uint8Array): Uint8Array {
  const changed = frame.slice();
  changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
  return changed;
}

/** Of up to eight members. */
function withSigners(checkpoint: Uint8Array, bits: number): Uint8Array {
  const changed = checkpoint.slice();
  changed[changed.length - 1] = bits;
  return changed;
}

/** As it was, but for its transactions; no path leads to it. */
function historyOf(header: Header): Uint8Array {
  const writer = new Writer(256);
  writeHeader(writer, { ...header, txRoot: ZERO_HASH });
  return frameOf(FRAME.history, writer.list([], () => undefined).finish());
}
