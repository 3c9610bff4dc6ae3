/**
 * Messages read from all peers, handed on by deficit round robin (Shreedhar and Varghese, 1995): a peer that sends
 * ten times as much gets the same share of this node's time while others have something waiting.
 */
import { NETWORK_LIMITS } from './limits.ts';

interface Message {
  readonly channel: number;
  readonly bytes: Uint8Array;
}

/** One peer's end of the queue. */
export interface Inbox {
  readonly handle: (channel: number, bytes: Uint8Array) => void;
  /** Called when the inbox is full (stop reading) and when half of it is handled (read on). */
  readonly throttle: (full: boolean) => void;
}

interface Lane {
  readonly inbox: Inbox;
  messages: Message[];
  head: number;
  bytes: number;
  deficit: number;
  isFull: boolean;
  isClosed: boolean;
}

export class FairQueue {
  /** Lanes with something waiting, in the order of their turns. */
  #ready: Lane[] = [];
  #scheduled = false;
  readonly #schedule: (run: () => void) => void;

  /** `schedule` runs the next turn after pending input and timers; a test may run it by hand. */
  constructor(schedule: (run: () => void) => void = (run) => void setImmediate(run)) {
    this.#schedule = schedule;
  }

  open(inbox: Inbox): {
    push(channel: number, bytes: Uint8Array): void;
    close(): void;
    readonly bytes: number;
  } {
    const lane: Lane = { inbox, messages: [], head: 0, bytes: 0, deficit: 0, isFull: false, isClosed: false };
    return {
      push: (channel, bytes) => this.#push(lane, { channel, bytes }),
      /** Drops what is waiting: a peer that was cut off is no longer heard. */
      close: () => {
        lane.isClosed = true;
        lane.messages = [];
        lane.head = 0;
        lane.bytes = 0;
      },
      get bytes() {
        return lane.bytes;
      },
    };
  }

  #push(lane: Lane, message: Message): void {
    if (lane.isClosed) return;
    if (lane.messages.length === 0) this.#ready.push(lane);
    lane.messages.push(message);
    lane.bytes += message.bytes.length;
    if (!lane.isFull && isOver(lane, 1)) {
      lane.isFull = true;
      lane.inbox.throttle(true);
    }
    this.#wake();
  }

  #wake(): void {
    if (this.#scheduled || this.#ready.length === 0) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      this.#turn();
      this.#wake();
    });
  }

  #turn(): void {
    let messages = 0;
    let bytes = 0;
    while (
      this.#ready.length > 0 &&
      messages < NETWORK_LIMITS.turnMessagesMax &&
      bytes < NETWORK_LIMITS.turnBytesMax
    ) {
      const lane = this.#ready.shift() as Lane;
      lane.deficit += NETWORK_LIMITS.roundBytes;
      while (
        lane.head < lane.messages.length &&
        lane.deficit > 0 &&
        messages < NETWORK_LIMITS.turnMessagesMax
      ) {
        const message = lane.messages[lane.head] as Message;
        lane.head += 1;
        // A message costs something even when it is empty.
        const cost = message.bytes.length + 64;
        lane.deficit -= cost;
        lane.bytes -= message.bytes.length;
        messages += 1;
        bytes += cost;
        lane.inbox.handle(message.channel, message.bytes);
      }
      this.#settle(lane);
    }
  }

  #settle(lane: Lane): void {
    lane.messages = lane.messages.slice(lane.head);
    lane.head = 0;
    if (lane.isFull && !isOver(lane, 0.5)) {
      lane.isFull = false;
      if (!lane.isClosed) lane.inbox.throttle(false);
    }
    if (lane.messages.length > 0) this.#ready.push(lane);
    else lane.deficit = Math.min(lane.deficit, 0);
  }
}

function isOver(lane: Lane, share: number): boolean {
  return (
    lane.bytes > share * NETWORK_LIMITS.inboxBytesMax ||
    lane.messages.length - lane.head > share * NETWORK_LIMITS.inboxMessagesMax
  );
}
