/** Deterministic key pairs of every scheme for tests; Ed25519 is in `keys.ts`. */
import { createHash } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { concatBytes } from '../bytes/hex.ts';
import { utf8Encode } from '../bytes/writer.ts';
import { mlDsaKeysOf, signMlDsa } from '../crypto/ml-dsa.ts';
import { ED25519, ML_DSA_44, P256, WEBAUTHN, type Algorithm, type PublicKey } from '../crypto/signature.ts';
import { packAssertion, webauthnChallenge } from '../crypto/webauthn.ts';
import { addressOf } from '../ledger/address.ts';
import { keyPair, type KeyPair } from './keys.ts';

/** The relying party of all passkeys made here. */
export const TEST_RP_ID = 'itc.example';

/** A key pair of the scheme; a passkey signs as an authenticator and a browser would together. */
export function schemeKeyPair(algorithm: Algorithm, seed: number): KeyPair {
  const secret = createHash('sha256').update(`itc test key ${algorithm} ${seed}`).digest();
  const pair = (bytes: Uint8Array, sign: KeyPair['sign']): KeyPair => {
    const key: PublicKey = { algorithm, bytes };
    return { key, address: addressOf(key), sign };
  };
  switch (algorithm) {
    case P256:
      return pair(p256.getPublicKey(secret, true), (message) => p256.sign(message, secret, { lowS: true }));
    case ML_DSA_44: {
      const { publicKey, secretKey } = mlDsaKeysOf(Uint8Array.from(secret));
      return pair(publicKey, (message) => signMlDsa(secretKey, message));
    }
    case WEBAUTHN: {
      const rpIdHash = sha256(utf8Encode(TEST_RP_ID));
      const key = concatBytes(rpIdHash, p256.getPublicKey(secret, true));
      return pair(key, (message) => assertionOver(message, rpIdHash, secret));
    }
    case ED25519:
      return keyPair(seed);
  }
}

function assertionOver(message: Uint8Array, rpIdHash: Uint8Array, secret: Uint8Array): Uint8Array {
  const challenge = Buffer.from(webauthnChallenge(message)).toString('base64url');
  const clientDataJson = utf8Encode(
    `{"type":"webauthn.get","challenge":"${challenge}","origin":"https://${TEST_RP_ID}","crossOrigin":false}`,
  );
  // User present and verified, eligible for backup and backed up; counter 0.
  const authenticatorData = concatBytes(rpIdHash, Uint8Array.of(0x1d, 0, 0, 0, 0));
  const signed = concatBytes(authenticatorData, sha256(clientDataJson));
  return packAssertion({
    authenticatorData,
    clientDataJson,
    signature: p256.sign(signed, secret, { lowS: true }),
  });
}

function sha256(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(bytes).digest());
}
