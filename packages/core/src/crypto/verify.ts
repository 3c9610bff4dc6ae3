/** Every scheme behind its algorithm byte (spec CRYPTO-2): what nodes and wallets verify transactions with. */
import { checkPublicKey as checkEd25519Key, verifySignature as verifyEd25519 } from './ed25519.ts';
import { checkMlDsaKey, verifyMlDsa } from './ml-dsa.ts';
import { checkP256Key, verifyP256 } from './p256.ts';
import { ED25519, ML_DSA_44, P256, WEBAUTHN, type PublicKey, type SignatureVerifier } from './signature.ts';
import { checkWebauthnKey, verifyWebauthn } from './webauthn.ts';

/** By the rule of the key's scheme; false for a scheme that is not known. Never throws on bad input. */
export const verifySignature: SignatureVerifier = (key, message, signature) => {
  switch (key.algorithm) {
    case ED25519:
      return verifyEd25519(key, message, signature);
    case P256:
      return verifyP256(key.bytes, message, signature);
    case ML_DSA_44:
      return verifyMlDsa(key.bytes, message, signature);
    case WEBAUTHN:
      return verifyWebauthn(key.bytes, message, signature);
  }
  return false;
};

/** Whether a key may be registered: in the one form of its scheme, and none with which anyone could sign. */
export function checkPublicKey(key: PublicKey): boolean {
  switch (key.algorithm) {
    case ED25519:
      return checkEd25519Key(key);
    case P256:
      return checkP256Key(key.bytes);
    case ML_DSA_44:
      return checkMlDsaKey(key.bytes);
    case WEBAUTHN:
      return checkWebauthnKey(key.bytes);
  }
  return false;
}
