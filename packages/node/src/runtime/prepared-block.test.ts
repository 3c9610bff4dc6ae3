import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verificationCost } from '@itc/core/crypto/cost.js';
import { sha256, ZERO_HASH } from '@itc/core/crypto/hash.js';
import { compareKeys, type Algorithm } from '@itc/core/crypto/signature.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { HEADER_VERSION } from '@itc/core/ledger/block.js';
import { amount, epoch, height, millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import {
  encodeTransaction,
  transactionSigningBytes,
  type Transaction,
} from '@itc/core/ledger/transaction.js';
import { verifyTransaction } from '@itc/core/state/verified-transaction.js';
import type { KeyPair } from '@itc/core/testing/keys.js';
import { schemeKeyPair } from '@itc/core/testing/schemes.js';
import { VerifyPool } from '../crypto/verify-pool.ts';
import { assembleBlock, prepareBlock } from './prepared-block.ts';

const chain = sha256(Uint8Array.of(1));

/** By signers in any order; `broken` spoils the signature of one of them. */
function signed(signers: readonly KeyPair[], nonce: number, broken?: KeyPair): Uint8Array {
  const [first, ...rest] = signers as [KeyPair, ...KeyPair[]];
  const unsigned = {
    key: first.key,
    lane: 0,
    nonce,
    fee: amount(1n),
    validUntil: height(1_000),
    ...(rest.length > 0 && { shared: true as const }),
    body: { kind: 'transfer' as const, to: asAddress(new Uint8Array(32)), amount: amount(1n) },
  };
  const message = transactionSigningBytes(chain, unsigned);
  const by = (pair: KeyPair): Uint8Array => {
    const signature = pair.sign(message).slice();
    if (pair === broken) signature[50] = (signature[50] as number) ^ 1;
    return signature;
  };
  const cosigners = rest
    .map((pair) => ({ key: pair.key, signature: by(pair) }))
    .sort((a, b) => compareKeys(a.key, b.key));
  const tx: Transaction = { ...unsigned, signature: by(first), ...(rest.length > 0 && { cosigners }) };
  return encodeTransaction(tx);
}

function blockOf(transactions: readonly Uint8Array[]): Uint8Array {
  const header = {
    version: HEADER_VERSION,
    flags: 0,
    epoch: epoch(0),
    height: height(1),
    time: millis(1),
    parentHash: ZERO_HASH,
    stateRoot: ZERO_HASH,
    historyRoot: ZERO_HASH,
    validatorsHash: ZERO_HASH,
    nextValidatorsHash: ZERO_HASH,
  };
  const taken = transactions.map((encoded) => {
    const verified = verifyTransaction(chain, encoded, () => true);
    assert.ok(verified.ok);
    return verified.value;
  });
  return assembleBlock(header, taken).candidate.bytes;
}

const pairs = ([1, 2, 3, 4] as Algorithm[]).map((algorithm) => schemeKeyPair(algorithm, 1));

test('CRYPTO-2.4: a block of transactions of every scheme, and of several signers, is checked as a whole', async () => {
  await using pool = new VerifyPool({ workers: 1 });
  const codeOf = async (transactions: readonly Uint8Array[]): Promise<string> => {
    const prepared = await prepareBlock(chain, blockOf(transactions), pool, () => undefined);
    return prepared.ok ? 'ok' : prepared.code;
  };
  const honest = [...pairs.map((pair) => signed([pair], 0)), signed(pairs, 1)];
  assert.equal(await codeOf(honest), 'ok');
  for (const [i, pair] of pairs.entries()) {
    assert.equal(await codeOf(honest.with(i, signed([pair], 0, pair))), 'signature.invalid');
    assert.equal(await codeOf(honest.with(4, signed(pairs, 1, pair))), 'signature.invalid');
  }
});

test('CRYPTO-11.3: a block whose signatures cost too much is refused before one of them is checked', async () => {
  await using pool = new VerifyPool({ workers: 0 });
  const never = Object.assign(pool, { verifyBatch: () => assert.fail('a signature was checked') });
  const count = LIMITS.blockVerificationMax / verificationCost(3) + 1;
  const { key } = pairs[2] as KeyPair;
  const stub: KeyPair = { key, address: asAddress(new Uint8Array(32)), sign: () => new Uint8Array(2420) };
  const bytes = blockOf(Array.from({ length: count }, (_, nonce) => signed([stub], nonce)));
  assert.ok(bytes.length <= LIMITS.blockBytesMax, 'its bytes alone would be allowed');
  const prepared = await prepareBlock(chain, bytes, never, () => undefined);
  assert.equal(prepared.ok ? 'ok' : prepared.code, 'decode.too-long');
});
