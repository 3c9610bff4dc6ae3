/** Transactions a gateway sends of its own accord, each kind in a lane of its own, so that none waits for another. */
import type { SeedSigner } from '@itc/client/keys.js';
import { buildTransaction } from '@itc/client/transactions.js';
import type { Body } from '@itc/core/ledger/body.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { height, type Amount } from '@itc/core/ledger/ids.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';

export interface GatewayAccount {
  readonly chain: {
    readonly id: Hash;
    readonly height: number;
    readonly state: Pick<LedgerState, 'record' | 'account'> & {
      readonly parameters: { readonly feePerByte: Amount };
    };
  };
  readonly signer: Pick<SeedSigner, 'publicKey' | 'address' | 'sign'>;
  /** Resolves when it is accepted for the network; throws `LedgerError` when not. */
  readonly submit: (encoded: Uint8Array) => Promise<unknown>;
  /** Milliseconds; never goes back. */
  readonly now: () => number;
  readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const VALID_BLOCKS = 100;

/** With the next nonce the state knows: one transaction of a lane is on its way at a time. Why it was not taken, if it was not. */
export async function sendOwn(of: GatewayAccount, lane: number, body: Body): Promise<string | undefined> {
  const { chain, signer, submit } = of;
  const { state } = chain;
  const built = await buildTransaction(
    {
      chain: chain.id,
      signer,
      lane,
      nonce: state.account(signer.address)?.nonces[lane] ?? 0,
      feePerByte: state.parameters.feePerByte,
      validUntil: height(chain.height + VALID_BLOCKS),
    },
    body,
  );
  try {
    await submit(built.encoded);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
