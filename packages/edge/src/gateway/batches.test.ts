import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { parsePayload, type Payload } from '@itc/core/ledger/payload.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { keyPair, verifyQuickly, type KeyPair } from '@itc/core/testing/keys.js';
import type { Channel, Peer, PeerRole } from '@itc/node/ports.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import { MemoryTables } from '@itc/node/storage/memory-tables.js';
import { encodeSenml, parseSenml } from '../2-conversion/senml.ts';
import { BatchPeers } from '../api/batch-peers.ts';
import { Vault } from '../3-cyber/vault/vault.ts';
import { signBatch, verifyBatchReading } from '../device-sdk/reading-batch.ts';
import { loginByPassword, publish, reading, sensor, type Answer } from '../testing/device-login.ts';
import { signerOf } from '../testing/device-signer.ts';
import { openGateway, sensorKey, type TestGateway } from '../testing/gateway.ts';
import { until } from '../testing/mqtt.ts';
import { encodeUploadFrame, UPLOAD_CONTENT_TYPE } from '../upload-frame.ts';

const START = 1_700_000_000_000;

/** Two records in each reading: 20, 120, 21, 121, … */
const pack = (i: number): Uint8Array =>
  encodeSenml('senml+cbor', [
    { name: 'temperature', unit: 'Cel', time: START + 1_000 * i, value: 20 + i },
    { name: 'brightness', unit: 'lx', time: START + 1_000 * i, value: 120 + i },
  ]);

interface Batch {
  readonly payload: Payload;
  readonly readings: readonly Uint8Array[];
}

function batchOf(t: TestGateway, count: number, sequence = 1): Batch {
  const readings = Array.from({ length: count }, (_, i) => pack(i));
  const { chain } = t.ledger;
  const signed = signBatch({ chain, signer: signerOf(sensorKey), sequence, readings });
  const payload = parsePayload(chain, signed.payload);
  assert.ok(payload.ok);
  return { payload: payload.value, readings };
}

const send = (
  client: Awaited<ReturnType<typeof loginByPassword>>,
  { payload, readings }: Batch,
): Promise<Answer> =>
  publish(client, encodeUploadFrame({ payload: payload.bytes, readings }), {
    contentType: UPLOAD_CONTENT_TYPE,
  });

const values = (t: TestGateway, limit = 100): unknown[] => {
  const readings = t.gateway.readings({ device: sensor, limit });
  assert.ok(readings.ok);
  return readings.value.map(({ value }) => value).toReversed();
};

test('EDGE-15.5: thirty readings under one signature are stored, listed like any, and each is proven alone', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const batch = batchOf(t, 30);
  assert.deepEqual((await send(client, batch)).reasonCode, 0);
  assert.equal(t.signaturesChecked(), 1);
  assert.deepEqual(
    t.subnet.offered.map(({ id }) => toHex(id)),
    [toHex(batch.payload.id)],
  );
  assert.equal(t.gateway.payload(batch.payload.id)?.readings, 60);
  const expected = Array.from({ length: 30 }, (_, i) => [20 + i, 120 + i]).flat();
  assert.deepEqual(values(t), expected);
  assert.deepEqual(
    t.gateway.device(sensor)?.latest.map(({ value }) => value),
    [49, 149],
  );
  for (const index of [0, 17, 59]) {
    const proven = t.gateway.batchProof(batch.payload.id, index);
    assert.ok(proven);
    const verdict = verifyBatchReading({ chain: t.ledger.chain, proof: proven.proof, verify: verifyQuickly });
    assert.ok(verdict.ok);
    assert.equal(verdict.value.index, proven.index);
    const records = parseSenml('senml+cbor', verdict.value.reading, 0);
    assert.ok(records.ok);
    assert.equal(records.value[proven.record]?.value, expected[index]);
  }
  assert.equal(t.gateway.batchProof(batch.payload.id, 60), undefined);
  client.end(true);
});

test('EDGE-15.5: readings that are not those of the root, no SenML, or beside a payload that is no batch refuse it all', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const { payload, readings } = batchOf(t, 4);
  const one = reading(t, 9, 20);
  const cases: readonly (readonly [string, Batch, string])[] = [
    ['one too few', { payload, readings: readings.slice(1) }, 'payload.malformed'],
    ['another order', { payload, readings: readings.toReversed() }, 'payload.malformed'],
    ['one changed', { payload, readings: [pack(9), ...readings.slice(1)] }, 'payload.malformed'],
    ['no batch', { payload: one, readings }, 'payload.malformed'],
  ];
  for (const [name, batch, code] of cases) assert.equal((await send(client, batch)).code, code, name);
  const { chain } = t.ledger;
  const odd = [pack(1), Uint8Array.of(0x81, 0xa0)];
  const signed = signBatch({ chain, signer: signerOf(sensorKey), sequence: 3, readings: odd });
  const parsed = parsePayload(chain, signed.payload);
  assert.ok(parsed.ok);
  assert.equal((await send(client, { payload: parsed.value, readings: odd })).code, 'payload.not-senml');
  assert.deepEqual([t.vault.payloadCount, t.subnet.offered.length, t.signaturesChecked()], [0, 0, 0]);
  assert.equal((await send(client, { payload, readings })).code, undefined);
  client.end(true);
});

test('EDGE-15.6: heard of through the subnet a batch has no readings; its device brings them, and they stay over a restart', async () => {
  await using t = await openGateway();
  const batch = batchOf(t, 3);
  t.subnet.hear([batch.payload]);
  await until(() => t.gateway.payload(batch.payload.id)?.readings === 0, 'its payload');
  assert.deepEqual(values(t), []);
  const client = await loginByPassword(t, sensorKey);
  const answer = await send(client, batch);
  assert.deepEqual([answer.reasonCode, answer.code], [0, 'payload.duplicate']);
  assert.deepEqual(values(t), [20, 120, 21, 121, 22, 122]);
  assert.equal(t.subnet.offered.length, 0, 'it was offered where it came from');
  client.end(true);
  await t.restart();
  assert.deepEqual(values(t), [20, 120, 21, 121, 22, 122]);
  assert.deepEqual(
    t.gateway.device(sensor)?.latest.map(({ value }) => value),
    [22, 122],
  );
});

test('EDGE-15.5: readings of a batch count for the size of the vault, and go with their payload', async () => {
  const tables = new MemoryTables();
  await using t = await openGateway();
  const vault = Vault.open({ tables, bytesMax: 20_000 });
  const ids: Hash[] = [];
  for (let i = 1; i <= 8; i += 1) {
    const { payload, readings } = batchOf(t, 100, i);
    ids.push(payload.id);
    await vault.put({ payload, batch: readings, readings: 200, receivedAt: i, timeMin: i, timeMax: i });
    vault.progress({ payloads: [payload.id], stage: 'final', time: i });
  }
  assert.ok(vault.bytes <= 20_000 + 8_000, `${vault.bytes}`);
  assert.equal(vault.batch(ids[0] as Hash), undefined);
  assert.equal(vault.status(ids[0] as Hash), undefined);
  assert.equal(vault.batch(ids.at(-1) as Hash)?.length, 100);
  await vault.close();
});

test('EDGE-15.1: an upload has one encoding; cut off or longer it is none', async () => {
  await using t = await openGateway();
  const client = await loginByPassword(t, sensorKey);
  const { payload, readings } = batchOf(t, 2);
  const bytes = encodeUploadFrame({ payload: payload.bytes, readings });
  for (const wrong of [
    bytes.subarray(0, -1),
    Uint8Array.of(...bytes, 0),
    bytes.with(1, 2),
    bytes.with(0, 2),
  ]) {
    const code = (await publish(client, wrong, { contentType: UPLOAD_CONTENT_TYPE })).code;
    assert.equal(code, 'payload.malformed');
  }
  // By its first byte, where no content type can be given.
  assert.equal((await publish(client, bytes)).code, undefined);
  client.end(true);
});

test('EDGE-15.7: a gateway that heard of a batch asks the others of its subnet, and takes what is under the root', async () => {
  const world = twoGateways();
  await using one = await openGateway({ batches: world.ports[0] });
  await using two = await openGateway({ ledger: one.ledger, batches: world.ports[1] });
  const client = await loginByPassword(one, sensorKey);
  const batch = batchOf(one, 5);
  assert.equal((await send(client, batch)).code, undefined);
  two.subnet.hear([batch.payload]);
  await until(() => values(two).length === 10, 'the readings');
  assert.deepEqual(values(two), values(one));
  client.end(true);
});

test('EDGE-15.7: attack: unasked, of another root, or to who is no gateway of the subnet nothing is given or taken', async () => {
  const world = twoGateways();
  await using t = await openGateway({ batches: world.ports[0] });
  const batch = batchOf(t, 3);
  const other = batchOf(t, 4, 2);
  t.subnet.hear([batch.payload]);
  const reply = (id: Hash, readings: readonly Uint8Array[]): Uint8Array =>
    new Writer(64)
      .fixed(id, 32)
      .list(readings, (w, one) => w.bytes(one))
      .finish();
  await until(() => world.sent.length === 1, 'the question');
  world.tell(0, CHANNELS.batchReply.number, reply(batch.payload.id, other.readings));
  world.tell(0, CHANNELS.batchReply.number, reply(other.payload.id, other.readings));
  world.tell(0, CHANNELS.batchReply.number, Uint8Array.of(1, 2, 3));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(t.vault.batch(batch.payload.id), undefined);
  world.tell(0, CHANNELS.batchReply.number, reply(batch.payload.id, batch.readings));
  await until(() => t.vault.batch(batch.payload.id) !== undefined, 'the right ones');
  assert.equal(values(t).length, 6);
  const before = world.sent.length;
  world.tell(0, CHANNELS.batchRequest.number, batch.payload.id, 'validator');
  assert.equal(world.sent.length, before);
  world.tell(0, CHANNELS.batchRequest.number, batch.payload.id);
  assert.equal(world.sent.length, before + 1);
});

/** Two gateways of one subnet that hear each other at once. */
function twoGateways(): {
  readonly ports: readonly [BatchPeers, BatchPeers];
  readonly sent: Uint8Array[];
  tell(to: 0 | 1, channel: number, bytes: Uint8Array, role?: PeerRole): void;
} {
  const keys = [keyPair(80), keyPair(81)];
  const channels: Map<number, Channel>[] = [new Map(), new Map()];
  const sent: Uint8Array[] = [];
  const peerOf = (i: number, role: PeerRole = 'gateway'): Peer => {
    const { key, address } = keys[i] as KeyPair;
    return { id: `${i}`, key, address, role, listen: '' };
  };
  const tell = (to: 0 | 1, channel: number, bytes: Uint8Array, role?: PeerRole): void =>
    channels[to]?.get(channel)?.receive(peerOf(1 - to, role), bytes);
  const port = (self: 0 | 1): BatchPeers => {
    const other = (1 - self) as 0 | 1;
    return new BatchPeers({
      transport: {
        open: (channel) => void channels[self]?.set(channel.number, channel),
        listen: () => {},
        peers: () => [peerOf(other)],
        send: (_, channel, bytes) => {
          sent.push(bytes);
          setImmediate(() => tell(other, channel, bytes));
          return true;
        },
      },
      clock: {
        monotonicMs: () => performance.now(),
        after: (delayMs, callback) => {
          const timer = setTimeout(callback, delayMs);
          timer.unref();
          return { cancel: () => clearTimeout(timer) };
        },
      },
      members: () => keys.map(({ key }) => ({ key, weight: 1 })),
    });
  };
  return { ports: [port(0), port(1)], sent, tell };
}
