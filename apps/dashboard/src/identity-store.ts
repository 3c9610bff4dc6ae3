/** What this browser keeps of its keys, in IndexedDB of this origin: the only place that takes a key nobody can read. */
const DATABASE = 'itc-dashboard';
const STORE = 'keys';

export async function readKept<T>(slot: string): Promise<T | undefined> {
  const database = await openDatabase();
  return database === undefined ? undefined : read<T>(database, slot);
}

/** False where the browser keeps nothing. */
export async function keep(slot: string, value: unknown): Promise<boolean> {
  const database = await openDatabase();
  return database !== undefined && write(database, slot, value);
}

/** Undefined in some private windows: what was to be kept then lives as long as the page. */
function openDatabase(): Promise<IDBDatabase | undefined> {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.addEventListener('upgradeneeded', () => request.result.createObjectStore(STORE));
      request.addEventListener('success', () => resolve(request.result));
      request.addEventListener('error', () => resolve(undefined));
      request.addEventListener('blocked', () => resolve(undefined));
    } catch {
      resolve(undefined);
    }
  });
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
