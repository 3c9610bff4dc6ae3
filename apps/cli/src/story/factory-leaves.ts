/** A factory's devices in the order of their indices, for a tree of which only one is ever plugged in. */
import { randomBytes } from 'node:crypto';
import { ED25519, PUBLIC_KEY_BYTES, type PublicKey } from '@itc/core/crypto/signature.js';
import type { LeafKeys } from '@itc/client/batch-tree.js';
import type { Factory } from '../batch-files.ts';

const KEYS_DRAWN = 4_096;

/**
 * `every`: true gives each device its keys, at some 50 µs; otherwise only device `index` has them and the others have bytes by chance
 * in the place of public keys, which is the same tree to the ledger: it sees nothing but the root.
 */
export async function* factoryLeaves(
  factory: Factory,
  o: { readonly count: number; readonly index: number; readonly every: boolean },
  onProgress: (done: number) => void,
): AsyncGenerator<LeafKeys> {
  const drawn = o.every ? undefined : keysByChance();
  for (let at = 0; at < o.count; at += 1) {
    if (at % KEYS_DRAWN === 0) {
      onProgress(at);
      // What else this process does, such as hearing that a connection was closed, gets its turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (drawn === undefined || at === o.index) yield factory.keys(at);
    else yield { device: drawn(), claimKey: drawn() };
  }
  onProgress(o.count);
}

function keysByChance(): () => PublicKey {
  let pool = new Uint8Array(0);
  let at = 0;
  return () => {
    if (at === pool.length) {
      pool = new Uint8Array(randomBytes(KEYS_DRAWN * PUBLIC_KEY_BYTES));
      at = 0;
    }
    const bytes = pool.subarray(at, at + PUBLIC_KEY_BYTES);
    at += PUBLIC_KEY_BYTES;
    return { algorithm: ED25519, bytes };
  };
}
