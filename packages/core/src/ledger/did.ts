/**
 * Decentralized identifiers (W3C DID 1.0): `did:key` names a key, `did:itc` an account or a device of the ledger, whose document says
 * which keys act for it now (spec DID).
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import {
  ED25519,
  KEY_BYTES,
  ML_DSA_44,
  P256,
  WEBAUTHN,
  type Algorithm,
  type PublicKey,
} from '../crypto/signature.ts';
import type { KeySet } from './account-keys.ts';
import { addressOf, formatAddress, parseAddress, type Address } from './address.ts';

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
/** A key of ML-DSA-44 takes 1795. */
const MULTIBASE_CHARACTERS_MAX = 2_000;

/** Multicodec of each scheme as a varint; a passkey is written as the P-256 key it is. */
const MULTICODEC: Readonly<Record<Exclude<Algorithm, typeof WEBAUTHN>, readonly [number, number]>> = {
  [ED25519]: [0xed, 0x01],
  [P256]: [0x80, 0x24],
  [ML_DSA_44]: [0x90, 0x24],
};

/** base58btc multibase of multicodec ‖ key, as `did:key` and Multikey have it. */
export function formatMultikey(key: PublicKey): string {
  const isPasskey = key.algorithm === WEBAUTHN;
  const codec = MULTICODEC[key.algorithm === WEBAUTHN ? P256 : key.algorithm];
  return `z${base58(Uint8Array.from([...codec, ...(isPasskey ? key.bytes.subarray(32) : key.bytes)]))}`;
}

/** Strict: lengths are those of the scheme. That the key is one of its scheme is not asked. */
export function parseMultikey(text: string): Result<PublicKey, 'address.malformed'> {
  if (!text.startsWith('z') || text.length > MULTIBASE_CHARACTERS_MAX)
    return refused('address.malformed', 'expected a multibase text that begins with z');
  const bytes = unbase58(text.slice(1));
  if (bytes === undefined) return refused('address.malformed', 'a character is not one of base58btc');
  for (const algorithm of [ED25519, P256, ML_DSA_44] as const) {
    const codec = MULTICODEC[algorithm];
    if (bytes[0] !== codec[0] || bytes[1] !== codec[1]) continue;
    if (bytes.length !== 2 + KEY_BYTES[algorithm])
      return refused('address.malformed', `expected a key of ${KEY_BYTES[algorithm]} bytes`);
    return ok({ algorithm, bytes: bytes.slice(2) });
  }
  return refused('address.malformed', 'a key of a scheme that is not known here');
}

/** Undefined for a passkey, whose signatures a `did:key` could not judge. */
export function didKeyOf(key: PublicKey): string | undefined {
  return key.algorithm === WEBAUTHN ? undefined : `did:key:${formatMultikey(key)}`;
}

export function didOf(address: Address): string {
  return `did:itc:${formatAddress(address)}`;
}

export type Did =
  | { readonly method: 'itc'; readonly address: Address }
  | { readonly method: 'key'; readonly key: PublicKey };

export function parseDid(text: string): Result<Did, 'address.malformed'> {
  if (text.startsWith('did:itc:')) {
    const address = parseAddress(text.slice('did:itc:'.length));
    return address.ok ? ok({ method: 'itc', address: address.value }) : address;
  }
  if (text.startsWith('did:key:')) {
    const key = parseMultikey(text.slice('did:key:'.length));
    return key.ok ? ok({ method: 'key', key: key.value }) : key;
  }
  return refused('address.malformed', 'expected a did:itc or a did:key');
}

/** What the ledger knows of the subject. */
export interface DidRecords {
  readonly address: Address;
  /** Hex of the chain. */
  readonly chain: string;
  readonly keys: KeySet | undefined;
  readonly guardians: { readonly guardians: readonly Address[]; readonly threshold: number } | undefined;
  /** Of a device: its key and its owner. */
  readonly device: { readonly key: PublicKey; readonly owner: Address } | undefined;
}

export interface VerificationMethod {
  readonly id: string;
  readonly type: 'Multikey' | 'ItcAddress';
  readonly controller: string;
  readonly publicKeyMultibase?: string;
  /** CAIP-10, where nothing but the hash of the key is known. */
  readonly blockchainAccountId?: string;
  /** Of the account's threshold. */
  readonly weight?: number;
  /** Of a passkey: it signs WebAuthn assertions for one site only. */
  readonly rpIdHash?: string;
}

export interface DidDocument {
  readonly '@context': readonly string[];
  readonly id: string;
  readonly controller?: string;
  readonly verificationMethod: readonly VerificationMethod[];
  /** Those that act alone. */
  readonly authentication: readonly string[];
  readonly assertionMethod: readonly string[];
  readonly capabilityInvocation: readonly string[];
  /** Weight of the verification methods that act together. */
  readonly threshold?: number;
  readonly guardians?: { readonly accounts: readonly string[]; readonly threshold: number };
}

/**
 * The document of what the ledger says. A key that is not enough alone is listed, but authenticates nobody: else one of three
 * would pass for all. `known` is a key the caller has seen, whose hash shows that it is the first one.
 */
export function didDocument(records: DidRecords, known?: PublicKey): DidDocument {
  const { address, keys, guardians, device, chain } = records;
  const id = didOf(address);
  const first =
    device?.key ?? (known !== undefined && equalBytes(addressOf(known), address) ? known : undefined);
  const methods: VerificationMethod[] = [];
  const alone: string[] = [];
  if (keys !== undefined) {
    for (const [i, { key, weight }] of keys.keys.entries()) {
      const method = methodOf(id, `${id}#key-${i + 1}`, key);
      methods.push({ ...method, weight });
      if (weight >= keys.threshold) alone.push(method.id);
    }
  } else if (first !== undefined) {
    const method = methodOf(id, `${id}#key-1`, first);
    methods.push(method);
    alone.push(method.id);
  } else {
    const account = `itc:${chain.slice(0, 32)}:${formatAddress(address)}`;
    methods.push({ id: `${id}#address`, type: 'ItcAddress', controller: id, blockchainAccountId: account });
    alone.push(`${id}#address`);
  }
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id,
    ...(device !== undefined && { controller: didOf(device.owner) }),
    verificationMethod: methods,
    authentication: alone,
    assertionMethod: alone,
    capabilityInvocation: alone,
    ...(keys !== undefined && { threshold: keys.threshold }),
    ...(guardians !== undefined && {
      guardians: { accounts: guardians.guardians.map(didOf), threshold: guardians.threshold },
    }),
  };
}

function methodOf(controller: string, id: string, key: PublicKey): VerificationMethod {
  const method = { id, type: 'Multikey' as const, controller, publicKeyMultibase: formatMultikey(key) };
  if (key.algorithm !== WEBAUTHN) return method;
  const rpIdHash = Array.from(key.bytes.subarray(0, 32), (byte) => byte.toString(16).padStart(2, '0'));
  return { ...method, rpIdHash: rpIdHash.join('') };
}

/** A leading zero byte is a leading `1`. */
function base58(bytes: Uint8Array): string {
  const digits: number[] = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i += 1) {
      carry += (digits[i] as number) << 8;
      digits[i] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  let zeros = 0;
  while (zeros < bytes.length && bytes[zeros] === 0) zeros += 1;
  return (
    '1'.repeat(zeros) +
    digits
      .reverse()
      .map((digit) => BASE58[digit])
      .join('')
  );
}

function unbase58(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const character of text) {
    let carry = BASE58.indexOf(character);
    if (carry < 0) return undefined;
    for (let i = 0; i < bytes.length; i += 1) {
      carry += (bytes[i] as number) * 58;
      bytes[i] = carry & 255;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 255);
  }
  let zeros = 0;
  while (zeros < text.length && text[zeros] === '1') zeros += 1;
  return Uint8Array.from([...new Uint8Array(zeros), ...bytes.reverse()]);
}
