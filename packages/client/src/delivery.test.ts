import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { amount, height, SUPPLY } from '@itc/core/ledger/ids.js';
import { trustGenesis } from '@itc/core/light/trust.js';
import { createClient, type Client } from './client.ts';
import type { Clock } from './clock.ts';
import { deliver, ENDPOINTS_MAX, UndeliveredError, type DeliveryOptions, type Endpoint } from './delivery.ts';
import { checkFinality, type Believer } from './finality.ts';
import { FakeNode, person, treasury } from './testing/fake-node.ts';
import { buildTransaction, transfer, type SignedTransaction } from './transactions.ts';

const bob = person(44);
const genesis = new FakeNode();
const believer: Believer = { trust: trustGenesis(genesis.genesis), verify: verifySignature };
/** To give up soon is asked for where a test waits for it: a busy machine answers late. */
const QUICK = { patienceMs: 150, timeoutMs: 60_000, requestMs: 300, believer } as const;
const GIVE_UP_MS = 2_000;

async function running(t: TestContext, count: number): Promise<{ nodes: FakeNode[]; clients: Client[] }> {
  const nodes = Array.from({ length: count }, () => new FakeNode());
  const clients: Client[] = [];
  for (const node of nodes) {
    const url = await node.start();
    t.after(() => node.stop());
    clients.push(createClient({ url, fetch }));
  }
  return { nodes, clients };
}

/** Takes connections and never says a word. */
async function silent(t: TestContext): Promise<Client> {
  const server: Server = createServer(() => {});
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, fetch });
}

const gone: Client = createClient({ url: 'http://127.0.0.1:1', fetch });

const payment = (value = 5n, nonce = 0): Promise<SignedTransaction> =>
  buildTransaction(
    {
      chain: genesis.chain,
      signer: treasury,
      nonce,
      feePerByte: genesis.genesis.feePerByte,
      validUntil: height(100),
    },
    transfer(bob.address, amount(value)),
  );

async function failed(work: Promise<unknown>): Promise<UndeliveredError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UndeliveredError, String(error));
  return error;
}

test('CLIENT-6.1: finality is believed by its proof: block, position and signers', async (t) => {
  const { nodes, clients } = await running(t, 1);
  const [client] = clients as [Client];
  const transaction = await payment();
  await client.submitAndWait(transaction);
  const status = await client.transaction(transaction.id, { proof: true });
  const finality = checkFinality(believer, transaction.id, status);
  assert.ok(finality.ok);
  assert.deepEqual([finality.value.height, finality.value.index, finality.value.weight], [1, 0, 1]);
  assert.equal(finality.value.trust.last.height, 1);
  const code = (changed: object, id = transaction.id, by = believer): string => {
    const checked = checkFinality(by, id, { ...status, ...changed });
    return checked.ok ? 'ok' : checked.code;
  };
  assert.equal(code({}), 'ok');
  assert.equal(code({ status: 'pending' }), 'not-ready');
  assert.equal(code({ proof: undefined }), 'peer.message');
  assert.equal(code({ proof: '!' }), 'peer.message');
  assert.equal(code({ proof: status.proof?.slice(0, -4) }), 'peer.message');
  assert.equal(code({ height: 2 }), 'peer.message');
  assert.equal(code({ index: 1 }), 'peer.message');
  assert.equal(code({}, (await payment(6n)).id), 'peer.message');
  const elsewhere = { ...believer, trust: { ...believer.trust, chain: transaction.id } };
  assert.equal(code({}, transaction.id, elsewhere), 'peer.message');
  assert.equal('proof' in (await client.transaction(transaction.id)), false);
  assert.equal(nodes[0]?.blocks.length, 1);
});

test('CLIENT-6.2: a proof that contradicts what is believed comes back with evidence against who signed both', async (t) => {
  const { clients } = await running(t, 2);
  const [one, two] = clients as [Client, Client];
  const first = await payment(5n);
  const second = await payment(6n);
  await one.submitAndWait(first);
  await two.submitAndWait(second);
  const seen = checkFinality(believer, first.id, await one.transaction(first.id, { proof: true }));
  assert.ok(seen.ok);
  const fork = await two.transaction(second.id, { proof: true });
  const result = checkFinality({ ...believer, trust: seen.value.trust }, second.id, fork);
  assert.ok(!result.ok);
  assert.equal(result.conflict?.doubleVotes.length, 1);
  assert.deepEqual(result.conflict?.doubleVotes[0]?.culprit, genesis.genesis.validators[0]?.key);
});

test('CLIENT-7.1: one node has it first; the others hear nothing of it while that one delivers', async (t) => {
  const { nodes, clients } = await running(t, 3);
  const delivered = await deliver(await payment(), { believer, endpoints: clients, patienceMs: 60_000 });
  assert.deepEqual([delivered.url, delivered.broadcast], [clients[0]?.url, false]);
  assert.equal(delivered.finality?.height, 1);
  assert.equal(delivered.status.receipt?.ok, true);
  assert.deepEqual(
    nodes.map(({ blocks }) => blocks.length),
    [1, 0, 0],
  );
});

test('CLIENT-7.2: when the first is gone, hangs, or keeps it pending, all get the same bytes', async (t) => {
  for (const trouble of ['gone', 'silent', 'pending'] as const) {
    const { nodes, clients } = await running(t, 3);
    const [own, ...others] = clients as [Client, Client, Client];
    if (trouble === 'pending') nodes[0]?.faults.push('stay-pending');
    const bad = { gone: () => gone, silent: () => silent(t), pending: () => own }[trouble];
    const transaction = await payment();
    const delivered = await deliver(transaction, { ...QUICK, endpoints: [await bad(), ...others] });
    assert.equal(delivered.broadcast, true, trouble);
    assert.ok(others.some(({ url }) => url === delivered.url));
    assert.equal(delivered.status.id, toHex(transaction.id));
    const executed = nodes.flatMap(({ blocks }) => blocks.flatMap(({ items }) => items.map(({ id }) => id)));
    assert.ok(executed.length >= 1 && executed.every((id) => id === toHex(transaction.id)));
  }
});

test('CLIENT-7.2: a node that lost it without a word is given it again, and it is executed once', async (t) => {
  const { nodes, clients } = await running(t, 1);
  nodes[0]?.faults.push('hang-up', 'drop-transaction', 'hang-up', 'drop-transaction');
  const delivered = await deliver(await payment(), { ...QUICK, endpoints: clients });
  assert.equal(delivered.broadcast, false);
  assert.equal(nodes[0]?.blocks.length, 1);
  const again = await deliver(await payment(), { ...QUICK, endpoints: clients });
  assert.equal(again.status.height, 1);
  assert.equal(nodes[0]?.blocks.length, 1);
});

test('CLIENT-7.3: attack: a node that says final and cannot prove it is not believed, and holds nothing up', async (t) => {
  const { nodes, clients } = await running(t, 2);
  const transaction = await payment();
  const id = toHex(transaction.id);
  nodes[0]?.statuses.set(id, { id, status: 'final', height: 1, index: 0, receipt: { ok: true, fee: '0' } });
  const delivered = await deliver(transaction, { ...QUICK, endpoints: clients });
  assert.equal(delivered.url, clients[1]?.url);
  const alone = await failed(
    deliver(transaction, { ...QUICK, timeoutMs: GIVE_UP_MS, endpoints: clients.slice(0, 1) }),
  );
  assert.deepEqual(
    alone.told.map(({ said, taken }) => [said, taken]),
    [['unproved', false]],
  );
  // Whoever believes words gets words.
  const { believer: _, ...trusting } = QUICK;
  const word = await deliver(transaction, { ...trusting, endpoints: clients.slice(0, 1) });
  assert.equal(word.finality, undefined);
});

test('CLIENT-7.4: giving up says what is known: who took it, who did not answer, until when it may still happen', async (t) => {
  const { nodes, clients } = await running(t, 1);
  nodes[0]?.faults.push('stay-pending');
  const error = await failed(
    deliver(await payment(), { ...QUICK, timeoutMs: GIVE_UP_MS, endpoints: [clients[0] as Client, gone] }),
  );
  assert.equal(error.code, 'peer.timeout');
  assert.deepEqual(
    error.told.map(({ said, taken, code }) => [said, taken, code]),
    [
      ['pending', true, undefined],
      ['silent', false, 'peer.gone'],
    ],
  );
  assert.match(error.message, /1 of 2 nodes took it.*up to height 100/);
});

test('CLIENT-7.4: refused by every node, the ledger’s reason is the error; refused by one, the others go on', async (t) => {
  const { nodes, clients } = await running(t, 2);
  const price = (await payment()).transaction.fee;
  const cheap = await buildTransaction(
    {
      chain: genesis.chain,
      signer: treasury,
      nonce: 0,
      feePerByte: amount(0n),
      validUntil: height(100),
    },
    transfer(bob.address, amount(1n)),
  );
  assert.ok(price > 0n);
  const error = await failed(deliver(cheap, { ...QUICK, endpoints: clients }));
  assert.equal(error.code, 'transaction.fee');
  assert.deepEqual(
    error.told.map(({ said }) => said),
    ['refused', 'refused'],
  );
  // The first has executed something else in this place of the lane.
  nodes[0]?.execute((await payment(9n)).encoded);
  const used = await failed(deliver(await payment(), { ...QUICK, endpoints: clients.slice(0, 1) }));
  assert.equal(used.code, 'transaction.nonce');
  const delivered = await deliver(await payment(), { ...QUICK, endpoints: clients });
  assert.equal(delivered.url, clients[1]?.url);
  // Final and refused in its block is final: the receipt says so.
  const rich = await deliver(await payment(SUPPLY, 1), { ...QUICK, endpoints: clients });
  assert.equal(rich.status.receipt?.code, 'transaction.balance');
});

test('CLIENT-7.5: it ends at once when the caller says so, and leaves nothing running', async (t) => {
  const endpoints = [await silent(t), gone];
  const abort = new AbortController();
  const work = deliver(await payment(), { ...QUICK, signal: abort.signal, endpoints });
  setTimeout(() => abort.abort(new Error('enough')), 100);
  await assert.rejects(work, /^Error: enough$/);
  await assert.rejects(
    deliver(await payment(), { ...QUICK, signal: abort.signal, endpoints }),
    /^Error: enough$/,
  );
  await assert.rejects(async () => deliver(await payment(), { ...QUICK, endpoints: [] }), RangeError);
  const many = Array.from({ length: ENDPOINTS_MAX + 1 }, () => gone);
  await assert.rejects(async () => deliver(await payment(), { ...QUICK, endpoints: many }), RangeError);
});

/** A clock that jumps to the earliest sleeper whenever everybody sleeps. */
class JumpingClock implements Clock {
  readonly pauses: number[] = [];
  #now = 0;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.pauses.push(durationMs);
    await new Promise<void>((resolve, reject) => {
      const sleeper = { at: this.#now + durationMs, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(new Error('aborted'));
      });
      setImmediate(() => this.#jump());
    });
  }

  #jump(): void {
    const next = this.#sleepers.toSorted((a, b) => a.at - b.at)[0];
    if (next === undefined) return;
    this.#sleepers = this.#sleepers.filter((other) => other !== next);
    this.#now = next.at;
    next.wake();
  }
}

test('CLIENT-7.6: pauses grow to a bound and are jittered; requests and their time are bounded', async () => {
  const clock = new JumpingClock();
  let asked = 0;
  const deaf: Endpoint = {
    url: 'deaf',
    submit: () => Promise.reject(new LedgerError('peer.gone', 'no')),
    transaction: () => {
      asked += 1;
      return Promise.reject(new LedgerError('peer.gone', 'no'));
    },
  };
  let draw = 0;
  const options: DeliveryOptions = {
    endpoints: [deaf],
    clock,
    random: () => (draw += 0.37) % 1,
    timeoutMs: 60_000,
    patienceMs: 1_000,
    requestMs: 7_777,
  };
  const error = await failed(deliver(await payment(), options));
  assert.equal(error.code, 'peer.timeout');
  const pauses = clock.pauses.filter((ms) => ![60_000, 1_000, 7_777].includes(ms));
  assert.ok(pauses.every((ms) => ms >= 25 && ms <= 3_000));
  assert.ok(Math.max(...pauses) > 2_000 && new Set(pauses.map(Math.round)).size > 10, 'jittered');
  assert.ok(asked < 60, `${asked} questions in a minute`);
});
