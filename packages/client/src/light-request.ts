/**
 * One request to one gateway, judged while its answer comes (spec CLIENT-14, LIGHT-9): nothing the gateway says is believed, and
 * every way it can fail has a code.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { ok, refused, type Ok, type Refused } from '@itc/core/bytes/result.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { headerHash, type Header } from '@itc/core/ledger/block.js';
import { writeEvidence, type Evidence } from '@itc/core/ledger/evidence.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { epoch, millis, type Height } from '@itc/core/ledger/ids.js';
import type { CoSignedCheck } from '@itc/core/light/co-signed.js';
import type { CoSignedEvent } from '@itc/core/light/co-signed-reader.js';
import { TRUST_EPOCH, TRUST_HASH, TRUST_HEIGHT, TRUST_TIME } from '@itc/core/light/engine/layout.js';
import { LightReader, type LightEvent, type StreamCheck } from '@itc/core/light/light-reader.js';
import type { ReadingCheck } from '@itc/core/light/reading-proof.js';
import { shownHeads, type ShownHead } from '@itc/core/light/stream-parts.js';
import type { StateKey } from '@itc/core/state/keys.js';
import { open, problem, type ByteReader, type Fetch, type FetchResponse } from './http.ts';

/** A header, who certified it, and the set they are of: as a gateway showed it, certified or in conflict with what is. */
export type LightHead = ShownHead;

export type LightCode =
  /** No answer, or not in time. */
  | 'unreachable'
  /** The gateway knows less than is believed already. */
  | 'behind'
  /** It has not got, or does not show, what was asked for. */
  | 'missing'
  /** What it showed does not hold; `check` names the step. */
  | 'untrue'
  /** What it showed holds, and contradicts what is believed. */
  | 'conflict'
  /** Genesis or trust handed in, or what was kept, is not of the chain that was named. */
  | 'other-chain';

export interface LightFault extends Refused<LightCode> {
  readonly gateway?: string;
  readonly check?: StreamCheck | ReadingCheck | CoSignedCheck;
}

export type LightWant =
  | { readonly kind: 'state'; readonly key: StateKey }
  | { readonly kind: 'transaction'; readonly id: Hash }
  | { readonly kind: 'payload'; readonly id: Hash }
  | { readonly kind: 'header'; readonly height: Height };

export interface LightAnswer {
  readonly gateway: string;
  /** 149 bytes, moved on to the head. */
  readonly trust: Uint8Array;
  readonly head: LightHead;
  readonly hops: number;
  readonly events: readonly LightEvent[];
  /** Of a request for one header and nothing else. */
  readonly earlier: Header | undefined;
  /** Over the nonce of the request: the gateway knows no newer header. */
  readonly isFresh: boolean;
}

export type LightRefusal = LightFault & {
  /** What was shown, of a conflict. */
  readonly head?: LightHead;
};

export interface LightAsk {
  readonly gateway: string;
  readonly trust: Uint8Array;
  readonly wants: readonly LightWant[];
  readonly nonce?: Uint8Array;
  /** Milliseconds since 1970 by the client's clock; with `trustingMs` one third vouches for a set. */
  readonly now?: number;
  readonly trustingMs?: number;
  readonly verify: SignatureVerifier;
  readonly fetch: Fetch;
  readonly signal: AbortSignal;
}

/** Of one answer: 4 096 hops between sets of 128 would be more, and come in several. */
export const STREAM_BYTES_MAX = 16_777_216;

export async function askLight(ask: LightAsk): Promise<Ok<LightAnswer> | LightRefusal> {
  const { gateway, fetch, signal } = ask;
  const url = `${gateway.replace(/\/$/, '')}/api/v1/light?${queryOf(ask)}`;
  const headers = { accept: 'application/octet-stream' };
  try {
    const response = await open(fetch, url, { method: 'GET', headers, signal });
    if (!response.ok) return declined(gateway, problem(response.status, await response.text(), url));
    return await judge(ask, response);
  } catch (error) {
    if (error instanceof LedgerError || signal.aborted)
      return fault('unreachable', gateway, error instanceof Error ? error.message : 'no answer');
    throw error;
  }
}

/** What an answer shows of each key, in the order asked for; undefined where it provably holds nothing. */
export function recordsShown(
  { gateway, events }: { readonly gateway: string; readonly events: readonly (LightEvent | CoSignedEvent)[] },
  keys: readonly StateKey[],
): Ok<readonly (Uint8Array | undefined)[]> | LightFault {
  const values: (Uint8Array | undefined)[] = [];
  for (const key of keys) {
    const event = events.find((found) => found.kind === 'state' && equalBytes(found.key, key));
    if (event?.kind !== 'state') return fault('missing', gateway, `the answer does not show ${toHex(key)}`);
    values.push(event.value);
  }
  return ok(values);
}

/** Whether the gateway took it. One that is gone, or refuses, took nothing. */
export async function reportEvidence(o: {
  readonly gateway: string;
  readonly evidence: Evidence;
  readonly fetch: Fetch;
  readonly signal: AbortSignal;
}): Promise<boolean> {
  const writer = new Writer(512);
  writeEvidence(writer, o.evidence);
  const url = `${o.gateway.replace(/\/$/, '')}/api/v1/evidence`;
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ evidence: toHex(writer.finish()) });
  try {
    const { fetch, signal } = o;
    return (await open(fetch, url, { method: 'POST', headers, body, signal })).ok;
  } catch (error) {
    if (error instanceof LedgerError || o.signal.aborted) return false;
    throw error;
  }
}

/** Each piece is judged as it comes; the bytes are kept until the end because the head is evidence if it contradicts. */
async function judge(ask: LightAsk, response: FetchResponse): Promise<Ok<LightAnswer> | LightRefusal> {
  const { gateway, trust, verify, nonce, now, trustingMs } = ask;
  const reader = new LightReader({
    trust,
    verify,
    ...(now !== undefined && { now: millis(now) }),
    ...(trustingMs !== undefined && { trustingMs }),
    ...(nonce && { nonce }),
  });
  const body = response.body?.getReader();
  if (body === undefined) return fault('unreachable', gateway, 'the answer has no body');
  const pieces: Uint8Array[] = [];
  const events: LightEvent[] = [];
  let length = 0;
  while (!reader.isDone) {
    const { done, value } = await nextPiece(body, gateway);
    if (done || value === undefined) break;
    length += value.length;
    if (length > STREAM_BYTES_MAX) {
      await body.cancel();
      return fault('untrue', gateway, `the answer exceeds ${STREAM_BYTES_MAX} bytes`, 'format');
    }
    pieces.push(value);
    for (const event of reader.push(value)) {
      if (event.kind === 'refused') {
        await body.cancel();
        return refusal(ask, event, joined(pieces, length));
      }
      events.push(event);
    }
  }
  const believed = events.find((event) => event.kind === 'believed');
  if (!reader.isDone || believed === undefined)
    return fault('untrue', gateway, 'the answer ends too early', 'format');
  // Who sends on behind the end is not listened to.
  await body.cancel();
  const shown = readHead(joined(pieces, length), trust);
  const { hops } = believed;
  const isFresh = events.some(({ kind }) => kind === 'fresh');
  return ok({ gateway, trust: believed.trust, hops, events, isFresh, ...shown });
}

export async function nextPiece(body: ByteReader, gateway: string): ReturnType<ByteReader['read']> {
  try {
    return await body.read();
  } catch (error) {
    throw new LedgerError('peer.gone', 'the answer broke off', { gateway }, error);
  }
}

function refusal(
  { gateway, trust }: LightAsk,
  event: Extract<LightEvent, { kind: 'refused' }>,
  shown: Uint8Array,
): LightRefusal {
  const { check, reason } = event;
  if (check !== 'conflict') return fault('untrue', gateway, reason, check);
  // All signatures of it have held by now, so its form has, too.
  const head = conflictingHead(shown, trust);
  return { ...fault('conflict', gateway, reason, check), ...(head && { head }) };
}

/** Of a stream whose head was judged. */
function readHead(stream: Uint8Array, trust: Uint8Array): Pick<LightAnswer, 'head' | 'earlier'> {
  const heads = shownHeads(stream, epoch(lastOf(trust).epoch));
  let head: LightHead | undefined;
  for (let next = heads.next(); ; next = heads.next()) {
    if (next.done !== true) head = next.value;
    else if (head === undefined) throw new RangeError('a stream that was judged has no head');
    else return { head, earlier: next.value };
  }
}

/** Of a stream that was refused as a conflict: the header at the height of the one before it that is another one. */
function conflictingHead(stream: Uint8Array, trust: Uint8Array): LightHead | undefined {
  const { height, epoch: trusted } = lastOf(trust);
  let last = { height, hash: trust.subarray(TRUST_HASH, TRUST_HASH + HASH_BYTES) };
  for (const head of shownHeads(stream, epoch(trusted))) {
    const hash = headerHash(head.header);
    if (head.header.height === last.height && !equalBytes(hash, last.hash)) return head;
    last = { height: head.header.height, hash };
  }
  return undefined;
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

export function declined(gateway: string, { code, message, fields }: LedgerError): LightFault {
  if (code === 'not-ready') return fault('behind', gateway, message);
  const isOurs = fields['status'] === 404 || fields['status'] === 400 || code === 'proof.too-long';
  return fault(isOurs ? 'missing' : 'unreachable', gateway, `${code}: ${message}`);
}

export function fault(
  code: LightCode,
  gateway: string | undefined,
  message: string,
  check?: StreamCheck | ReadingCheck | CoSignedCheck,
): LightFault {
  return { ...refused(code, message), ...(gateway && { gateway }), ...(check && { check }) };
}

function queryOf({ trust, wants, nonce, now, trustingMs }: LightAsk): string {
  const { epoch: trusted, height, time } = lastOf(trust);
  const isTrusting = now !== undefined && trustingMs !== undefined && now < time + trustingMs;
  return [
    `epoch=${trusted}`,
    `height=${height}`,
    `thirds=${isTrusting ? 1 : 2}`,
    ...(nonce === undefined ? [] : [`nonce=${toHex(nonce)}`]),
    ...wants.map((want) => {
      switch (want.kind) {
        case 'state':
          return `state=${toHex(want.key)}`;
        case 'transaction':
        case 'payload':
          return `${want.kind}=${toHex(want.id)}`;
        case 'header':
          return `header=${want.height}`;
      }
    }),
  ].join('&');
}

/** Of 149 bytes of trust. */
export function lastOf(trust: Uint8Array): {
  readonly epoch: number;
  readonly height: number;
  readonly time: number;
} {
  const view = new DataView(trust.buffer, trust.byteOffset, trust.byteLength);
  const u53 = (at: number): number => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  return { epoch: view.getUint32(TRUST_EPOCH), height: u53(TRUST_HEIGHT), time: u53(TRUST_TIME) };
}
