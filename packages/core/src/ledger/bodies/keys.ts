/** Bodies that change who may act for an account (spec STATE-15). */
import type { Reader } from '../../bytes/reader.ts';
import type { Writer } from '../../bytes/writer.ts';
import { HASH_BYTES } from '../../crypto/hash.ts';
import { readKeySet, writeKeySet, type KeySet } from '../account-keys.ts';
import type { Address } from '../address.ts';
import { readAddress } from '../fields.ts';
import { millis, type Millis } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BodyCodecs } from './codec.ts';

export type KeysBody =
  /** From the next transaction on these keys act for the sender, and no other. */
  | { readonly kind: 'rotate-keys'; readonly keys: KeySet }
  | ({ readonly kind: 'set-guardians' } & Guardianship)
  /** By a guardian: these keys for the account that lost its own. */
  | { readonly kind: 'recover'; readonly account: Address; readonly keys: KeySet }
  /** By the account itself, or by a guardian. */
  | { readonly kind: 'veto-recovery'; readonly account: Address }
  /** By anyone, once the delay is over: the keys the guardians agreed on. */
  | { readonly kind: 'finish-recovery'; readonly account: Address; readonly keys: KeySet };

export interface Guardianship {
  /** Accounts, ascending; none at all takes the guardians away. */
  readonly guardians: readonly Address[];
  /** How many of them must agree. */
  readonly threshold: number;
  /** From their agreement until it takes effect, in time of blocks. */
  readonly delay: Millis;
}

export function writeGuardianship(writer: Writer, { guardians, threshold, delay }: Guardianship): void {
  writer
    .list(guardians, (w, guardian) => w.fixed(guardian, HASH_BYTES))
    .u8(threshold)
    .u53(delay);
}

/** What it means is judged by the state machine: a body may ask for anything. */
export function readGuardianship(reader: Reader): Guardianship {
  return {
    guardians: reader.list(LIMITS.guardiansMax, readAddress),
    threshold: reader.u8(),
    delay: millis(reader.u53()),
  };
}

export const KEYS_CODECS: BodyCodecs<KeysBody> = {
  'rotate-keys': {
    write: (writer, body) => writeKeySet(writer, body.keys),
    read: (reader) => ({ kind: 'rotate-keys', keys: readKeySet(reader) }),
  },
  'set-guardians': {
    write: writeGuardianship,
    read: (reader) => ({ kind: 'set-guardians', ...readGuardianship(reader) }),
  },
  recover: {
    write: (writer, body) => writeKeySet(writer.fixed(body.account, HASH_BYTES), body.keys),
    read: (reader) => ({ kind: 'recover', account: readAddress(reader), keys: readKeySet(reader) }),
  },
  'veto-recovery': {
    write: (writer, body) => writer.fixed(body.account, HASH_BYTES),
    read: (reader) => ({ kind: 'veto-recovery', account: readAddress(reader) }),
  },
  'finish-recovery': {
    write: (writer, body) => writeKeySet(writer.fixed(body.account, HASH_BYTES), body.keys),
    read: (reader) => ({ kind: 'finish-recovery', account: readAddress(reader), keys: readKeySet(reader) }),
  },
};
