/** Forms of the gateway's part of the HTTP API; see @itc/node/api/schemas for the conventions. */
import { Type } from 'typebox';
import { AddressText, Hex32 } from '@itc/node/api/schemas.js';

const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
const Value = Type.Union([Type.Number(), Type.String(), Type.Boolean()]);
export const Stage = Type.Union([
  Type.Literal('received'),
  Type.Literal('in-dag'),
  Type.Literal('accepted'),
  Type.Literal('final'),
]);
const State = Type.Object({
  on: Type.Boolean(),
  level: Type.Integer({ minimum: 0, maximum: 254 }),
  kelvin: Type.Optional(Type.Integer({ minimum: 1_000, maximum: 20_000 })),
});
const Latest = Type.Object({
  name: Type.String(),
  unit: Type.Optional(Type.String()),
  value: Value,
  time: Time,
});

export const Device = Type.Object({
  address: AddressText,
  name: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  owner: Type.Optional(AddressText),
  registered: Type.Boolean({ description: 'false: not on the ledger, the gateway signs for it' }),
  attested: Type.Optional(Type.Boolean()),
  online: Type.Boolean(),
  lastSeen: Type.Optional(Time),
  state: Type.Optional(State),
  latest: Type.Array(Latest),
});

export const DeviceDetail = Type.Intersect([
  Device,
  Type.Object({
    batch: Type.Optional(Hex32),
    model: Type.Optional(Hex32),
    maker: Type.Optional(Type.String()),
    claimedAt: Type.Optional(Time),
    grants: Type.Array(
      Type.Object({
        subject: AddressText,
        actions: Type.Array(Type.String()),
        levelMax: Type.Integer(),
        notBefore: Time,
        expiresAt: Time,
      }),
    ),
  }),
]);

export const Reading = Type.Object({
  id: Type.String({ description: 'payload id, colon, position' }),
  payload: Hex32,
  index: Type.Integer(),
  device: AddressText,
  name: Type.String(),
  unit: Type.Optional(Type.String()),
  value: Value,
  time: Time,
  status: Stage,
  batch: Type.Optional(Type.Literal(true, { description: 'came in a batch' })),
});

export const Series = Type.Object({
  name: Type.String(),
  unit: Type.Optional(Type.String()),
  times: Type.Array(Type.Number()),
  values: Type.Array(Type.Number()),
});

export const Payload = Type.Object({
  id: Hex32,
  device: AddressText,
  signer: AddressText,
  attested: Type.Boolean(),
  sequence: Type.Integer(),
  contentType: Type.String(),
  receivedAt: Time,
  status: Stage,
  envelope: Type.Optional(Hex32),
  checkpoint: Type.Optional(Type.Integer()),
  height: Type.Optional(Type.Integer()),
  finalAt: Type.Optional(Time),
  readings: Type.Integer(),
});

export const Statuses = Type.Object({
  statuses: Type.Record(Hex32, Type.Union([Stage, Type.Literal('unknown')])),
  final: Type.Record(Hex32, Type.Object({ height: Type.Integer(), time: Time, finalAt: Time })),
});

export const Command = Type.Object({
  id: Hex32,
  device: AddressText,
  signer: AddressText,
  action: Type.Object({
    kind: Type.String(),
    level: Type.Optional(Type.Integer()),
    kelvin: Type.Optional(Type.Integer()),
  }),
  stages: Type.Object({
    sent: Type.Optional(Time),
    acknowledged: Type.Optional(Time),
    inDag: Type.Optional(Time),
    final: Type.Optional(Time),
  }),
  outcome: Type.Optional(Type.Object({ kind: Type.String(), reason: Type.Optional(Type.String()) })),
  state: Type.Optional(State),
  waiting: Type.Optional(Type.String()),
  height: Type.Optional(Type.Integer()),
});

export const Challenge = Type.Object({ challenge: Hex32, expiresAt: Time, gateway: AddressText });
