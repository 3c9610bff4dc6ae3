/** The light client's memory in IndexedDB. Where the browser keeps nothing, it lasts as long as the page. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { lastOf } from '@itc/client/light-request.js';
import { decodeKept, type LightStore } from '@itc/client/light-store.js';
import { openDatabase } from './indexed-database.ts';

const DATABASE = 'itc-light';
const STORE = 'kept';
const SLOT = 'wallet';

export function indexedLightStore(): LightStore & { readonly clear: () => Promise<void> } {
  let fallback: Uint8Array | undefined;
  return {
    read: async () => {
      const database = await openDatabase(DATABASE, STORE);
      if (database === undefined) return fallback;
      const found = await settled(database.transaction(STORE).objectStore(STORE).get(SLOT));
      return found instanceof Uint8Array ? found : fallback;
    },
    write: async (bytes) => {
      fallback = bytes;
      const store = (await openDatabase(DATABASE, STORE))?.transaction(STORE, 'readwrite').objectStore(STORE);
      if (store === undefined) return;
      // Another tab may have come further: trust never moves back.
      const there = await settled(store.get(SLOT));
      if (there instanceof Uint8Array && isFurther(there, bytes)) return;
      await settled(store.put(bytes, SLOT));
    },
    clear: async () => {
      fallback = undefined;
      const store = (await openDatabase(DATABASE, STORE))?.transaction(STORE, 'readwrite').objectStore(STORE);
      if (store !== undefined) await settled(store.delete(SLOT));
    },
  };
}

function isFurther(there: Uint8Array, bytes: Uint8Array): boolean {
  const [old, next] = [decodeKept(there), decodeKept(bytes)];
  if (!old.ok || !next.ok) return false;
  const [a, b] = [old.value.trust, next.value.trust];
  return equalBytes(a.subarray(0, 32), b.subarray(0, 32)) && lastOf(a).height > lastOf(b).height;
}

function settled<T>(request: IDBRequest<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => resolve(undefined));
  });
}
