/** What waits to be sent to one peer: one bounded queue per priority, drained in batches of frames. */
import type { Priority } from '../ports.ts';
import { FRAME_HEAD_BYTES } from './frame-decoder.ts';
import { NETWORK_LIMITS } from './limits.ts';

interface Waiting {
  readonly channel: number;
  readonly bytes: Uint8Array;
}

interface Queue {
  items: Waiting[];
  /** The live range starts here: shifting an array of thousands costs more than a cursor. */
  head: number;
  bytes: number;
}

export class Outbox {
  readonly #queues: readonly [Queue, Queue, Queue] = [emptyQueue(), emptyQueue(), emptyQueue()];
  #dropped = 0;

  get bytes(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.bytes, 0);
  }

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  /** Messages refused because their queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** False when the queue is full. The newest is refused, not the oldest dropped: those who need it send again. */
  push(message: Waiting & { readonly priority: Priority }): boolean {
    const queue = this.#queues[message.priority];
    const size = FRAME_HEAD_BYTES + message.bytes.length;
    if (queue.bytes > 0 && queue.bytes + size > NETWORK_LIMITS.outboxBytesMax[message.priority]) {
      this.#dropped += 1;
      return false;
    }
    queue.items.push(message);
    queue.bytes += size;
    return true;
  }

  /** Frames of about `bytesMax` (at least one), urgent ones first, laid out for one write. */
  take(bytesMax: number): Uint8Array {
    const chosen: Waiting[] = [];
    let size = 0;
    for (const queue of this.#queues) {
      while (queue.head < queue.items.length && size < bytesMax) {
        const message = queue.items[queue.head] as Waiting;
        const frame = FRAME_HEAD_BYTES + message.bytes.length;
        if (size > 0 && size + frame > bytesMax) break;
        queue.head += 1;
        queue.bytes -= frame;
        size += frame;
        chosen.push(message);
      }
      if (queue.head === queue.items.length || queue.head > 1024) {
        queue.items = queue.items.slice(queue.head);
        queue.head = 0;
      }
      // A bulk frame does not slip into a batch that an urgent one did not fit into.
      if (queue.items.length > 0 && size > 0) break;
    }
    return layOut(chosen, size);
  }
}

function emptyQueue(): Queue {
  return { items: [], head: 0, bytes: 0 };
}

function layOut(messages: readonly Waiting[], size: number): Uint8Array {
  const batch = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const { channel, bytes } of messages) {
    batch.writeUInt32BE(bytes.length, at);
    batch[at + 4] = channel;
    batch.set(bytes, at + FRAME_HEAD_BYTES);
    at += FRAME_HEAD_BYTES + bytes.length;
  }
  return batch;
}
