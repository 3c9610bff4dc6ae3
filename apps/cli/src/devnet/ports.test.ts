import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { anyRoom, isFree, nextFreePort } from './ports.ts';

test('NODE-7.8: a port in use is passed over, as is one of ours', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve());
  });
  try {
    const { port } = server.address() as AddressInfo;
    assert.equal(await isFree(port), false);
    const next = await nextFreePort(port, new Set());
    assert.ok(next > port);
    assert.ok((await nextFreePort(port, new Set([next]))) > next);
  } finally {
    server.close();
  }
});

test('NODE-7.8: a search that finds none ends and says where it looked', async () => {
  const taken = new Set(Array.from({ length: 300 }, (_, i) => 40_000 + i));
  await assert.rejects(nextFreePort(40_000, taken), /no free port from 40000/);
});

test('NODE-7.8: a devnet that may be anywhere keeps below the ports of outgoing connections, which take what is free for a moment', () => {
  const rooms = Array.from({ length: 1_000 }, (_, i) => anyRoom(() => i / 1_000));
  assert.ok(Math.min(...rooms) > 10_000 && Math.max(...rooms) + 500 <= 32_768);
  assert.ok(new Set(rooms).size > 20);
});
