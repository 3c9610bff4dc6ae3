/**
 * Cuts a byte stream into MQTT packets (MQTT 5.0 §2.1). The length is judged as soon as its header is here,
 * before anything of the body is kept: a claimed 256 MB costs the sender a connection and us five bytes.
 */
import { MqttFault, REASON } from './reason.ts';

/** A whole packet, header included; at least two bytes. */
export type Frame = Buffer;

export class FrameReader {
  #chunks: Buffer[] = [];
  /** Bytes of the first chunk that are consumed. */
  #at = 0;
  #length = 0;
  /** Greatest whole packet taken; raised once a client has logged in. */
  bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get buffered(): number {
    return this.#length;
  }

  /** The first byte that is not consumed: type and flags of the next packet, before the packet is whole. */
  get first(): number | undefined {
    return this.#length === 0 ? undefined : this.#byte(0);
  }

  append(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next packet, or undefined until more bytes come. Throws `MqttFault`; after that the stream is lost. */
  next(): Frame | undefined {
    if (this.#length < 2) return undefined;
    let remaining = 0;
    let width = 0;
    for (let more = true; more;) {
      if (width === 4)
        throw new MqttFault(REASON.malformedPacket, 'the remaining length has more than four bytes');
      if (1 + width >= this.#length) return undefined;
      const byte = this.#byte(1 + width);
      remaining += (byte & 0x7f) * 128 ** width;
      width += 1;
      more = byte >= 0x80;
      if (!more && byte === 0 && width > 1)
        throw new MqttFault(REASON.malformedPacket, 'the remaining length is not in its shortest form');
    }
    const total = 1 + width + remaining;
    if (total > this.bytesMax)
      throw new MqttFault(REASON.packetTooLarge, `expected at most ${this.bytesMax} bytes, got ${total}`);
    return this.#length < total ? undefined : this.#take(total);
  }

  #byte(index: number): number {
    let at = this.#at + index;
    for (const chunk of this.#chunks) {
      if (at < chunk.length) return chunk[at] as number;
      at -= chunk.length;
    }
    throw new RangeError('read beyond what is buffered');
  }

  #take(total: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    this.#length -= total;
    if (first.length - this.#at >= total) {
      const frame = first.subarray(this.#at, this.#at + total);
      this.#at += total;
      if (this.#at === first.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
      return frame;
    }
    // Spread over several chunks: joined once, when complete.
    const all = Buffer.concat([first.subarray(this.#at), ...this.#chunks.slice(1)]);
    this.#at = 0;
    const rest = all.subarray(total);
    this.#chunks = rest.length === 0 ? [] : [rest];
    return all.subarray(0, total);
  }
}
