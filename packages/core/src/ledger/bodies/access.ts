/** Bodies that give access to a device and take it back (spec STATE-6). */
import type { Reader } from '../../bytes/reader.ts';
import type { Writer } from '../../bytes/writer.ts';
import { HASH_BYTES } from '../../crypto/hash.ts';
import type { Address } from '../address.ts';
import { readAddress } from '../fields.ts';
import { millis, type Millis } from '../ids.ts';
import type { BodyCodecs } from './codec.ts';

export type AccessBody =
  | { readonly kind: 'grant'; readonly grant: Grant }
  | { readonly kind: 'revoke'; readonly device: Address; readonly subject: Address };

/** Bits of `Grant.actions`. */
export const ACTIONS = { onOff: 1, level: 2, colour: 4, read: 8 } as const;
export const ACTIONS_ALL = 15;

/** One per (device, subject); granting again replaces it. */
export interface Grant {
  readonly device: Address;
  readonly subject: Address;
  /** OR of `ACTIONS`. */
  readonly actions: number;
  /** Greatest level the subject may set, 0 to 254. */
  readonly levelMax: number;
  readonly notBefore: Millis;
  readonly expiresAt: Millis;
}

export function writeGrant(writer: Writer, grant: Grant): void {
  writer
    .fixed(grant.device, HASH_BYTES)
    .fixed(grant.subject, HASH_BYTES)
    .u16(grant.actions)
    .u8(grant.levelMax)
    .u53(grant.notBefore)
    .u53(grant.expiresAt);
}

export function readGrant(reader: Reader): Grant {
  return {
    device: readAddress(reader),
    subject: readAddress(reader),
    actions: reader.u16(),
    levelMax: reader.u8(),
    notBefore: millis(reader.u53()),
    expiresAt: millis(reader.u53()),
  };
}

export const ACCESS_CODECS: BodyCodecs<AccessBody> = {
  grant: {
    write: (writer, body) => writeGrant(writer, body.grant),
    read: (reader) => ({ kind: 'grant', grant: readGrant(reader) }),
  },
  revoke: {
    write: (writer, body) => writer.fixed(body.device, HASH_BYTES).fixed(body.subject, HASH_BYTES),
    read: (reader) => ({ kind: 'revoke', device: readAddress(reader), subject: readAddress(reader) }),
  },
};
