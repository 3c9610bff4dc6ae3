/**
 * A passkey as an account (spec CRYPTO-10): its P-256 key is made by an authenticator (the phone, the computer, a security key), which
 * signs after asking its user, for this site only. What is stored here is no secret: credential id and public key.
 */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { p256SignatureFromDer } from '@itc/core/crypto/p256.js';
import { WEBAUTHN, type PublicKey } from '@itc/core/crypto/signature.js';
import {
  AUTHENTICATOR_DATA_BYTES,
  CLIENT_DATA_BYTES_MAX,
  openAssertion,
  packAssertion,
  webauthnChallenge,
} from '@itc/core/crypto/webauthn.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Signer } from './keys.ts';
import { compressedPoint, p256KeysOf } from './keys-p256.ts';

/** The part of `navigator.credentials` that is used here. */
export interface Credentials {
  create(options: unknown): Promise<unknown>;
  get(options: unknown): Promise<unknown>;
}

export interface PasskeyOptions {
  readonly credentials: Credentials;
  /** The site's host name, or a suffix of it: fixed for good, because it is part of the key. */
  readonly rpId: string;
}

/** To be kept; enough to sign again, on this device or another one the passkey is synchronised to. */
export interface Passkey {
  readonly credentialId: Uint8Array;
  readonly publicKey: PublicKey;
}

interface Created {
  readonly rawId: ArrayBuffer;
  readonly response: { getPublicKey(): ArrayBuffer | null; getPublicKeyAlgorithm(): number };
}

interface Asserted {
  readonly rawId: ArrayBuffer;
  readonly response: {
    readonly authenticatorData: ArrayBuffer;
    readonly clientDataJSON: ArrayBuffer;
    readonly signature: ArrayBuffer;
  };
}

/** ECDSA on P-256 with SHA-256, of the COSE registry. */
const ES256 = -7;
/** What precedes 0x04 ‖ x ‖ y in SubjectPublicKeyInfo (RFC 5480). */
const SPKI_PREFIX_BYTES = 26;
/** A browser writes about 130 bytes, the origin, and now and then a remark; a fee too high by that much harms nobody. */
const CLIENT_DATA_BYTES_LIKELY = 512;

/**
 * Asks the user for a new passkey. `label` is what its list of passkeys shows. Throws what the browser throws (the user has
 * refused, or there is no authenticator), and `key.malformed` for a key of another scheme.
 */
export async function createPasskey(
  o: PasskeyOptions & {
    readonly label: string;
    /** Fresh bytes: a user handle is not a name. */
    readonly random: (length: number) => Uint8Array;
  },
): Promise<Passkey> {
  const created = (await o.credentials.create({
    publicKey: {
      rp: { id: o.rpId, name: 'IoT Chain' },
      user: { id: o.random(16), name: o.label, displayName: o.label },
      // Nothing is attested, so there is nothing for a challenge to keep fresh.
      challenge: o.random(32),
      pubKeyCredParams: [{ type: 'public-key', alg: ES256 }],
      authenticatorSelection: { residentKey: 'required', userVerification: 'preferred' },
      attestation: 'none',
    },
  })) as Created;
  const spki = created.response.getPublicKey();
  if (spki === null || created.response.getPublicKeyAlgorithm() !== ES256)
    throw new LedgerError('key.malformed', 'the authenticator made a key of another scheme than P-256');
  const point = compressedPoint(new Uint8Array(spki).subarray(SPKI_PREFIX_BYTES));
  return {
    credentialId: new Uint8Array(created.rawId).slice(),
    publicKey: { algorithm: WEBAUTHN, bytes: concatBytes(sha256(utf8Encode(o.rpId)), point) },
  };
}

/** Asks the user for every signature. */
export function passkeySigner(passkey: Passkey, o: PasskeyOptions): Signer {
  const { publicKey, credentialId } = passkey;
  return {
    publicKey,
    address: addressOf(publicKey),
    signatureBytes: AUTHENTICATOR_DATA_BYTES + 64 + CLIENT_DATA_BYTES_LIKELY,
    async sign(bytes): Promise<Uint8Array> {
      const asserted = (await o.credentials.get({
        publicKey: {
          rpId: o.rpId,
          challenge: webauthnChallenge(bytes),
          allowCredentials: [{ type: 'public-key', id: credentialId }],
          userVerification: 'preferred',
        },
      })) as Asserted;
      const { authenticatorData, clientDataJSON, signature } = asserted.response;
      const canonical = p256SignatureFromDer(new Uint8Array(signature));
      const clientDataJson = new Uint8Array(clientDataJSON);
      if (canonical === undefined || clientDataJson.length > CLIENT_DATA_BYTES_MAX)
        throw new LedgerError('signature.invalid', 'the authenticator answered with something else');
      const packed = packAssertion({
        authenticatorData: new Uint8Array(authenticatorData),
        clientDataJson,
        signature: canonical,
      });
      // Better said here, with a reason, than refused by the ledger.
      if (openAssertion(publicKey.bytes, bytes, packed) === undefined) {
        throw new LedgerError(
          'signature.invalid',
          `this browser's assertion is not of the form the ledger takes; the account is ${formatAddress(addressOf(publicKey))}`,
        );
      }
      return packed;
    },
  };
}

/**
 * The keys a passkey may have, for somebody who comes to a browser that keeps nothing: a browser never hands out a public key again, but
 * from a signature follow the few keys that could have made it. The ledger knows which of them has an account.
 */
export async function findPasskey(
  o: PasskeyOptions & { readonly challenge: Uint8Array },
): Promise<readonly Passkey[]> {
  const { rawId, response } = (await o.credentials.get({
    publicKey: { rpId: o.rpId, challenge: o.challenge, userVerification: 'preferred' },
  })) as Asserted;
  const signature = p256SignatureFromDer(new Uint8Array(response.signature));
  if (signature === undefined)
    throw new LedgerError('signature.invalid', 'the authenticator answered with something else');
  const message = concatBytes(
    new Uint8Array(response.authenticatorData),
    sha256(new Uint8Array(response.clientDataJSON)),
  );
  const rpIdHash = sha256(utf8Encode(o.rpId));
  return p256KeysOf(message, signature).map((point) => ({
    credentialId: new Uint8Array(rawId).slice(),
    publicKey: { algorithm: WEBAUTHN, bytes: concatBytes(rpIdHash, point) },
  }));
}
