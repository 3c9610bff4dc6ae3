/** Forms of what the API says about devices on the ledger; see `schemas.ts` for the conventions. */
import { Type } from 'typebox';
import { AddressText, Hex32 } from './schemas.ts';

const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
const AmountText = Type.String({ description: 'base units, decimal' });
const Colour = Type.Object({ min: Type.Integer(), max: Type.Integer() }, { description: 'kelvin' });

export const DeviceRecordForm = Type.Object({
  address: AddressText,
  key: Hex32,
  owner: AddressText,
  state: Type.Union([Type.Literal('owned'), Type.Literal('stolen'), Type.Literal('retired')]),
  transfers: Type.Integer({ description: 'owners after the first one' }),
  ownedSince: Time,
  claimedAt: Time,
  history: Hex32,
  recoveryDelay: Type.Integer({ description: 'milliseconds; 0: no recovery is possible' }),
  deposit: AmountText,
  batch: Hex32,
  model: Hex32,
  modelName: Type.Optional(Type.String()),
  limits: Type.Optional(
    Type.Object(
      { actions: Type.Array(Type.String()), levelMax: Type.Integer(), colour: Type.Optional(Colour) },
      { description: 'of the model, where its maker has registered it: no grant for the device goes beyond' },
    ),
  ),
  maker: AddressText,
  makerName: Type.String(),
  attested: Type.Boolean({ description: 'the maker’s attestation key signed the batch' }),
  offer: Type.Optional(Type.Object({ to: AddressText, price: AmountText, expiresAt: Time })),
  recovery: Type.Optional(Type.Object({ claimant: AddressText, readyAt: Time, expiresAt: Time })),
});

export const AccessForm = Type.Object({
  group: Type.Optional(Type.Object({ id: Hex32, name: Type.String() })),
  subject: AddressText,
  granter: AddressText,
  via: Type.Optional(AddressText),
  delegated: Type.Boolean(),
  counts: Type.Boolean({ description: 'by the present owner, nothing above it revoked, within its time' }),
  actions: Type.Array(Type.String()),
  levelMax: Type.Integer(),
  notBefore: Time,
  expiresAt: Time,
  colour: Type.Optional(Colour),
  schedule: Type.Optional(
    Type.Object({
      utcOffset: Type.Integer({ description: 'minutes' }),
      windows: Type.Array(
        Type.Object({
          days: Type.Integer({ description: 'bit 0 is Monday' }),
          from: Type.Integer({ description: 'minute of the day' }),
          to: Type.Integer({ description: 'minute of the day; not above `from`: of the next one' }),
        }),
      ),
    }),
  ),
  uses: Type.Optional(Type.Integer()),
  delegable: Type.Optional(Type.Integer()),
});

export const GroupForm = Type.Object({
  id: Hex32,
  name: Type.String(),
  place: Type.Boolean(),
  devices: Type.Array(Type.Object({ device: AddressText, counts: Type.Boolean() })),
});

export const ModelForm = Type.Object({
  hash: Hex32,
  name: Type.String(),
  actions: Type.Array(Type.String()),
  levelMax: Type.Integer(),
  colour: Type.Optional(Colour),
});

export const MakerForm = Type.Object({
  address: AddressText,
  name: Type.String(),
  registeredAt: Type.Integer({ description: 'height' }),
  attestation: Type.Optional(Hex32),
  models: Type.Array(ModelForm),
});

export const BatchForm = Type.Object({
  id: Hex32,
  maker: AddressText,
  root: Hex32,
  count: Type.Integer(),
  claimed: Type.Integer(),
  model: Hex32,
  depositPerDevice: AmountText,
  registeredAt: Type.Integer({ description: 'height' }),
  attested: Type.Boolean(),
});
