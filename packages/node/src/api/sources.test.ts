import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { createLogger } from '../runtime/logger.ts';
import { SeededRandom } from '../random.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { freePorts } from '../testing/ports.ts';
import { holds } from '../testing/until.ts';
import { chainRoutes, type ChainPort } from './chain-routes.ts';
import { ConnectionGate } from './connection-gate.ts';
import { ApiServer } from './server.ts';
import { networkOf, SourceBudget, SOURCE_LIMITS } from './source-budget.ts';

function budget(): { readonly sources: SourceBudget; readonly clock: ManualClock } {
  const clock = new ManualClock();
  return { clock, sources: new SourceBudget({ clock, random: new SeededRandom(7) }) };
}

test('NODE-6.5: an address that caused many failed checks is not listened to until they are paid off', () => {
  const { sources, clock } = budget();
  const source = sources.source('192.0.2.7');
  for (let i = 0; i < SOURCE_LIMITS.burst - 1; i += 1) sources.charge(source);
  assert.equal(sources.waitMs(source), 0);
  sources.charge(source);
  const waitMs = sources.waitMs(source);
  assert.ok(waitMs > 0 && waitMs <= 1_000);
  assert.throws(
    () => sources.assertWelcome(source),
    (error: LedgerError) => error.code === 'request.too-many' && error.fields['retryAfterS'] === 1,
  );
  clock.advance(waitMs);
  assert.equal(sources.waitMs(source), 0);
  assert.equal(sources.waitMs(sources.source('192.0.2.8')), 0);
});

test('NODE-6.5: only what a check was wasted on is counted', () => {
  const { sources } = budget();
  const source = sources.source('192.0.2.7');
  for (let i = 0; i < 1_000; i += 1) {
    sources.refused(source, 'pool.full');
    sources.refused(source, 'transaction.nonce');
    sources.refused(source, 'decode.truncated');
  }
  assert.equal(sources.waitMs(source), 0);
  for (let i = 0; i < SOURCE_LIMITS.burst; i += 1) sources.refused(source, 'checkpoint.signature');
  assert.ok(sources.waitMs(source) > 0);
});

test('NODE-6.5: thousands of addresses that flood neither clear what one of them owes nor shut others out', () => {
  const { sources } = budget();
  const first = sources.source('203.0.113.1');
  for (let i = 0; i < SOURCE_LIMITS.burst; i += 1) sources.charge(first);
  // A table with a bound would have forgotten the first one by now.
  for (let i = 0; i < 200; i += 1) {
    const flooding = sources.source(`10.${i >> 8}.${i & 255}.1`);
    for (let k = 0; k < SOURCE_LIMITS.burst; k += 1) sources.charge(flooding);
  }
  for (let i = 0; i < 5_000; i += 1) sources.charge(sources.source(`10.77.${i >> 8}.${i & 255}`));
  assert.ok(sources.waitMs(first) > 0);
  let out = 0;
  for (let i = 0; i < 1_000; i += 1)
    if (sources.waitMs(sources.source(`198.51.${i >> 8}.${i & 255}`)) > 0) out += 1;
  assert.ok(out <= 1, `${out} of 1000 strangers`);
});

test('NODE-6.5: an IPv6 customer is one source, whatever host part it chooses; an IPv4 address is itself in both forms', () => {
  assert.equal(networkOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(networkOf('2001:db8::1'), networkOf('2001:db8:0:0:ffff:1:2:3'));
  assert.notEqual(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'));
  assert.equal(networkOf('fe80::1%eth0'), networkOf('fe80::2'));
  assert.equal(networkOf('::1'), networkOf('::'));
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      assert.ok(networkOf(address).length <= 19);
    }),
  );
});

interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function post(port: number, localAddress: string, path: string, body: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(
      { host: '127.0.0.1', port, path: `/api/v1${path}`, method: 'POST', headers, localAddress },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

test('NODE-6.5: bad signatures from one address are answered 429 with Retry-After, unread; other addresses go on', async () => {
  const { sources } = budget();
  let judged = 0;
  const submit = async (encoded: Uint8Array): Promise<ReturnType<typeof asHash>> => {
    judged += 1;
    if (encoded[0] === 0) throw new LedgerError('signature.invalid', 'not signed by its sender');
    return Promise.resolve(asHash(new Uint8Array(32)));
  };
  const [port] = (await freePorts(1)) as [number];
  const server = new ApiServer({
    host: '127.0.0.1',
    port,
    version: '0',
    logger: createLogger('test', 'error'),
    routes: [chainRoutes({ submit, sources } as unknown as ChainPort)],
  });
  await server.start();
  try {
    const bad = JSON.stringify({ transactions: Array.from({ length: 100 }, () => '00') });
    const good = JSON.stringify({ transaction: toHex(Uint8Array.of(1)) });
    const at = '127.0.0.2';
    assert.equal((await post(port, at, '/transactions/batch', bad)).status, 202);
    assert.equal((await post(port, at, '/transactions/batch', bad)).status, 202);
    assert.equal(judged, 200);
    for (const path of ['/transactions', '/transactions/batch']) {
      const { status, headers, body } = await post(port, at, path, bad);
      assert.equal(status, 429);
      assert.equal((JSON.parse(body) as { code: string }).code, 'request.too-many');
      assert.ok(Number(headers['retry-after']) >= 7);
      assert.equal(headers.connection, 'close');
    }
    assert.equal(judged, 200);
    assert.equal((await post(port, '127.0.0.1', '/transactions', good)).status, 202);
  } finally {
    await server.stop();
  }
});

test('NODE-6.6: whoever holds most connections makes room for others, and cannot shut them out', async () => {
  const gate = new ConnectionGate(8);
  let arrived = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    gate.admit(socket);
    arrived += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  const open = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    socket.on('error', () => undefined);
    socket.resume();
    sockets.push(socket);
    await holds(() => arrived === sockets.length);
    return socket;
  };
  for (let i = 0; i < 20; i += 1) await open('127.0.0.2');
  assert.equal(gate.count, 8);
  const others: Socket[] = [];
  for (const address of ['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.3'])
    others.push(await open(address));
  assert.ok(others.every((socket) => !socket.destroyed));
  assert.equal(gate.count, 8);
  // Shared fairly now: the first one gets no more than it has.
  const late = await open('127.0.0.2');
  await holds(() => late.destroyed);
  assert.ok(others.every((socket) => !socket.destroyed));
  for (const socket of sockets) socket.destroy();
  await holds(() => gate.count === 0);
  server.close();
});
