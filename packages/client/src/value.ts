/** Value inside a subnet: orders and offline vouchers as signed payloads, balances judged by their proof (spec DAG-12, CLIENT-8). */
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { decode } from '@itc/core/bytes/reader.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { readStateProof } from '@itc/core/crypto/state-tree.js';
import { verifyBalance } from '@itc/core/dag/balance-proof.js';
import { addressOf, type Address } from '@itc/core/ledger/address.js';
import { decodeCheckpoint, type SubnetCheckpoint } from '@itc/core/ledger/checkpoint.js';
import type { Amount, Millis } from '@itc/core/ledger/ids.js';
import {
  encodePayload,
  parsePayload,
  payloadId,
  payloadSigningBytes,
  type UnsignedPayload,
} from '@itc/core/ledger/payload.js';
import { encodeValueOrder, valueOrderOf, type ValueOrder } from '@itc/core/ledger/value-order.js';
import type { SubnetBalance } from './api.ts';
import { fromBase64Url } from './base64url.ts';
import type { Signer } from './keys.ts';

export type { ValueOrder };

export interface OrderOptions {
  readonly chain: Hash;
  readonly subnet: Hash;
  /** The holder. */
  readonly signer: Signer;
  /**
   * Greater than every one before of this signer; readings it signs for itself count too. Of a voucher: its number, used
   * once in its lane.
   */
  readonly sequence: number;
  readonly order: ValueOrder;
}

export interface SignedOrder {
  /** Payload id: what `Client.payloadLevel` asks for. */
  readonly id: Hash;
  /** The COSE_Sign1; of a voucher, what is handed over offline. */
  readonly bytes: Uint8Array;
}

export async function buildOrder(o: OrderOptions): Promise<SignedOrder> {
  const { signer, sequence } = o;
  const content = encodeValueOrder(o.subnet, o.order);
  const unsigned: UnsignedPayload = {
    signer: signer.publicKey,
    device: signer.address,
    sequence,
    contentType: 'value',
    content,
  };
  const signed = payloadSigningBytes(o.chain, unsigned);
  return {
    id: payloadId(unsigned.signer, signed),
    bytes: encodePayload(unsigned, await signer.sign(signed)),
  };
}

/** What a voucher promises. It is certain only if the lane was set aside for its receiver (spec DAG-12.8). */
export interface VoucherNote {
  readonly from: Address;
  readonly to: Address;
  readonly lane: number;
  readonly number: number;
  readonly amount: Amount;
  readonly expiresAt: Millis;
}

/** For who is handed a voucher, offline: its form, subnet and signature. Whether it is covered only the subnet knows. */
export function readVoucherNote(
  o: { readonly chain: Hash; readonly subnet: Hash; readonly verify: SignatureVerifier },
  bytes: Uint8Array,
): Result<VoucherNote, 'payload.malformed' | 'payload.too-large' | 'payload.signature'> {
  const parsed = parsePayload(o.chain, bytes);
  if (!parsed.ok) return parsed;
  const payload = parsed.value;
  const order = valueOrderOf(o.subnet, payload);
  if (!order.ok) return refused('payload.malformed', order.message);
  if (order.value.kind !== 'voucher') return refused('payload.malformed', 'the order is no voucher');
  if (!o.verify(payload.signer, payload.signedBytes, payload.signature))
    return refused('payload.signature', 'the voucher is not signed by its holder');
  const { lane, to, amount, expiresAt } = order.value;
  return ok({ from: addressOf(payload.signer), to, lane, number: payload.sequence, amount, expiresAt });
}

/**
 * The balance a node tells, if its proof leads to the state root of the checkpoint beside it; undefined otherwise. That the
 * main chain committed this checkpoint is shown by a proof of its transaction.
 */
export function judgeBalance(
  address: Address,
  answer: Pick<SubnetBalance, 'balance' | 'checkpoint' | 'proof'>,
): { readonly balance: bigint; readonly checkpoint: SubnetCheckpoint } | undefined {
  if (!/^(0|[1-9]\d{0,19})$/.test(answer.balance)) return undefined;
  const balance = BigInt(answer.balance);
  const [document, path] = [fromBase64Url(answer.checkpoint), fromBase64Url(answer.proof)];
  if (!document.ok || !path.ok) return undefined;
  const checkpoint = decodeCheckpoint(document.value);
  const proof = decode(readStateProof, path.value);
  if (!checkpoint.ok || !proof.ok) return undefined;
  const { stateRoot } = checkpoint.value;
  if (!verifyBalance(stateRoot, { address, balance, proof: proof.value })) return undefined;
  return { balance, checkpoint: checkpoint.value };
}
