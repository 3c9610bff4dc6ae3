/**
 * Room for pages, many to a buffer: a buffer of its own for each would cost more than its bytes, and be most of what the
 * garbage collector has to look after. Pages that are made together are forgotten together, and their buffer with them.
 */
const SLAB_BYTES = 65_536;

export class PageSlab {
  #bytes = new Uint8Array(0);
  #at = 0;

  /** A copy of `from` to `to` − 1 that nobody else writes to. */
  copy(bytes: Uint8Array, from: number, to: number): Uint8Array {
    const length = to - from;
    if (length > SLAB_BYTES / 4) return new Uint8Array(bytes.subarray(from, to));
    if (this.#at + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(SLAB_BYTES);
      this.#at = 0;
    }
    const page = this.#bytes.subarray(this.#at, this.#at + length);
    page.set(bytes.subarray(from, to));
    this.#at += length;
    return page;
  }
}
