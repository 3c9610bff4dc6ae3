/**
 * The forms of the HTTP API, once: they validate requests, shape answers and become the OpenAPI document.
 * Hashes and ids are lower-case hex, addresses bech32m, amounts decimal strings of base units, times
 * milliseconds since 1970.
 */
import { Type, type TUnsafe } from 'typebox';
import { KINDS, type BodyKind } from '@itc/core/ledger/body.js';

export const Hex32 = Type.String({ pattern: '^[0-9a-f]{64}$', description: '32 bytes in hex' });
export const AddressText = Type.String({
  pattern: '^itc1[02-9ac-hj-np-z]{58}$',
  description: 'bech32m address',
});
export const Hex = Type.String({ pattern: '^([0-9a-f]{2})*$', maxLength: 131_072 });
export const Count = Type.Integer({ minimum: 0 });
/** Security level of a payload (spec SUBNET-8). */
export const LevelNumber: TUnsafe<0 | 1 | 2 | 3> = Type.Unsafe<0 | 1 | 2 | 3>({
  type: 'integer',
  minimum: 0,
  maximum: 3,
});
const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
export const AmountText = Type.String({ pattern: '^[0-9]{1,20}$', description: 'base units, 10^9 = 1 ITC' });

export const Problem = Type.Object(
  {
    type: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    title: Type.String(),
    detail: Type.String(),
  },
  { description: 'RFC 9457 problem details; `code` is listed in spec/errors.md' },
);

export const PeerStatus = Type.Object({
  name: Type.String(),
  address: AddressText,
  role: Type.String(),
  connected: Type.Boolean(),
  reason: Type.Optional(Type.String()),
});

export const ValidatorStatus = Type.Object({
  index: Count,
  address: AddressText,
  name: Type.Optional(Type.String()),
  weight: Count,
  connected: Type.Boolean(),
  primary: Type.Boolean({ description: 'opens views: leads the present one' }),
  proposer: Type.Boolean({ description: 'proposes the next block' }),
  skipped: Type.Boolean({ description: 'gets no turn for some time; known to validators only' }),
});

export const SeatStatus = Type.Object(
  {
    role: Type.Union([
      Type.Literal('validator'),
      Type.Literal('leaving'),
      Type.Literal('joining'),
      Type.Literal('observer'),
    ]),
    reason: Type.Optional(Type.String()),
  },
  { description: 'of a process configured as a validator: its place in the present epoch' },
);

export const SubnetStatus = Type.Object({
  id: Hex32,
  name: Type.String(),
  checkpoint: Count,
  checkpointTime: Time,
  payloads: Count,
  envelopes: Count,
  members: Type.Array(
    Type.Object({
      index: Count,
      address: AddressText,
      name: Type.Optional(Type.String()),
      weight: Count,
      connected: Type.Boolean(),
    }),
  ),
  pending: Type.Optional(Type.Object({ payloads: Count, envelopes: Count })),
  tips: Type.Optional(Count),
  powBits: Count,
  reason: Type.Optional(Type.String()),
});

export const ConcernStatus = Type.Object({
  code: Type.String({ description: 'what kind of thing; the same for the same thing' }),
  part: Type.String({ description: 'chain, disk, peers, gateway, or subnet NAME' }),
  what: Type.String(),
  todo: Type.String({ description: 'what to do about it' }),
  since: Time,
  serious: Type.Boolean({ description: 'the process does not do its work because of it' }),
});

export const Status = Type.Object({
  ready: Type.Boolean(),
  reason: Type.Optional(Type.String()),
  chain: Hex32,
  chainName: Type.String(),
  name: Type.String(),
  version: Type.String(),
  role: Type.String(),
  address: AddressText,
  time: Time,
  height: Count,
  finalisedHeight: Count,
  view: Count,
  epoch: Count,
  seat: Type.Optional(SeatStatus),
  blockTime: Time,
  blocksPerMinute: Count,
  transactions: Count,
  peers: Type.Array(PeerStatus),
  validators: Type.Array(ValidatorStatus),
  quorum: Type.Object({
    total: Count,
    strong: Count,
    connected: Count,
    reason: Type.Optional(Type.String()),
  }),
  subnets: Type.Array(SubnetStatus),
  concerns: Type.Optional(
    Type.Array(ConcernStatus, { description: 'what is not as it should be, serious things first' }),
  ),
  consensus: Type.Optional(
    Type.Unknown({ description: 'the replica’s own view of itself; validators only' }),
  ),
});

export const BlockSummary = Type.Object({
  height: Count,
  hash: Hex32,
  time: Time,
  transactions: Count,
  view: Count,
  signers: Type.Array(Count),
  bytes: Count,
});

export const BlockDetail = Type.Intersect([
  BlockSummary,
  Type.Object({
    header: Type.Object({
      flags: Count,
      epoch: Count,
      parentHash: Hex32,
      txRoot: Hex32,
      stateRoot: Hex32,
      historyRoot: Hex32,
      validatorsHash: Hex32,
      nextValidatorsHash: Hex32,
    }),
    certificate: Type.Object({ view: Count, signers: Type.Array(Count), signatures: Type.Array(Hex) }),
    items: Type.Array(
      Type.Object({
        id: Hex32,
        kind: Type.String(),
        sender: AddressText,
        fee: AmountText,
        ok: Type.Boolean(),
        code: Type.Optional(Type.String()),
        message: Type.Optional(Type.String()),
      }),
    ),
  }),
]);

export const TransactionKind = Type.Unsafe<BodyKind>({
  type: 'string',
  enum: KINDS,
  description: 'spec WIRE-3, STATE-4 to STATE-13',
});

export const TransactionStatus = Type.Object({
  id: Hex32,
  status: Type.Union([Type.Literal('pending'), Type.Literal('final'), Type.Literal('unknown')]),
  kind: Type.Optional(TransactionKind),
  height: Type.Optional(Count),
  index: Type.Optional(Count),
  proof: Type.Optional(
    Type.String({ description: 'base64url of the inclusion proof (spec LIGHT-8), when it was asked for' }),
  ),
  receipt: Type.Optional(
    Type.Object({
      ok: Type.Boolean(),
      code: Type.Optional(Type.String()),
      message: Type.Optional(Type.String()),
      fee: AmountText,
    }),
  ),
});

export const AccountStatus = Type.Object({
  address: AddressText,
  balance: AmountText,
  nonces: Type.Record(Type.String(), Count, {
    description: 'next nonce per lane; a lane that is absent is at 0',
  }),
});

export const GenesisAnswer = Type.Object({
  hash: Hex32,
  bytes: Hex,
  document: Type.Object({
    name: Type.String(),
    time: Time,
    feePerByte: AmountText,
    validators: Type.Array(Type.Object({ key: Hex32, address: AddressText, weight: Count })),
    subnets: Type.Array(Type.Object({ id: Hex32, name: Type.String(), members: Count })),
  }),
});

export const Graph = Type.Object({
  vertices: Type.Array(
    Type.Object({
      hash: Hex32,
      issuer: Type.Integer(),
      lane: Count,
      sequence: Count,
      parents: Type.Array(Hex32),
      time: Time,
      payloads: Count,
      weight: Type.Number({ minimum: 0, maximum: 1 }),
      state: Type.Union([Type.Literal('pending'), Type.Literal('accepted'), Type.Literal('final')]),
    }),
  ),
});

export const CheckpointList = Type.Object({
  checkpoints: Type.Array(
    Type.Object({
      sequence: Count,
      hash: Hex32,
      time: Time,
      envelopes: Count,
      payloads: Count,
      height: Count,
      transaction: Hex32,
    }),
  ),
});
