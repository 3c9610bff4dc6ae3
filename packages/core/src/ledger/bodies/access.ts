/** Bodies that give access to devices and take it back (spec STATE-6, STATE-17). */
import type { Reader } from '../../bytes/reader.ts';
import { utf8Encode, type Writer } from '../../bytes/writer.ts';
import { compareBytes } from '../../bytes/hex.ts';
import { HASH_BYTES, hashTagged, type Hash } from '../../crypto/hash.ts';
import type { Address } from '../address.ts';
import { readAddress, readHash } from '../fields.ts';
import { LIMITS } from '../limits.ts';
import { readTerms, writeTerms, type Terms } from '../terms.ts';
import type { BodyCodecs } from './codec.ts';

export { ACTIONS, ACTIONS_ALL } from '../terms.ts';

export type AccessBody =
  | { readonly kind: 'grant'; readonly grant: Grant }
  | { readonly kind: 'revoke'; readonly device: Address; readonly subject: Address }
  | {
      /** Makes, replaces or (without devices) removes a group of the sender. */
      readonly kind: 'set-group';
      readonly name: string;
      readonly group?: GroupForm;
    }
  | ({ readonly kind: 'grant-group'; readonly group: Hash; readonly subject: Address } & Terms)
  | {
      /** By somebody who holds a grant: a part of it to somebody else. */
      readonly kind: 'delegate';
      readonly scope: Scope;
      /** Who delegated to the sender; absent where the owner granted. */
      readonly via?: Address;
      readonly subject: Address;
      readonly terms: Terms;
    }
  | {
      /** What was granted for a group, or delegated. */
      readonly kind: 'revoke-access';
      readonly scope: Scope;
      readonly subject: Address;
      /** Who delegated it; absent where the owner granted. */
      readonly granter?: Address;
    };

/** One per (device, subject); granting again replaces it. */
export interface Grant extends Terms {
  readonly device: Address;
  readonly subject: Address;
}

/** What a grant is for. */
export type Scope =
  | { readonly kind: 'device'; readonly device: Address }
  | { readonly kind: 'group'; readonly owner: Address; readonly group: Hash };

export interface GroupForm {
  /** A room or another place; otherwise any set of devices. */
  readonly place: boolean;
  /** Ascending, each once, at most `groupDevicesMax`. */
  readonly devices: readonly Address[];
}

/** A group is its owner's name for it. */
export function groupId(owner: Address, name: string): Hash {
  return hashTagged('group', owner, utf8Encode(name));
}

/** The first half of the id of what is granted. */
export function scopeId(scope: Scope): Uint8Array {
  return scope.kind === 'device' ? scope.device : scope.group;
}

export function writeGrant(writer: Writer, grant: Grant): void {
  writer.fixed(grant.device, HASH_BYTES).fixed(grant.subject, HASH_BYTES);
  writeTerms(writer, grant);
}

export function readGrant(reader: Reader): Grant {
  return { device: readAddress(reader), subject: readAddress(reader), ...readTerms(reader) };
}

function writeScope(writer: Writer, scope: Scope): void {
  switch (scope.kind) {
    case 'device':
      writer.u8(0).fixed(scope.device, HASH_BYTES);
      break;
    case 'group':
      writer.u8(1).fixed(scope.owner, HASH_BYTES).fixed(scope.group, HASH_BYTES);
      break;
  }
}

function readScope(reader: Reader): Scope {
  const code = reader.u8();
  if (code > 1) reader.refuse('decode.unknown-kind', `expected the code of a scope, 0 or 1, got ${code}`);
  return code === 0
    ? { kind: 'device', device: readAddress(reader) }
    : { kind: 'group', owner: readAddress(reader), group: readHash(reader) };
}

function writeOptional(writer: Writer, address: Address | undefined): void {
  writer.bool(address !== undefined);
  if (address !== undefined) writer.fixed(address, HASH_BYTES);
}

function readOptional(reader: Reader): Address | undefined {
  return reader.bool() ? readAddress(reader) : undefined;
}

function writeGroupForm(writer: Writer, { place, devices }: GroupForm): void {
  writer.bool(place).list(devices, (w, device) => w.fixed(device, HASH_BYTES));
}

function readGroupForm(reader: Reader): GroupForm {
  const place = reader.bool();
  const devices = reader.list(LIMITS.groupDevicesMax, readAddress);
  for (let i = 1; i < devices.length; i += 1) {
    if (compareBytes(devices[i - 1] as Address, devices[i] as Address) >= 0)
      reader.refuse('decode.not-canonical', 'expected devices in ascending order, each once');
  }
  return { place, devices };
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
  'set-group': {
    write: (writer, { name, group }) => {
      writer.text(name).bool(group !== undefined);
      if (group !== undefined) writeGroupForm(writer, group);
    },
    read: (reader) => {
      const name = reader.text(LIMITS.textBytesMax);
      return { kind: 'set-group', name, ...(reader.bool() && { group: readGroupForm(reader) }) };
    },
  },
  'grant-group': {
    write: (writer, body) => {
      writer.fixed(body.group, HASH_BYTES).fixed(body.subject, HASH_BYTES);
      writeTerms(writer, body);
    },
    read: (reader) => ({
      kind: 'grant-group',
      group: readHash(reader),
      subject: readAddress(reader),
      ...readTerms(reader),
    }),
  },
  delegate: {
    write: (writer, { scope, via, subject, terms }) => {
      writeScope(writer, scope);
      writeOptional(writer, via);
      writeTerms(writer.fixed(subject, HASH_BYTES), terms);
    },
    read: (reader) => {
      const scope = readScope(reader);
      const via = readOptional(reader);
      return {
        kind: 'delegate',
        scope,
        ...(via && { via }),
        subject: readAddress(reader),
        terms: readTerms(reader),
      };
    },
  },
  'revoke-access': {
    write: (writer, { scope, subject, granter }) => {
      writeScope(writer, scope);
      writeOptional(writer.fixed(subject, HASH_BYTES), granter);
    },
    read: (reader) => {
      const scope = readScope(reader);
      const subject = readAddress(reader);
      const granter = readOptional(reader);
      return { kind: 'revoke-access', scope, subject, ...(granter && { granter }) };
    },
  },
};
