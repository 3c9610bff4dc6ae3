/** The body that registers a co-signing key (spec QUANTUM-1). */
import type { Reader } from '../../bytes/reader.ts';
import { verificationCost } from '../../crypto/cost.ts';
import { FIXED_SIGNATURE_BYTES, KEY_BYTES, ML_DSA_44 } from '../../crypto/signature.ts';
import type { BodyCodecs } from './codec.ts';

export interface CoSignBody {
  readonly kind: 'co-sign';
  /** ML-DSA-44. In force from the next epoch on. */
  readonly key: Uint8Array;
  /** By that key over `coSignKeySigningBytes`. */
  readonly possession: Uint8Array;
  /** Where the account has a co-signing key already. Ed25519 alone must not replace it. */
  readonly former?: { readonly key: Uint8Array; readonly consent: Uint8Array };
}

/** What checking the signatures inside costs, see `verificationCost`. */
export function coSignCost({ former }: CoSignBody): number {
  return (former === undefined ? 1 : 2) * verificationCost(ML_DSA_44);
}

const KEY = KEY_BYTES[ML_DSA_44];
const SIGNATURE = FIXED_SIGNATURE_BYTES[ML_DSA_44] as number;

export const CO_SIGN_CODECS: BodyCodecs<CoSignBody> = {
  'co-sign': {
    write: (writer, { key, possession, former }) => {
      writer
        .fixed(key, KEY)
        .fixed(possession, SIGNATURE)
        .bool(former !== undefined);
      if (former !== undefined) writer.fixed(former.key, KEY).fixed(former.consent, SIGNATURE);
    },
    read: (reader) => {
      const proved = { key: read(reader, KEY), possession: read(reader, SIGNATURE) };
      if (!reader.bool()) return { kind: 'co-sign', ...proved };
      const former = { key: read(reader, KEY), consent: read(reader, SIGNATURE) };
      return { kind: 'co-sign', ...proved, former };
    },
  },
};

function read(reader: Reader, length: number): Uint8Array {
  return reader.fixed(length).slice();
}
