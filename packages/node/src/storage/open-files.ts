/** Finished files, opened when they are read and closed again: a bound on file descriptors, not on files. */
import type { FrameFile } from './frame-file.ts';

export class OpenFiles {
  readonly #open: (path: string) => FrameFile;
  readonly #max: number;
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #files = new Map<string, FrameFile>();

  constructor(open: (path: string) => FrameFile, max = 64) {
    this.#open = open;
    this.#max = max;
  }

  /** Valid until the next call. */
  get(path: string): FrameFile {
    const file = this.#files.get(path) ?? this.#open(path);
    this.#files.delete(path);
    this.#files.set(path, file);
    if (this.#files.size > this.#max) this.close(this.#files.keys().next().value as string);
    return file;
  }

  close(path: string): void {
    this.#files.get(path)?.close();
    this.#files.delete(path);
  }

  closeAll(): void {
    for (const path of this.#files.keys()) this.close(path);
  }
}
