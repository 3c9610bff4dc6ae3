/** Frames of a peer's byte stream: u32 length of the body ‖ u8 channel ‖ body. */

export const FRAME_HEAD_BYTES = 5;

/** What ends the connection: a channel nobody opened, or a length above the channel's limit. */
export type FrameFault = 'malformed' | 'too-long';

export class FrameDecoder {
  readonly #limitOf: (channel: number) => number | undefined;
  readonly #onFrame: (channel: number, body: Uint8Array) => void;
  /** The beginning of a frame whose rest has not arrived. Grows with what arrived, not with what was announced. */
  #partial: Uint8Array = new Uint8Array(256);
  #have = 0;
  #need = FRAME_HEAD_BYTES;
  #fault: FrameFault | undefined;
  #isStopped = false;
  #taken = 0;

  /** `onFrame` receives views into the pushed chunk, or into a buffer of their own. */
  constructor(
    limitOf: (channel: number) => number | undefined,
    onFrame: (channel: number, body: Uint8Array) => void,
  ) {
    this.#limitOf = limitOf;
    this.#onFrame = onFrame;
  }

  /** Bytes held for a frame that is not complete. */
  get held(): number {
    return this.#have;
  }

  /** For `onFrame`: what follows in this chunk is no frame. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Of the last chunk, how many bytes were frames. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes the next bytes; after a fault it takes no more. */
  push(chunk: Uint8Array): FrameFault | undefined {
    this.#isStopped = false;
    let at = 0;
    while (this.#fault === undefined && at < chunk.length && !this.#isStopped) {
      if (this.#have === 0 && chunk.length - at >= FRAME_HEAD_BYTES) {
        const end = at + this.#frameBytes(chunk, at);
        if (this.#fault !== undefined) break;
        if (end <= chunk.length) {
          this.#onFrame(chunk[at + 4] as number, chunk.subarray(at + FRAME_HEAD_BYTES, end));
          at = end;
          continue;
        }
      }
      at += this.#hold(chunk.subarray(at));
    }
    this.#taken = at;
    return this.#fault;
  }

  /** Moves bytes into the partial frame, hands it out when it is complete, and returns how many it took. */
  #hold(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#need - this.#have);
    if (this.#have + count > this.#partial.length) {
      const grown = new Uint8Array(Math.min(this.#need, 2 * (this.#have + count)));
      grown.set(this.#partial.subarray(0, this.#have));
      this.#partial = grown;
    }
    this.#partial.set(bytes.subarray(0, count), this.#have);
    this.#have += count;
    if (this.#have < this.#need) return count;
    if (this.#need === FRAME_HEAD_BYTES) this.#need = this.#frameBytes(this.#partial, 0);
    if (this.#have === this.#need && this.#fault === undefined) {
      const frame = this.#partial.slice(0, this.#need);
      this.#have = 0;
      this.#need = FRAME_HEAD_BYTES;
      if (this.#partial.length > 65_536) this.#partial = new Uint8Array(256);
      this.#onFrame(frame[4] as number, frame.subarray(FRAME_HEAD_BYTES));
    }
    return count;
  }

  /** Size of the frame whose head lies at `at`, checked before a byte of its body is kept. */
  #frameBytes(bytes: Uint8Array, at: number): number {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
    const limit = this.#limitOf(bytes[at + 4] as number);
    if (limit === undefined) this.#fault = 'malformed';
    else if (length > limit) this.#fault = 'too-long';
    return FRAME_HEAD_BYTES + length;
  }
}
