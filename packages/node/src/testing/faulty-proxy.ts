/** A TCP proxy that is as bad as a network can be: it delays, stalls, resets connections, and goes dark when told to. */
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
}

export class FaultyProxy implements AsyncDisposable {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #dark = false;

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

  async [Symbol.asyncDispose](): Promise<void> {
    this.setDark(true);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #endAll(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#dark) {
      socket.destroy();
      return;
    }
    const onward = connect(this.#target);
    onward.on('error', () => socket.destroy());
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(from);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      this.#pass(from, to);
    }
  }

  #pass(from: Socket, to: Socket): void {
    let clearAt = 0;
    from.on('data', (bytes) => {
      const { delayMs, loss, lossMs, reset } = this.#faults;
      if (this.#random.uniform() < reset) {
        from.destroy();
        return;
      }
      const wait = this.#random.uniform() * delayMs + (this.#random.uniform() < loss ? lossMs : 0);
      const now = performance.now();
      clearAt = Math.max(clearAt, now + wait);
      setTimeout(() => {
        if (!to.destroyed) to.write(bytes);
      }, clearAt - now);
    });
  }
}
