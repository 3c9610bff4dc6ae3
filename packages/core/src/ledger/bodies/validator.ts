/** Bodies about validators: bonds, weights, evidence, restarts (spec STATE-10, STATE-12). */
import { concatBytes } from '../../bytes/hex.ts';
import { utf8Encode } from '../../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../../crypto/hash.ts';
import {
  readPublicKey,
  SIGNATURE_BYTES,
  SIGNATURE_DOMAINS,
  writePublicKey,
  type PublicKey,
} from '../../crypto/signature.ts';
import type { Address } from '../address.ts';
import { readEvidence, writeEvidence, type Evidence } from '../evidence.ts';
import { readAddress } from '../fields.ts';
import { amount, type Amount } from '../ids.ts';
import type { BodyCodecs } from './codec.ts';

export type ValidatorBody =
  | {
      readonly kind: 'bond';
      /** Signs votes once weight is granted; stays the same as long as the bond does. */
      readonly key: PublicKey;
      readonly amount: Amount;
      /** By that key over `possessionSigningBytes`. */
      readonly possession: Uint8Array;
    }
  | { readonly kind: 'unbond'; readonly amount: Amount }
  | {
      readonly kind: 'weight-vote';
      /** Account that holds the bond. */
      readonly validator: Address;
      /** u32; 0 removes. */
      readonly weight: number;
    }
  | { readonly kind: 'evidence'; readonly evidence: Evidence }
  | { readonly kind: 'restart' };

/**
 * What a consensus key signs so that an account may bond it: domain ‖ 0x00 ‖ chain ‖ account. Without it, anyone could
 * bond the key of somebody else, and a proof seen on its way serves no other account.
 */
export function possessionSigningBytes(chain: Hash, account: Address): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.possession), Uint8Array.of(0), chain, account);
}

export const VALIDATOR_CODECS: BodyCodecs<ValidatorBody> = {
  bond: {
    write: (writer, body) => {
      writePublicKey(writer, body.key);
      writer.u64(body.amount).fixed(body.possession, SIGNATURE_BYTES);
    },
    read: (reader) => ({
      kind: 'bond',
      key: readPublicKey(reader),
      amount: amount(reader.u64()),
      possession: reader.fixed(SIGNATURE_BYTES).slice(),
    }),
  },
  unbond: {
    write: (writer, body) => writer.u64(body.amount),
    read: (reader) => ({ kind: 'unbond', amount: amount(reader.u64()) }),
  },
  'weight-vote': {
    write: (writer, body) => writer.fixed(body.validator, HASH_BYTES).u32(body.weight),
    read: (reader) => ({ kind: 'weight-vote', validator: readAddress(reader), weight: reader.u32() }),
  },
  evidence: {
    write: (writer, body) => writeEvidence(writer, body.evidence),
    read: (reader) => ({ kind: 'evidence', evidence: readEvidence(reader) }),
  },
  restart: { write: () => undefined, read: () => ({ kind: 'restart' }) },
};
