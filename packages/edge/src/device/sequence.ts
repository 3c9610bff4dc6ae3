/** The device's counter: never the same number twice, without a write per reading (spec EDGE-10.2). */
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { DeviceStore } from './store.ts';

const NAME = 'sequence';
/** Numbers reserved by one write. A crash skips at most as many, well inside the window of a lane. */
const BLOCK = 256;

export class Sequence {
  readonly #store: DeviceStore;
  #next = 1;
  /** Numbers below it are reserved on disk. */
  #reserved = 1;

  private constructor(store: DeviceStore) {
    this.#store = store;
  }

  static async open(store: DeviceStore): Promise<Sequence> {
    const sequence = new Sequence(store);
    const stored = await store.read(NAME);
    const read = stored && decode((reader) => reader.u53(), stored);
    if (read?.ok === true) sequence.#next = read.value;
    sequence.#reserved = sequence.#next;
    return sequence;
  }

  async next(): Promise<number> {
    const taken = this.#next;
    this.#next += 1;
    if (taken >= this.#reserved) {
      this.#reserved = taken + BLOCK;
      this.#writing = this.#write(this.#reserved);
    }
    // Also whoever takes a number of a block that is still being written waits for it.
    await this.#writing;
    return taken;
  }

  #writing: Promise<void> = Promise.resolve();

  /** At a proper end nothing is skipped. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#write(this.#next);
  }

  async #write(next: number): Promise<void> {
    await this.#store.write(NAME, new Writer(8).u53(next).finish());
  }
}
