/** ITC through a subnet and back, by transactions, orders and the routes that tell what became of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader } from '@itc/core/bytes/reader.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { readStateProof } from '@itc/core/crypto/state-tree.js';
import { verifyBalance } from '@itc/core/dag/balance-proof.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { decodeCheckpoint } from '@itc/core/ledger/checkpoint.js';
import { VALUE_MIN, withdrawalLeaf, type Withdrawal } from '@itc/core/ledger/escrow.js';
import { amount, millis, SUPPLY } from '@itc/core/ledger/ids.js';
import { encodePayload, payloadSigningBytes } from '@itc/core/ledger/payload.js';
import { encodeValueOrder, type ValueOrder } from '@itc/core/ledger/value-order.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { Hops } from '../runtime/hops.ts';
import type { NodeProcess } from '../runtime/process.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { freePorts } from '../testing/ports.ts';
import { ApiServer } from './server.ts';
import { subnetRoutes } from './subnet-routes.ts';

installNativeCrypto();

type Answer = Record<string, unknown>;

interface Api {
  call(path: string, body?: unknown): Promise<{ readonly status: number; readonly answer: Answer }>;
  stop(): Promise<void>;
}

async function serve(node: NodeProcess, subnet: Hash): Promise<Api> {
  const [port] = await freePorts(1);
  assert.ok(node.subnet && node.subnetStore);
  const sources = { chain: node.chain, hops: new Hops(node.chain), subnet, store: node.subnetStore };
  const routes = [subnetRoutes({ chain: node.chain, subnet: node.subnet, sources, subnets: () => [] })];
  const server = new ApiServer({
    host: '127.0.0.1',
    port: port as number,
    version: '0',
    logger: node.logger,
    routes,
  });
  await server.start();
  return {
    call: async (path, body) => {
      const url = `http://127.0.0.1:${port}/api/v1/subnets/${toHex(subnet)}${path}`;
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(
        url,
        body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) },
      );
      return { status: response.status, answer: (await response.json()) as Answer };
    },
    stop: () => server.stop(),
  };
}

const [ann, bob] = [keyPair(121), keyPair(122)];
const LATE = millis(8_000_000_000_000);

test('SUBNET-8.1 SUBNET-8.2 SUBNET-8.3: ITC goes into a subnet, from device to device and back, and every step tells where it stands', async () => {
  const network = await LocalNetwork.create({ validators: 4, members: 4 });
  const signed = (holder: KeyPair, sequence: number, order: ValueOrder): string => {
    const unsigned = {
      signer: holder.publicKey,
      device: holder.address,
      sequence,
      contentType: 'value' as const,
      content: encodeValueOrder(network.subnet, order),
    };
    const signature = holder.sign(payloadSigningBytes(network.chain, unsigned));
    return Buffer.from(encodePayload(unsigned, signature)).toString('base64url');
  };
  await network.startAll();
  const members = network.running().filter((node) => node.subnet !== undefined);
  const [entry, other] = members as [NodeProcess, NodeProcess];
  const api = await serve(entry, network.subnet);
  const elsewhere = await serve(other, network.subnet);
  const balance = async (at: Api, holder: KeyPair): Promise<string> =>
    (await at.call(`/balances/${formatAddress(holder.address)}`)).answer['balance'] as string;
  const status = async (at: Api, payload: unknown): Promise<Answer> =>
    (await at.call(`/payloads/${payload as string}`)).answer;
  const levels: unknown[] = [];
  const settled = async (payload: unknown): Promise<Answer> => {
    for (let tries = 0; tries < 600; tries += 1) {
      const answer = await status(api, payload);
      if (levels.at(-1) !== answer['level']) levels.push(answer['level']);
      if (answer['state'] === 'applied' || answer['state'] === 'ignored') return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('the payload was never settled');
  };
  try {
    assert.equal((await status(api, toHex(network.chain)))['state'], 'unknown');
    const { subnet } = network;
    await network.act(network.treasury, {
      kind: 'deposit',
      subnet,
      to: ann.address,
      amount: amount(9n * VALUE_MIN),
    });
    const credited = (): boolean => members.every((node) => node.chain.state.escrow(subnet)?.credited === 1);
    await until('the deposit is credited', credited);

    const pay: ValueOrder = {
      kind: 'transfer',
      to: bob.address,
      amount: amount(4n * VALUE_MIN),
      expiresAt: LATE,
    };
    const sent = await api.call('/orders', { payload: signed(ann, 1, pay) });
    assert.equal(sent.status, 200, JSON.stringify(sent.answer));
    const applied = await settled(sent.answer['payload']);
    assert.deepEqual([applied['state'], applied['level']], ['applied', 3]);
    assert.ok((applied['height'] as number) > 0);
    assert.deepEqual(
      levels,
      [...levels].sort((a, b) => Number(a) - Number(b)),
      'a level is never taken back',
    );

    const answers: Answer[] = [];
    for (const at of [api, elsewhere])
      answers.push((await at.call(`/balances/${formatAddress(bob.address)}`)).answer);
    for (const { balance: told, checkpoint, proof } of answers) {
      assert.equal(told, String(4n * VALUE_MIN));
      const bytes = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(text as string, 'base64url'));
      const read = decodeCheckpoint(bytes(checkpoint));
      assert.ok(read.ok);
      const claim = {
        address: bob.address,
        balance: BigInt(told as string),
        proof: readStateProof(new Reader(bytes(proof))),
      };
      assert.ok(verifyBalance(read.value.stateRoot, claim));
    }

    const uncovered = await api.call('/orders', {
      payload: signed(ann, 2, { ...pay, amount: amount(6n * VALUE_MIN) }),
    });
    const refused = await settled(uncovered.answer['payload']);
    assert.deepEqual(
      [refused['state'], refused['code'], refused['level']],
      ['ignored', 'uncovered', undefined],
    );
    assert.match(refused['reason'] as string, /more than the balance/);
    assert.equal(await balance(api, ann), String(5n * VALUE_MIN));

    const damaged = Buffer.from(signed(ann, 3, pay), 'base64url');
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
    const forged = await api.call('/orders', { payload: damaged.toString('base64url') });
    assert.equal(forged.answer['code'], 'payload.signature');

    const out: ValueOrder = {
      kind: 'withdraw',
      to: bob.address,
      amount: amount(3n * VALUE_MIN),
      expiresAt: LATE,
    };
    const left = await settled(
      (await api.call('/orders', { payload: signed(bob, 1, out) })).answer['payload'],
    );
    assert.equal(left['state'], 'applied');
    const withdrawal: Withdrawal = { number: 1, to: bob.address, amount: amount(3n * VALUE_MIN) };
    const path = new MerkleTree([withdrawalLeaf(subnet, withdrawal)]).path(0);
    const checkpoint = left['checkpoint'] as number;
    await network.act(network.treasury, { kind: 'withdraw', subnet, checkpoint, withdrawal, path });
    assert.equal(entry.chain.state.account(bob.address)?.balance, 3n * VALUE_MIN);
    assert.deepEqual(
      [entry.chain.state.escrow(subnet)?.held, entry.chain.state.escrow(subnet)?.claimable],
      [6n * VALUE_MIN, 0n],
    );
    assert.equal(entry.chain.state.supply(), SUPPLY);
    const elsewhereAsked = await api.call(`/payloads/${toHex(asHash(new Uint8Array(32)))}`);
    assert.equal(elsewhereAsked.answer['state'], 'unknown');
  } finally {
    await api.stop();
    await elsewhere.stop();
    await network.close();
  }
});
