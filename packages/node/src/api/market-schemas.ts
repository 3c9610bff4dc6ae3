/** Forms of what the API tells about renting and firmware; see schemas.ts for the conventions. */
import { Type, type Static } from 'typebox';
import { AddressText, AmountText, Count, Hex32 } from './schemas.ts';

const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
const Span = Type.Integer({ minimum: 0, description: 'milliseconds' });

export const RentalTermsForm = Type.Object({
  unit: Type.Union([Type.Literal('minute'), Type.Literal('use')]),
  price: AmountText,
  minimum: Count,
  maximum: Count,
  duration: Span,
  deposit: AmountText,
  carriage: AmountText,
  startWithin: Span,
  window: Span,
  arbiter: Type.Optional(AddressText),
  actions: Type.Array(Type.String()),
  levelMax: Type.Integer({ minimum: 0, maximum: 254 }),
});

export const RentalOfferForm = Type.Object({
  device: AddressText,
  owner: AddressText,
  terms: RentalTermsForm,
  hash: Type.String({
    pattern: '^[0-9a-f]{64}$',
    description: 'of the terms: what a renter agrees to (STATE-22.3)',
  }),
  expiresAt: Time,
  /** By somebody, now. */
  rented: Type.Boolean(),
});

export const RentalForm = Type.Object({
  rental: Hex32,
  device: AddressText,
  owner: AddressText,
  renter: AddressText,
  state: Type.Union([Type.Literal('reserved'), Type.Literal('running')]),
  terms: RentalTermsForm,
  maximum: Count,
  rentedAt: Time,
  startBy: Time,
  startedAt: Type.Optional(Time),
  end: Type.Optional(Time),
  uses: Type.Optional(Count),
  held: AmountText,
  charge: Type.Optional(
    Type.String({ pattern: '^[0-9]{1,20}$', description: 'base units, if it ended with the last block' }),
  ),
  settlesAt: Time,
});

export const SettlementForm = Type.Object({
  rental: Hex32,
  device: AddressText,
  owner: AddressText,
  renter: AddressText,
  arbiter: Type.Optional(AddressText),
  held: AmountText,
  claim: Type.Optional(Type.Object({ amount: AmountText, conceded: AmountText })),
  until: Time,
});

const Key = Type.Object({
  algorithm: Type.Integer({ minimum: 1, maximum: 4 }),
  key: Type.String({ pattern: '^[0-9a-f]+$' }),
});
const RoleForm = Type.Object({ keys: Type.Array(Key), threshold: Count });
const VersionText = Type.String({ pattern: '^[0-9]+\\.[0-9]+\\.[0-9]+$' });

export const ReleaseForm = Type.Object({
  number: Count,
  version: VersionText,
  manifest: Hex32,
  image: Hex32,
  size: Count,
  counter: Count,
  minimum: VersionText,
  dependencies: Type.Array(Type.Object({ channel: Hex32, minimum: VersionText })),
  signed: Type.Array(Type.Integer(), { description: 'places of the keys that signed for it' }),
  approved: Type.Boolean({ description: 'by the release role of today' }),
  approvedAt: Type.Optional(Time),
  step: Count,
  share: Type.Integer({ minimum: 0, maximum: 10_000 }),
  halted: Type.Boolean(),
  installs: Type.Object({ count: Count, failures: Count, reports: Count }),
});

export const ChannelForm = Type.Object({
  channel: Hex32,
  maker: AddressText,
  model: Hex32,
  board: Type.String(),
  version: Count,
  root: RoleForm,
  release: RoleForm,
  expiresAt: Time,
  newest: Count,
  oldest: Count,
  counter: Count,
});

export const ChannelDetail = Type.Intersect([
  ChannelForm,
  Type.Object({ releases: Type.Array(ReleaseForm, { description: 'from the newest down' }) }),
]);

export const FirmwareProofForm = Type.Object({
  channel: Hex32,
  height: Count,
  proof: Type.String({ description: 'base64url of the firmware proof (spec LIGHT-11)' }),
});

export type RentalOfferForm = Static<typeof RentalOfferForm>;
export type RentalForm = Static<typeof RentalForm>;
export type SettlementForm = Static<typeof SettlementForm>;
export type ChannelForm = Static<typeof ChannelForm>;
export type ReleaseForm = Static<typeof ReleaseForm>;
