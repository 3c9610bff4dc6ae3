import { Derivation } from './derivation.ts';
import { decodeElements, encodeElements } from './field.ts';
import type { Field } from './field.ts';
import { checkCircuit, jointRandomnessLength } from './flp/circuit.ts';
import type { Circuit } from './flp/circuit.ts';
import { ProofSystem } from './flp/proof.ts';
import type { Frame } from './flp/proof.ts';
import type { Arena } from './kernel/kernel.ts';
import { BATCH_REPORTS_MAX, CONTEXT_BYTES_MAX, PROOFS_MAX, SHARES_MAX } from './limits.ts';
import { arenaOf } from './machine.ts';
import type { KernelChoice } from './machine.ts';
import { ok, refused } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { SEED_BYTES } from './xof.ts';
import type { Span } from './xof.ts';

/** Bytes of a report's nonce and of a verification key. */
export const NONCE_BYTES = 16;
export const VERIFY_KEY_BYTES: number = SEED_BYTES;

export interface Prio3Options {
  /** Aggregators, 2 to 255. */
  readonly shares?: number | undefined;
  readonly kernel?: KernelChoice | undefined;
}

export interface Instance<Measurement, Result> extends Prio3Options {
  /** Codepoint; it separates the randomness of different VDAFs. */
  readonly algorithmId: number;
  readonly circuit: Circuit<Measurement, Result>;
  /** Proofs per report, 1 to 255. */
  readonly proofs?: number | undefined;
}

export interface Report {
  readonly publicShare: Uint8Array;
  /** The leader's share first. Each goes to its own aggregator, over a confidential channel. */
  readonly inputShares: readonly Uint8Array[];
}

/** What an aggregator knows of a task before any report. */
export interface Verification {
  /** Secret from clients, agreed between the aggregators before the first report. */
  readonly verifyKey: Uint8Array;
  /** The application's context, the same for the client and every aggregator. */
  readonly context: Uint8Array;
  /** 0 for the leader. */
  readonly aggregatorId: number;
}

export interface ReportShare {
  readonly nonce: Uint8Array;
  readonly publicShare: Uint8Array;
  readonly inputShare: Uint8Array;
}

/** Kept by an aggregator between `verifyInit` and `verifyNext`; it holds a secret share. */
export interface VerifyState {
  readonly outputShare: Uint8Array;
  /** Empty when the circuit uses no joint randomness. */
  readonly jointRandSeed: Uint8Array;
}

export interface Verifier {
  readonly state: VerifyState;
  /** Sent to the party that combines the shares. */
  readonly verifierShare: Uint8Array;
}

const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  // Every byte is compared, so that the time does not tell where they differ.
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i += 1) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
};

const join = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

function expect(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length)
    throw new RangeError(`vdaf: ${what} has ${String(bytes.length)} bytes, not ${String(length)}`);
}

/**
 * Prio3 of draft-irtf-cfrg-vdaf-20 §7 for one circuit. Objects hold no secret: they can be shared and
 * kept. Everything that travels is bytes in the draft's encoding; decoding is strict, so what was
 * accepted encodes to the same bytes again.
 */
export class Prio3<Measurement, Result> {
  readonly algorithmId: number;
  readonly shares: number;
  readonly proofs: number;
  readonly field: Field;
  /** Lengths in bytes of everything that travels, and of the randomness that `shard` takes. */
  readonly sizes: Readonly<
    Record<
      | 'rand'
      | 'publicShare'
      | 'leaderShare'
      | 'helperShare'
      | 'verifierShare'
      | 'verifierMessage'
      | 'outputShare'
      | 'state',
      number
    >
  >;
  readonly #circuit: Circuit<Measurement, Result>;
  readonly #proof: ProofSystem;
  readonly #arena: Arena;
  readonly #jointRandLength: number;
  readonly #derive: Derivation;

  /** Throws RangeError when a parameter is out of its bounds. */
  constructor(instance: Instance<Measurement, Result>) {
    const { algorithmId, shares = 2, proofs = 1 } = instance;
    const circuit = checkCircuit(instance.circuit);
    if (!Number.isInteger(algorithmId) || algorithmId < 0 || algorithmId > 0xffff_ffff)
      throw new RangeError('vdaf: an algorithm identifier has 32 bits');
    if (!Number.isInteger(shares) || shares < 2 || shares > SHARES_MAX)
      throw new RangeError(`vdaf: shares must be from 2 to ${String(SHARES_MAX)}`);
    if (!Number.isInteger(proofs) || proofs < 1 || proofs > PROOFS_MAX)
      throw new RangeError(`vdaf: proofs must be from 1 to ${String(PROOFS_MAX)}`);
    const jointRandLength = jointRandomnessLength(circuit);
    // One proof over a 64-bit field with joint randomness can be forged offline (draft §9.5).
    if (jointRandLength > 0 && circuit.field.bytes === 8 && proofs < 3)
      throw new RangeError('vdaf: a circuit with joint randomness over Field64 needs three proofs or more');
    this.algorithmId = algorithmId;
    this.shares = shares;
    this.proofs = proofs;
    this.field = circuit.field;
    this.#circuit = circuit;
    this.#proof = new ProofSystem(circuit, shares);
    this.#arena = arenaOf(instance.kernel ?? 'auto');
    this.#jointRandLength = jointRandLength;
    this.#derive = new Derivation(algorithmId, proofs, {
      measurement: circuit.measurementLength,
      proofs: this.#proof.proofLength * proofs,
      proveRands: this.#proof.proveRandLength * proofs,
      queryRands: this.#proof.queryRandLength * proofs,
      jointRands: jointRandLength * proofs,
    });
    const size = circuit.field.bytes;
    const seed = jointRandLength > 0 ? SEED_BYTES : 0;
    const output = circuit.outputLength * size;
    this.sizes = {
      rand: shares * (SEED_BYTES + seed),
      publicShare: shares * seed,
      leaderShare: (circuit.measurementLength + this.#proof.proofLength * proofs) * size + seed,
      helperShare: SEED_BYTES + seed,
      verifierShare: this.#proof.verifierLength * proofs * size + seed,
      verifierMessage: seed,
      outputShare: output,
      state: output + seed,
    };
  }

  /**
   * Splits a measurement into one share per aggregator, with the proof that it is well-formed.
   *
   * `nonce` (16 bytes, unique per report) is public; `rand` is `sizes.rand` fresh secret random bytes.
   * Throws RangeError when the measurement is not one that the circuit counts, or a size is wrong.
   */
  shard(input: {
    readonly context: Uint8Array;
    readonly measurement: Measurement;
    readonly nonce: Uint8Array;
    readonly rand: Uint8Array;
  }): Report {
    expect(input.nonce, NONCE_BYTES, 'the nonce');
    expect(input.rand, this.sizes.rand, 'rand');
    this.#checkContext(input.context);
    const encoded = this.#circuit.encode(input.measurement);
    expect(encoded, this.#circuit.measurementLength, 'the encoded measurement');
    return this.#run((frame) => this.#shard(frame, encoded, input));
  }

  #shard(
    frame: Frame,
    encoded: Uint8Array,
    input: { readonly context: Uint8Array; readonly nonce: Uint8Array; readonly rand: Uint8Array },
  ): Report {
    const { arena, kernel } = frame;
    const { context, nonce } = input;
    const proof = this.#proof;
    const derive = this.#derive;
    const size = kernel.bytes;
    const joint = this.#jointRandLength > 0;
    const seeds = Array.from({ length: input.rand.length / SEED_BYTES }, (_, i) =>
      input.rand.slice(i * SEED_BYTES, (i + 1) * SEED_BYTES),
    );
    const seed = (index: number): Uint8Array => seeds[index] ?? new Uint8Array();
    const helpers = Array.from({ length: this.shares - 1 }, (_, j) => ({
      id: j + 1,
      share: seed(joint ? 2 * j : j),
      blind: seed(2 * j + 1),
    }));
    const leaderBlind = seed(2 * (this.shares - 1));
    const proveSeed = seed(joint ? 2 * this.shares - 1 : this.shares - 1);

    const length = this.#circuit.measurementLength;
    const whole = arena.allocate(proof.paddedLength * size);
    encoded.forEach((element, index) => arena.putByte(whole + index * size, element));
    const leader: Span = { pointer: arena.allocate(length * size), bytes: length * size };
    arena.move(leader.pointer, whole, leader.bytes);
    const helper: Span = { pointer: arena.allocate(length * size), bytes: length * size };
    const parts: Uint8Array[] = [];
    for (const { id, share, blind } of helpers) {
      derive.helperMeasurement(frame, context, id, share, helper.pointer);
      kernel.subtract(leader.pointer, leader.pointer, helper.pointer, length);
      if (joint) parts.push(derive.jointRandPart(frame, context, { id, blind, measurement: helper }, nonce));
    }
    const leading = { id: 0, blind: leaderBlind, measurement: leader };
    if (joint) parts.unshift(derive.jointRandPart(frame, context, leading, nonce));

    const proofsLength = proof.proofLength * this.proofs;
    const leaderProofs = arena.allocate(proofsLength * size);
    const proveRands = arena.allocate(proof.proveRandLength * this.proofs * size);
    derive.proveRands(frame, context, proveSeed, proveRands);
    const jointRands = arena.allocate(this.#jointRandLength * this.proofs * size);
    if (joint) derive.jointRands(frame, context, derive.jointRandSeed(frame, context, parts), jointRands);
    for (let i = 0; i < this.proofs; i += 1) {
      const rand = proveRands + i * proof.proveRandLength * size;
      const jointRand = jointRands + i * this.#jointRandLength * size;
      proof.prove(frame, whole, rand, jointRand, leaderProofs + i * proof.proofLength * size);
    }
    const helperProofs = arena.allocate(proofsLength * size);
    for (const { id, share } of helpers) {
      derive.helperProofs(frame, context, id, share, helperProofs);
      kernel.subtract(leaderProofs, leaderProofs, helperProofs, proofsLength);
    }

    const blindOf = (blind: Uint8Array): Uint8Array[] => (joint ? [blind] : []);
    return {
      publicShare: join(parts),
      inputShares: [
        join([
          arena.read(leader.pointer, leader.bytes),
          arena.read(leaderProofs, proofsLength * size),
          ...blindOf(leaderBlind),
        ]),
        ...helpers.map(({ share, blind }) => join([share, ...blindOf(blind)])),
      ],
    };
  }

  /** One aggregator's part in the verification of one report. */
  verifyInit(task: Verification, report: ReportShare): Outcome<Verifier> {
    this.#checkTask(task);
    return this.#run((frame) => this.#verifyInit(frame, task, report));
  }

  /**
   * The same for many reports, sharing the set-up. Outcomes are in the order of the reports, and one
   * refusal does not touch the others.
   */
  verifyInitBatch(task: Verification, reports: readonly ReportShare[]): readonly Outcome<Verifier>[] {
    this.#checkTask(task);
    if (reports.length > BATCH_REPORTS_MAX)
      throw new RangeError(`vdaf: a batch has at most ${String(BATCH_REPORTS_MAX)} reports`);
    return this.#run((frame) =>
      reports.map((report) => {
        const mark = frame.arena.mark();
        const outcome = this.#verifyInit(frame, task, report);
        frame.arena.release(mark);
        return outcome;
      }),
    );
  }

  #verifyInit(frame: Frame, task: Verification, report: ReportShare): Outcome<Verifier> {
    const { arena, kernel } = frame;
    const { context, aggregatorId: id } = task;
    const { nonce, publicShare, inputShare } = report;
    const { sizes } = this;
    const proof = this.#proof;
    const derive = this.#derive;
    const size = kernel.bytes;
    const joint = this.#jointRandLength > 0;
    if (
      nonce.length !== NONCE_BYTES ||
      publicShare.length !== sizes.publicShare ||
      inputShare.length !== (id === 0 ? sizes.leaderShare : sizes.helperShare)
    )
      return refused('malformed-length');

    const length = this.#circuit.measurementLength;
    const measurement: Span = { pointer: arena.allocate(proof.paddedLength * size), bytes: length * size };
    const proofsLength = proof.proofLength * this.proofs;
    const proofs = arena.allocate(proofsLength * size);
    const blind = joint ? inputShare.subarray(inputShare.length - SEED_BYTES) : new Uint8Array();
    if (id === 0) {
      const end = measurement.bytes + proofsLength * size;
      arena.write(measurement.pointer, inputShare.subarray(0, measurement.bytes));
      arena.write(proofs, inputShare.subarray(measurement.bytes, end));
      if (
        kernel.firstOverflow(measurement.pointer, length) < length ||
        kernel.firstOverflow(proofs, proofsLength) < proofsLength
      )
        return refused('element-overflow');
    } else {
      const share = inputShare.subarray(0, SEED_BYTES);
      derive.helperMeasurement(frame, context, id, share, measurement.pointer);
      derive.helperProofs(frame, context, id, share, proofs);
    }

    let jointRandSeed: Uint8Array = new Uint8Array();
    const jointRands = arena.allocate(this.#jointRandLength * this.proofs * size);
    let part: Uint8Array = jointRandSeed;
    if (joint) {
      part = derive.jointRandPart(frame, context, { id, blind, measurement }, nonce);
      // The own part replaces what the client claims it to be.
      const parts = publicShare.slice();
      parts.set(part, id * SEED_BYTES);
      jointRandSeed = derive.jointRandSeed(frame, context, [parts]);
      derive.jointRands(frame, context, jointRandSeed, jointRands);
    }

    const queryLength = proof.queryRandLength * this.proofs;
    const queryRands = arena.allocate(queryLength * size);
    derive.queryRands(frame, context, task.verifyKey, nonce, queryRands);
    const verifier = arena.allocate(proof.verifierLength * this.proofs * size);
    for (let i = 0; i < this.proofs; i += 1) {
      const input = {
        measurement: measurement.pointer,
        proof: proofs + i * proof.proofLength * size,
        queryRand: queryRands + i * proof.queryRandLength * size,
        jointRand: jointRands + i * this.#jointRandLength * size,
      };
      if (!proof.query(frame, input, verifier + i * proof.verifierLength * size))
        return refused('test-point-is-root');
    }
    const output = arena.allocate(sizes.outputShare);
    proof.truncate(frame, measurement.pointer, output);
    return ok({
      state: { outputShare: arena.read(output, sizes.outputShare), jointRandSeed },
      verifierShare: join([arena.read(verifier, proof.verifierLength * this.proofs * size), part]),
    });
  }

  /**
   * Combines the verifier shares of all aggregators, in their order, and checks the proofs. The value
   * is the message for every aggregator.
   */
  verifierSharesToMessage(context: Uint8Array, verifierShares: readonly Uint8Array[]): Outcome<Uint8Array> {
    this.#checkContext(context);
    if (verifierShares.length !== this.shares) return refused('malformed-length');
    if (verifierShares.some((share) => share.length !== this.sizes.verifierShare))
      return refused('malformed-length');
    return this.#run((frame) => {
      const { arena, kernel } = frame;
      const { verifierLength } = this.#proof;
      const length = verifierLength * this.proofs;
      const bytes = length * kernel.bytes;
      const sum = arena.allocate(bytes);
      const one = arena.allocate(bytes);
      const parts: Uint8Array[] = [];
      for (const share of verifierShares) {
        arena.write(one, share.subarray(0, bytes));
        if (kernel.firstOverflow(one, length) < length) return refused('element-overflow');
        kernel.add(sum, sum, one, length);
        parts.push(share.subarray(bytes));
      }
      for (let i = 0; i < this.proofs; i += 1) {
        if (!this.#proof.decide(frame, sum + i * verifierLength * kernel.bytes))
          return refused('proof-invalid');
      }
      if (this.#jointRandLength === 0) return ok<Uint8Array>(new Uint8Array());
      return ok(this.#derive.jointRandSeed(frame, context, parts));
    });
  }

  /** Ends the verification: the output share, to be aggregated, if the message fits the state. */
  verifyNext(state: VerifyState, message: Uint8Array): Outcome<Uint8Array> {
    if (message.length !== this.sizes.verifierMessage) return refused('malformed-length');
    if (!equalBytes(message, state.jointRandSeed)) return refused('joint-randomness-mismatch');
    return ok(state.outputShare);
  }

  /** output share ‖ joint randomness seed: for aggregators that restart between the rounds. */
  encodeState(state: VerifyState): Uint8Array {
    return join([state.outputShare, state.jointRandSeed]);
  }

  decodeState(bytes: Uint8Array): Outcome<VerifyState> {
    if (bytes.length !== this.sizes.state) return refused('malformed-length');
    const outputShare = bytes.slice(0, this.sizes.outputShare);
    if (!this.#canonical(outputShare)) return refused('element-overflow');
    return ok({ outputShare, jointRandSeed: bytes.slice(this.sizes.outputShare) });
  }

  /**
   * Adds output shares to `onto`, an aggregate share of the same aggregator (zero by default).
   * Aggregate shares merge the same way. Throws RangeError when one is malformed.
   */
  aggregate(outputShares: Iterable<Uint8Array>, onto?: Uint8Array): Uint8Array {
    return this.#run(({ arena, kernel }) => {
      const bytes = this.sizes.outputShare;
      const { outputLength } = this.#circuit;
      const sums = arena.allocate(bytes + 8 * outputLength);
      const one = arena.allocate(bytes);
      const add = (share: Uint8Array): void => {
        expect(share, bytes, 'an output share');
        arena.write(one, share);
        if (kernel.accumulate(sums, one, outputLength) !== 0)
          throw new RangeError('vdaf: an output share has an element at or above the modulus');
      };
      if (onto !== undefined) add(onto);
      for (const share of outputShares) add(share);
      kernel.reduce(one, sums, outputLength);
      return arena.read(one, bytes);
    });
  }

  /** Adds one integer per element, as an aggregator does with its noise before it shows its share. */
  addNoise(aggregateShare: Uint8Array, noise: readonly bigint[]): Uint8Array {
    if (noise.length !== this.#circuit.outputLength)
      throw new RangeError(`vdaf: noise needs ${String(this.#circuit.outputLength)} integers`);
    return this.aggregate([encodeElements(this.field, noise)], aggregateShare);
  }

  /** The aggregate result from the aggregate shares of all aggregators. */
  unshard(aggregateShares: readonly Uint8Array[]): Outcome<Result> {
    const values = this.#combine(aggregateShares);
    return values.kind === 'refused' ? values : ok(this.#circuit.decode(values.value));
  }

  /** The same when noise was added: values above half the modulus are read as negative. */
  unshardSigned(aggregateShares: readonly Uint8Array[]): Outcome<Result> {
    const values = this.#combine(aggregateShares);
    if (values.kind === 'refused') return values;
    const { modulus } = this.field;
    return ok(this.#circuit.decode(values.value.map((v) => (v > modulus / 2n ? v - modulus : v))));
  }

  #combine(aggregateShares: readonly Uint8Array[]): Outcome<bigint[]> {
    const bytes = this.sizes.outputShare;
    if (aggregateShares.length !== this.shares || aggregateShares.some((share) => share.length !== bytes))
      return refused('malformed-length');
    if (!aggregateShares.every((share) => this.#canonical(share))) return refused('element-overflow');
    return ok(decodeElements(this.field, this.aggregate(aggregateShares)));
  }

  #canonical(elements: Uint8Array): boolean {
    return this.#run(({ arena, kernel }) => {
      const length = elements.length / kernel.bytes;
      return kernel.firstOverflow(arena.place(elements), length) === length;
    });
  }

  /** Runs one operation with the constants in place, and leaves the arena as empty as it was. */
  #run<T>(operation: (frame: Frame) => T): T {
    const arena = this.#arena;
    const mark = arena.mark();
    try {
      const kernel = this.field.bytes === 8 ? arena.kernel.field64 : arena.kernel.field128;
      return operation({ arena, kernel, constants: arena.place(this.#proof.image) });
    } finally {
      arena.release(mark);
    }
  }

  #checkContext(context: Uint8Array): void {
    if (context.length > CONTEXT_BYTES_MAX)
      throw new RangeError(`vdaf: a context has at most ${String(CONTEXT_BYTES_MAX)} bytes`);
  }

  #checkTask(task: Verification): void {
    this.#checkContext(task.context);
    expect(task.verifyKey, VERIFY_KEY_BYTES, 'the verification key');
    if (!Number.isInteger(task.aggregatorId) || task.aggregatorId < 0 || task.aggregatorId >= this.shares)
      throw new RangeError(`vdaf: aggregatorId must be from 0 to ${String(this.shares - 1)}`);
  }
}
