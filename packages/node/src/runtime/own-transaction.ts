/** Transactions a node makes on its own account: for itself (restart), or for everybody (evidence). */
import { ED25519, SIGNATURE_BYTES } from '@itc/core/crypto/signature.js';
import { addressOf } from '@itc/core/ledger/address.js';
import { amount, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  encodeTransaction,
  transactionSigningBytes,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import type { KeyPair } from '../crypto/keypair.ts';
import type { Chain } from './chain.ts';

/** Lanes of the node's account that the process keeps for itself, away from those its operator uses. */
export const OWN_LANES = {
  restart: LIMITS.lanesMax - 1,
  evidence: LIMITS.lanesMax - 2,
} as const;

/** Signed with the next nonce of its lane and the price of the moment. One at a time in a lane. */
export function ownTransaction(
  chain: Chain,
  keys: KeyPair,
  o: { readonly body: Body; readonly lane: number; readonly validUntil: Height },
): Uint8Array {
  const { body, lane, validUntil } = o;
  const key = { algorithm: ED25519, bytes: keys.publicKey.bytes };
  const nonce = chain.state.account(addressOf(key))?.nonces[lane] ?? 0;
  const unsigned: UnsignedTransaction = { key, lane, nonce, fee: amount(0n), validUntil, body };
  // The fee has a fixed width, so the length is known before it.
  const bytes = encodeTransaction({ ...unsigned, signature: new Uint8Array(SIGNATURE_BYTES) }).length;
  const price = body.kind === 'restart' ? 0n : chain.state.parameters.feePerByte * BigInt(bytes);
  const priced = { ...unsigned, fee: amount(price) };
  return encodeTransaction({
    ...priced,
    signature: keys.sign(transactionSigningBytes(chain.id, priced)),
  });
}
