/** Building and signing transactions (spec STATE-2). */
import type { Hash } from '@itc/core/crypto/hash.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { FIXED_SIGNATURE_BYTES, SIGNATURE_BYTES_MAX } from '@itc/core/crypto/signature.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import type { Withdrawal } from '@itc/core/ledger/escrow.js';
import type { Evidence } from '@itc/core/ledger/evidence.js';
import { amount, type Amount, type Height } from '@itc/core/ledger/ids.js';
import type { Grant } from '@itc/core/ledger/bodies/access.js';
import { claimSigningBytes, type DeviceBatch } from '@itc/core/ledger/bodies/device.js';
import type { TransferOutput } from '@itc/core/ledger/bodies/transfer.js';
import { possessionSigningBytes } from '@itc/core/ledger/bodies/validator.js';
import type { Body } from '@itc/core/ledger/body.js';
import {
  encodeTransaction,
  transactionId,
  transactionSigningBytes,
  type Transaction,
  type UnsignedTransaction,
} from '@itc/core/ledger/transaction.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { seedSigner, type Signer } from './keys.ts';
import type { Voucher } from './voucher.ts';

export interface TransactionOptions {
  readonly chain: Hash;
  readonly signer: Signer;
  /** The next one of the lane. */
  readonly nonce: number;
  /** 0 to 15; 0 when left out. Senders that work in parallel take a lane each. */
  readonly lane?: number;
  /** In force: `client.parameters()`. */
  readonly feePerByte: Amount;
  /** Last height at which it may be executed. */
  readonly validUntil: Height;
  /** The sponsorship that pays the fee; the account when left out. */
  readonly sponsor?: Hash;
}

export interface SignedTransaction {
  readonly id: Hash;
  readonly encoded: Uint8Array;
  readonly transaction: Transaction;
}

/** Signs with the price of the bytes as fee, exactly so where the scheme fixes the length of a signature. */
export async function buildTransaction(o: TransactionOptions, body: Body): Promise<SignedTransaction> {
  const unsigned: UnsignedTransaction = {
    key: o.signer.publicKey,
    ...namedAccount(o.signer),
    lane: o.lane ?? 0,
    nonce: o.nonce,
    fee: amount(0n),
    validUntil: o.validUntil,
    ...(o.sponsor && { sponsor: o.sponsor }),
    body,
  };
  const price = (signature: Uint8Array): Amount => {
    // A validator that lost its disk may hold its consensus key only, so asking for a restart is free.
    if (body.kind === 'restart') return amount(0n);
    return amount(o.feePerByte * BigInt(encodeTransaction({ ...unsigned, signature }).length));
  };
  let signature = new Uint8Array(signatureBytesOf(o.signer));
  for (;;) {
    const priced = { ...unsigned, fee: price(signature) };
    signature = new Uint8Array(await o.signer.sign(transactionSigningBytes(o.chain, priced)));
    // Of some schemes the length is known only afterwards; asking once more is for the day it was guessed too low.
    if (price(signature) > priced.fee) continue;
    const transaction: Transaction = { ...priced, signature };
    const encoded = encodeTransaction(transaction);
    return { id: transactionId(encoded), encoded, transaction };
  }
}

function signatureBytesOf({ publicKey: { algorithm }, signatureBytes }: Signer): number {
  return signatureBytes ?? FIXED_SIGNATURE_BYTES[algorithm] ?? SIGNATURE_BYTES_MAX;
}

/** An account that is the address of the key is not named (spec WIRE-3.5). */
export function namedAccount({ publicKey, address }: Signer): { readonly account?: Address } {
  return equalBytes(address, addressOf(publicKey)) ? {} : { account: address };
}

export function transfer(to: Address, value: Amount): Body {
  return { kind: 'transfer', to, amount: value };
}

/** To many at once, all or none. */
export function transfers(outputs: readonly TransferOutput[]): Body {
  return { kind: 'transfers', outputs };
}

export function registerMaker(name: string): Body {
  return { kind: 'register-maker', name };
}

export function registerBatch(batch: DeviceBatch): Body {
  return { kind: 'register-batch', batch };
}

/** Makes the voucher out to the owner, who must be the sender: nobody else can use what is sent here. */
export function claim(o: { readonly chain: Hash; readonly voucher: Voucher; readonly owner: Address }): Body {
  const { batch, device, claimSeed, index, path, endorsement } = o.voucher;
  const claimSigner = seedSigner(claimSeed);
  const proof = claimSigner.sign(claimSigningBytes(o.chain, device, o.owner));
  const { publicKey: claimKey } = claimSigner;
  return { kind: 'claim', claim: { batch, device, claimKey, index, path, endorsement, proof } };
}

export function grant(terms: Grant): Body {
  return { kind: 'grant', grant: terms };
}

export function revoke(o: { readonly device: Address; readonly subject: Address }): Body {
  return { kind: 'revoke', device: o.device, subject: o.subject };
}

/**
 * Bonds a consensus key for the sender, or adds to what it has bonded. The consensus key signs that it wants to be
 * bonded by this account; it may be the account's own.
 */
export async function bond(o: {
  readonly chain: Hash;
  /** Sender of the transaction. */
  readonly account: Address;
  readonly consensus: Pick<Signer, 'publicKey' | 'sign'>;
  readonly amount: Amount;
}): Promise<Body> {
  const possession = await o.consensus.sign(possessionSigningBytes(o.chain, o.account));
  return { kind: 'bond', key: o.consensus.publicKey, amount: o.amount, possession };
}

/** Asks a part of the bond back; it returns after `unbondBlocks`, and is punishable until then. */
export function unbond(value: Amount): Body {
  return { kind: 'unbond', amount: value };
}

/** By the account of a validator in office. Weight 0 votes for removing it. */
export function weightVote(o: { readonly validator: Address; readonly weight: number }): Body {
  return { kind: 'weight-vote', validator: o.validator, weight: o.weight };
}

/** By a validator in office, or by its consensus key: ends the epoch at the next checkpoint height. */
export function restart(): Body {
  return { kind: 'restart' };
}

/** By anybody; a light client that met a conflict holds some (`Conflict.doubleVotes`). */
export function evidence(statements: Evidence): Body {
  return { kind: 'evidence', evidence: statements };
}

/** Members may be given in any order. */
export function createSubnet(o: {
  readonly name: string;
  readonly members: ValidatorSet;
  readonly powBits: number;
}): Body {
  return { kind: 'create-subnet', name: o.name, members: sortValidators(o.members), powBits: o.powBits };
}

/** Into a subnet, for an account or a device inside; at least `subnetValueMin` base units. */
export function deposit(o: { readonly subnet: Hash; readonly to: Address; readonly amount: Amount }): Body {
  return { kind: 'deposit', ...o };
}

/** Fetches for its receiver what left a subnet with a checkpoint. */
export function withdraw(o: {
  readonly subnet: Hash;
  readonly checkpoint: number;
  readonly withdrawal: Withdrawal;
  readonly path: readonly Hash[];
}): Body {
  return { kind: 'withdraw', ...o };
}
