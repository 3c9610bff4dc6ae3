/** Files that outlive a crash, except for what was not synced, and disks that do worse than that. */
import type { Random } from './random.ts';

/** An append-only file of records, each with a checksum: a reader notices what is not as it was written. */
export class LogFile<T> {
  /** A disk that says it has synced and has not: what a crash takes then is beyond the protocol's promise. */
  lies = false;
  #durable: T[] = [];
  #tail: T[] = [];
  /** Index of the first durable record whose checksum does not hold any more. */
  #rotten: number | undefined;

  append(record: T): void {
    this.#tail.push(record);
  }

  sync(): void {
    if (this.lies) return;
    this.#durable.push(...this.#tail);
    this.#tail = [];
  }

  /** Drops durable records before that index. */
  dropBefore(index: number): void {
    this.#durable.splice(0, index);
    if (this.#rotten !== undefined) this.#rotten = this.#rotten < index ? undefined : this.#rotten - index;
  }

  /** Drops records from that index on: a reader has found them unreadable. */
  truncate(length: number): void {
    this.#durable.length = Math.min(length, this.#durable.length);
    this.#tail = [];
    this.#rotten = undefined;
  }

  /**
   * Some of the records that were not synced may have reached the disk anyway, in order; the next one may be torn,
   * which its checksum shows, so it counts as absent.
   *
   * @returns whether one was torn
   */
  crash(random: Random): boolean {
    const kept = random.below(this.#tail.length + 1);
    const torn = kept < this.#tail.length && random.chance(0.5);
    this.#durable.push(...this.#tail.slice(0, kept));
    this.#tail = [];
    return torn;
  }

  /** A bit of a durable record turns over. */
  rot(index: number): void {
    if (index < this.#durable.length) this.#rotten = Math.min(index, this.#rotten ?? index);
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

  /** Records before the first unreadable one; undefined when all can be read. */
  get readable(): number | undefined {
    return this.#rotten;
  }

  copy(): readonly T[] {
    return [...this.#durable];
  }

  restore(records: readonly T[]): void {
    this.#durable = [...records];
    this.#tail = [];
    this.#rotten = undefined;
  }
}

/** What a backup holds: the durable records of each file at the time it was made. */
export type Backup = ReadonlyMap<string, readonly unknown[]>;

/** The disk of one node: named files. */
export class Disk {
  readonly #files: Map<string, LogFile<unknown>> = new Map();
  #lies = false;

  /** The file of that name, empty at first. One name always holds one type of record. */
  file<T>(name: string): LogFile<T> {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = new LogFile<unknown>();
      file.lies = this.#lies;
      this.#files.set(name, file);
    }
    return file as LogFile<T>;
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** @returns the number of files with a torn record */
  crash(random: Random): number {
    let torn = 0;
    for (const file of this.#files.values()) if (file.crash(random)) torn += 1;
    return torn;
  }

  /** From now on nothing is synced, whatever is said. */
  lie(): void {
    this.#lies = true;
    for (const file of this.#files.values()) file.lies = true;
  }

  remove(name: string): void {
    this.#files.delete(name);
  }

  wipe(): void {
    this.#files.clear();
  }

  backup(): Backup {
    return new Map([...this.#files].map(([name, file]) => [name, file.copy()]));
  }

  restore(backup: Backup): void {
    this.wipe();
    for (const [name, records] of backup) this.file<unknown>(name).restore(records);
  }
}
