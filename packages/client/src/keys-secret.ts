/** A signer from what a key file or a phrase holds: a scheme and its 32 secret bytes. */
import { ED25519, ML_DSA_44, P256, type Algorithm } from '@itc/core/crypto/signature.js';
import { seedSigner, type SeedSigner } from './keys.ts';
import { mlDsaSigner } from './keys-ml-dsa.ts';
import { p256Signer } from './keys-p256.ts';

/** The secret of a passkey never leaves its authenticator. */
export type SecretAlgorithm = Exclude<Algorithm, 4>;

/** As people write them. */
export const ALGORITHM_NAMES: Readonly<Record<SecretAlgorithm, string>> = {
  [ED25519]: 'ed25519',
  [P256]: 'p256',
  [ML_DSA_44]: 'ml-dsa-44',
};

export function algorithmNamed(name: string): SecretAlgorithm | undefined {
  return ([ED25519, P256, ML_DSA_44] as const).find((algorithm) => ALGORITHM_NAMES[algorithm] === name);
}

/** Throws for bytes that are no secret of the scheme: of P-256, one in 2^32 are none. */
export function secretSigner(
  o: { readonly algorithm: SecretAlgorithm; readonly secret: Uint8Array },
  random?: (length: number) => Uint8Array,
): SeedSigner {
  switch (o.algorithm) {
    case ED25519:
      return seedSigner(o.secret);
    case P256:
      return p256Signer(o.secret);
    case ML_DSA_44:
      return mlDsaSigner(o.secret, random);
  }
}
