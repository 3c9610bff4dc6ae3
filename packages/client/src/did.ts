/**
 * Resolving DIDs (spec DID): a `did:itc` to the document of what the validators certified, whatever the node says of it; a `did:key` to
 * itself, without asking anybody.
 */
import { verifySignature } from '@itc/core/crypto/verify.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import type { KeySet } from '@itc/core/ledger/account-keys.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { didDocument, formatMultikey, parseDid, type DidDocument } from '@itc/core/ledger/did.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { decodeIdentityProof, verifyIdentity } from '@itc/core/light/identity-proof.js';
import type { Trust } from '@itc/core/light/trust.js';
import { fromBase64Url } from './base64url.ts';
import { requestJson, type Fetch } from './http.ts';

/** What `GET /api/v1/did/{did}` answers. */
export interface DidAnswer {
  readonly document: DidDocument;
  readonly height: number;
  /** Encoded `IdentityProof`, base64url. */
  readonly proof: string;
}

export interface Resolution {
  readonly document: DidDocument;
  /** Of a `did:itc`: what was proved, and up to which block. */
  readonly proved?: {
    readonly height: number;
    readonly time: number;
    readonly trust: Trust;
    readonly proof: Uint8Array;
    /** What acts for the account; undefined while its first key alone does. */
    readonly keys: KeySet | undefined;
  };
}

export interface ResolveOptions {
  readonly url: string;
  readonly fetch: Fetch;
  /** Of the chain that is trusted. */
  readonly genesis: Genesis;
  readonly trust?: Trust;
  /** A key one has seen of the subject: it stands in the document when it is the first one, of which the ledger keeps the hash only. */
  readonly known?: PublicKey;
}

const GET = { method: 'GET', headers: { accept: 'application/json' } } as const;

/** `address.malformed` for no DID; `peer.message` for a node whose proof does not hold, with the step that failed. */
export async function resolveDid(did: string, o: ResolveOptions): Promise<Resolution> {
  const parsed = parseDid(did);
  if (!parsed.ok) throw new LedgerError(parsed.code, parsed.message, { did });
  if (parsed.value.method === 'key') return { document: documentOfKey(did, parsed.value.key) };
  const answer = (await requestJson(o.fetch, `${o.url}/api/v1/did/${did}`, GET)) as DidAnswer;
  const proof = fromBase64Url(answer.proof);
  if (!proof.ok) throw new LedgerError('peer.message', 'the node shows no proof', { did });
  return judgeDid(parsed.value.address, proof.value, o);
}

/** The same from a proof that was kept, without a node. */
export function judgeDid(
  address: Address,
  proof: Uint8Array,
  o: Pick<ResolveOptions, 'genesis' | 'trust' | 'known'>,
): Resolution {
  const decoded = decodeIdentityProof(proof);
  if (!decoded.ok) throw new LedgerError('peer.message', `the proof is malformed: ${decoded.message}`);
  const { genesis, trust, known } = o;
  const options = { address, genesis, verify: verifySignature, ...(trust !== undefined && { trust }) };
  const judged = verifyIdentity(decoded.value, options);
  if (!judged.ok)
    throw new LedgerError('peer.message', `the proof does not hold: ${judged.message}`, {
      check: judged.code,
    });
  const { records, height, time } = judged.value;
  return {
    document: didDocument(records, known),
    proved: { height, time, trust: judged.value.trust, proof, keys: records.keys },
  };
}

function documentOfKey(did: string, key: PublicKey): DidDocument {
  const multikey = formatMultikey(key);
  const id = `${did}#${multikey}`;
  const subject = {
    address: addressOf(key),
    chain: '',
    keys: undefined,
    guardians: undefined,
    device: undefined,
  };
  const uses = [id];
  return {
    '@context': didDocument(subject)['@context'],
    id: did,
    verificationMethod: [{ id, type: 'Multikey', controller: did, publicKeyMultibase: multikey }],
    authentication: uses,
    assertionMethod: uses,
    capabilityInvocation: uses,
  };
}
