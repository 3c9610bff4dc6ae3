/** Routes about the subnet this process is a member of: its DAG, its checkpoints, proofs of readings. */
import { Type, type Static } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import type { VertexView } from '@itc/core/dag/effects.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { decodeTransaction, transactionId } from '@itc/core/ledger/transaction.js';
import { checkpointHash, type CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { encodeReadingProof, type ReadingProof } from '@itc/core/light/reading-proof.js';
import { subnetKey } from '@itc/core/state/keys.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Chain } from '../runtime/chain.ts';
import type { Hops } from '../runtime/hops.ts';
import type { SubnetStore } from '../runtime/subnet-store.ts';
import type { Subnet } from '../runtime/subnet.ts';
import { hash32 } from './chain-routes.ts';
import { CheckpointList, Graph, Hex32, Problem, SubnetStatus } from './schemas.ts';
import { refuse, type Routes } from './server.ts';

export interface SubnetPort {
  readonly chain: Chain;
  readonly hops: Hops;
  readonly subnet: Subnet;
  readonly store: SubnetStore;
  subnets(): Static<typeof SubnetStatus>[];
}

type Vertex = Static<typeof Graph>['vertices'][number];

export function vertexOf(subnet: Subnet, vertex: VertexView): Vertex {
  const { total } = quorumOf(subnet.members.map((member) => member.weight));
  const { hash, issuer, lane, sequence, parents, time, payloads, state } = vertex;
  return {
    hash: toHex(hash),
    issuer,
    lane,
    sequence,
    parents: parents.map(toHex),
    time,
    payloads,
    weight: vertex.weight / total,
    state,
  };
}

export function subnetRoutes(port: SubnetPort): Routes {
  const { chain, subnet } = port;
  const known = (id: string): void => {
    if (id !== toHex(subnet.id)) refuse('not-found', `this process is a member of ${toHex(subnet.id)} only`);
  };
  return (api) => {
    api.get(
      '/api/v1/subnets',
      {
        schema: {
          summary: 'Subnets of the chain',
          response: { 200: Type.Object({ subnets: Type.Array(SubnetStatus) }) },
        },
      },
      () => ({
        subnets: port.subnets(),
      }),
    );

    api.get(
      '/api/v1/subnets/:id/graph',
      {
        schema: {
          summary: 'The newest part of the DAG, oldest first',
          params: Type.Object({ id: Hex32 }),
          querystring: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })) }),
          response: { 200: Graph },
        },
      },
      (request) => {
        known(request.params.id);
        return {
          vertices: subnet.graph(request.query.limit ?? 300).map((vertex) => vertexOf(subnet, vertex)),
        };
      },
    );

    api.get(
      '/api/v1/subnets/:id/checkpoints',
      {
        schema: {
          summary: 'Newest checkpoints first',
          params: Type.Object({ id: Hex32 }),
          querystring: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })) }),
          response: { 200: CheckpointList },
        },
      },
      (request) => {
        known(request.params.id);
        const last = chain.state.subnet(subnet.id)?.lastSequence ?? 0;
        const checkpoints: Static<typeof CheckpointList>['checkpoints'] = [];
        for (
          let sequence = last;
          sequence >= 1 && checkpoints.length < (request.query.limit ?? 20);
          sequence -= 1
        ) {
          const found = checkpointAt(chain, subnet.id, sequence);
          if (found === undefined) break;
          const { checkpoint } = found.certificate;
          checkpoints.push({
            sequence,
            hash: toHex(checkpointHash(checkpoint)),
            time: checkpoint.time,
            envelopes: checkpoint.envelopeCount,
            payloads: checkpoint.payloadCount,
            height: found.height,
            transaction: toHex(found.transaction),
          });
        }
        return { checkpoints };
      },
    );

    api.get(
      '/api/v1/proofs/reading/:payload',
      {
        schema: {
          summary: 'Proof that a payload is final',
          description:
            'base64url of the canonical document of spec LIGHT-2; `itc verify` and every light client check it offline.',
          params: Type.Object({ payload: Hex32 }),
          response: {
            200: Type.Object({
              payload: Hex32,
              genesis: Hex32,
              checkpoint: Type.Integer(),
              height: Type.Integer(),
              proof: Type.String(),
            }),
            404: Problem,
          },
        },
      },
      (request) => proofOf(port, hash32(request.params.payload)),
    );
  };
}

function checkpointAt(
  chain: Chain,
  subnet: Hash,
  sequence: number,
): { certificate: CheckpointCertificate; height: number; transaction: Hash } | undefined {
  const place = chain.checkpointPlace(subnet, sequence);
  const included = place === undefined ? undefined : chain.included(place);
  const tx = included === undefined ? undefined : decodeTransaction(included.transaction);
  if (included === undefined || tx?.ok !== true || tx.value.body.kind !== 'checkpoint') return undefined;
  return {
    certificate: tx.value.body.certificate,
    height: included.header.height,
    transaction: transactionId(included.transaction),
  };
}

function proofOf(
  { chain, hops, subnet, store }: SubnetPort,
  payload: Hash,
): { payload: string; genesis: string; checkpoint: number; height: number; proof: string } {
  const place = store.place(payload);
  if (place === undefined)
    return refuse('not-found', 'no final payload has this id; see its status under /api/v1/payloads');
  const ids = store.appliedIds(place.checkpoint);
  const bytes = store.payloadBytes(payload, place);
  const at = chain.checkpointPlace(subnet.id, place.checkpoint);
  const included = at === undefined ? undefined : chain.included(at);
  if (ids === undefined || bytes === undefined || at === undefined || included === undefined)
    return refuse('not-found', 'the body of this payload is not kept here any more');
  const listed = chain.genesis.subnets.some((genesisSubnet) => equalBytes(genesisSubnet.id, subnet.id));
  const under = chain.stateUnder(at.height);
  const record = listed ? undefined : under?.get(subnetKey(subnet.id));
  if (!listed && (under === undefined || record === undefined))
    return refuse('not-found', 'the state under this block is not kept here any more');
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
        : { record, proof: under.prove(subnetKey(subnet.id)) },
    payload: bytes,
    payloadIndex: place.index,
    payloadPath: new MerkleTree(ids).path(place.index),
  };
  return {
    payload: toHex(payload),
    genesis: toHex(chain.id),
    checkpoint: place.checkpoint,
    height: at.height,
    proof: Buffer.from(encodeReadingProof(proof)).toString('base64url'),
  };
}
