/** Server-sent events (WHATWG HTML §9.2.6) from a byte stream, with resumption by Last-Event-ID. */
import { LedgerError } from '@itc/core/ledger/errors.js';
import { systemClock, type Clock } from './clock.ts';
import { open, problem, type ByteReader, type Fetch, type FetchResponse } from './http.ts';

export interface StreamEvent {
  /** The last id the server gave; empty before the first. */
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** A line, and the data of one event, may be this long; a server that sends more is not ours. */
const CHARACTERS_MAX = 1_048_576;

/** Takes text in any pieces, gives the events that are complete. */
export class EventParser {
  #line = '';
  #afterReturn = false;
  #id: string;
  #event = '';
  #data: string[] = [];
  #dataLength = 0;
  /** What the server asked for with `retry`, in milliseconds. */
  retryMs: number | undefined;

  constructor(lastEventId = '') {
    this.#id = lastEventId;
  }

  get lastEventId(): string {
    return this.#id;
  }

  /** Throws `peer.message` when a line or an event is too long. */
  push(text: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    let start = 0;
    for (let i = 0; i < text.length; i += 1) {
      const character = text[i];
      if (character !== '\n' && character !== '\r') {
        this.#afterReturn = false;
        continue;
      }
      const piece = text.slice(start, i);
      start = i + 1;
      // CR LF is one end of line, also when the pieces are cut between them.
      if (character === '\n' && this.#afterReturn && piece === '' && this.#line === '') {
        this.#afterReturn = false;
        continue;
      }
      this.#afterReturn = character === '\r';
      const event = this.#endOfLine(this.#line + piece);
      this.#line = '';
      if (event !== undefined) events.push(event);
    }
    this.#line += text.slice(start);
    this.#bound(this.#line.length);
    return events;
  }

  #endOfLine(line: string): StreamEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    // A line that begins with a colon is a comment; unknown fields are ignored, as the standard wants.
    if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d{1,6}$/.test(value)) this.retryMs = Number(value);
    else if (field === 'data') {
      this.#data.push(value);
      this.#dataLength += value.length + 1;
      this.#bound(this.#dataLength);
    }
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const event: StreamEvent = {
      id: this.#id,
      event: this.#event === '' ? 'message' : this.#event,
      data: this.#data.join('\n'),
    };
    const empty = this.#data.length === 0;
    this.#event = '';
    this.#data = [];
    this.#dataLength = 0;
    return empty ? undefined : event;
  }

  #bound(length: number): void {
    if (length > CHARACTERS_MAX)
      throw new LedgerError('peer.message', `an event is longer than ${CHARACTERS_MAX} characters`);
  }
}

export interface SubscribeOptions {
  readonly fetch: Fetch;
  readonly url: string;
  /** To go on after this event. */
  readonly lastEventId?: string;
  /** Ends the subscription: the loop over it finishes without an error. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Told about each connection and each loss, for a display of the state. */
  readonly onState?: (state: 'open' | 'lost') => void;
}

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

/**
 * Events for as long as the caller takes them, over as many connections as it needs. Each reconnection names the
 * last event seen, so that nothing is missed as long as the server still has it. A refusal by the server that
 * will not go away by waiting (4xx) is thrown.
 */
export async function* subscribe(o: SubscribeOptions): AsyncGenerator<StreamEvent, void, void> {
  const clock = o.clock ?? systemClock;
  let lastEventId = o.lastEventId ?? '';
  let retryMs = 1000;
  let failures = 0;
  const ended = (): boolean => o.signal?.aborted === true;
  while (!ended()) {
    try {
      const reader = await connect(o, lastEventId);
      o.onState?.('open');
      const parser = new EventParser(lastEventId);
      for await (const text of texts(reader)) {
        for (const event of parser.push(text)) {
          failures = 0;
          yield event;
          lastEventId = event.id;
        }
        retryMs = Math.max(parser.retryMs ?? retryMs, RETRY_MS_MIN);
      }
    } catch (error) {
      if (ended()) return;
      if (!(error instanceof LedgerError) || isLasting(error)) throw error;
    }
    if (ended()) return;
    o.onState?.('lost');
    const pauseMs = Math.min(retryMs * 2 ** Math.min(failures, 10), RETRY_MS_MAX);
    failures += 1;
    try {
      await clock.sleep(pauseMs, o.signal);
    } catch (error) {
      if (!ended()) throw error;
    }
  }
}

async function connect(o: SubscribeOptions, lastEventId: string): Promise<ByteReader> {
  const response: FetchResponse = await open(o.fetch, o.url, {
    method: 'GET',
    headers: { accept: 'text/event-stream', ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }) },
    ...(o.signal === undefined ? {} : { signal: o.signal }),
  });
  if (!response.ok) throw problem(response.status, await response.text(), o.url);
  const isStream = (response.headers.get('content-type') ?? '').startsWith('text/event-stream');
  if (!isStream || response.body === null)
    throw new LedgerError('peer.message', 'the answer is no event stream', { url: o.url, status: 400 });
  return response.body.getReader();
}

/** A client error stays one: 408 and 429 ask to come again, and 503 is a node that starts. */
function isLasting(error: LedgerError): boolean {
  const { status } = error.fields;
  return typeof status === 'number' && status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** Ends when the connection does, by either side; leaving the loop ends the connection. */
async function* texts(reader: ByteReader): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  try {
    for (;;) {
      let piece: Awaited<ReturnType<ByteReader['read']>>;
      try {
        piece = await reader.read();
      } catch (error) {
        throw new LedgerError('peer.gone', 'the event stream broke', {}, error);
      }
      if (piece.done) return;
      yield decoder.decode(piece.value, { stream: true });
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
