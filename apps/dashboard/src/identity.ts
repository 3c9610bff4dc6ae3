/**
 * The key of this browser. Where WebCrypto knows Ed25519 the secret is non-extractable: even this page can
 * only use it, not read it. Elsewhere (plain http on a LAN address has no WebCrypto) the portable
 * implementation signs, and the secret lies in IndexedDB of this origin. It never travels in either case.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import { ED25519, type PublicKey } from '@itc/core/crypto/signature.js';
import { addressOf, formatAddress } from '@itc/core/ledger/address.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { keep, readKept } from './identity-store.ts';

export interface Identity {
  readonly key: PublicKey;
  /** Hex of the public key, as the node takes it. */
  readonly publicKey: string;
  readonly address: string;
  readonly protection: 'non-extractable' | 'stored' | 'this visit only';
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>;
}

type StoredKey =
  | { readonly kind: 'webcrypto'; readonly publicKey: Uint8Array; readonly privateKey: CryptoKey }
  | { readonly kind: 'portable'; readonly publicKey: Uint8Array; readonly secret: Uint8Array };

const SLOT = 'browser';

let opened: Promise<Identity> | undefined;

/** The same identity for the whole visit; made at first use. */
export function openIdentity(): Promise<Identity> {
  opened ??= loadIdentity();
  return opened;
}

async function loadIdentity(): Promise<Identity> {
  const known = await readKept<StoredKey>(SLOT);
  if (known !== undefined) return identityOf(known, true);
  const made = await makeKey();
  return identityOf(made, await keep(SLOT, made));
}

async function makeKey(): Promise<StoredKey> {
  try {
    const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, false, [
      'sign',
      'verify',
    ])) as CryptoKeyPair;
    const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
    return { kind: 'webcrypto', publicKey, privateKey: pair.privateKey };
  } catch {
    // No secure context, or a browser without Ed25519.
    const secret = crypto.getRandomValues(new Uint8Array(32));
    return { kind: 'portable', publicKey: ed25519.getPublicKey(secret), secret };
  }
}

function identityOf(stored: StoredKey, kept: boolean): Identity {
  const key: PublicKey = { algorithm: ED25519, bytes: stored.publicKey };
  const sign = async (bytes: Uint8Array): Promise<Uint8Array> =>
    stored.kind === 'webcrypto'
      ? new Uint8Array(await crypto.subtle.sign({ name: 'Ed25519' }, stored.privateKey, bytes.slice()))
      : ed25519.sign(bytes, stored.secret);
  return {
    key,
    publicKey: toHex(stored.publicKey),
    address: formatAddress(addressOf(key)),
    protection: !kept ? 'this visit only' : stored.kind === 'webcrypto' ? 'non-extractable' : 'stored',
    sign,
  };
}

/** "Chrome on Linux": how the owner will recognise this browser's grant. */
export function browserLabel(agent: string): string {
  const browser = /Edg\//.test(agent)
    ? 'Edge'
    : /Firefox\//.test(agent)
      ? 'Firefox'
      : /Chrome\//.test(agent)
        ? 'Chrome'
        : /Safari\//.test(agent)
          ? 'Safari'
          : 'Browser';
  const system = /Android/.test(agent)
    ? 'Android'
    : /iPhone|iPad/.test(agent)
      ? 'iOS'
      : /Windows/.test(agent)
        ? 'Windows'
        : /Mac OS X/.test(agent)
          ? 'macOS'
          : /Linux/.test(agent)
            ? 'Linux'
            : 'this device';
  return `${browser} on ${system}`;
}
