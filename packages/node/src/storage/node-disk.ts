/** The disk port over `node:fs`. */
import {
  closeSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
  constants,
} from 'node:fs';
import { promisify } from 'node:util';
import type { Disk, DiskFile } from '../ports.ts';
import { diskError } from './disk-error.ts';

const dataSync = promisify(fdatasync);
const fullSync = promisify(fsync);

function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw diskError(operation, path, error);
  }
}

class NodeFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  size(): number {
    return attempt('measure', this.#path, () => fstatSync(this.#fd).size);
  }

  write(bytes: Uint8Array, at: number): void {
    attempt('write', this.#path, () => {
      // A short write is how a filling disk shows first; the next one then says ENOSPC.
      for (let done = 0; done < bytes.length;)
        done += writeSync(this.#fd, bytes, done, bytes.length - done, at + done);
    });
  }

  read(at: number, length: number): Uint8Array {
    return attempt('read', this.#path, () => {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const count = readSync(this.#fd, bytes, done, length - done, at + done);
        if (count === 0) break;
        done += count;
      }
      return done === length ? bytes : bytes.slice(0, done);
    });
  }

  truncate(size: number): void {
    attempt('truncate', this.#path, () => ftruncateSync(this.#fd, size));
  }

  async sync(): Promise<void> {
    await dataSync(this.#fd).catch((error: unknown) => {
      throw diskError('sync', this.#path, error);
    });
  }

  close(): void {
    attempt('close', this.#path, () => closeSync(this.#fd));
  }
}

export const nodeDisk: Disk = {
  makeFolder(folder) {
    attempt('create', folder, () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
  },

  list(folder) {
    return attempt('list', folder, () => {
      try {
        return readdirSync(folder, { withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => entry.name)
          .sort();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    });
  },

  open(path) {
    return new NodeFile(
      attempt('open', path, () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)),
      path,
    );
  },

  rename(from, to) {
    attempt('rename', from, () => renameSync(from, to));
  },

  remove(path) {
    attempt('remove', path, () => rmSync(path, { force: true }));
  },

  async syncFolder(folder) {
    if (process.platform === 'win32') return;
    const fd = attempt('open', folder, () => openSync(folder, constants.O_RDONLY));
    try {
      await fullSync(fd);
    } catch (error) {
      throw diskError('sync', folder, error);
    } finally {
      closeSync(fd);
    }
  },
};
