import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Clock } from './clock.ts';
import { EventParser, subscribe, type StreamEvent } from './event-stream.ts';
import type { Fetch } from './http.ts';

const WIRE =
  ': hello\nretry: 300\n\nid: 7\nevent: block\ndata: {"height":1}\n\ndata: a\ndata: b\n\nid: 8\nevent: block\n\nid\ndata\n\n';

const EVENTS: StreamEvent[] = [
  { id: '7', event: 'block', data: '{"height":1}' },
  { id: '7', event: 'message', data: 'a\nb' },
  { id: '', event: 'message', data: '' },
];

test('CLIENT-5.1: events come out the same however the bytes are cut, with any end of line', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(WIRE.length), { maxLength: 12 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      (cuts, endOfLine) => {
        const wire = WIRE.replaceAll('\n', endOfLine);
        const parser = new EventParser();
        const events: StreamEvent[] = [];
        let from = 0;
        for (const to of [...cuts.toSorted((a, b) => a - b), wire.length]) {
          events.push(...parser.push(wire.slice(from, to)));
          from = Math.max(from, to);
        }
        assert.deepEqual(events, EVENTS);
        assert.equal(parser.retryMs, 300);
      },
    ),
  );
});

test('CLIENT-5.2: an event without end is refused before it fills the memory', () => {
  const parser = new EventParser();
  const piece = 'x'.repeat(300_000);
  assert.throws(() => {
    for (let i = 0; i < 10; i += 1) parser.push(piece);
  }, LedgerError);
  const lines = new EventParser();
  assert.throws(() => {
    for (let i = 0; i < 10; i += 1) lines.push(`data: ${piece}\n`);
  }, LedgerError);
});

/** A server whose connections are scripts, and a clock that only writes down the pauses. */
function scripted(connections: readonly (readonly (string | Error)[])[]): {
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly asked: (string | undefined)[];
  readonly pauses: number[];
  readonly cancelled: number[];
} {
  const asked: (string | undefined)[] = [];
  const pauses: number[] = [];
  const cancelled: number[] = [];
  const fetch: Fetch = (_url, init) => {
    asked.push(init.headers['last-event-id']);
    const number = asked.length - 1;
    const script = connections[number];
    if (script === undefined) return Promise.resolve(answer(404, 'application/problem+json', []));
    const [first] = script;
    if (first instanceof Error && script.length === 1) return Promise.reject(first);
    return Promise.resolve(answer(200, 'text/event-stream', script, () => cancelled.push(number)));
  };
  const clock: Clock = { now: () => 0, sleep: (ms) => Promise.resolve(void pauses.push(ms)) };
  return { fetch, clock, asked, pauses, cancelled };
}

function answer(
  status: number,
  type: string,
  script: readonly (string | Error)[],
  onCancel = (): void => undefined,
): Awaited<ReturnType<Fetch>> {
  const pieces = [...script];
  return {
    ok: status === 200,
    status,
    headers: { get: () => type },
    text: () => Promise.resolve('{"code":"not-found","detail":"no more"}'),
    body: {
      getReader: () => ({
        read: () => {
          const piece = pieces.shift();
          if (piece instanceof Error) return Promise.reject(piece);
          return Promise.resolve(
            piece === undefined ? { done: true } : { done: false, value: new TextEncoder().encode(piece) },
          );
        },
        cancel: () => Promise.resolve(onCancel()),
      }),
    },
  };
}

async function collect(
  o: ReturnType<typeof scripted>,
  lastEventId?: string,
): Promise<{ readonly ids: string[]; readonly code: string }> {
  const ids: string[] = [];
  try {
    const options = { fetch: o.fetch, clock: o.clock, url: 'http://x' };
    for await (const { id } of subscribe(lastEventId === undefined ? options : { ...options, lastEventId }))
      ids.push(id);
  } catch (error) {
    return { ids, code: error instanceof LedgerError ? error.code : String(error) };
  }
  return { ids, code: 'ended' };
}

test('CLIENT-5.3: a lost connection is taken up again after the last event seen', async () => {
  const o = scripted([
    ['id: 1\ndata: a\n\nid: 2\nda', 'ta: b\n\n'],
    ['id: 3\ndata: c\n\n', new Error('reset')],
    [new Error('refused')],
    ['data: d\n\n'],
  ]);
  const { ids, code } = await collect(o, '0');
  assert.deepEqual(ids, ['1', '2', '3', '3']);
  assert.deepEqual(o.asked, ['0', '2', '3', '3', '3']);
  // Then the server says that there is nothing: waiting will not change that.
  assert.equal(code, 'not-found');
});

test('CLIENT-5.3: pauses grow while nothing comes, up to a bound, and follow the server’s wish', async () => {
  const o = scripted([['retry: 300\n\n'], ...Array.from({ length: 12 }, () => [new Error('refused')])]);
  await collect(o);
  assert.deepEqual(o.pauses.slice(0, 5), [300, 600, 1200, 2400, 4800]);
  assert.equal(Math.max(...o.pauses), 30_000);
});

test('CLIENT-5.3: who stops listening closes the connection', async () => {
  const o = scripted([['data: a\n\n', 'data: b\n\n']]);
  for await (const { data } of subscribe({ fetch: o.fetch, clock: o.clock, url: 'http://x' })) {
    assert.equal(data, 'a');
    break;
  }
  assert.deepEqual(o.cancelled, [0]);
});
