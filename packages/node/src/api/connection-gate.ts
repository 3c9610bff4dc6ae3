/**
 * Who may hold the connections of an API server (spec NODE-6.6). While there is room, anybody; then a newcomer takes the
 * place of whoever holds most, so that one address cannot shut out the others by holding them all.
 */
import type { Socket } from 'node:net';
import { networkOf } from './source-budget.ts';

export class ConnectionGate {
  readonly #max: number;
  /** By network, newest last. Every network here has a connection, so the table is bounded. */
  readonly #open = new Map<string, Set<Socket>>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes the connection in or ends it. */
  admit(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '');
    const own = this.#open.get(network)?.size ?? 0;
    if (this.#count >= this.#max) {
      const [crowd, most] = [...this.#open].reduce((a, b) => (b[1].size > a[1].size ? b : a));
      if (most.size <= own + 1) {
        socket.destroy();
        return;
      }
      const newest = [...most].at(-1) as Socket;
      this.#leave(newest, crowd, most);
      newest.destroy();
    }
    const sockets = this.#open.get(network) ?? new Set<Socket>();
    this.#open.set(network, sockets.add(socket));
    this.#count += 1;
    socket.once('close', () => this.#leave(socket, network, sockets));
  }

  #leave(socket: Socket, network: string, sockets: Set<Socket>): void {
    if (!sockets.delete(socket)) return;
    this.#count -= 1;
    if (sockets.size === 0 && this.#open.get(network) === sockets) this.#open.delete(network);
  }
}
