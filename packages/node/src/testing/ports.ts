/**
 * Free TCP ports for tests. They lie below those the system gives to outgoing connections: out of those, somebody who dials
 * a process that is not up yet may be given that very port, and the process finds it taken.
 */
import { createServer, type Server } from 'node:net';

const FIRST = 20_000;
const END = 32_000;
const TRIES_MAX = 1_000;

/** Never handed out twice by one process: what listens there may come and go. */
const given = new Set<number>();

/** All held open until all are known. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { readonly port: number; readonly server: Server }[] = [];
  for (let tries = 0; held.length < count; tries += 1) {
    if (tries > TRIES_MAX) throw new Error(`no ${count} free ports between ${FIRST} and ${END}`);
    const port = FIRST + Math.floor(Math.random() * (END - FIRST));
    if (given.has(port)) continue;
    const server = await listening(port);
    if (server === undefined) continue;
    given.add(port);
    held.push({ port, server });
  }
  await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return held.map(({ port }) => port);
}

function listening(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
