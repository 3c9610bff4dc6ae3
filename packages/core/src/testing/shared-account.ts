/** Transactions of accounts whose keys were changed, for tests: signed by whoever is named. */
import { equalBytes } from '../bytes/hex.ts';
import { compareKeys } from '../crypto/signature.ts';
import type { Address } from '../ledger/address.ts';
import type { Body } from '../ledger/body.ts';
import { amount, height } from '../ledger/ids.ts';
import { encodeTransaction, transactionSigningBytes, type Transaction } from '../ledger/transaction.ts';
import { verifyTransaction, type VerifiedTransaction } from '../state/verified-transaction.ts';
import { fakeSign, fakeVerify, type Person, type World } from './state-world.ts';

/** For an account, by signers in any order; the first of them is named first. */
export function sharedTransaction(
  w: World,
  account: Address,
  signers: readonly Person[],
  body: Body,
): VerifiedTransaction {
  const [first, ...rest] = signers as [Person, ...Person[]];
  const unsigned = {
    key: first.key,
    ...(!equalBytes(first.address, account) && { account }),
    lane: 0,
    nonce: w.state.account(account)?.nonces[0] ?? 0,
    fee: amount(0n),
    validUntil: height(w.height + 100),
    ...(rest.length > 0 && { shared: true as const }),
    body,
  };
  const signed = (fee: bigint): Uint8Array => {
    const tx = { ...unsigned, fee: amount(fee) };
    const message = transactionSigningBytes(w.chain, tx);
    const cosigners = rest
      .map(({ key }) => ({ key, signature: fakeSign(key, message) }))
      .sort((a, b) => compareKeys(a.key, b.key));
    const whole: Transaction = {
      ...tx,
      signature: fakeSign(first.key, message),
      ...(rest.length > 0 && { cosigners }),
    };
    return encodeTransaction(whole);
  };
  const price = w.genesis.feePerByte * BigInt(signed(0n).length);
  const verified = verifyTransaction(w.chain, signed(price), fakeVerify);
  if (!verified.ok) throw new Error(`${verified.code}: ${verified.message}`);
  return verified.value;
}

/** In a block of its own; `ok` or the code of its receipt. */
export function sendShared(w: World, account: Address, signers: readonly Person[], body: Body): string {
  const [receipt] = w.block(sharedTransaction(w, account, signers, body)).receipts;
  if (receipt === undefined) throw new Error('a block of one has one receipt');
  return receipt.outcome.ok ? 'ok' : receipt.outcome.code;
}
