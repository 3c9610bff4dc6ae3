/** Finds free TCP ports on the loopback address. */
import { createServer } from 'node:net';

const TRIES_MAX = 200;
/** Rooms for a devnet each, far from the default ports, below those that systems give to outgoing connections (from 32 768). */
const ROOM_FIRST = 20_000;
const ROOM_PORTS = 500;
const ROOMS = 24;

/** Where a devnet of its own may look for ports: seldom where another one does that starts at the same time. */
export function anyRoom(random: () => number = Math.random): number {
  return ROOM_FIRST + ROOM_PORTS * Math.floor(random() * ROOMS);
}

/** True when nothing listens there now. */
export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The first free port at or after `from` that is not taken already by one of ours. */
export async function nextFreePort(from: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = from; port < Math.min(from + TRIES_MAX, 65_536); port += 1) {
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new Error(`no free port from ${from} to ${from + TRIES_MAX - 1}`);
}
