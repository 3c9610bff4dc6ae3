import type { Frame } from './flp/proof.ts';
import { SEED_BYTES, deriveSeed, domainSeparationTag, expandIntoVector } from './xof.ts';
import type { Span } from './xof.ts';

/** Uses of the XOF (draft §7.2.1): part of its domain separation tag. */
const USAGE = {
  measurementShare: 1,
  proofShare: 2,
  jointRandomness: 3,
  proveRandomness: 4,
  queryRandomness: 5,
  jointRandSeed: 6,
  jointRandPart: 7,
} as const;

/** Elements of each kind in one report, over all proofs. */
export interface DerivationLengths {
  readonly measurement: number;
  readonly proofs: number;
  readonly proveRands: number;
  readonly queryRands: number;
  readonly jointRands: number;
}

/**
 * Everything that Prio3 derives from seeds (draft §7.2.3). Vectors are written at pointers into the
 * arena of the frame; seeds are copies.
 */
export class Derivation {
  readonly #algorithmId: number;
  readonly #proofs: number;
  readonly #lengths: DerivationLengths;

  constructor(algorithmId: number, proofs: number, lengths: DerivationLengths) {
    this.#algorithmId = algorithmId;
    this.#proofs = proofs;
    this.#lengths = lengths;
  }

  #expand(
    frame: Frame,
    from: { readonly context: Uint8Array; readonly usage: number; readonly seed: Uint8Array },
    binder: readonly Uint8Array[],
    out: number,
    length: number,
  ): void {
    const dst = domainSeparationTag(this.#algorithmId, from.usage, from.context);
    expandIntoVector(frame.arena, frame.kernel, from.seed, dst, binder, out, length);
  }

  /** The measurement share of the helper number `id`. */
  helperMeasurement(frame: Frame, context: Uint8Array, id: number, seed: Uint8Array, out: number): void {
    const from = { context, usage: USAGE.measurementShare, seed };
    this.#expand(frame, from, [Uint8Array.of(id)], out, this.#lengths.measurement);
  }

  /** The shares of all proofs of the helper number `id`. */
  helperProofs(frame: Frame, context: Uint8Array, id: number, seed: Uint8Array, out: number): void {
    const from = { context, usage: USAGE.proofShare, seed };
    this.#expand(frame, from, [Uint8Array.of(this.#proofs, id)], out, this.#lengths.proofs);
  }

  proveRands(frame: Frame, context: Uint8Array, seed: Uint8Array, out: number): void {
    const from = { context, usage: USAGE.proveRandomness, seed };
    this.#expand(frame, from, [Uint8Array.of(this.#proofs)], out, this.#lengths.proveRands);
  }

  queryRands(frame: Frame, context: Uint8Array, verifyKey: Uint8Array, nonce: Uint8Array, out: number): void {
    const from = { context, usage: USAGE.queryRandomness, seed: verifyKey };
    this.#expand(frame, from, [Uint8Array.of(this.#proofs), nonce], out, this.#lengths.queryRands);
  }

  jointRands(frame: Frame, context: Uint8Array, seed: Uint8Array, out: number): void {
    const from = { context, usage: USAGE.jointRandomness, seed };
    this.#expand(frame, from, [Uint8Array.of(this.#proofs)], out, this.#lengths.jointRands);
  }

  /** One party's part in the joint randomness: it commits to its measurement share. */
  jointRandPart(
    frame: Frame,
    context: Uint8Array,
    party: { readonly id: number; readonly blind: Uint8Array; readonly measurement: Span },
    nonce: Uint8Array,
  ): Uint8Array {
    const dst = domainSeparationTag(this.#algorithmId, USAGE.jointRandPart, context);
    return deriveSeed(frame.arena, party.blind, dst, [Uint8Array.of(party.id), nonce, party.measurement]);
  }

  /** The seed of the joint randomness from the parts of all parties, in their order. */
  jointRandSeed(frame: Frame, context: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
    const dst = domainSeparationTag(this.#algorithmId, USAGE.jointRandSeed, context);
    return deriveSeed(frame.arena, new Uint8Array(SEED_BYTES), dst, parts);
  }
}
