/** Transactions for tests of the pool, unsigned and taken as verified, and states as the pool sees them. */
import assert from 'node:assert/strict';
import { asHash, sha256, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { asAddress } from '@itc/core/ledger/address.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import type { Body } from '@itc/core/ledger/body.js';
import { encodeTransaction, type Transaction } from '@itc/core/ledger/transaction.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import { idText } from '@itc/core/state/record-map.js';
import { verifyTransaction, type VerifiedTransaction } from '@itc/core/state/verified-transaction.js';

const PLENTY = 1_000_000_000n;

/** What the pool asks of a state: the next nonces of senders, what they have, who acts for them, and the last checkpoint of a subnet. */
export function stateWith(
  nonces: Readonly<Record<number, readonly number[]>> = {},
  lastSequence = 0,
  balances: Readonly<Record<number, bigint>> = {},
  /** Accounts that another sender's key acts for. */
  rotated: Readonly<Record<number, number>> = {},
): LedgerState {
  const byAddress = new Map(
    Object.entries(nonces).map(([sender, list]) => [idText(senderOf(Number(sender))), list]),
  );
  const purses = new Map(
    Object.entries(balances).map(([sender, balance]) => [idText(senderOf(Number(sender))), balance]),
  );
  const keys = new Map(
    Object.entries(rotated).map(([sender, key]) => [
      idText(senderOf(Number(sender))),
      { keys: [{ key: keyOf(key), weight: 1 }], threshold: 1 },
    ]),
  );
  const view = {
    record: (kind: 'account' | 'keys', name: string) =>
      kind === 'keys'
        ? keys.get(name)
        : { balance: amount(purses.get(name) ?? PLENTY), nonces: byAddress.get(name) ?? [] },
    subnet: () => ({ lastSequence }),
    parameters: { feePerByte: 0n, accountPrice: 0n },
  };
  return view as unknown as LedgerState;
}

/** Senders are numbers below 2^24. */
export function keyOf(sender: number): Transaction['key'] {
  const bytes = new Uint8Array(32).fill(sender);
  bytes[30] = sender >> 8;
  bytes[31] = sender >> 16;
  return { algorithm: 1, bytes };
}

const SENDERS = new Map<number, VerifiedTransaction['sender']>();

function senderOf(sender: number): VerifiedTransaction['sender'] {
  let address = SENDERS.get(sender);
  if (address === undefined) SENDERS.set(sender, (address = make({ sender, nonce: 0, fee: 0 }).sender));
  return address;
}

export interface Draft {
  readonly sender: number;
  readonly nonce: number;
  readonly fee: number;
  readonly lane?: number;
  readonly validUntil?: number;
  readonly body?: Body;
  readonly sponsor?: Hash;
}

export function make(draft: Draft): VerifiedTransaction {
  const body: Body = draft.body ?? {
    kind: 'transfer',
    to: asAddress(new Uint8Array(32)),
    amount: amount(1n),
  };
  const encoded = encodeTransaction({
    key: keyOf(draft.sender),
    lane: draft.lane ?? 0,
    nonce: draft.nonce,
    fee: amount(BigInt(draft.fee)),
    validUntil: height(draft.validUntil ?? 1000),
    ...(draft.sponsor && { sponsor: draft.sponsor }),
    body,
    signature: new Uint8Array(64),
  });
  const verified = verifyTransaction(ZERO_HASH, encoded, () => true);
  assert.ok(verified.ok);
  return verified.value;
}

export function checkpoint(sequence: number, salt = 0, subnet = 1): VerifiedTransaction {
  const hash = sha256(Uint8Array.of(sequence, salt));
  const body: Body = {
    kind: 'checkpoint',
    certificate: {
      checkpoint: {
        subnet: asHash(new Uint8Array(32).fill(subnet)), sequence, previous: hash, time: millis(1), anchors: [hash], inclusionRoot: hash,
        appliedRoot: hash, stateRoot: hash, envelopeCount: 1, payloadCount: 0, powBits: 0,
      }, // prettier-ignore
      signers: Uint8Array.of(1),
      signatures: [new Uint8Array(64)],
    },
  };
  return make({ sender: 200 + salt, nonce: 0, fee: 0, body });
}
