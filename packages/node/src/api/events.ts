/** Server-sent events: a bounded ring of what happened, resumed by Last-Event-ID (WHATWG HTML §9.2). */
import type { ServerResponse } from 'node:http';
import { Type } from 'typebox';
import type { Api, Routes } from './server.ts';
import { refuse } from './server.ts';

const RING_MAX = 2_000;
const LISTENERS_MAX = 64;
/** A reader that lets this much pile up is cut off; it comes back with its last id. */
const BACKLOG_BYTES_MAX = 1_048_576;
const ALIVE_MS = 15_000;

interface Entry {
  readonly id: number;
  readonly text: string;
}

export class EventHub {
  /** Ids go on across restarts without being stored: they start at the clock. */
  #nextId: number;
  readonly #ring: Entry[] = [];
  readonly #listeners = new Set<ServerResponse>();

  constructor(startMs: number) {
    this.#nextId = startMs * 1_000;
  }

  publish(event: string, value: unknown): void {
    const id = this.#nextId;
    this.#nextId += 1;
    const entry = { id, text: `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(value)}\n\n` };
    this.#ring.push(entry);
    if (this.#ring.length > RING_MAX) this.#ring.splice(0, RING_MAX / 10);
    for (const listener of this.#listeners) {
      if (listener.writableLength > BACKLOG_BYTES_MAX) listener.destroy();
      else listener.write(entry.text);
    }
  }

  /** Worth building an event at all? */
  get observed(): boolean {
    return this.#listeners.size > 0;
  }

  attach(response: ServerResponse, lastId: number | undefined): void {
    if (this.#listeners.size >= LISTENERS_MAX)
      refuse('not-ready', `expected at most ${LISTENERS_MAX} readers of events at a time`);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.write('retry: 1000\n\n');
    if (lastId !== undefined)
      for (const entry of this.#ring) if (entry.id > lastId) response.write(entry.text);
    this.#listeners.add(response);
    const alive = setInterval(() => response.write(': alive\n\n'), ALIVE_MS);
    alive.unref();
    response.once('close', () => {
      clearInterval(alive);
      this.#listeners.delete(response);
    });
  }

  close(): void {
    for (const listener of this.#listeners) listener.end();
  }
}

export function eventRoutes(hub: EventHub): Routes {
  return (api: Api): void => {
    api.get(
      '/api/v1/events',
      {
        schema: {
          summary: 'Blocks, envelopes, readings, commands as they happen',
          description: 'text/event-stream; resume with the header Last-Event-ID',
          headers: Type.Object({ 'last-event-id': Type.Optional(Type.String({ pattern: '^[0-9]{1,16}$' })) }),
        },
      },
      (request, reply) => {
        const last = request.headers['last-event-id'];
        reply.hijack();
        hub.attach(reply.raw, last === undefined ? undefined : Number(last));
      },
    );
  };
}
