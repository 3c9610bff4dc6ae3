import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { once } from 'node:events';
import { ok, refused } from '@itc/core/bytes/result.js';
import { ZERO_HASH } from '@itc/core/crypto/hash.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { amount, height } from '@itc/core/ledger/ids.js';
import { encodeTransaction } from '@itc/core/ledger/transaction.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import { FrameDecoder } from '../network/frame-decoder.ts';
import type { CommittedBlock } from '../runtime/chain.ts';
import type { Judged } from '../runtime/intake.ts';
import { systemRandom } from '../random.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { holds, until } from '../testing/until.ts';
import type { Api } from './server.ts';
import { SourceBudget, SOURCE_LIMITS } from './source-budget.ts';
import {
  ANSWER_BYTES_MAX,
  decodeAnswer,
  frameOf,
  SUBMISSION_KINDS,
  SUBMISSION_PATH,
  SUBMISSION_PROTOCOL,
  type SubmissionAnswer,
} from './submission-frames.ts';
import { submissionStream, type SubmissionPort } from './submission-stream.ts';

/** A node of which only the edges are there: what was offered waits in `pool` until the test makes it final. */
class FakeNode {
  readonly pool = new Map<string, VerifiedTransaction>();
  readonly final = new Map<string, number>();
  readonly offered: number[] = [];
  /** No time passes in which an address would be forgiven. */
  readonly sources = new SourceBudget({ clock: new ManualClock(), random: systemRandom });
  isFull = false;
  verdict: Judged | undefined;
  #listener: ((committed: CommittedBlock) => void) | undefined;

  get port(): SubmissionPort {
    const chain = {
      onCommitted: (listener: (committed: CommittedBlock) => void) => {
        this.#listener = listener;
        return () => undefined;
      },
      receipt: (id: Uint8Array) => {
        const at = this.final.get(String(id));
        return at === undefined ? undefined : { height: at, index: 0, outcome: { ok: true } };
      },
    };
    return {
      chain: chain as unknown as SubmissionPort['chain'],
      mempool: { get: (name) => this.pool.get(name) },
      sources: this.sources,
      offer: (encoded, done) => {
        if (this.isFull) return false;
        const transaction = open(encoded);
        this.offered.push(transaction.tx.nonce);
        const known = this.pool.has(transaction.name) || this.final.has(String(transaction.id));
        const judged = this.verdict ?? (known ? refused('transaction.duplicate', 'known') : ok(transaction));
        if (judged.ok) this.pool.set(transaction.name, transaction);
        done(judged);
        return true;
      },
    };
  }

  commit(at: number, nonces: readonly number[], refusedNonce?: number): void {
    const transactions = nonces.map((nonce) => open(transfer(nonce)));
    for (const { name, id } of transactions) {
      this.pool.delete(name);
      this.final.set(String(id), at);
    }
    const receipts = nonces.map((nonce) => ({ outcome: { ok: nonce !== refusedNonce } }));
    this.#listener?.({
      block: { header: { height: at }, transactions },
      receipts,
    } as unknown as CommittedBlock);
  }
}

function transfer(nonce: number): Uint8Array {
  return encodeTransaction({
    key: { algorithm: 1, bytes: new Uint8Array(32).fill(7) },
    lane: 0,
    nonce,
    fee: amount(1n),
    validUntil: height(1_000),
    body: { kind: 'transfer', to: asAddress(new Uint8Array(32)), amount: amount(1n) },
    signature: new Uint8Array(64),
  });
}

function open(encoded: Uint8Array): VerifiedTransaction {
  const verified = verifyTransaction(ZERO_HASH, encoded, () => true);
  assert.ok(verified.ok);
  return verified.value;
}

const frame = (nonce: number): Uint8Array => frameOf(SUBMISSION_KINDS.transaction, transfer(nonce));

class Client {
  readonly socket: Socket;
  readonly answers: SubmissionAnswer[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const decoder = new FrameDecoder(
      () => ANSWER_BYTES_MAX,
      (kind, body) => {
        const answer = decodeAnswer(kind, body);
        assert.ok(answer.ok);
        this.answers.push(answer.value);
      },
    );
    socket.on('data', (chunk: Buffer) => void decoder.push(chunk));
  }

  async heard(count: number): Promise<void> {
    await until(`${count} answers came`, () => this.answers.length >= count);
  }
}

let server: Server;
let node: FakeNode;
const closing: (() => void)[] = [];

before(async () => {
  server = createServer();
  node = new FakeNode();
  const api = { server, addHook: (_name: string, run: () => void) => closing.push(run) };
  submissionStream(node.port)(api as unknown as Api);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => {
  for (const close of closing) close();
  server.close();
});

function connect(
  path: string = SUBMISSION_PATH,
  protocol: string = SUBMISSION_PROTOCOL,
  localAddress = '127.0.0.1',
): Promise<Client | number> {
  const { port } = server.address() as AddressInfo;
  const headers = { connection: 'Upgrade', upgrade: protocol };
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers, localAddress });
    sent.on('upgrade', (_response, socket: Socket) => resolve(new Client(socket)));
    sent.on('response', ({ statusCode }) => resolve(statusCode ?? 0));
    sent.on('error', reject);
    sent.end();
  });
}

test('NODE-6.5: a stream of bad signatures ends, and its address is told when to come again; others are not', async () => {
  const elsewhere = '127.0.0.3';
  const client = await connect(SUBMISSION_PATH, SUBMISSION_PROTOCOL, elsewhere);
  assert.ok(client instanceof Client);
  node.verdict = refused('signature.invalid', 'not signed by its sender');
  const ended = once(client.socket, 'close');
  client.socket.on('error', () => undefined);
  for (let i = 0; i < 2 * SOURCE_LIMITS.burst; i += 1) client.socket.write(frame(i));
  await ended;
  node.verdict = undefined;
  assert.equal(node.offered.length, SOURCE_LIMITS.burst);
  assert.equal(await connect(SUBMISSION_PATH, SUBMISSION_PROTOCOL, elsewhere), 429);
  assert.ok((await connect()) instanceof Client);
  node.offered.length = 0;
});

async function stream(): Promise<Client> {
  const client = await connect();
  assert.ok(client instanceof Client);
  return client;
}

test('NODE-14.1: what is final is told by number and place, block by block, to the stream that sent it', async () => {
  const client = await stream();
  const other = await stream();
  client.socket.write(Buffer.concat([frame(0), frame(1), frame(2)]));
  other.socket.write(frame(3));
  await holds(() => node.pool.size === 4);
  node.commit(5, [1, 3, 0], 0);
  await client.heard(1);
  await other.heard(1);
  assert.deepEqual(client.answers, [
    {
      kind: 'final',
      height: 5,
      items: [
        { number: 1, index: 0, accepted: true },
        { number: 0, index: 2, accepted: false },
      ],
    },
  ]);
  assert.deepEqual(other.answers, [
    { kind: 'final', height: 5, items: [{ number: 0, index: 1, accepted: true }] },
  ]);
  client.socket.destroy();
  other.socket.destroy();
});

test('NODE-14.2: a refusal is told with its code, and the stream goes on', async () => {
  const client = await stream();
  node.verdict = refused('transaction.fee', 'too little');
  client.socket.write(frame(10));
  await client.heard(1);
  node.verdict = undefined;
  client.socket.write(frame(11));
  await holds(() => node.offered.includes(11));
  node.commit(6, [11]);
  await client.heard(2);
  assert.deepEqual(client.answers, [
    { kind: 'refused', number: 0, code: 'transaction.fee', message: 'too little' },
    { kind: 'final', height: 6, items: [{ number: 1, index: 0, accepted: true }] },
  ]);
  client.socket.destroy();
});

test('NODE-14.3: a transaction sent again after a lost connection is waited for, or told to be final at once', async () => {
  const lost = await stream();
  lost.socket.write(Buffer.concat([frame(20), frame(21)]));
  await holds(() => node.offered.includes(21));
  lost.socket.destroy();
  await once(lost.socket, 'close');
  node.commit(7, [20]);
  const client = await stream();
  client.socket.write(Buffer.concat([frame(20), frame(21)]));
  await client.heard(1);
  node.commit(8, [21]);
  await client.heard(2);
  assert.deepEqual(client.answers, [
    { kind: 'final', height: 7, items: [{ number: 0, index: 0, accepted: true }] },
    { kind: 'final', height: 8, items: [{ number: 1, index: 0, accepted: true }] },
  ]);
  client.socket.destroy();
});

test('NODE-14.4: while too many wait to be checked the stream is not read, and nothing is lost or reordered', async () => {
  const client = await stream();
  node.isFull = true;
  client.socket.write(Buffer.concat([30, 31, 32].map(frame)));
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.ok(!node.offered.includes(30));
  node.isFull = false;
  await holds(() => node.offered.includes(32));
  assert.deepEqual(node.offered.slice(-3), [30, 31, 32]);
  client.socket.destroy();
});

test('NODE-14.5: a frame of another kind or beyond the bound ends the stream; other paths and protocols get none', async () => {
  const wrong = [frameOf(2, new Uint8Array(4)), Uint8Array.of(0x7f, 0, 0, 0, SUBMISSION_KINDS.transaction)];
  for (const bytes of wrong) {
    const client = await stream();
    client.socket.write(bytes);
    await once(client.socket, 'close');
  }
  assert.equal(await connect('/api/v1/other'), 404);
  assert.equal(await connect(SUBMISSION_PATH, 'websocket'), 400);
});

test('NODE-14.6: what left the pool without becoming final is told to be gone', async () => {
  const client = await stream();
  client.socket.write(frame(40));
  await holds(() => node.offered.includes(40));
  node.pool.clear();
  node.commit(2_048, []);
  await client.heard(1);
  assert.deepEqual(client.answers[0]?.kind === 'refused' && client.answers[0].code, 'transaction.expired');
  client.socket.destroy();
});
