/** A light client's memory as a file, for Node: written aside, then renamed, so that a power cut leaves the old one or the new one. */
import { open, readFile, rename } from 'node:fs/promises';
import type { LightStore } from './light-store.ts';

export function fileLightStore(path: string): LightStore {
  return {
    read: async () => {
      try {
        return new Uint8Array(await readFile(path));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    write: async (bytes) => {
      const aside = `${path}.new`;
      const file = await open(aside, 'w', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(aside, path);
    },
  };
}
