/** Files that outlive a crash, except for what was not synced. */
import type { Random } from './random.ts';

/** An append-only file of records. */
export class LogFile<T> {
  #durable: T[] = [];
  #tail: T[] = [];

  append(record: T): void {
    this.#tail.push(record);
  }

  sync(): void {
    this.#durable.push(...this.#tail);
    this.#tail = [];
  }

  /** Drops durable records before that index. */
  dropBefore(index: number): void {
    this.#durable.splice(0, index);
  }

  /**
   * Some of the records that were not synced may have reached the disk anyway, in order; the next one may be torn,
   * which its checksum shows, so it counts as absent.
   */
  crash(random: Random): void {
    this.#durable.push(...this.#tail.slice(0, random.below(this.#tail.length + 1)));
    this.#tail = [];
  }

  /** What a reader after a crash at this moment is sure to find. */
  get durable(): readonly T[] {
    return this.#durable;
  }

  /** What the running process reads. */
  get all(): readonly T[] {
    return this.#tail.length === 0 ? this.#durable : [...this.#durable, ...this.#tail];
  }

  get length(): number {
    return this.#durable.length + this.#tail.length;
  }
}

/** The disk of one node: named files. */
export class Disk {
  readonly #files: Map<string, LogFile<unknown>> = new Map();

  /** The file of that name, empty at first. One name always holds one type of record. */
  file<T>(name: string): LogFile<T> {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = new LogFile<unknown>();
      this.#files.set(name, file);
    }
    return file as LogFile<T>;
  }

  crash(random: Random): void {
    for (const file of this.#files.values()) file.crash(random);
  }

  wipe(): void {
    this.#files.clear();
  }
}
