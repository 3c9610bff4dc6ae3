/** Registering a key for co-signatures of checkpoints (spec QUANTUM-1). */
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { coSignerOf, coSignKeySigningBytes } from '@itc/core/ledger/co-signers.js';
import { height } from '@itc/core/ledger/ids.js';
import type { Signer } from './keys.ts';

type KeyHolder = Pick<Signer, 'publicKey' | 'sign'>;

/** From the next epoch on. The key that is registered agrees to its successor; where none is, `former` is left out. */
export async function coSign(o: {
  readonly chain: Hash;
  /** Sender of the transaction, which has bonded the validator. */
  readonly account: Address;
  /** ML-DSA-44. */
  readonly key: KeyHolder;
  readonly former?: {
    readonly key: KeyHolder;
    /** Height at which it was registered. */ readonly since: number;
  };
}): Promise<Body> {
  const { chain, account, former } = o;
  const key = o.key.publicKey.bytes;
  const since = height(former?.since ?? 0);
  const signed = coSignKeySigningBytes({ chain, account, key: coSignerOf(key), since });
  const possession = await o.key.sign(signed);
  if (former === undefined) return { kind: 'co-sign', key, possession };
  const consent = await former.key.sign(signed);
  return { kind: 'co-sign', key, possession, former: { key: former.key.publicKey.bytes, consent } };
}
