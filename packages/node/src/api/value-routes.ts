/** Routes about single payloads and value inside a subnet: security levels, balances with proofs, orders (spec SUBNET-8). */
import { Type } from 'typebox';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifyBalance } from '@itc/core/dag/balance-proof.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { writeStateProof } from '@itc/core/crypto/state-tree.js';
import { parseAddress } from '@itc/core/ledger/address.js';
import { encodeCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { parsePayload } from '@itc/core/ledger/payload.js';
import { valueOrderOf } from '@itc/core/ledger/value-order.js';
import { verifyNative } from '../crypto/native.ts';
import { IGNORED_WORDS, neededLevel, payloadStatus } from '../runtime/payload-status.ts';
import { hash32 } from './chain-routes.ts';
import { AddressText, Count, Hex32, LevelNumber, Problem } from './schemas.ts';
import { refuse, type Routes } from './server.ts';
import type { SubnetPort } from './subnet-routes.ts';

const STATES = ['unknown', 'waiting', 'pending', 'contested', 'applied', 'ignored'] as const;

const StatusAnswer = Type.Object({
  payload: Hex32,
  state: Type.Unsafe<(typeof STATES)[number]>({ type: 'string', enum: [...STATES] }),
  level: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 3,
      description:
        '0 seen, 1 more than half of stake and work, 2 two thirds of the stake, 3 final; absent without effect',
    }),
  ),
  needed: Type.Optional(LevelNumber),
  envelope: Type.Optional(Hex32),
  weight: Type.Optional(Count),
  total: Type.Optional(Count),
  checkpoint: Type.Optional(Count),
  height: Type.Optional(Count),
  code: Type.Optional(Type.String({ description: 'why it was ignored' })),
  reason: Type.Optional(Type.String()),
});

const BalanceAnswer = Type.Object({
  address: AddressText,
  balance: Type.String({ description: 'base units' }),
  sequence: Count,
  checkpoint: Type.String({ description: 'base64url, canonical; its state root covers the balance' }),
  proof: Type.String({ description: 'base64url, state proof of spec WIRE-9' }),
});

const WithdrawalsAnswer = Type.Object({
  address: AddressText,
  withdrawals: Type.Array(
    Type.Object({
      checkpoint: Count,
      number: Count,
      amount: Type.String({ description: 'base units' }),
      path: Type.Array(Hex32),
    }),
  ),
});

export function valueRoutes(port: SubnetPort): Routes {
  const { chain, subnet } = port;
  const known = (id: string): void => {
    if (id !== toHex(subnet.id)) refuse('not-found', `this process is a member of ${toHex(subnet.id)} only`);
  };
  return (api) => {
    api.get(
      '/api/v1/subnets/:id/payloads/:payload',
      {
        schema: {
          summary: 'Security level of a payload, 0 to 3, or why it was ignored',
          params: Type.Object({ id: Hex32, payload: Hex32 }),
          response: { 200: StatusAnswer, 404: Problem },
        },
      },
      (request) => {
        known(request.params.id);
        const { payload } = request.params;
        const { store } = port.sources;
        const status = payloadStatus({ subnet, store }, hash32(payload));
        const asked = neededLevel({ subnet, store }, hash32(payload));
        const needed = asked === undefined ? {} : { needed: asked };
        switch (status.state) {
          case 'unknown':
          case 'applied':
            return { payload, ...status, ...needed };
          case 'waiting':
          case 'pending':
          case 'contested': {
            const { envelope, ...rest } = status;
            return { payload, ...rest, ...needed, ...(envelope && { envelope: toHex(envelope) }) };
          }
          case 'ignored': {
            const { state, checkpoint, reason: code } = status;
            const envelope = toHex(status.envelope);
            return { payload, state, checkpoint, envelope, code, reason: IGNORED_WORDS[code] };
          }
        }
      },
    );

    api.get(
      '/api/v1/subnets/:id/balances/:address',
      {
        schema: {
          summary: 'What a holder has inside the subnet, proved against its last checkpoint',
          params: Type.Object({ id: Hex32, address: AddressText }),
          response: { 200: BalanceAnswer, 400: Problem, 404: Problem },
        },
      },
      (request) => {
        known(request.params.id);
        const address = parseAddress(request.params.address);
        if (!address.ok) return refuse(address.code, address.message);
        const proved = subnet.proveBalance(address.value);
        if (proved === undefined) return refuse('not-found', 'the subnet has no checkpoint here yet');
        const { checkpoint, balance, proof } = proved;
        if (!verifyBalance(checkpoint.stateRoot, { address: address.value, balance, proof }))
          return refuse('internal', 'the ledger and its state root disagree');
        const writer = new Writer(512);
        writeStateProof(writer, proof);
        return {
          address: request.params.address,
          balance: String(balance),
          sequence: checkpoint.sequence,
          checkpoint: Buffer.from(encodeCheckpoint(checkpoint)).toString('base64url'),
          proof: Buffer.from(writer.finish()).toString('base64url'),
        };
      },
    );

    api.get(
      '/api/v1/subnets/:id/withdrawals/:address',
      {
        schema: {
          summary: 'Withdrawals that wait on the main chain to be fetched for an address, each with its path',
          description: 'Oldest first, 64 at most; what was paid is gone.',
          params: Type.Object({ id: Hex32, address: AddressText }),
          response: { 200: WithdrawalsAnswer, 400: Problem, 404: Problem },
        },
      },
      (request) => {
        known(request.params.id);
        const address = parseAddress(request.params.address);
        if (!address.ok) return refuse(address.code, address.message);
        const { store } = port.sources;
        const waiting = store.withdrawals.waiting(subnet.id, address.value, chain.state);
        return {
          address: request.params.address,
          withdrawals: waiting.map(({ checkpoint, withdrawal, path }) => ({
            checkpoint,
            number: withdrawal.number,
            amount: String(withdrawal.amount),
            path: path.map(toHex),
          })),
        };
      },
    );

    api.post(
      '/api/v1/subnets/:id/orders',
      {
        schema: {
          summary: 'Hands a signed order about value, or a voucher, to the member',
          description: 'Taken means seen (level 0); the status of the payload tells what became of it.',
          params: Type.Object({ id: Hex32 }),
          body: Type.Object({
            payload: Type.String({
              maxLength: Math.ceil((LIMITS.payloadBytesMax * 4) / 3) + 4,
              description: 'base64url of the COSE_Sign1',
            }),
          }),
          response: { 200: Type.Object({ payload: Hex32 }), 400: Problem, 404: Problem, 503: Problem },
        },
      },
      (request) => {
        known(request.params.id);
        const bytes = new Uint8Array(Buffer.from(request.body.payload, 'base64url'));
        const parsed = parsePayload(chain.id, bytes);
        if (!parsed.ok) return refuse(parsed.code, parsed.message);
        const payload = parsed.value;
        const order = valueOrderOf(subnet.id, payload);
        if (!order.ok) return refuse('payload.malformed', order.message);
        if (!verifyNative(payload.signer, payload.signedBytes, payload.signature))
          return refuse('payload.signature', 'the order is not signed by its holder');
        const offered = subnet.offer(payload);
        if (!offered.ok) return refuse(offered.code, offered.message);
        return { payload: toHex(payload.id) };
      },
    );
  };
}
