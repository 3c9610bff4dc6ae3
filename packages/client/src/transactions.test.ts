import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { amount, height, millis, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { decodeTransaction, subnetId, type Body } from '@itc/core/ledger/transaction.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { FakeNode, person, treasury } from './testing/fake-node.ts';
import type { Signer } from './keys.ts';
import {
  buildTransaction,
  claim,
  createSubnet,
  grant,
  registerBatch,
  registerMaker,
  revoke,
  transfer,
} from './transactions.ts';
import { buildBatch, formatVoucher, parseVoucher } from './voucher.ts';

const owner = person(11);
const maker = person(12);
const guest = person(13);
const lamps = [21, 22, 23].map((n) => person(n));

/** Executes bodies on a chain and asserts that each is accepted. */
class Ledger {
  readonly node = new FakeNode();

  async send(signer: Signer, body: Body, lane = 0): Promise<string> {
    const nonce = this.node.state.account(signer.address)?.nonces[lane] ?? 0;
    const { chain } = this.node;
    const { feePerByte } = this.node.genesis;
    const { encoded, id } = await buildTransaction(
      { chain, signer, nonce, lane, feePerByte, validUntil: height(1000) },
      body,
    );
    this.node.execute(encoded);
    const receipt = this.node.statuses.get(Buffer.from(id).toString('hex'))?.receipt;
    return receipt?.ok === true ? 'ok' : (receipt?.code ?? 'none');
  }
}

test('CLIENT-3.2: each kind of transaction the client builds is accepted: a device’s life from maker to guest', async () => {
  const ledger = new Ledger();
  const { node } = ledger;
  for (const who of [owner, maker])
    assert.equal(await ledger.send(treasury, transfer(who.address, amount(10n * UNITS_PER_ITC))), 'ok');
  assert.equal(await ledger.send(maker, registerMaker('Lumen')), 'ok');

  let seed = 50;
  const batch = await buildBatch({
    maker: maker.address,
    devices: lamps.map((lamp) => ({ key: lamp.publicKey, endorse: (bytes) => lamp.sign(bytes) })),
    model: asHash(new Uint8Array(32).fill(7)),
    depositPerDevice: amount(1000n),
    random: (length) => new Uint8Array(length).fill((seed += 1)),
  });
  assert.equal(await ledger.send(maker, registerBatch(batch.batch)), 'ok');

  const text = formatVoucher(batch.vouchers[2] as (typeof batch.vouchers)[number]);
  const voucher = parseVoucher(text);
  assert.ok(voucher.ok);
  assert.equal(
    await ledger.send(owner, claim({ chain: node.chain, voucher: voucher.value, owner: owner.address })),
    'ok',
  );
  const device = addressOf((lamps[2] as Signer).publicKey);
  assert.deepEqual(node.state.device(device)?.owner, owner.address);

  const terms = {
    device,
    subject: guest.address,
    actions: 3,
    levelMax: 100,
    notBefore: millis(0),
    expiresAt: millis(9),
  };
  assert.equal(await ledger.send(owner, grant(terms), 4), 'ok');
  assert.ok(node.state.grant(device, guest.address));
  assert.equal(await ledger.send(owner, revoke({ device, subject: guest.address })), 'ok');
  assert.equal(node.state.grant(device, guest.address), undefined);

  // In the order a person would type them, which is not the ledger's.
  const members = lamps.map(({ publicKey }) => ({ key: publicKey, weight: 1 })).toReversed();
  assert.equal(await ledger.send(owner, createSubnet({ name: 'house', members, powBits: 4 })), 'ok');
  assert.equal(node.state.subnet(subnetId(owner.address, 'house'))?.members.length, 3);
});

test('CLIENT-3.2: the fee is exactly the price of the bytes that are sent', async () => {
  const { node } = new Ledger();
  const o = { chain: node.chain, signer: treasury, nonce: 0, feePerByte: amount(7n), validUntil: height(5) };
  for (const body of [transfer(owner.address, amount(1n)), registerMaker('a name of some length')]) {
    const { encoded, transaction } = await buildTransaction(o, body);
    assert.equal(transaction.fee, 7n * BigInt(encoded.length));
    assert.deepEqual(decodeTransaction(encoded), { ok: true, value: transaction });
    const verified = verifyTransaction(node.chain, encoded, verifySignature);
    assert.equal(verified.ok, true);
  }
});
