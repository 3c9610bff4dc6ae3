import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFrame, FRAME_CHARACTERS_MAX, FrameParser, retryDelayMs } from './event-stream.ts';

const STREAM =
  ': hello\n\nid: 7\nevent: block\ndata: {"height":3}\n\nid: 8\nevent: status\ndata: {"ready":\ndata: true}\n\nretry: 1000\n\n';

test('frames are the same however the network cuts the bytes', () => {
  const whole = new FrameParser().push(STREAM);
  assert.deepEqual(whole, [
    { id: '7', event: 'block', data: '{"height":3}' },
    { id: '8', event: 'status', data: '{"ready":\ntrue}' },
  ]);
  fc.assert(
    fc.property(fc.array(fc.nat(STREAM.length), { maxLength: 8 }), (cuts) => {
      const parser = new FrameParser();
      const edges = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
      const frames = edges.slice(1).flatMap((edge, i) => parser.push(STREAM.slice(edges[i], edge)));
      assert.deepEqual(frames, whole);
    }),
  );
});

test('lines may end in CR LF, also when a cut falls between the two', () => {
  const parser = new FrameParser();
  const frames = [...parser.push('event: block\r'), ...parser.push('\ndata: {}\r\n\r'), ...parser.push('\n')];
  assert.deepEqual(frames, [{ event: 'block', data: '{}' }]);
});

test('an endless frame is dropped, and what follows is read', () => {
  const parser = new FrameParser();
  const line = `data: ${'x'.repeat(1000)}\n`;
  for (let i = 0; i * 1000 <= FRAME_CHARACTERS_MAX + 2000; i += 1) assert.deepEqual(parser.push(line), []);
  assert.deepEqual(parser.push('\nevent: block\ndata: {}\n\n'), [{ event: 'block', data: '{}' }]);
});

test('frames that are not of the documented form are ignored, never thrown', () => {
  assert.equal(decodeFrame({ event: 'block', data: 'not json' }), undefined);
  assert.equal(decodeFrame({ event: 'block', data: '{"height":"three"}' }), undefined);
  assert.equal(decodeFrame({ event: 'tomorrow', data: '{}' }), undefined);
  fc.assert(
    fc.property(
      fc.constantFrom('block', 'envelope', 'weight', 'checkpoint', 'reading', 'command', 'device', 'status'),
      fc.json(),
      (event, data) => {
        decodeFrame({ event, data });
      },
    ),
  );
});

test('an envelope comes flat beside its subnet', () => {
  const event = decodeFrame({ event: 'envelope', data: '{"subnet":"s","hash":"h","issuer":1}' });
  assert.ok(event?.kind === 'envelope');
  assert.equal(event.subnet, 's');
  assert.equal(event.vertex.hash, 'h');
});

test('retries slow down to at most twelve seconds, and never hurry below 0.4', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempt, random) => {
        const delay = retryDelayMs(attempt, random);
        return delay >= 400 && delay <= 12_000;
      },
    ),
  );
  assert.ok(retryDelayMs(1, 0.5) < retryDelayMs(4, 0.5));
});
