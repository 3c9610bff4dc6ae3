/** Co-signatures beside a proof of a reading (spec QUANTUM-4): fetched by `itc proof --quantum`, demanded by `itc verify`. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { headerHash, type Header } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { decodeGenesis } from '@itc/core/ledger/genesis.js';
import { encodeCoSignedTrust, trustCoSigned } from '@itc/core/light/co-signed.js';
import { CoSignedReader, type CoSignedEvent } from '@itc/core/light/co-signed-reader.js';
import { open, problem } from '@itc/client/http.js';

/** A stream from genesis to the newest co-signed checkpoint, with the header of a block in its history. */
export const CO_SIGNED_BYTES_MAX = 16_777_216;
const REQUEST_MS = 30_000;

export type CoSignedProof = Pick<
  Extract<CoSignedEvent, { kind: 'believed' }>,
  'height' | 'time' | 'signers' | 'weight' | 'total'
>;

export async function fetchCoSigned(api: string, header: Header): Promise<Uint8Array> {
  const url = `${api.replace(/\/$/, '')}/api/v1/light/co-signed?epoch=0&header=${header.height}`;
  const response = await fetchBytes(url);
  if (response.length > CO_SIGNED_BYTES_MAX)
    throw new LedgerError(
      'proof.too-long',
      `co-signatures of ${response.length} bytes do not go into one file`,
    );
  return response;
}

async function fetchBytes(url: string): Promise<Uint8Array> {
  const signal = AbortSignal.timeout(REQUEST_MS);
  const response = await open((to, init) => fetch(to, init) as ReturnType<Parameters<typeof open>[0]>, url, {
    method: 'GET',
    headers: {},
    signal,
  });
  if (!response.ok) throw problem(response.status, await response.text(), url);
  const pieces: Uint8Array[] = [];
  const body = response.body?.getReader();
  for (let length = 0; body !== undefined && length <= CO_SIGNED_BYTES_MAX;) {
    const { done, value } = await body.read();
    if (done || value === undefined) break;
    length += value.length;
    pieces.push(value);
  }
  return Buffer.concat(pieces);
}

/**
 * Whether the co-signers that genesis names, and those who follow from them, have co-signed a checkpoint whose history holds this
 * header. The genesis document is one whose hash the caller has compared.
 */
export function checkCoSigned(
  genesisDocument: Uint8Array,
  header: Header,
  stream: Uint8Array,
): Result<CoSignedProof, string> {
  const genesis = decodeGenesis(genesisDocument);
  if (!genesis.ok) return refused('genesis', genesis.message);
  const trust = trustCoSigned(genesis.value);
  if (trust === undefined) return refused('co-signers', 'genesis names no co-signers');
  const reader = new CoSignedReader({ trust: encodeCoSignedTrust(trust), verify: verifySignature });
  const events = reader.push(stream);
  const last = events.at(-1);
  if (last?.kind === 'refused') return refused(`co-signed-${last.check}`, last.reason);
  const [believed] = events;
  if (!reader.isDone || believed?.kind !== 'believed')
    return refused('co-signed-format', 'the co-signatures end too early');
  const hash = headerHash(header);
  const isHeld = events.some(
    (event) => event.kind === 'history' && equalBytes(headerHash(event.header), hash),
  );
  if (!isHeld)
    return refused('co-signed-history', 'the block of the proof is not in the history that was co-signed');
  return ok(believed);
}
