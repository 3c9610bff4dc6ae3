/** Credentials of devices without a key, stored as scrypt hashes (RFC 7914). */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { EDGE_LIMITS } from '../limits.ts';

export interface StoredCredential {
  /** Hex. */
  readonly salt: string;
  readonly hash: string;
}

/** 16 MiB and about 40 ms each. */
const COST = { N: 16_384, r: 8, p: 1 } as const;
const HASH_BYTES = 32;

let running = 0;

async function derive(password: Uint8Array, salt: Uint8Array): Promise<Buffer> {
  if (running >= EDGE_LIMITS.scryptAtOnceMax)
    throw new LedgerError('not-ready', 'too many logins by password at a time');
  running += 1;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      scrypt(password, salt, HASH_BYTES, COST, (error, key) =>
        error === null ? resolve(key) : reject(error),
      );
    });
  } finally {
    running -= 1;
  }
}

export async function hashCredential(password: Uint8Array): Promise<StoredCredential> {
  const salt = randomBytes(16);
  return { salt: salt.toString('hex'), hash: (await derive(password, salt)).toString('hex') };
}

export async function checkCredential(stored: StoredCredential, password: Uint8Array): Promise<boolean> {
  if (password.length > EDGE_LIMITS.credentialBytesMax) return false;
  const hash = await derive(password, Buffer.from(stored.salt, 'hex'));
  return timingSafeEqual(hash, Buffer.from(stored.hash, 'hex'));
}
