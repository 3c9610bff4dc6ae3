/** What this browser keeps of its keys, in IndexedDB of this origin: the only place that takes a key nobody can read. */
import { openDatabase } from './indexed-database.ts';

const DATABASE = 'itc-dashboard';
const STORE = 'keys';

export async function readKept<T>(slot: string): Promise<T | undefined> {
  const database = await openDatabase(DATABASE, STORE);
  return database === undefined ? undefined : read<T>(database, slot);
}

/** False where the browser keeps nothing. */
export async function keep(slot: string, value: unknown): Promise<boolean> {
  const database = await openDatabase(DATABASE, STORE);
  return database !== undefined && write(database, slot, value);
}

function read<T>(database: IDBDatabase, slot: string): Promise<T | undefined> {
  return new Promise((resolve) => {
    const request = database.transaction(STORE, 'readonly').objectStore(STORE).get(slot);
    request.addEventListener('success', () => resolve(request.result as T | undefined));
    request.addEventListener('error', () => resolve(undefined));
  });
}

function write(database: IDBDatabase, slot: string, value: unknown): Promise<boolean> {
  return new Promise((resolve) => {
    const change = database.transaction(STORE, 'readwrite');
    change.addEventListener('complete', () => resolve(true));
    change.addEventListener('error', () => resolve(false));
    change.addEventListener('abort', () => resolve(false));
    try {
      change.objectStore(STORE).put(value, slot);
    } catch {
      resolve(false);
    }
  });
}
