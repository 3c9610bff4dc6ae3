/**
 * Key files: JSON that either holds the seed sealed under a passphrase (scrypt, RFC 7914, and AES-256-GCM)
 * or, for a devnet, the plain seed in a file nobody else may read.
 */
import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { systemRandom } from '../random.ts';
import { CoSigningKey } from './co-signing-key.ts';
import { KeyPair } from './keypair.ts';
import { SEED_BYTES, wipe } from './native.ts';

const FORMAT = 'itc-key-1';
/** Of the key a validator co-signs with (spec QUANTUM-1): the same file around another scheme. */
const CO_SIGNING_FORMAT = 'itc-co-sign-1';
type Format = typeof FORMAT | typeof CO_SIGNING_FORMAT;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FILE_BYTES_MAX = 4096;
/** 2^17 · 8 · 128 bytes = 128 MiB for one guess. */
const COST_LOG2 = 17;
const COST_LOG2_MAX = 20;

interface KeyFile {
  readonly format: Format;
  readonly address: string;
  readonly publicKey: string;
  readonly seed: { readonly plain: string } | Sealed;
}

interface Sealed {
  readonly scryptLog2: number;
  readonly salt: string;
  readonly nonce: string;
  /** Ciphertext ‖ tag. */
  readonly sealed: string;
}

/**
 * Writes a new key file with mode 0600, never over an existing one; complete or not there at all.
 * Errors: `key.exists`, `storage.full`, `storage.failed`.
 */
export async function writeKeyFile(
  path: string,
  options: { readonly keys: KeyPair; readonly passphrase?: string; readonly costLog2?: number },
): Promise<void> {
  await writeSeed(path, FORMAT, options);
}

/** The same for a co-signing key. */
export async function writeCoSigningKeyFile(
  path: string,
  options: { readonly keys: CoSigningKey; readonly passphrase?: string; readonly costLog2?: number },
): Promise<void> {
  await writeSeed(path, CO_SIGNING_FORMAT, options);
}

async function writeSeed(
  path: string,
  format: Format,
  o: { readonly keys: KeyPair | CoSigningKey; readonly passphrase?: string; readonly costLog2?: number },
): Promise<void> {
  const { keys, passphrase, costLog2 = COST_LOG2 } = o;
  const head = { format, address: formatAddress(keys.address), publicKey: toHex(keys.publicKey.bytes) };
  const seed = keys.exportSeed();
  const file: KeyFile = {
    ...head,
    seed: passphrase === undefined ? { plain: toHex(seed) } : await seal(seed, passphrase, head, costLog2),
  };
  wipe(seed);
  await writeSecretFile(path, `${JSON.stringify(file, null, 2)}\n`);
}

/**
 * A new file that nobody else may read (mode 0600), never over an existing one; complete or not there at all. Errors: `key.exists`,
 * `storage.full`, `storage.failed`.
 */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  if (
    await stat(path).then(
      () => true,
      () => false,
    )
  ) {
    throw new LedgerError('key.exists', `${path} exists already; a key is never overwritten`, { path });
  }
  const draft = `${path}.${toHex(systemRandom.bytes(4))}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'storage.full' : 'storage.failed';
    throw new LedgerError(code, `cannot write ${path}`, { path }, error);
  }
}

/**
 * Errors: `not-found`; `key.malformed` for a file of another form, or a plain one that others may read;
 * `key.passphrase` when it is missing or does not open the seal (or the file was altered).
 */
export function readKeyFile(path: string, passphrase?: string): Promise<KeyPair> {
  return readSeed(path, FORMAT, (seed) => KeyPair.fromSeed(seed), passphrase);
}

/** The same for a co-signing key. */
export function readCoSigningKeyFile(path: string, passphrase?: string): Promise<CoSigningKey> {
  return readSeed(path, CO_SIGNING_FORMAT, (seed) => CoSigningKey.fromSeed(seed), passphrase);
}

async function readSeed<T extends KeyPair | CoSigningKey>(
  path: string,
  format: Format,
  keysOf: (seed: Uint8Array) => T,
  passphrase?: string,
): Promise<T> {
  const malformed = (why: string): LedgerError =>
    new LedgerError('key.malformed', `${path}: ${why}`, { path });
  const about = await stat(path).catch((cause: unknown) => {
    throw new LedgerError('not-found', `there is no key file at ${path}`, { path }, cause);
  });
  if (about.size > FILE_BYTES_MAX)
    throw malformed(`expected at most ${FILE_BYTES_MAX} bytes, got ${about.size}`);
  const file = parseKeyFile(await readFile(path, 'utf8'), format);
  if (typeof file === 'string') throw malformed(file);
  let seed: Uint8Array;
  if ('plain' in file.seed) {
    if (process.platform !== 'win32' && (about.mode & 0o077) !== 0) {
      throw malformed('holds a plain key that other users may read; run chmod 600 on it');
    }
    seed = hexOf(file.seed.plain, SEED_BYTES) ?? new Uint8Array(0);
  } else {
    if (passphrase === undefined)
      throw new LedgerError('key.passphrase', `${path} is sealed; a passphrase is needed`, { path });
    const opened = await unseal(file.seed, passphrase, file);
    if (opened === undefined)
      throw new LedgerError('key.passphrase', `the passphrase does not open ${path}`, { path });
    seed = opened;
  }
  if (seed.length !== SEED_BYTES) throw malformed(`expected a seed of ${SEED_BYTES} bytes`);
  const keys = keysOf(seed);
  wipe(seed);
  const named = hexOf(file.publicKey, keys.publicKey.bytes.length);
  if (named === undefined || !equalBytes(named, keys.publicKey.bytes))
    throw malformed('the seed does not belong to the public key named');
  return keys;
}

/** The file, or what is wrong with it. */
function parseKeyFile(text: string, format: Format): KeyFile | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (!isRecord(value) || value['format'] !== format) return `expected the format ${format}`;
  const { publicKey, address, seed } = value;
  if (typeof publicKey !== 'string' || typeof address !== 'string' || !isRecord(seed))
    return 'expected publicKey, address and seed';
  if (typeof seed['plain'] === 'string')
    return { format, address, publicKey, seed: { plain: seed['plain'] } };
  const { scryptLog2, salt, nonce, sealed } = seed;
  if (typeof salt !== 'string' || typeof nonce !== 'string' || typeof sealed !== 'string')
    return 'expected salt, nonce and sealed';
  if (
    typeof scryptLog2 !== 'number' ||
    !Number.isInteger(scryptLog2) ||
    scryptLog2 < 10 ||
    scryptLog2 > COST_LOG2_MAX
  ) {
    return `expected scryptLog2 from 10 to ${COST_LOG2_MAX}`;
  }
  return { format, address, publicKey, seed: { scryptLog2, salt, nonce, sealed } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hexOf(text: string, length: number): Uint8Array | undefined {
  const bytes = fromHex(text);
  return bytes.ok && bytes.value.length === length ? bytes.value : undefined;
}

/** The public key is authenticated too: a seal cannot be moved under another name. */
async function seal(
  seed: Uint8Array,
  passphrase: string,
  head: Pick<KeyFile, 'format' | 'publicKey'>,
  costLog2: number,
): Promise<Sealed> {
  const salt = systemRandom.bytes(SALT_BYTES);
  const nonce = systemRandom.bytes(NONCE_BYTES);
  const key = await deriveKey(passphrase, salt, costLog2);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(additional(head));
  const sealed = Buffer.concat([cipher.update(seed), cipher.final(), cipher.getAuthTag()]);
  wipe(key);
  return { scryptLog2: costLog2, salt: toHex(salt), nonce: toHex(nonce), sealed: toHex(sealed) };
}

async function unseal(
  file: Sealed,
  passphrase: string,
  head: Pick<KeyFile, 'format' | 'publicKey'>,
): Promise<Uint8Array | undefined> {
  const salt = hexOf(file.salt, SALT_BYTES);
  const nonce = hexOf(file.nonce, NONCE_BYTES);
  const sealed = hexOf(file.sealed, SEED_BYTES + TAG_BYTES);
  if (salt === undefined || nonce === undefined || sealed === undefined) return undefined;
  const key = await deriveKey(passphrase, salt, file.scryptLog2);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(
      additional(head),
    );
    decipher.setAuthTag(sealed.subarray(SEED_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(0, SEED_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  } finally {
    wipe(key);
  }
}

function additional({ format, publicKey }: Pick<KeyFile, 'format' | 'publicKey'>): Buffer {
  return Buffer.from(`${format} ${publicKey}`);
}

/** NFKC, so that the same passphrase typed on another keyboard gives the same bytes. */
function deriveKey(passphrase: string, salt: Uint8Array, costLog2: number): Promise<Uint8Array> {
  const cost = 2 ** costLog2;
  return new Promise((resolve, reject) => {
    scrypt(
      passphrase.normalize('NFKC'),
      salt,
      32,
      { N: cost, r: 8, p: 1, maxmem: 256 * cost * 8 },
      (error, key) => {
        if (error === null) resolve(key);
        else reject(error);
      },
    );
  });
}
