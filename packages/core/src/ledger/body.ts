/** What a transaction asks for: one of many kinds, each with its code and its one encoding (spec WIRE-3). */
import type { Reader } from '../bytes/reader.ts';
import type { Writer } from '../bytes/writer.ts';
import { ACCESS_CODECS, type AccessBody } from './bodies/access.ts';
import type { BodyCodecs } from './bodies/codec.ts';
import { CO_SIGN_CODECS, type CoSignBody } from './bodies/co-sign.ts';
import { DEVICE_CODECS, type DeviceBody } from './bodies/device.ts';
import { DEVICE_LIFE_CODECS, type DeviceLifeBody } from './bodies/device-life.ts';
import { KEYS_CODECS, type KeysBody } from './bodies/keys.ts';
import { MEMBERSHIP_CODECS, type MembershipBody } from './bodies/membership.ts';
import { FIRMWARE_CODECS, type FirmwareBody } from './bodies/firmware.ts';
import { RENTAL_CODECS, type RentalBody } from './bodies/rental.ts';
import { PARAMETERS_CODECS, type ParametersBody } from './bodies/parameters.ts';
import { SPONSOR_CODECS, type SponsorBody } from './bodies/sponsor.ts';
import { STREAM_CODECS, type StreamBody } from './bodies/stream.ts';
import { SUBNET_CODECS, type SubnetBody } from './bodies/subnet.ts';
import { TRANSFER_CODECS, type TransferBody } from './bodies/transfer.ts';
import { VALIDATOR_CODECS, type ValidatorBody } from './bodies/validator.ts';

export type Body =
  | TransferBody
  | DeviceBody
  | DeviceLifeBody
  | RentalBody
  | FirmwareBody
  | AccessBody
  | SubnetBody
  | ValidatorBody
  | CoSignBody
  | KeysBody
  | MembershipBody
  | SponsorBody
  | StreamBody
  | ParametersBody;

export type BodyKind = Body['kind'];

/** The body of one kind. */
export type BodyOf<K extends BodyKind> = Extract<Body, { readonly kind: K }>;

/** On the wire and in what is hashed: append, never renumber. Not every number has a kind. */
export const BODY_CODES: { readonly [K in BodyKind]: number } = {
  transfer: 1,
  'register-maker': 2,
  'register-batch': 3,
  claim: 4,
  grant: 5,
  revoke: 6,
  'create-subnet': 7,
  checkpoint: 8,
  bond: 9,
  unbond: 10,
  'weight-vote': 11,
  evidence: 12,
  restart: 13,
  transfers: 14,
  deposit: 15,
  withdraw: 16,
  'open-sponsorship': 34,
  'fund-sponsorship': 35,
  'change-sponsorship': 36,
  'close-sponsorship': 37,
  'open-stream': 38,
  'fund-stream': 39,
  'settle-stream': 40,
  'close-stream': 41,
  'parameter-vote': 42,
  'rotate-keys': 20,
  'set-guardians': 21,
  recover: 22,
  'veto-recovery': 23,
  'finish-recovery': 24,
  'offer-rental': 44,
  'withdraw-offer': 45,
  rent: 46,
  'rental-start': 47,
  'rental-use': 48,
  'rental-stop': 49,
  'end-rental': 50,
  'claim-damage': 51,
  'answer-claim': 52,
  'create-channel': 53,
  'rotate-channel': 54,
  'release-firmware': 55,
  'approve-release': 56,
  'roll-out': 57,
  'report-installs': 58,
  'register-model': 25,
  'set-attestation': 26,
  'offer-device': 27,
  'accept-device': 28,
  'withdraw-device': 29,
  'mark-device': 30,
  'recover-device': 31,
  'set-device-recovery': 32,
  'set-group': 33,
  'grant-group': 66,
  delegate: 67,
  'revoke-access': 68,
  'co-sign': 80,
  'found-subnet': 60,
  'join-subnet': 61,
  'leave-subnet': 62,
  'admit-member': 63,
  'collect-stake': 64,
  'accuse-member': 69,
};

/** In the order of their codes. */
export const KINDS: readonly BodyKind[] = (Object.keys(BODY_CODES) as BodyKind[]).sort(
  (a, b) => BODY_CODES[a] - BODY_CODES[b],
);

const CODECS: BodyCodecs<Body> = {
  ...TRANSFER_CODECS,
  ...DEVICE_CODECS,
  ...DEVICE_LIFE_CODECS,
  ...ACCESS_CODECS,
  ...SUBNET_CODECS,
  ...VALIDATOR_CODECS,
  ...CO_SIGN_CODECS,
  ...SPONSOR_CODECS,
  ...STREAM_CODECS,
  ...PARAMETERS_CODECS,
  ...KEYS_CODECS,
  ...MEMBERSHIP_CODECS,
  ...RENTAL_CODECS,
  ...FIRMWARE_CODECS,
};

const KIND_OF: readonly (BodyKind | undefined)[] = KINDS.reduce<(BodyKind | undefined)[]>((table, kind) => {
  table[BODY_CODES[kind]] = kind;
  return table;
}, []);

export function writeBody(writer: Writer, body: Body): void {
  writer.u8(BODY_CODES[body.kind]);
  // The table has the codec of each kind under that kind, which the type of one lookup cannot say.
  (CODECS[body.kind].write as (writer: Writer, body: Body) => void)(writer, body);
}

export function readBody(reader: Reader): Body {
  const code = reader.u8();
  const kind = KIND_OF[code];
  if (kind === undefined)
    return reader.refuse('decode.unknown-kind', `expected the code of a transaction kind, got ${code}`);
  return CODECS[kind].read(reader);
}
