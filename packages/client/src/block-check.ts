/** Believing a block: that a quorum of the validators certified it and that a transaction is in it (spec CLIENT-4). */
import { equalBytes, fromHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import { HASH_BYTES, asHash, type Hash } from '@itc/core/crypto/hash.js';
import { SIGNATURE_BYTES, type SignatureVerifier } from '@itc/core/crypto/signature.js';
import {
  HEADER_VERSION,
  headerHash,
  transactionsRoot,
  type Certificate,
  type Header,
} from '@itc/core/ledger/block.js';
import { epoch, height, millis, view } from '@itc/core/ledger/ids.js';
import { bitmapOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { verifyHeaderCertificate, type SignedWeight } from '@itc/core/light/certificate.js';
import type { BlockDetail } from './api.ts';

export interface CheckedBlock {
  readonly header: Header;
  readonly hash: Hash;
  readonly certificate: Certificate;
  /** Ids in the order of the block. */
  readonly transactions: readonly Hash[];
  readonly signed: SignedWeight;
}

/**
 * The header is put together from the answer and hashed here, so nothing in it is taken on trust; then the
 * certificate must hold for that hash, and the ids must lead to its transaction root. What became of a
 * transaction (its receipt) is not committed by the header: for that, prove the state.
 */
export function checkBlock(
  o: { readonly chain: Hash; readonly validators: ValidatorSet; readonly verify: SignatureVerifier },
  block: BlockDetail,
): Result<CheckedBlock, 'peer.message' | 'signature.invalid'> {
  const parsed = parseBlock(block, o.validators.length);
  if (parsed === undefined) return refused('peer.message', 'the block does not have the documented form');
  const { header, certificate, transactions } = parsed;
  const signed = verifyHeaderCertificate({ ...o, header, certificate });
  if (!signed.ok) return refused('signature.invalid', `${signed.code}: ${signed.message}`);
  if (!equalBytes(transactionsRoot(transactions), header.txRoot)) {
    return refused('peer.message', 'the transactions shown are not those of the header');
  }
  const { hash } = signed.value;
  return ok({ header, hash, certificate, transactions, signed: signed.value });
}

function parseBlock(
  block: BlockDetail,
  validators: number,
):
  | { readonly header: Header; readonly certificate: Certificate; readonly transactions: readonly Hash[] }
  | undefined {
  try {
    const at = height(block.height);
    const header: Header = {
      version: HEADER_VERSION,
      flags: block.header.flags,
      epoch: epoch(block.header.epoch),
      height: at,
      time: millis(block.time),
      parentHash: hash(block.header.parentHash),
      txRoot: hash(block.header.txRoot),
      stateRoot: hash(block.header.stateRoot),
      historyRoot: hash(block.header.historyRoot),
      validatorsHash: hash(block.header.validatorsHash),
      nextValidatorsHash: hash(block.header.nextValidatorsHash),
    };
    const { signers, signatures } = block.certificate;
    const distinct = new Set(signers);
    if (distinct.size !== signers.length || signers.some((index) => !(index >= 0 && index < validators)))
      return undefined;
    const certificate: Certificate = {
      epoch: header.epoch,
      view: view(block.certificate.view),
      height: at,
      hash: headerHash(header),
      signers: bitmapOf(signers, validators),
      signatures: signatures.map((signature) => bytes(signature, SIGNATURE_BYTES)),
    };
    return { header, certificate, transactions: block.items.map(({ id }) => hash(id)) };
  } catch (error) {
    // The constructors of counters and hashes assert; here a peer's answer is what they found wrong.
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function hash(hex: string): Hash {
  return asHash(bytes(hex, HASH_BYTES));
}

function bytes(hex: string, length: number): Uint8Array {
  const parsed = fromHex(hex);
  if (!parsed.ok || parsed.value.length !== length) throw new RangeError(`expected ${length} bytes in hex`);
  return parsed.value;
}
