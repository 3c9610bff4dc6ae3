/**
 * A TCP proxy that is as bad as a network can be: it delays, stalls, throttles and resets connections, and goes silent in one
 * direction, or dark, when told to. What it holds back comes later, in order, as TCP's retransmissions would bring it.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Random } from '../ports.ts';

export interface Faults {
  /** Up to so long a piece waits; later pieces wait behind it. */
  readonly delayMs: number;
  /** Chance that a piece is lost: what TCP makes of that is a pause before it comes after all. */
  readonly loss: number;
  readonly lossMs: number;
  /** Chance that a piece ends its connection. */
  readonly reset: number;
  /** Of each direction of each connection; without it, as fast as it comes. */
  readonly bytesPerSecond?: number;
}

/** From whoever dialled to the target, and back. */
export type Direction = 'there' | 'back';

/** Beyond, the sender is not read: what fits into the buffers of a network is bounded, too. */
const HELD_BYTES_MAX = 1 << 20;

export class FaultyProxy implements AsyncDisposable {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #server: Server;
  readonly #flows = new Set<Flow>();
  #dark = false;
  #silent: Direction | undefined;

  private constructor(o: {
    readonly target: { readonly host: string; readonly port: number };
    readonly faults: Faults;
    readonly random: Random;
  }) {
    this.#target = o.target;
    this.#faults = o.faults;
    this.#random = o.random;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async open(o: {
    readonly target: { readonly host: string; readonly port: number };
    readonly faults: Faults;
    readonly random: Random;
  }): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(o);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', () => resolve());
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** A partition: what is open ends, what comes is turned away. */
  setDark(dark: boolean): void {
    this.#dark = dark;
    if (dark) this.#endAll();
  }

  /** Nothing arrives in this direction, and neither end is told; undefined lets through what was held back. */
  setSilent(direction: Direction | undefined): void {
    this.#silent = direction;
    for (const flow of this.#flows) flow.setSilent(flow.direction === direction);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.setDark(true);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #endAll(): void {
    for (const flow of this.#flows) flow.end();
    this.#flows.clear();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#dark) {
      socket.destroy();
      return;
    }
    const onward = connect(this.#target);
    onward.on('error', () => socket.destroy());
    for (const [direction, from, to] of [
      ['there', socket, onward],
      ['back', onward, socket],
    ] as const) {
      const flow = new Flow({ direction, from, to, faults: this.#faults, random: this.#random });
      flow.setSilent(direction === this.#silent);
      this.#flows.add(flow);
      from.on('close', () => {
        this.#flows.delete(flow);
        flow.end();
      });
    }
  }
}

/** One direction of one connection: pieces in order, each not before it is due. */
class Flow {
  readonly direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #held: { readonly bytes: Uint8Array; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #clearAtMs = 0;
  #isSilent = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(o: {
    readonly direction: Direction;
    readonly from: Socket;
    readonly to: Socket;
    readonly faults: Faults;
    readonly random: Random;
  }) {
    this.direction = o.direction;
    this.#from = o.from;
    this.#to = o.to;
    this.#faults = o.faults;
    this.#random = o.random;
    o.from.on('data', (bytes) => this.#take(bytes));
  }

  setSilent(silent: boolean): void {
    this.#isSilent = silent;
    this.#pass();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#held.length = 0;
    this.#from.destroy();
    this.#to.destroy();
  }

  #take(bytes: Uint8Array): void {
    const { delayMs, loss, lossMs, reset, bytesPerSecond } = this.#faults;
    if (this.#random.uniform() < reset) return this.end();
    const wait = this.#random.uniform() * delayMs + (this.#random.uniform() < loss ? lossMs : 0);
    const onWireMs = bytesPerSecond === undefined ? 0 : (1_000 * bytes.length) / bytesPerSecond;
    // The wire carries one piece after the other; what waits in a queue of the network does not hold it up.
    const dueMs = Math.max(this.#clearAtMs, performance.now() + wait) + onWireMs;
    this.#clearAtMs = dueMs;
    this.#held.push({ bytes, dueMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#from.pause();
    return this.#pass();
  }

  #pass(): void {
    clearTimeout(this.#timer);
    if (this.#isSilent) return;
    for (let [head] = this.#held; head !== undefined; [head] = this.#held) {
      const waitMs = head.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pass(), waitMs);
        return;
      }
      this.#held.shift();
      this.#heldBytes -= head.bytes.length;
      if (!this.#to.destroyed) this.#to.write(head.bytes);
    }
    this.#from.resume();
  }
}
