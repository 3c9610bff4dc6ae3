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
import { readable, type Hops } from '../runtime/hops.ts';
import type { SubnetStore } from '../runtime/subnet-store.ts';
import type { Subnet } from '../runtime/subnet.ts';
import { hash32 } from './chain-routes.ts';
import { CheckpointList, Graph, Hex32, Problem, SubnetStatus } from './schemas.ts';
import { refuse, type Routes } from './server.ts';

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
          const found = certificateAt(chain, subnet.id, sequence);
          if (found === undefined) break;
          const { certificate, height, txIndex } = found;
          const { checkpoint } = certificate;
          checkpoints.push({
            sequence,
            hash: toHex(checkpointHash(checkpoint)),
            time: checkpoint.time,
            envelopes: checkpoint.envelopeCount,
            payloads: checkpoint.payloadCount,
            height,
            transaction: toHex(transactionAt(chain, height, txIndex)),
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

function transactionAt(chain: Chain, height: number, index: number): Hash {
  const stored = chain.blockAt(height);
  const block = stored === undefined ? undefined : decodeBlock(stored.block);
  const encoded = block?.ok === true ? block.value.transactions[index] : undefined;
  return encoded === undefined ? refuse('block.pruned', `block ${height} is not kept`) : transactionId(encoded);
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
