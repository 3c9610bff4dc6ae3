/** Forms of the routes about validators and epochs. */
import { Type } from 'typebox';
import { AddressText, AmountText, Count, Hex32 } from './schemas.ts';

/** One seat of a set, in the order in which certificates count. */
export const Seat = Type.Object({ key: Hex32, address: AddressText, weight: Count });

export const EpochSummary = Type.Object({
  epoch: Count,
  since: Type.Integer({ minimum: 1, description: 'first height' }),
  closes: Type.Optional(Type.Integer({ description: 'last height; absent while it goes on' })),
  total: Count,
  strong: Type.Integer({ description: 'weight that certifies' }),
  validators: Type.Array(Seat),
});

export const BondedValidator = Type.Object(
  {
    address: AddressText,
    key: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'consensus key: signs votes' }),
    name: Type.Optional(Type.String()),
    connected: Type.Boolean(),
    state: Type.Union([
      Type.Literal('active'),
      Type.Literal('joining'),
      Type.Literal('leaving'),
      Type.Literal('candidate'),
      Type.Literal('jailed'),
    ]),
    weight: Type.Integer({ description: 'in the present epoch' }),
    target: Type.Integer({ description: 'what votes and bond allow: elections move towards it' }),
    granted: Type.Integer({ description: 'by votes' }),
    bond: AmountText,
    unbonding: Type.Array(Type.Object({ amount: AmountText, releaseAt: Count })),
    votes: Type.Array(Type.Object({ voter: AddressText, weight: Count, castAt: Count }), {
      description: 'that have not reached a quorum',
    }),
    jailed: Type.Boolean(),
    restartAt: Type.Optional(Count),
    coSigning: Type.Optional(
      Type.Object(
        { key: AddressText, since: Count, isInForce: Type.Boolean() },
        { description: 'ML-DSA-44 key registered for co-signatures, by its address' },
      ),
    ),
  },
  { description: 'an account that has bonded a consensus key' },
);

export const ValidatorsAnswer = Type.Object({
  height: Count,
  epoch: Count,
  since: Count,
  total: Count,
  strong: Count,
  bondPerWeight: AmountText,
  checkpointInterval: Type.Integer({ description: 'epochs end at multiples of this height' }),
  changeDue: Type.Boolean({ description: 'the epoch ends at the next such height' }),
  next: Type.Optional(
    Type.Object(
      { epoch: Count, closes: Count, validators: Type.Array(Seat) },
      { description: 'elected, and not in office yet' },
    ),
  ),
  validators: Type.Array(BondedValidator),
});

export const LinkedHeaderAnswer = Type.Object({
  genesis: Hex32,
  epoch: Count,
  height: Count,
  hops: Count,
  linked: Type.String({ description: 'base64url of the linked header (spec WIRE-9.5)' }),
});
