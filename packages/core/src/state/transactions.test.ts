import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ed25519 } from '@noble/curves/ed25519.js';
import { verifySignature } from '../crypto/ed25519.ts';
import { ED25519 } from '../crypto/signature.ts';
import { amount, AMOUNT_MAX, height, SUPPLY } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Body } from '../ledger/body.ts';
import { encodeTransaction, transactionSigningBytes } from '../ledger/transaction.ts';
import { fakeVerify, person, transfer, World, makeBatch } from '../testing/state-world.ts';
import { precheck } from './admission.ts';
import { applyBlock } from './apply.ts';
import { accountKey, EPOCH_KEY, RECORD_KINDS } from './keys.ts';
import { encodeRecord } from './records.ts';
import { signedBytes, verifyTransaction } from './verified-transaction.ts';

const alice = person('alice');
const bob = person('bob');
const world = (feePerByte = 10n): World => new World(['alice', 'bob'], feePerByte);

test('STATE-2.1: a transaction signed for another chain does not verify here', () => {
  const here = world(10n);
  const there = world(11n);
  const { encoded } = there.transaction(alice, transfer(bob, 1n));
  const verified = verifyTransaction(here.chain, encoded, fakeVerify);
  assert.equal(verified.ok ? 'ok' : verified.code, 'signature.invalid');
});

test('STATE-2.1: a change of any byte of a signed transaction is noticed', () => {
  const w = world();
  const { encoded } = w.transaction(alice, transfer(bob, 1n));
  for (let at = 0; at < encoded.length; at += 1) {
    const changed = encoded.slice();
    changed[at] = (changed[at] as number) ^ 1;
    assert.equal(verifyTransaction(w.chain, changed, fakeVerify).ok, false, `byte ${at}`);
  }
});

test('STATE-2.1: with real keys, the signed bytes are the prefix of the encoding and the verifier agrees', () => {
  const w = world();
  const secret = new Uint8Array(32).fill(7);
  const key = { algorithm: ED25519, bytes: ed25519.getPublicKey(secret) };
  const unsigned = {
    key,
    lane: 3,
    nonce: 0,
    fee: amount(5000n),
    validUntil: height(9),
    body: transfer(bob, 5n),
  };
  const message = transactionSigningBytes(w.chain, unsigned);
  const tx = { ...unsigned, signature: ed25519.sign(message, secret) };
  const encoded = encodeTransaction(tx);
  assert.deepEqual(signedBytes(w.chain, { tx, encoded }), message);
  assert.equal(verifyTransaction(w.chain, encoded, verifySignature).ok, true);
});

test('STATE-2.1: oversize and malformed bytes are refused before any signature is looked at', () => {
  const never = (): boolean => assert.fail('a signature was checked');
  const w = world();
  const large = verifyTransaction(w.chain, new Uint8Array(LIMITS.transactionBytesMax + 1), never);
  assert.equal(large.ok ? 'ok' : large.code, 'transaction.too-large');
  const short = verifyTransaction(
    w.chain,
    w.transaction(alice, transfer(bob, 1n)).encoded.subarray(0, -1),
    never,
  );
  assert.equal(short.ok ? 'ok' : short.code, 'decode.truncated');
});

/** Sends one transaction that must be refused before its fee is taken, and checks that nothing changed. */
function refusedUntouched(w: World, code: string, transaction: ReturnType<World['transaction']>): void {
  const before = w.state;
  const { receipts, changes, events } = w.block(transaction);
  assert.deepEqual(
    receipts.map(({ fee, outcome }) => [fee, outcome.ok ? 'ok' : outcome.code]),
    [[0n, code]],
  );
  assert.deepEqual([changes, events], [[], []]);
  assert.deepEqual(w.state.root, before.root);
}

test('STATE-2.2: a transaction is executed up to its last height and never after', () => {
  const w = world();
  assert.equal(w.send(alice, transfer(bob, 1n), { validUntil: w.height + 1 }), 'ok');
  refusedUntouched(
    w,
    'transaction.expired',
    w.transaction(alice, transfer(bob, 1n), { validUntil: w.height }),
  );
});

test('STATE-2.3: only the next nonce of the lane is executed', () => {
  const w = world();
  assert.equal(w.send(alice, transfer(bob, 1n)), 'ok');
  for (const nonce of [0, 2, Number.MAX_SAFE_INTEGER]) {
    refusedUntouched(w, 'transaction.nonce', w.transaction(alice, transfer(bob, 1n), { nonce }));
  }
  assert.equal(w.send(alice, transfer(bob, 1n), { nonce: 1 }), 'ok');
});

test('STATE-2.3: lanes are independent: a gap in one does not hold up another', () => {
  const w = world();
  const { receipts } = w.block(
    w.transaction(alice, transfer(bob, 1n), { lane: 5, nonce: 0 }),
    w.transaction(alice, transfer(bob, 1n), { lane: 0, nonce: 1 }),
    w.transaction(alice, transfer(bob, 1n), { lane: 15, nonce: 0 }),
    w.transaction(alice, transfer(bob, 1n), { lane: 5, nonce: 1 }),
  );
  assert.deepEqual(
    receipts.map(({ outcome }) => outcome.ok),
    [true, false, true, true],
  );
  assert.deepEqual(w.state.account(alice.address)?.nonces, [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
});

test('STATE-2.3: lane 16 does not exist', () => {
  const w = world();
  assert.throws(
    () => w.transaction(alice, transfer(bob, 1n), { lane: LIMITS.lanesMax }),
    /decode.out-of-range/,
  );
});

test('STATE-2.3: the same transaction twice in a block, or in a later block, is executed once', () => {
  const w = world();
  const transaction = w.transaction(alice, transfer(bob, 100n));
  const { receipts } = w.block(transaction, transaction);
  assert.deepEqual(
    receipts.map(({ outcome }) => (outcome.ok ? 'ok' : outcome.code)),
    ['ok', 'transaction.nonce'],
  );
  refusedUntouched(w, 'transaction.nonce', transaction);
  assert.equal(w.balance(bob), 1_000_000_000_100n);
});

test('STATE-2.4: a fee one unit below the price of the bytes is refused and not taken', () => {
  const w = world(10n);
  const { encoded } = w.transaction(alice, transfer(bob, 1n));
  const price = 10n * BigInt(encoded.length);
  refusedUntouched(w, 'transaction.fee', w.transaction(alice, transfer(bob, 1n), { fee: price - 1n }));
  assert.equal(w.send(alice, transfer(bob, 1n), { fee: price }), 'ok');
});

test('STATE-2.4: on a chain free of fees a fee of nothing is enough, and a tip is taken all the same', () => {
  const w = world(0n);
  assert.equal(w.send(alice, transfer(bob, 1n), { fee: 0n }), 'ok');
  assert.equal(w.send(alice, transfer(bob, 1n), { fee: 7n }), 'ok');
  assert.equal(w.state.epoch.fees, 7n);
});

test('STATE-2.5: a fee beyond the balance changes nothing, for the poor and for the unknown', () => {
  const w = world();
  refusedUntouched(w, 'transaction.balance', w.transaction(person('nobody'), transfer(bob, 0n)));
  refusedUntouched(
    w,
    'transaction.balance',
    w.transaction(alice, transfer(bob, 0n), { fee: w.balance(alice) + 1n }),
  );
  refusedUntouched(w, 'transaction.balance', w.transaction(alice, transfer(bob, 0n), { fee: AMOUNT_MAX }));
});

test('STATE-2.6: a body that is refused costs its fee and its nonce, and nothing else', () => {
  const w = world();
  const transaction = w.transaction(alice, transfer(bob, SUPPLY));
  const before = w.balance(alice);
  const { receipts, changes } = w.block(transaction);
  assert.equal(receipts[0]?.fee, transaction.tx.fee);
  assert.deepEqual(w.state.account(alice.address), { balance: before - transaction.tx.fee, nonces: [1] });
  assert.equal(w.state.epoch.fees, transaction.tx.fee);
  const touched = changes.map(({ key }) => Uint8Array.from(key));
  assert.deepEqual(
    touched,
    [accountKey(alice.address), EPOCH_KEY].map((key) => Uint8Array.from(key)),
  );
});

test('STATE-2.6: fees of a block go to the pool of the epoch, which is written once', () => {
  const w = world();
  const transactions = [0, 1, 2].map((nonce) => w.transaction(alice, transfer(bob, 5n), { nonce }));
  const { changes } = w.block(...transactions);
  assert.equal(
    w.state.epoch.fees,
    transactions.reduce((sum, { tx }) => sum + tx.fee, 0n),
  );
  assert.equal(changes.filter(({ key }) => key[0] === EPOCH_KEY[0]).length, 1);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-2.7: receipts and events come in the order of the block, events only for what was accepted', () => {
  const w = world();
  const transactions = [
    w.transaction(alice, transfer(bob, 1n)),
    w.transaction(bob, transfer(alice, SUPPLY)),
    w.transaction(alice, { kind: 'register-maker', name: 'Lumen' }, { nonce: 1 }),
  ];
  const { receipts, events } = w.block(...transactions);
  assert.deepEqual(
    receipts.map(({ transaction, index, kind, height: at }) => ({ transaction, index, kind, at })),
    [
      { transaction: transactions[0]?.id, index: 0, kind: 'transfer', at: 1 },
      { transaction: transactions[1]?.id, index: 1, kind: 'transfer', at: 1 },
      { transaction: transactions[2]?.id, index: 2, kind: 'register-maker', at: 1 },
    ],
  );
  const meta = { height: 1, at: 1_001_000 };
  assert.deepEqual(events, [
    {
      kind: 'transferred',
      from: alice.address,
      to: bob.address,
      amount: 1n,
      ...meta,
      transaction: transactions[0]?.id,
      index: 0,
    },
    {
      kind: 'maker-registered',
      maker: alice.address,
      name: 'Lumen',
      ...meta,
      transaction: transactions[2]?.id,
      index: 2,
    },
  ]);
});

test('STATE-2.8: a block for another chain is our own mistake and throws', () => {
  const w = world();
  assert.throws(() => applyBlock(w.state, { ...w.context, chain: world(11n).chain }, []), /different chains/);
});

test('STATE-2.10: a pool takes nonces ahead of the lane within a bound, and none behind', () => {
  const w = world();
  assert.equal(w.send(alice, transfer(bob, 1n)), 'ok');
  const codeOf = (nonce: number): string => {
    const checked = precheck(w.state, w.context, w.transaction(alice, transfer(bob, 1n), { nonce }));
    return checked.ok ? 'ok' : checked.code;
  };
  assert.deepEqual([0, 1, 2, 4097, 4098].map(codeOf), [
    'transaction.nonce',
    'ok',
    'ok',
    'ok',
    'transaction.nonce',
  ]);
});

test('STATE-2.10: a pool refuses what no state could accept, and what cannot pay; it takes what may be waiting for another', () => {
  const w = world();
  const codeOf = (body: Body, options = {}): string => {
    const checked = precheck(w.state, w.context, w.transaction(alice, body, options));
    return checked.ok ? 'ok' : checked.code;
  };
  const batch = makeBatch(alice, 'lamp', 2);
  assert.equal(codeOf({ kind: 'claim', claim: w.claim(batch, 0, alice) }), 'ok');
  assert.equal(codeOf(w.registerBatch(alice, { ...batch, devices: [] }, 1n)), 'batch.malformed');
  assert.equal(codeOf({ kind: 'register-maker', name: '' }), 'maker.malformed');
  assert.equal(codeOf(transfer(bob, 1n), { fee: 1n }), 'transaction.fee');
  assert.equal(codeOf(transfer(bob, 1n), { fee: SUPPLY }), 'transaction.balance');
  assert.equal(codeOf(transfer(bob, 1n), { validUntil: 0 }), 'transaction.expired');
});

test('STATE-3.1: a transfer moves the amount and costs the sender the fee', () => {
  const w = world();
  const transaction = w.transaction(alice, transfer(bob, 5n));
  w.block(transaction);
  assert.equal(w.balance(alice), 1_000_000_000_000n - 5n - transaction.tx.fee);
  assert.equal(w.balance(bob), 1_000_000_000_005n);
});

test('STATE-3.2: amount and fee together must be covered: the last unit can be sent, one more cannot', () => {
  const w = world();
  const { fee } = w.transaction(alice, transfer(bob, 1n)).tx;
  assert.equal(w.send(alice, transfer(bob, w.balance(alice) - fee + 1n)), 'transaction.balance');
  assert.equal(w.send(alice, transfer(bob, w.balance(alice) - fee)), 'ok');
  assert.equal(w.balance(alice), 0n);
});

test('STATE-3.2: amounts at the edge of 64 bits do not wrap', () => {
  const w = world();
  for (const value of [AMOUNT_MAX, AMOUNT_MAX - 1n, AMOUNT_MAX - w.balance(alice) + 1n, 1n << 63n]) {
    assert.equal(w.send(alice, transfer(bob, value)), 'transaction.balance');
  }
  assert.equal(w.balance(bob), 1_000_000_000_000n);
  assert.equal(w.state.supply(), SUPPLY);
});

test('STATE-3.4: transfers of one transaction come to what single ones come to, for one fee', () => {
  const [together, single] = [world(), world()];
  const outputs = [
    { to: bob.address, amount: amount(5n) },
    { to: alice.address, amount: amount(7n) },
    { to: bob.address, amount: amount(11n) },
  ];
  const transaction = together.transaction(alice, { kind: 'transfers', outputs });
  together.block(transaction);
  for (const output of outputs) single.send(alice, { kind: 'transfer', ...output });
  assert.equal(together.balance(bob), single.balance(bob));
  assert.equal(together.balance(alice), 1_000_000_000_000n - 16n - transaction.tx.fee);
  assert.equal(together.state.supply(), SUPPLY);
});

test('STATE-3.4: a sum that the balance does not cover is refused as a whole, also beyond 64 bits', () => {
  for (const values of [
    [1n, 1_000_000_000_000n],
    [AMOUNT_MAX, AMOUNT_MAX],
    [1n << 63n, 1n << 63n, 1n],
  ]) {
    const w = world();
    const outputs = values.map((value) => ({ to: bob.address, amount: amount(value) }));
    assert.equal(w.send(alice, { kind: 'transfers', outputs }), 'transaction.balance');
    assert.equal(w.balance(bob), 1_000_000_000_000n);
    assert.equal(w.state.supply(), SUPPLY);
  }
});

test('STATE-3.3: a transfer to oneself changes nothing but the fee', () => {
  const w = world();
  const before = w.balance(alice);
  const transaction = w.transaction(alice, transfer(alice, before / 2n));
  w.block(transaction);
  assert.equal(w.balance(alice), before - transaction.tx.fee);
});

test('STATE-1.3: a transfer of nothing to nobody leaves no record', () => {
  const w = world();
  const size = w.state.size;
  assert.equal(w.send(alice, transfer(person('nobody'), 0n)), 'ok');
  assert.equal(w.state.size, size);
  assert.equal(w.state.account(person('nobody').address), undefined);
});

test('STATE-2.4: dust has a price: a thousand new accounts cost their bytes, and each record stays small (state dust attack)', () => {
  const w = world(10n);
  const dust = Array.from({ length: 1000 }, (_, i) =>
    w.transaction(alice, transfer(person(`dust ${i}`), 1n), { nonce: i }),
  );
  const { receipts, changes } = w.block(...dust);
  assert.ok(receipts.every(({ outcome }) => outcome.ok));
  assert.ok(w.state.epoch.fees >= 1000n * 10n * 160n);
  for (const { key, value } of changes)
    if (key[0] === RECORD_KINDS.account) assert.ok((value?.length ?? 0) <= 8 + 2 + 16 * 8);
  assert.equal(encodeRecord('account', { balance: amount(1n), nonces: [] }).length, 10);
});
