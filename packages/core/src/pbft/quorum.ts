/** Quorum arithmetic by weight over one validator set (spec PBFT-1). */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { View } from '../ledger/ids.ts';
import { bitmapOf, indicesOf, quorumOf, type Quorum, type ValidatorSet } from '../ledger/validators.ts';

export class Weights {
  readonly quorum: Quorum;
  readonly #weights: readonly number[];

  constructor(validators: ValidatorSet) {
    this.#weights = validators.map((validator) => validator.weight);
    this.quorum = quorumOf(this.#weights);
  }

  get count(): number {
    return this.#weights.length;
  }

  of(index: number): number {
    return this.#weights[index] ?? 0;
  }

  /** Sum over the indices for which `counts` holds; every index is asked once, so no voice counts twice. */
  sum(counts: (index: number) => boolean): number {
    let total = 0;
    for (let i = 0; i < this.#weights.length; i += 1) if (counts(i)) total += this.#weights[i] as number;
    return total;
  }
}

/** The author's word on one block, as the slot of its height keeps it. */
export interface Ballot {
  readonly view: View;
  readonly hash: Hash;
  readonly signature: Uint8Array;
}

/** Signatures of one statement, collected into bitmap and list. */
export function collectSignatures(
  ballots: readonly ({ readonly signature: Uint8Array } | undefined)[],
  counts: (index: number) => boolean,
): { signers: Uint8Array; signatures: Uint8Array[] } {
  const indices: number[] = [];
  const signatures: Uint8Array[] = [];
  for (const [i, ballot] of ballots.entries()) {
    if (ballot === undefined || !counts(i)) continue;
    indices.push(i);
    signatures.push(ballot.signature);
  }
  return { signers: bitmapOf(indices, ballots.length), signatures };
}

/** The signers of a certificate when their bitmap fits, each has a signature and they reach the quorum; else undefined. */
export function signersOf(
  weights: Weights,
  certificate: { readonly signers: Uint8Array; readonly signatures: readonly Uint8Array[] },
): number[] | undefined {
  const indices = indicesOf(certificate.signers, weights.count);
  if (indices === undefined || indices.length !== certificate.signatures.length) return undefined;
  let total = 0;
  for (const index of indices) total += weights.of(index);
  return total >= weights.quorum.strong ? indices : undefined;
}

export function votesFor(ballot: Ballot | undefined, view: number, hash: Hash): boolean {
  return ballot !== undefined && ballot.view === view && equalBytes(ballot.hash, hash);
}
