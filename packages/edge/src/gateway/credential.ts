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
/** Logins that wait for their turn: after a power cut many devices knock at once. */
const waiting: (() => void)[] = [];

/** Resolves when one more may run. The bound keeps a flood of wrong passwords from holding the memory. */
async function turn(): Promise<void> {
  if (running < EDGE_LIMITS.scryptAtOnceMax) {
    running += 1;
    return;
  }
  if (waiting.length >= EDGE_LIMITS.scryptWaitingMax)
    throw new LedgerError('not-ready', 'too many logins by password at a time');
  // Whoever ends hands its place over, so the count stays as it is.
  await new Promise<void>((resolve) => waiting.push(resolve));
}

function leave(): void {
  const next = waiting.shift();
  if (next === undefined) running -= 1;
  else next();
}

async function derive(password: Uint8Array, salt: Uint8Array): Promise<Buffer> {
  await turn();
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      scrypt(password, salt, HASH_BYTES, COST, (error, key) =>
        error === null ? resolve(key) : reject(error),
      );
    });
  } finally {
    leave();
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
