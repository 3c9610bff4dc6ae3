/** A fake disk that can lose power, fill up and rot: what tests and the simulator do to storage. */
import { posix } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Disk, DiskFile, Random } from '../ports.ts';

/** Unit in which unsynced writes reach the platter or do not. */
const SECTOR_BYTES = 512;

interface Inode {
  bytes: Uint8Array;
  size: number;
  /** Contents at the last sync. */
  durable: Uint8Array;
}

export class MemoryDisk implements Disk {
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #capacity: number;
  #syncFails = false;
  /** How often a device was waited for. */
  syncs = 0;

  constructor(capacityBytes: number = Number.MAX_SAFE_INTEGER) {
    this.#capacity = capacityBytes;
  }

  makeFolder(): void {}

  list(folder: string): readonly string[] {
    return [...this.#names.keys()]
      .filter((path) => posix.dirname(path) === folder)
      .map((path) => posix.basename(path))
      .sort();
  }

  open(path: string): DiskFile {
    let inode = this.#names.get(path);
    if (inode === undefined) {
      inode = { bytes: new Uint8Array(0), size: 0, durable: new Uint8Array(0) };
      this.#names.set(path, inode);
    }
    return this.#fileOf(inode, path);
  }

  rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    if (inode === undefined) throw new LedgerError('storage.failed', `cannot rename ${from}: ENOENT`);
    this.#names.delete(from);
    this.#names.set(to, inode);
  }

  remove(path: string): void {
    this.#names.delete(path);
  }

  async syncFolder(folder: string): Promise<void> {
    await Promise.resolve();
    for (const path of this.#durableNames.keys())
      if (posix.dirname(path) === folder) this.#durableNames.delete(path);
    for (const [path, inode] of this.#names)
      if (posix.dirname(path) === folder) this.#durableNames.set(path, inode);
  }

  /** Bytes all files may hold together. */
  setCapacity(bytes: number): void {
    this.#capacity = bytes;
  }

  /** From now on the device reports an error on every sync. */
  failSyncs(): void {
    this.#syncFails = true;
  }

  flipBit(path: string, at: number): void {
    const inode = this.#names.get(path);
    if (inode === undefined || at >= inode.size) throw new RangeError(`no byte ${at} in ${path}`);
    inode.bytes[at] = (inode.bytes[at] as number) ^ 0x10;
    inode.durable = inode.bytes.slice(0, inode.size);
  }

  sizeOf(path: string): number {
    return this.#names.get(path)?.size ?? 0;
  }

  /**
   * Loss of power: the disk as the next start finds it. Of what was not synced, each sector independently
   * reached the device or did not, and the files' lengths lie anywhere between old and new; unsynced names are
   * all there or none. What still runs on this object is of a dead machine and no longer matters.
   */
  crash(random: Random): MemoryDisk {
    const names = random.uniform() < 0.5 ? this.#durableNames : this.#names;
    return this.#after(names, ({ bytes: written, size: writtenSize, durable }) => {
      const size =
        durable.length +
        Math.floor(random.uniform() * (Math.max(writtenSize, durable.length) - durable.length + 1));
      const bytes = new Uint8Array(size);
      bytes.set(durable.subarray(0, size));
      for (let at = 0; at < size; at += SECTOR_BYTES) {
        if (random.uniform() < 0.5)
          bytes.set(written.subarray(at, Math.min(at + SECTOR_BYTES, size, writtenSize)), at);
      }
      return bytes;
    });
  }

  /** The process dies, the machine stays up: what was written is there, synced or not. */
  kill(): MemoryDisk {
    return this.#after(this.#names, ({ bytes, size }) => bytes.slice(0, size));
  }

  #after(names: ReadonlyMap<string, Inode>, contentsOf: (inode: Inode) => Uint8Array): MemoryDisk {
    const disk = new MemoryDisk(this.#capacity);
    for (const [path, inode] of names) {
      const bytes = contentsOf(inode);
      const survivor = { bytes, size: bytes.length, durable: bytes.slice() };
      disk.#names.set(path, survivor);
      disk.#durableNames.set(path, survivor);
    }
    return disk;
  }

  #used(): number {
    let used = 0;
    for (const inode of this.#names.values()) used += inode.size;
    return used;
  }

  #fileOf(inode: Inode, path: string): DiskFile {
    return {
      size: () => inode.size,
      write: (bytes, at) => {
        const end = at + bytes.length;
        const room = this.#capacity - this.#used() + inode.size;
        const fits = Math.max(0, Math.min(bytes.length, room - at));
        grow(inode, at + fits);
        inode.bytes.set(bytes.subarray(0, fits), at);
        inode.size = Math.max(inode.size, at + fits);
        if (at + fits < end)
          throw new LedgerError('storage.full', `no space is left to write ${path}`, { path });
      },
      read: (at, length) => inode.bytes.slice(Math.min(at, inode.size), Math.min(at + length, inode.size)),
      truncate: (size) => {
        grow(inode, size);
        inode.bytes.fill(0, size);
        inode.size = size;
      },
      sync: async () => {
        const contents = inode.bytes.slice(0, inode.size);
        await Promise.resolve();
        if (this.#syncFails) throw new LedgerError('storage.failed', `cannot sync ${path}: EIO`, { path });
        this.syncs += 1;
        inode.durable = contents;
      },
      close: () => {},
    };
  }
}

function grow(inode: Inode, size: number): void {
  if (size <= inode.bytes.length) return;
  const bytes = new Uint8Array(Math.max(size, 2 * inode.bytes.length));
  bytes.set(inode.bytes);
  inode.bytes = bytes;
}
