import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Address } from '@itc/core/ledger/address.js';
import { amount, height, millis, SUPPLY } from '@itc/core/ledger/ids.js';
import type { BlockDetail } from './api.ts';
import { checkBlock } from './block-check.ts';
import type { Believer } from './finality.ts';
import { trustGenesis } from '@itc/core/light/trust.js';
import { createClient, parseHash, type Client } from './client.ts';
import { systemClock } from './clock.ts';
import type { Fetch } from './http.ts';
import { checkRequest } from './requests.ts';
import { damaged, FakeNode, person, treasury } from './testing/fake-node.ts';
import { buildTransaction, transfer, type SignedTransaction } from './transactions.ts';

const bob = person(44);

async function running(t: TestContext): Promise<{ readonly node: FakeNode; readonly client: Client }> {
  const node = new FakeNode();
  const url = await node.start();
  t.after(() => node.stop());
  return { node, client: createClient({ url: `${url}/`, fetch }) };
}

async function payment(client: Client, value: bigint): Promise<SignedTransaction> {
  const { genesis, chain } = await client.genesis();
  const nonce = await client.nextNonce(treasury.address);
  const o = { chain, signer: treasury, nonce, feePerByte: genesis.feePerByte, validUntil: height(100) };
  return buildTransaction(o, transfer(bob.address, amount(value)));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    return error instanceof LedgerError ? error.code : String(error);
  }
}

const trustOf = (node: FakeNode): Parameters<typeof checkBlock>[0] => ({
  chain: node.chain,
  validators: node.genesis.validators,
  verify: verifySignature,
});
const believerOf = (node: FakeNode): Believer => ({
  trust: trustGenesis(node.genesis),
  verify: verifySignature,
});

test('CLIENT-4.1: a payment is sent, becomes final, and is shown with a certificate that holds', async (t) => {
  const { node, client } = await running(t);
  const { status, finality, block } = await client.submitAndVerify(
    await payment(client, 5n),
    believerOf(node),
  );
  const checked = checkBlock(trustOf(node), block);
  assert.ok(checked.ok);
  assert.deepEqual(status.receipt?.ok, true);
  assert.deepEqual([finality.height, finality.index, finality.weight, finality.total], [1, 0, 1, 1]);
  assert.deepEqual(checked.value.header.stateRoot, node.state.root);
  assert.equal((await client.account(bob.address)).balance, 5n);
  assert.equal(await client.nextNonce(treasury.address), 1);
});

test('CLIENT-4.1: a transaction refused in its block is final too, and says why', async (t) => {
  const { client } = await running(t);
  const { status } = await client.submitAndWait(await payment(client, SUPPLY));
  assert.deepEqual(
    [status.status, status.receipt?.ok, status.receipt?.code],
    ['final', false, 'transaction.balance'],
  );
});

test('CLIENT-4.2: a block is believed only as the validators signed it', async (t) => {
  const { node, client } = await running(t);
  const { block } = await client.submitAndWait(await payment(client, 5n));
  const verdict = (changed: BlockDetail, trust = trustOf(node)): string => {
    const checked = checkBlock(trust, changed);
    return checked.ok ? 'ok' : checked.code;
  };
  const { header, certificate } = block;
  assert.equal(verdict(block), 'ok');
  assert.equal(verdict({ ...block, time: block.time + 1 }), 'signature.invalid');
  for (const field of [
    'parentHash',
    'txRoot',
    'stateRoot',
    'historyRoot',
    'nextValidatorsHash',
    'validatorsHash',
  ] as const) {
    assert.equal(
      verdict({ ...block, header: { ...header, [field]: damaged(header[field]) } }),
      'signature.invalid',
      field,
    );
  }
  const signatures = certificate.signatures.map((signature) => damaged(signature));
  assert.equal(verdict({ ...block, certificate: { ...certificate, signatures } }), 'signature.invalid');
  assert.equal(
    verdict({ ...block, certificate: { ...certificate, signers: [], signatures: [] } }),
    'signature.invalid',
  );
  assert.equal(verdict({ ...block, certificate: { ...certificate, signers: [0, 0] } }), 'peer.message');
  assert.equal(verdict({ ...block, certificate: { ...certificate, signers: [1] } }), 'peer.message');
  assert.equal(verdict({ ...block, height: -1 }), 'peer.message');
  assert.equal(verdict({ ...block, header: { ...header, txRoot: 'zz' } }), 'peer.message');
  assert.equal(verdict({} as BlockDetail), 'peer.message');
  assert.equal(verdict({ ...block, items: [] }), 'peer.message');
  assert.equal(
    verdict({ ...block, items: block.items.map((item) => ({ ...item, id: damaged(item.id) })) }),
    'peer.message',
  );
  const others = [{ key: bob.publicKey, weight: 1 }];
  assert.equal(verdict(block, { ...trustOf(node), validators: others }), 'signature.invalid');
  assert.equal(verdict(block, { ...trustOf(node), chain: asHash(new Uint8Array(32)) }), 'signature.invalid');
});

test('CLIENT-4.2: a node that shows another block than the transaction’s is caught', async (t) => {
  const { node, client } = await running(t);
  await client.submitAndWait(await payment(client, 5n));
  const second = await payment(client, 6n);
  node.faults.push('drop-transaction');
  node.statuses.set(toHex(second.id), {
    id: toHex(second.id),
    status: 'final',
    height: 1,
    index: 0,
    receipt: { ok: true, fee: '0' },
  });
  assert.equal(await codeOf(client.submitAndVerify(second, believerOf(node))), 'peer.message');
});

test('CLIENT-4.3: a transaction that a node lost is handed in again, and executed once', async (t) => {
  const { node, client } = await running(t);
  const transaction = await payment(client, 5n);
  node.faults.push('drop-transaction');
  const { status } = await client.submitAndWait(transaction);
  assert.equal(status.receipt?.ok, true);
  // Handed in once more, it is found to be done.
  const again = await client.submitAndWait(transaction);
  assert.equal(again.block.height, 1);
  assert.equal(node.blocks.length, 1);
});

test('CLIENT-4.3: waiting ends by its time, or by the caller, and not by one lost connection', async (t) => {
  const { node, client } = await running(t);
  const transaction = await payment(client, 5n);
  node.faults.push('stay-pending');
  assert.equal(await codeOf(client.submitAndWait(transaction, { timeoutMs: 120 })), 'peer.timeout');
  const abort = new AbortController();
  const waiting = client.waitForTransaction(transaction.id, { signal: abort.signal });
  setTimeout(() => abort.abort(new Error('enough')), 20);
  assert.equal(await codeOf(waiting), 'Error: enough');
  node.faults.push('hang-up');
  node.statuses.delete(toHex(transaction.id));
  node.execute(transaction.encoded);
  const { status } = await client.waitForTransaction(transaction.id);
  assert.equal(status.status, 'final');
});

test('CLIENT-4.4: the server’s refusals arrive as LedgerError with its code', async (t) => {
  const { node, client } = await running(t);
  const { genesis, chain } = await client.genesis();
  const cheap = await buildTransaction(
    { chain, signer: treasury, nonce: 0, feePerByte: amount(genesis.feePerByte - 1n), validUntil: height(9) },
    transfer(bob.address, amount(1n)),
  );
  assert.equal(await codeOf(client.submitAndWait(cheap)), 'transaction.fee');
  assert.equal(await codeOf(client.block(99)), 'not-found');
  node.faults.push('not-problem-details');
  assert.equal(await codeOf(client.status()), 'peer.message');
  node.faults.push('hang-up');
  assert.equal(await codeOf(client.status()), 'peer.gone');
  assert.equal(await codeOf(client.genesis(asHash(new Uint8Array(32)))), 'transaction.wrong-chain');
  assert.throws(() => parseHash('00'), LedgerError);
});

test('CLIENT-2.2: an enrolment signed by the client is accepted by a server that checks it', async (t) => {
  const { node, client } = await running(t);
  const answer = await client.enrolDevice(
    { name: 'desk lamp', device: bob.address },
    { chain: node.chain, signer: treasury },
  );
  assert.deepEqual(answer, { address: toHex(treasury.address), name: 'desk lamp' });
  const elsewhere = { chain: asHash(new Uint8Array(32)), signer: treasury };
  assert.equal(await codeOf(client.enrolDevice({ name: 'x' }, elsewhere)), 'request.unauthorised');
});

test('CLIENT-2.2: readings are asked for by signature of the whole question, and without one in the open', async () => {
  const chain = asHash(new Uint8Array(32).fill(9));
  const asked: (Address | undefined)[] = [];
  const server: Fetch = (url, { method, headers }) => {
    const { pathname, search } = new URL(url);
    const caller = checkRequest({
      chain,
      method,
      path: `${pathname}${search}`,
      body: new Uint8Array(),
      verify: verifySignature,
      authorization: headers['authorization'],
      now: millis(Date.now()),
    });
    asked.push(caller.ok ? caller.value.address : undefined);
    return Promise.resolve(new Response('{"readings":[]}', { status: 200 }));
  };
  const client = createClient({ url: 'http://gateway', fetch: server });
  const signedBy = { chain, signer: bob };
  assert.deepEqual(await client.readings('desk lamp', { name: 'power', limit: 3, signedBy }), []);
  await client.readings('desk lamp', { name: 'power' });
  await client.readings('desk lamp', { signedBy: { ...signedBy, chain: asHash(new Uint8Array(32)) } });
  assert.deepEqual(asked, [bob.address, undefined, undefined]);
});

test('CLIENT-5.3: live events go on over real connections, and unknown kinds are left out', async (t) => {
  const { node, client } = await running(t);
  node.eventTexts = [
    'retry: 250\n\nid: 1\nevent: block\ndata: {"height":1}\n\nid: 2\nevent: novelty\ndata: {}\n\n',
    'id: 3\nevent: status\ndata: {"height":2}\n\n',
  ];
  const abort = new AbortController();
  const seen: [string, string, unknown][] = [];
  for await (const { id, event, value } of client.events({ signal: abort.signal })) {
    seen.push([id, event, value]);
    if (id === '3') abort.abort();
  }
  assert.deepEqual(seen, [
    ['1', 'block', { height: 1 }],
    ['3', 'status', { height: 2 }],
  ]);
  assert.deepEqual(node.resumedFrom, [undefined, '2']);
});

test('CLIENT-4.3: the system clock’s sleep ends early when it is aborted, and at once when it was', async () => {
  const abort = new AbortController();
  const sleeping = systemClock.sleep(60_000, abort.signal);
  abort.abort(new Error('enough'));
  assert.equal(await codeOf(sleeping), 'Error: enough');
  assert.equal(await codeOf(systemClock.sleep(60_000, abort.signal)), 'Error: enough');
  await systemClock.sleep(1);
});
