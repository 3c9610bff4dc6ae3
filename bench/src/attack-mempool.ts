/** Pools of a faulty validator: what it takes in is what every node takes, what it proposes is its own choice. */
import { amount, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { encodeTransaction, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { Mempool, type TakeOptions } from '@itc/node/mempool/mempool.js';

/** Leaves the transactions of one sender out, from when it is told whose. */
export class CensoringMempool extends Mempool {
  #victim: string | undefined;

  /** @param victim `idText` of the sender */
  censor(victim: string): void {
    this.#victim = victim;
  }

  override take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    return super.take(state, options).filter(({ account }) => account !== this.#victim);
  }
}

/** Proposes nothing but what it was given, again and again. */
export class JunkMempool extends Mempool {
  #junk: readonly VerifiedTransaction[] = [];

  fill(junk: readonly VerifiedTransaction[]): void {
    this.#junk = junk;
  }

  override take(state: LedgerState, options: TakeOptions): VerifiedTransaction[] {
    return this.#junk.length > 0 ? [...this.#junk] : super.take(state, options);
  }
}

/** Properly signed, with nonces whose time never comes: each is refused when it is executed, and pays nothing. */
export function junkOf(keys: KeyPair, chain: Hash): VerifiedTransaction[] {
  return Array.from({ length: LIMITS.blockTransactionsMax }, (_, i) => {
    const unsigned = {
      key: { algorithm: ED25519, bytes: keys.publicKey.bytes },
      lane: 0,
      nonce: 1_000_000_000 + i,
      fee: amount(1_000n),
      validUntil: height(1_000_000_000),
      body: { kind: 'transfer' as const, to: keys.address, amount: amount(1n) },
    };
    const signature = keys.sign(transactionSigningBytes(chain, unsigned));
    const verified = verifyTransaction(chain, encodeTransaction({ ...unsigned, signature }), () => true);
    if (!verified.ok) throw new Error(verified.message);
    return verified.value;
  });
}
