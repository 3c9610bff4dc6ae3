/**
 * A payload and where it became final, proved (spec CLIENT-14.5): the document of LIGHT-2 from genesis, and its block shown to lie in the
 * history of the newest header that is believed, so that nobody who left office long ago can make one up.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { ok, type Ok } from '@itc/core/bytes/result.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey, SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import { headerHash, type Header } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { isAttested, parsePayload, type Payload } from '@itc/core/ledger/payload.js';
import { decodeReadingProof, verifyReading } from '@itc/core/light/reading-proof.js';
import { fromBase64Url } from './base64url.ts';
import { requestJson, type Fetch } from './http.ts';
import {
  fault,
  type LightAnswer,
  type LightFault,
  type LightRefusal,
  type LightWant,
} from './light-request.ts';
import type { ProofLine } from './light-store.ts';

export interface ProvedReading {
  readonly payload: Payload;
  readonly device: Address;
  readonly signer: PublicKey;
  /** A gateway signed for the device. */
  readonly attested: boolean;
  /** Of the subnet's checkpoint: relative times of readings count from it. */
  readonly checkpointTime: Millis;
}

export interface ReadingAsk {
  readonly gateway: string;
  readonly chain: Hash;
  readonly id: Hash;
  readonly verify: SignatureVerifier;
  readonly fetch: Fetch;
  readonly signal: AbortSignal;
  readonly ask: (wants: readonly LightWant[]) => Promise<Ok<LightAnswer> | LightRefusal>;
}

export interface ReadingFound {
  readonly value: ProvedReading;
  /** The block that made it final. */
  readonly under: ProofLine;
  /** Whose history holds that block. */
  readonly anchor: LightAnswer;
}

export async function readingProved(o: ReadingAsk): Promise<Ok<ReadingFound> | LightRefusal> {
  const shown = await readingShown(o);
  if (!shown.ok) return shown;
  const { header, ...found } = shown.value;
  const anchor = await anchored(o, header);
  return anchor.ok ? ok({ ...found, anchor: anchor.value }) : anchor;
}

/** The document alone: that the block lies in a history which is believed is for the caller to ask. */
export async function readingShown(
  o: Omit<ReadingAsk, 'ask'>,
): Promise<Ok<Omit<ReadingFound, 'anchor'> & { readonly header: Header }> | LightFault> {
  const { gateway, chain, id, verify } = o;
  const fetched = await fetchProof(o);
  if (!fetched.ok) return fetched;
  const proof = decodeReadingProof(fetched.value);
  if (!proof.ok) return fault('untrue', gateway, proof.message, 'format');
  const verdict = verifyReading({ genesisHash: chain, proof: proof.value, verify });
  if (!verdict.valid) return fault('untrue', gateway, verdict.reason, verdict.check);
  if (!equalBytes(verdict.payload.id, id))
    return fault('untrue', gateway, `the proof is of payload ${toHex(verdict.payload.id)}`, 'payload');
  const { payload, device, signer, attested, height, time, signers, weight, total, checkpoint } = verdict;
  return ok({
    value: { payload, device, signer, attested, checkpointTime: checkpoint.time },
    under: { height, time, signers: signers.map(({ index }) => index), weight, total },
    header: proof.value.header,
  });
}

/** The newest header may be the block itself: it has no history of its own. */
async function anchored(o: ReadingAsk, header: Header): Promise<Ok<LightAnswer> | LightRefusal> {
  const { gateway, ask } = o;
  const hash = headerHash(header);
  const shown = await ask([{ kind: 'header', height: header.height }]);
  if (!shown.ok && shown.code !== 'missing') return shown;
  const answer = shown.ok ? shown : await ask([]);
  if (!answer.ok) return answer;
  const { head, earlier } = answer.value;
  if (equalBytes(headerHash(head.header), hash)) return answer;
  if (earlier === undefined || earlier.height !== header.height)
    return shown.ok
      ? fault('missing', gateway, `height ${header.height} is not shown in the history`)
      : shown;
  return equalBytes(headerHash(earlier), hash)
    ? answer
    : fault('untrue', gateway, 'the block of the proof is not in the believed history', 'history');
}

async function fetchProof({
  gateway,
  id,
  fetch,
  signal,
}: Omit<ReadingAsk, 'ask'>): Promise<Ok<Uint8Array> | LightFault> {
  const url = `${gateway.replace(/\/$/, '')}/api/v1/proofs/reading/${toHex(id)}`;
  try {
    const answer = (await requestJson(fetch, url, { method: 'GET', headers: {}, signal })) as {
      readonly proof?: unknown;
    } | null;
    const bytes = typeof answer?.proof === 'string' ? fromBase64Url(answer.proof) : undefined;
    return bytes?.ok === true ? bytes : fault('missing', gateway, 'the answer holds no proof');
  } catch (error) {
    if (error instanceof LedgerError)
      return fault(error.code === 'not-found' ? 'missing' : 'unreachable', gateway, error.message);
    if (signal.aborted) return fault('unreachable', gateway, 'no answer in time');
    throw error;
  }
}

/** What is remembered of a payload that was proved: its checkpoint's time, and itself. */
export function keptReading({ checkpointTime, payload }: ProvedReading): Uint8Array {
  return new Writer(1024).u53(checkpointTime).bytes(payload.bytes).finish();
}

export function readingOfKept(chain: Hash, bytes: Uint8Array): ProvedReading | undefined {
  const kept = decode(
    (reader) => [millis(reader.u53()), reader.bytes(LIMITS.payloadBytesMax)] as const,
    bytes,
  );
  if (!kept.ok) return undefined;
  const [checkpointTime, signed] = kept.value;
  const parsed = parsePayload(chain, signed);
  if (!parsed.ok) return undefined;
  const { value: payload } = parsed;
  const { device, signer } = payload;
  return { payload, device, signer, attested: isAttested(payload), checkpointTime };
}
