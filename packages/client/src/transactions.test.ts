import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { amount, epoch, height, millis, UNITS_PER_ITC, view } from '@itc/core/ledger/ids.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import type { Body } from '@itc/core/ledger/body.js';
import { decodeTransaction } from '@itc/core/ledger/transaction.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import { FakeNode, genesisValidator, person, treasury } from './testing/fake-node.ts';
import type { Signer } from './keys.ts';
import {
  bond,
  buildTransaction,
  claim,
  createSubnet,
  deposit,
  evidence,
  grant,
  registerBatch,
  registerMaker,
  restart,
  revoke,
  transfer,
  unbond,
  weightVote,
  withdraw,
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
    expiresAt: millis(9_000_000),
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

test('CLIENT-3.5: a validator’s life, built by the client: bonded with proof of possession, voted in, asked back', async () => {
  const ledger = new Ledger();
  const { node } = ledger;
  for (const who of [owner, genesisValidator])
    assert.equal(await ledger.send(treasury, transfer(who.address, amount(10n * UNITS_PER_ITC))), 'ok');
  const o = { chain: node.chain, account: owner.address, amount: amount(1000n) };
  assert.equal(await ledger.send(owner, await bond({ ...o, consensus: maker })), 'ok');
  const record = node.state.validator(owner.address);
  assert.deepEqual([record?.bond, record?.key], [1000n, maker.publicKey]);
  // A key whose holder did not agree, or agreed with somebody else.
  const stolen = await bond({ ...o, account: guest.address, consensus: lamps[0] as Signer });
  assert.equal(await ledger.send(owner, stolen), 'validator.key');
  assert.equal(await ledger.send(treasury, stolen), 'validator.possession');
  const vote = weightVote({ validator: owner.address, weight: 1 });
  assert.equal(await ledger.send(owner, vote), 'validator.inactive');
  assert.equal(await ledger.send(genesisValidator, vote), 'ok');
  assert.equal(node.state.validator(owner.address)?.weight, 1);
  assert.equal(await ledger.send(owner, unbond(amount(400n))), 'ok');
  assert.equal(node.state.validator(owner.address)?.unbonding[0]?.amount, 400n);
  assert.equal(await ledger.send(owner, restart()), 'validator.inactive');
  assert.equal(await ledger.send(genesisValidator, restart()), 'ok');
});

test('CLIENT-3.5: evidence is sent as a light client found it', async () => {
  const ledger = new Ledger();
  const { node } = ledger;
  const unsigned = (fill: number): { hash: Hash; signature: Uint8Array } => ({
    hash: asHash(new Uint8Array(32).fill(fill)),
    signature: new Uint8Array(64),
  });
  const forged = evidence({
    kind: 'commit',
    culprit: genesisValidator.publicKey,
    epoch: epoch(0),
    view: view(0),
    height: height(1),
    first: unsigned(1),
    second: unsigned(2),
  });
  assert.equal(await ledger.send(treasury, forged), 'evidence.signature');
  const vote = (fill: number): { hash: Hash; signature: Uint8Array } => {
    const hash = asHash(new Uint8Array(32).fill(fill));
    const o = { chain: node.chain, epoch: epoch(0), view: view(0), height: height(1), hash };
    return { hash, signature: genesisValidator.sign(voteSigningBytes('commit', o)) };
  };
  const real = evidence({
    kind: 'commit',
    culprit: genesisValidator.publicKey,
    epoch: epoch(0),
    view: view(0),
    height: height(1),
    first: vote(1),
    second: vote(2),
  });
  assert.equal(await ledger.send(treasury, real), 'ok');
  assert.equal(node.state.validator(genesisValidator.address)?.jailed, true);
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

test('CLIENT-3.2: ITC goes into a subnet by a deposit; fetching what never left it is refused', async () => {
  const ledger = new Ledger();
  const members = [{ key: owner.publicKey, weight: 1 }];
  assert.equal(await ledger.send(treasury, createSubnet({ name: 'house', members, powBits: 0 })), 'ok');
  const subnet = subnetId(treasury.address, 'house');
  const into = deposit({ subnet, to: guest.address, amount: amount(UNITS_PER_ITC) });
  assert.equal(await ledger.send(treasury, into), 'ok');
  const made = ledger.node.state.deposit(subnet, 1);
  assert.deepEqual([made?.number, made?.to, made?.amount], [1, guest.address, UNITS_PER_ITC]);
  const withdrawal = { number: 1, to: guest.address, amount: amount(UNITS_PER_ITC) };
  const out = withdraw({ subnet, checkpoint: 1, withdrawal, path: [] });
  assert.equal(await ledger.send(treasury, out), 'withdrawal.unknown');
});
