/** The proof of a reading, put together from the member's store and the main chain (spec LIGHT-2). */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { encodeReadingProof, type ReadingProof } from '@itc/core/light/reading-proof.js';
import { subnetKey } from '@itc/core/state/keys.js';
import { readable, type Hops } from './hops.ts';
import type { SubnetChain } from './subnet-chain.ts';
import type { SubnetStore } from './subnet-store.ts';

export interface ProofSources {
  readonly chain: SubnetChain;
  readonly hops: Hops;
  readonly subnet: Hash;
  readonly store: SubnetStore;
}

export interface StoredProof {
  readonly checkpoint: number;
  readonly height: number;
  /** The canonical document of LIGHT-2. */
  readonly proof: Uint8Array;
}

/** Refused with `not-found` when something it needs is not kept here any more; the message says what. */
export function proofOfReading(sources: ProofSources, payload: Hash): Result<StoredProof, 'not-found'> {
  const { chain, hops, subnet, store } = sources;
  const place = store.place(payload);
  if (place === undefined)
    return refused('not-found', 'no final payload has this id; see its status under /api/v1/payloads');
  const ids = store.appliedIds(place.checkpoint);
  const bytes = store.payloadBytes(payload, place);
  if (ids === undefined || bytes === undefined)
    return refused('not-found', 'the body of this payload is not kept here any more');
  const at = chain.checkpointPlace(subnet, place.checkpoint);
  const included = at === undefined ? undefined : chain.included(at);
  if (at === undefined || included === undefined)
    return refused('not-found', 'the block of its checkpoint is not kept here any more');
  const listed = chain.genesis.subnets.some(({ id }) => equalBytes(id, subnet));
  const under = chain.stateUnder(at.height);
  const record = listed ? undefined : under?.get(subnetKey(subnet));
  if (!listed && (under === undefined || record === undefined))
    return refused('not-found', 'the state under this block is not kept here any more');
  const { header, certificate, transaction, index, count, path } = included;
  const proof: ReadingProof = {
    genesis: encodeGenesis(chain.genesis),
    hops: hops.to({ header, certificate }),
    header,
    certificate,
    transaction,
    transactionIndex: index,
    transactionCount: count,
    transactionPath: path,
    subnet:
      record === undefined || under === undefined
        ? undefined
        : { record, proof: under.prove(subnetKey(subnet)) },
    payload: bytes,
    payloadIndex: place.index,
    payloadPath: new MerkleTree(ids).path(place.index),
  };
  return ok({
    checkpoint: place.checkpoint,
    height: at.height,
    proof: readable(encodeReadingProof(proof)),
  });
}
