/** Routes about the subnet this process is a member of: its DAG, its checkpoints, proofs of readings. */
import { Type, type Static } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { ok } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { VertexView } from '@itc/core/dag/effects.js';
import { checkpointHash } from '@itc/core/ledger/checkpoint.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { encodeInclusionProof } from '@itc/core/light/inclusion-proof.js';
import type { Chain } from '../runtime/chain.ts';
import { committedCheckpoint } from '../runtime/subnet-chain.ts';
import { proofOfReading, type ProofSources } from '../runtime/subnet-proof.ts';
import type { Subnet } from '../runtime/subnet.ts';
import { hash32 } from './chain-routes.ts';
import { CheckpointList, Graph, Hex32, Problem, SubnetStatus } from './schemas.ts';
import { refuse, type Routes } from './server.ts';
import { valueRoutes } from './value-routes.ts';

export interface SubnetPort {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly sources: ProofSources;
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
    valueRoutes(port)(api);

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
          const found = committedCheckpoint(chain, subnet.id, sequence);
          if (found === undefined) break;
          const { checkpoint } = found.certificate;
          checkpoints.push({
            sequence,
            hash: toHex(checkpointHash(checkpoint)),
            time: checkpoint.time,
            envelopes: checkpoint.envelopeCount,
            payloads: checkpoint.payloadCount,
            height: found.height,
            transaction: toHex(transactionId(found.transaction)),
          });
        }
        return { checkpoints };
      },
    );

    api.get(
      '/api/v1/subnets/:id/snapshot',
      {
        schema: {
          summary: 'The state of the subnet at its last checkpoint, and the proof that the chain commits it',
          description: 'base64url; `itc snapshot verify` judges both by the genesis hash.',
          params: Type.Object({ id: Hex32 }),
          response: {
            200: Type.Object({
              sequence: Type.Integer(),
              height: Type.Integer(),
              document: Type.String(),
              transaction: Type.String(),
              inclusion: Type.String(),
            }),
            404: Problem,
          },
        },
      },
      (request) => {
        known(request.params.id);
        return snapshotOf(port);
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

function snapshotOf({ chain, subnet, sources }: SubnetPort): {
  sequence: number;
  height: number;
  document: string;
  transaction: string;
  inclusion: string;
} {
  const document = subnet.document();
  const place = document && chain.checkpointPlace(subnet.id, document.sequence);
  const included = place && chain.included(place);
  if (document === undefined || included === undefined)
    return refuse('not-found', 'the subnet has no checkpoint here yet');
  const { header, certificate, transaction, index, count, path } = included;
  const hops = sources.hops.to({ header, certificate });
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  return {
    sequence: document.sequence,
    height: header.height,
    document: text(document.bytes),
    transaction: text(transaction),
    inclusion: text(encodeInclusionProof({ hops, header, certificate, index, count, path })),
  };
}

function proofOf(
  { chain, subnet, sources }: SubnetPort,
  payload: Hash,
): { payload: string; genesis: string; checkpoint: number; height: number; proof: string } {
  const pinned = subnet.retention.pins.proof(payload);
  const proved = pinned === undefined ? proofOfReading(sources, payload) : ok(pinned);
  if (!proved.ok) return refuse(proved.code, proved.message);
  const { checkpoint, height, proof } = proved.value;
  return {
    payload: toHex(payload),
    genesis: toHex(chain.id),
    checkpoint,
    height,
    proof: Buffer.from(proof).toString('base64url'),
  };
}
