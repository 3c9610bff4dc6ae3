/**
 * What a light client carries and computes: the size of a reading proof, and the time to decode and verify it with the
 * portable and with the native verifier, for sets of 4, 16 and 31 validators, in epoch 0 and after one and three changes
 * in which nearly a third of the set is others, each of which takes a hop. The subnet has 4 members; the
 * reading is one of 512 in its checkpoint, the checkpoint one of 64 transactions in its block; certificates
 * carry exactly a quorum of signatures. Then light streams, see `light-streams.ts`, and co-signed ones, see `light-co-signed.ts`.
 */
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { verifySignature } from '@itc/core/crypto/ed25519.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { encodeGenesis } from '@itc/core/ledger/genesis.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { encodeReadingProof, proveReading, verifyReadingBytes } from '@itc/core/light/reading-proof.js';
import { signedCheckpoint, signedPayload, signedTransaction, world } from '@itc/core/testing/chain.js';
import { EpochChain, groupOf } from '@itc/core/testing/epochs.js';
import { keyPair } from '@itc/core/testing/keys.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { coSigned } from './light-co-signed.ts';
import { streams } from './light-streams.ts';
import { figure, rates, type BenchOptions, type Result } from './result.ts';

export const name = 'light';

const VALIDATORS = [4, 16, 31];
const HOPS = [0, 1, 3];
const PAYLOADS = 512;
const TRANSACTIONS = 64;

interface Subject {
  readonly genesisHash: ReturnType<typeof world>['chain'];
  readonly proof: Uint8Array;
  readonly genesisBytes: number;
}

function subjectOf(validators: number, hops: number, seed: number): Subject {
  const ones = Array.from({ length: validators }, () => 1);
  const at = world({ validatorWeights: ones, name: `bench ${seed}` });
  const device = keyPair(50 + seed);
  const reading = utf8Encode('[{"n":"temperature","u":"Cel","v":21.5,"t":1700000000}]');
  const payloads = Array.from({ length: PAYLOADS }, (_, i) =>
    signedPayload(at.chain, device, { sequence: i + 1, contentType: 'senml+json', content: reading }),
  );
  const ids = payloads.map(({ id }) => id);
  const certificate = signedCheckpoint(at, ids, { signers: [0, 1, 2] });
  const transactions = Array.from({ length: TRANSACTIONS - 1 }, (_, nonce) =>
    signedTransaction(at.chain, at.treasury, { kind: 'register-maker', name: 'noise' }, { nonce }),
  );
  const transactionIndex = TRANSACTIONS / 2;
  transactions.splice(
    transactionIndex,
    0,
    signedTransaction(at.chain, device, { kind: 'checkpoint', certificate }),
  );
  const signers = ones.map((_, i) => i).slice(0, quorumOf(ones).strong);
  // Nearly a third are others each time, so that no hop leads across two of them.
  const moved = Math.ceil(validators / 3) - 1;
  const later = Array.from({ length: hops }, (_, i) =>
    groupOf(ones.map((weight, k) => [1000 + (i + 1) * moved + k, weight])),
  );
  const chain = new EpochChain(at, later, { signers: () => signers });
  const block = chain.append(transactions, { signers });
  const shown = chain.hopsTo(block);
  if (shown.length !== hops) throw new Error(`expected ${hops} hops, got ${shown.length}`);
  const payloadIndex = PAYLOADS / 2;
  const genesis = encodeGenesis(at.genesis);
  const proof = proveReading({
    genesis,
    hops: shown,
    ...block,
    transactionIndex,
    payloadIds: ids,
    payloadIndex,
    payload: (payloads[payloadIndex] as (typeof payloads)[number]).bytes,
  });
  return { genesisHash: at.chain, proof: encodeReadingProof(proof), genesisBytes: genesis.length };
}

const once = (subject: Subject, verify: SignatureVerifier): void => {
  const { genesisHash, proof: bytes } = subject;
  const verdict = verifyReadingBytes({ genesisHash, bytes, verify });
  if (!verdict.valid) throw new Error(`the proof does not verify: ${verdict.check}`);
};

/** The questions a proof puts to its verifier. */
function questionsOf(subject: Subject): Parameters<SignatureVerifier>[] {
  const asked: Parameters<SignatureVerifier>[] = [];
  once(subject, (...question) => {
    asked.push(question);
    return verifyNative(...question);
  });
  return asked;
}

const milliseconds = (perSecond: readonly number[]): number[] => perSecond.map((rate) => 1_000 / rate);

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { quick } = options;
  const repeats = quick ? 5 : 50;
  const results: Result[] = [];
  const sets = quick ? VALIDATORS.slice(0, 1) : VALIDATORS;
  for (const validators of sets) {
    for (const hops of HOPS)
      results.push(
        ...(await measure({ validators, hops, repeats: Math.ceil(repeats / (1 + hops)), options })),
      );
  }
  results.push(...(await streams(options)), ...(await coSigned(options)));
  return results;
}

async function measure(o: {
  readonly validators: number;
  readonly hops: number;
  readonly repeats: number;
  readonly options: BenchOptions;
}): Promise<Result[]> {
  const { validators, hops, repeats } = o;
  const { quick, seed, log } = o.options;
  const subject = subjectOf(validators, hops, seed);
  const of = `${validators} validators, ${hops} ${hops === 1 ? 'hop' : 'hops'}`;
  log(`${of}: proof of ${subject.proof.length} bytes`);
  const results = [figure(`proof size, ${of}`, 'bytes', [subject.proof.length])];
  if (hops === 0)
    results.push(
      figure(`of it the genesis document, ${validators} validators`, 'bytes', [subject.genesisBytes]),
    );
  const questions = questionsOf(subject);
  const repeat = (count: number, operation: () => void): (() => number) => {
    return () => {
      for (let i = 0; i < count; i += 1) operation();
      return count;
    };
  };
  const [native, raw] = await rates(
    quick ? 3 : 15,
    repeat(repeats, () => once(subject, verifyNative)),
    // The same signatures without anything round them: what no verifier can go below.
    repeat(repeats, () => {
      for (const question of questions) verifyNative(...question);
    }),
  );
  const [portable] = await rates(
    quick ? 1 : 5,
    repeat(quick ? 1 : 3, () => once(subject, verifySignature)),
  );
  results.push(
    figure(`verification, native, ${of}`, 'ms', milliseconds(native.perSecond), {
      name: 'its signatures alone',
      samples: milliseconds(raw.perSecond),
      better: 'less',
    }),
  );
  results.push(
    figure(`verification, portable, ${of}`, 'ms', milliseconds(portable.perSecond), {
      name: 'native',
      samples: milliseconds(native.perSecond),
      better: 'less',
    }),
  );
  return results;
}
