/**
 * Key files: one JSON text for browsers and Node alike, that holds a secret of any scheme or a recovery phrase, sealed under a passphrase
 * (scrypt, RFC 7914, and AES-256-GCM) or, for a devnet, in the clear. Where the text is kept is the caller's business.
 */
import { scryptAsync } from '@noble/hashes/scrypt.js';
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import type { SeedSigner } from './keys.ts';
import { ALGORITHM_NAMES, algorithmNamed, secretSigner, type SecretAlgorithm } from './keys-secret.ts';
import { secretOfPhrase } from './phrase.ts';

/** What a key file holds. */
export type StoredKey =
  | { readonly kind: 'secret'; readonly algorithm: SecretAlgorithm; readonly secret: Uint8Array }
  | {
      readonly kind: 'phrase';
      readonly algorithm: SecretAlgorithm;
      readonly entropy: Uint8Array;
      readonly account: number;
    };

export interface SealOptions {
  /** In the clear when left out. */
  readonly passphrase?: string;
  /** Fresh bytes, of the platform. */
  readonly random: (length: number) => Uint8Array;
  /** Of scrypt's cost; 17 (128 MiB for one guess) when left out. */
  readonly costLog2?: number;
  readonly subtle?: KeystoreSubtle;
}

/** The part of WebCrypto's `SubtleCrypto` that is used here; `globalThis.crypto.subtle` fits. */
export interface KeystoreSubtle {
  importKey(
    format: 'raw',
    key: Uint8Array<ArrayBuffer>,
    algorithm: 'AES-GCM',
    extractable: boolean,
    usages: ('encrypt' | 'decrypt')[],
  ): Promise<unknown>;
  encrypt(algorithm: GcmOptions, key: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<unknown>;
  decrypt(algorithm: GcmOptions, key: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<unknown>;
}

interface GcmOptions {
  readonly name: 'AES-GCM';
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly additionalData: Uint8Array<ArrayBuffer>;
}

export const KEYSTORE_FORMAT = 'itc-key-2';
/** Of the JSON text: a key of ML-DSA-44 takes 2624 digits. */
export const KEYSTORE_BYTES_MAX = 8192;
const COST_LOG2 = 17;
const COST_LOG2_MIN = 10;
const COST_LOG2_MAX = 20;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;

/** The signer of a stored key. */
export function storedSigner(key: StoredKey, random?: (length: number) => Uint8Array): SeedSigner {
  const { algorithm } = key;
  return secretSigner(
    { algorithm, secret: key.kind === 'secret' ? key.secret : secretOfPhrase(key) },
    random,
  );
}

/** The text of a key file. */
export async function sealKey(key: StoredKey, o: SealOptions): Promise<string> {
  const { publicKey, address } = storedSigner(key);
  const head = {
    format: KEYSTORE_FORMAT,
    algorithm: ALGORITHM_NAMES[key.algorithm],
    address: formatAddress(address),
    publicKey: toHex(publicKey.bytes),
    holds: key.kind,
    ...(key.kind === 'phrase' && { account: key.account }),
  };
  const plain = key.kind === 'secret' ? key.secret : key.entropy;
  if (o.passphrase === undefined)
    return `${JSON.stringify({ ...head, secret: { plain: toHex(plain) } }, undefined, 2)}\n`;
  const salt = new Uint8Array(o.random(SALT_BYTES));
  const nonce = new Uint8Array(o.random(NONCE_BYTES));
  const scryptLog2 = o.costLog2 ?? COST_LOG2;
  const box = await openBox({ passphrase: o.passphrase, salt, scryptLog2, subtle: o.subtle });
  const sealed = await box.subtle.encrypt(gcm(nonce, head), box.key, new Uint8Array(plain));
  const secret = {
    scryptLog2,
    salt: toHex(salt),
    nonce: toHex(nonce),
    sealed: toHex(new Uint8Array(sealed as ArrayBuffer)),
  };
  return `${JSON.stringify({ ...head, secret }, undefined, 2)}\n`;
}

/**
 * The key in a text. `key.malformed` for another form, `key.passphrase` when the passphrase is missing or does not open the seal, or
 * anything was changed: all that the text says of the key is sealed along.
 */
export async function openSealedKey(
  text: string,
  o: { readonly passphrase?: string; readonly subtle?: KeystoreSubtle } = {},
): Promise<Result<StoredKey, 'key.malformed' | 'key.passphrase'>> {
  const file = parse(text);
  if (typeof file === 'string') return refused('key.malformed', file);
  const { head, secret } = file;
  let plain: Uint8Array | undefined;
  if ('plain' in secret) plain = hexOf(secret.plain);
  else {
    if (o.passphrase === undefined)
      return refused('key.passphrase', 'the key is sealed; a passphrase is needed');
    plain = await unseal(secret, head, { passphrase: o.passphrase, subtle: o.subtle });
    if (plain === undefined) return refused('key.passphrase', 'the passphrase does not open the key');
  }
  const key = plain && storedOf(head, plain);
  if (key === undefined) return refused('key.malformed', 'the secret does not have the bytes it should');
  const named = hexOf(head.publicKey);
  if (named === undefined || !equalBytes(named, storedSigner(key).publicKey.bytes))
    return refused('key.malformed', 'the secret does not belong to the public key named');
  return ok(key);
}

interface Head {
  readonly format: string;
  readonly algorithm: string;
  readonly address: string;
  readonly publicKey: string;
  readonly holds: string;
  readonly account?: number;
}

interface Sealed {
  readonly scryptLog2: number;
  readonly salt: string;
  readonly nonce: string;
  /** Ciphertext ‖ tag. */
  readonly sealed: string;
}

/** What the file says of its key, which anybody may read. Undefined when it is no key file of this form. */
export function describeSealedKey(
  text: string,
): Pick<Head, 'algorithm' | 'address' | 'publicKey' | 'holds'> | undefined {
  const file = parse(text);
  return typeof file === 'string' ? undefined : file.head;
}

/** The file, or what is wrong with it. */
function parse(
  text: string,
): { readonly head: Head; readonly secret: { readonly plain: string } | Sealed } | string {
  if (text.length > KEYSTORE_BYTES_MAX) return `expected at most ${KEYSTORE_BYTES_MAX} bytes`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (!isRecord(value) || value['format'] !== KEYSTORE_FORMAT)
    return `expected the format ${KEYSTORE_FORMAT}`;
  const { algorithm, address, publicKey, holds, account, secret } = value;
  if (
    typeof algorithm !== 'string' ||
    typeof address !== 'string' ||
    typeof publicKey !== 'string' ||
    !isRecord(secret)
  )
    return 'expected algorithm, address, publicKey and secret';
  if (holds !== 'secret' && holds !== 'phrase') return 'expected holds to be secret or phrase';
  if (
    holds === 'phrase' &&
    !(typeof account === 'number' && Number.isInteger(account) && account >= 0 && account < 2 ** 31)
  )
    return 'expected the number of an account';
  const head: Head = {
    format: KEYSTORE_FORMAT,
    algorithm,
    address,
    publicKey,
    holds,
    ...(holds === 'phrase' && { account: account as number }),
  };
  if (typeof secret['plain'] === 'string') return { head, secret: { plain: secret['plain'] } };
  const { scryptLog2, salt, nonce, sealed } = secret;
  if (typeof salt !== 'string' || typeof nonce !== 'string' || typeof sealed !== 'string')
    return 'expected salt, nonce and sealed';
  if (
    typeof scryptLog2 !== 'number' ||
    !Number.isInteger(scryptLog2) ||
    scryptLog2 < COST_LOG2_MIN ||
    scryptLog2 > COST_LOG2_MAX
  )
    return `expected scryptLog2 from ${COST_LOG2_MIN} to ${COST_LOG2_MAX}`;
  return { head, secret: { scryptLog2, salt, nonce, sealed } };
}

function storedOf({ algorithm: name, holds, account = 0 }: Head, plain: Uint8Array): StoredKey | undefined {
  const algorithm = algorithmNamed(name);
  if (algorithm === undefined) return undefined;
  if (holds === 'secret')
    return plain.length === 32 ? { kind: 'secret', algorithm, secret: plain } : undefined;
  const isEntropy = plain.length >= 16 && plain.length <= 32 && plain.length % 4 === 0;
  return isEntropy ? { kind: 'phrase', algorithm, entropy: plain, account } : undefined;
}

async function unseal(
  { salt, nonce, sealed, scryptLog2 }: Sealed,
  head: Head,
  o: { readonly passphrase: string; readonly subtle: KeystoreSubtle | undefined },
): Promise<Uint8Array | undefined> {
  const [saltBytes, nonceBytes, bytes] = [salt, nonce, sealed].map(hexOf);
  if (saltBytes?.length !== SALT_BYTES || nonceBytes?.length !== NONCE_BYTES || bytes === undefined)
    return undefined;
  const box = await openBox({ ...o, salt: saltBytes, scryptLog2 });
  try {
    const plain = await box.subtle.decrypt(gcm(nonceBytes, head), box.key, new Uint8Array(bytes));
    return new Uint8Array(plain as ArrayBuffer);
  } catch {
    return undefined;
  }
}

/** NFKC, so that the same passphrase typed on another keyboard gives the same bytes. */
async function openBox(o: {
  readonly passphrase: string;
  readonly salt: Uint8Array;
  readonly scryptLog2: number;
  readonly subtle: KeystoreSubtle | undefined;
}): Promise<{ readonly subtle: KeystoreSubtle; readonly key: unknown }> {
  const subtle = o.subtle ?? (globalThis as unknown as { crypto: { subtle: KeystoreSubtle } }).crypto.subtle;
  const N = 2 ** o.scryptLog2;
  const password = utf8Encode(o.passphrase.normalize('NFKC'));
  const raw = await scryptAsync(password, o.salt, { N, r: 8, p: 1, dkLen: 32, maxmem: 256 * N * 8 });
  const key = await subtle.importKey('raw', new Uint8Array(raw), 'AES-GCM', false, ['encrypt', 'decrypt']);
  raw.fill(0);
  return { subtle, key };
}

/** Everything the file says is authenticated: a seal cannot be moved under another name or scheme. */
function gcm(nonce: Uint8Array, head: Head): GcmOptions {
  const said = [
    head.format,
    head.algorithm,
    head.address,
    head.publicKey,
    head.holds,
    head.account ?? '',
  ].join(' ');
  return { name: 'AES-GCM', iv: new Uint8Array(nonce), additionalData: new Uint8Array(utf8Encode(said)) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hexOf(text: string): Uint8Array | undefined {
  const bytes = fromHex(text);
  return bytes.ok ? bytes.value : undefined;
}
