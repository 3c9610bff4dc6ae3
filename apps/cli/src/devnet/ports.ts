/** Finds free TCP ports on the loopback address. */
import { createServer } from 'node:net';

const TRIES_MAX = 200;

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
