/**
 * What it takes to let envelopes in: form, proof of work, and signatures through the native pool with a worker per
 * processor. The peer is the same pool on the same signatures with nothing round them: what the primitive allows.
 */
import { availableParallelism } from 'node:os';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import { envelopeBodyHash, payloadRootOf, type EnvelopeBody } from '@itc/core/ledger/envelope.js';
import { powSearch } from '@itc/core/dag/proof-of-work.js';
import {
  admitEnvelope,
  envelopeSignatures,
  screenEnvelope,
  type ScreenedEnvelope,
} from '@itc/core/dag/verify.js';
import { millis } from '@itc/core/ledger/ids.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { sortValidators } from '@itc/core/ledger/validators.js';
import { CHAIN, START, SUBNET } from '@itc/core/testing/dag.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import type { SignedItem } from '@itc/node/crypto/verify-batch.js';
import { VerifyPool } from '@itc/node/crypto/verify-pool.js';
import { verifyNative } from '@itc/node/crypto/native.js';
import { keysOf } from './network.ts';
import { figure, rates, type BenchOptions, type Rate, type Result } from './result.ts';

const MEMBERS = 4;
const POW_BITS = 8;
const DEVICES = 64;
const BATCH = 128;
const IN_ENVELOPE = 256;
/** Of a gateway that signs for devices of its own: many readings under one signature. */
const READINGS_PER_PAYLOAD = 25;

export function reading(i: number): string {
  return `{"n":"temperature","u":"Cel","v":${20 + (i % 100) / 10},"t":${1_700_000_000 + i}}`;
}

/** A COSE_Sign1 with so many SenML records, signed by the device itself. */
export function signReadings(o: {
  readonly chain: Hash;
  readonly device: KeyPair;
  readonly sequence: number;
  readonly readings: number;
}): Payload {
  const content = utf8Encode(
    `[${Array.from({ length: o.readings }, (_, i) => reading(o.sequence + i)).join(',')}]`,
  );
  const unsigned = {
    signer: o.device.publicKey,
    device: o.device.address,
    sequence: o.sequence,
    contentType: 'senml+json' as const,
    content,
  };
  const signature = o.device.sign(payloadSigningBytes(o.chain, unsigned));
  const parsed = parsePayload(o.chain, encodePayload(unsigned, signature));
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

/** One after another in the lanes of four members; parents do not matter to verification. */
function envelopesOf(
  count: number,
  members: readonly KeyPair[],
  payloads: (i: number) => readonly Payload[],
): Uint8Array[] {
  const previous = new Map<number, Hash>();
  return Array.from({ length: count }, (_, i) => {
    const issuer = i % members.length;
    const key = members[issuer] as KeyPair;
    const last = previous.get(issuer) ?? SUBNET;
    const carried = payloads(i);
    const body: EnvelopeBody = {
      subnet: SUBNET,
      issuer: key.publicKey,
      lane: 0,
      sequence: Math.floor(i / members.length) + 1,
      previous: last,
      parents: [last],
      time: millis(START + i),
      anchor: SUBNET,
      payloadRoot: payloadRootOf(carried.map(({ bytes }) => bytes)),
      payloadCount: carried.length,
    };
    const bodyHash = envelopeBodyHash(body);
    const nonce = powSearch({ bodyHash, bits: POW_BITS, start: 0, tries: 1 << 20 });
    if (nonce === undefined) throw new Error('no nonce found');
    const sealed = sealDraft(
      { body, bodyHash, bits: POW_BITS, payloads: carried },
      { chain: CHAIN, self: issuer, nonce, sign: key.sign },
    );
    previous.set(issuer, sealed.hash);
    return sealed.encoded;
  });
}

/** By the clock, and by processor time. */
function both(metric: string, own: Rate, bare: Rate): Result[] {
  const name = 'their signatures alone';
  return [
    figure(metric, 'per s', own.perSecond, { name, samples: bare.perSecond, better: 'more' }),
    figure(`processor time, ${metric}`, 'µs', own.processorUs, {
      name,
      samples: bare.processorUs,
      better: 'less',
    }),
  ];
}

export async function benchVerify(options: BenchOptions): Promise<Result[]> {
  const { quick, seed, log } = options;
  const rounds = quick ? 1 : 5;
  const workers = availableParallelism();
  await using pool = new VerifyPool({ workers });
  const pairs = Array.from({ length: MEMBERS }, (_, i) => keysOf(seed, `member ${i}`));
  const members = sortValidators(pairs.map(({ publicKey }) => ({ key: publicKey, weight: 1 })));
  const context = { chain: CHAIN, subnet: SUBNET, members, powBits: POW_BITS };
  const devices = Array.from({ length: DEVICES }, (_, i) => keysOf(seed, `device ${i}`));

  const screen = (encoded: Uint8Array): ScreenedEnvelope => {
    const screened = screenEnvelope(context, encoded);
    if (!screened.ok) throw new Error(screened.message);
    return screened.value;
  };
  const itemsOf = (envelopes: readonly ScreenedEnvelope[]): SignedItem[] =>
    envelopes
      .flatMap((envelope) => envelopeSignatures(envelope))
      .map(({ key, message, signature }) => ({ key: key.bytes, message, signature }));
  /** Several batches are under way at a time: screening one overlaps with verifying others. */
  const takeAll = async (encoded: readonly Uint8Array[], perBatch: number): Promise<void> => {
    const batches: Promise<void>[] = [];
    for (let start = 0; start < encoded.length; start += perBatch) {
      const screened = encoded.slice(start, start + perBatch).map(screen);
      batches.push(
        pool.verifyBatch(itemsOf(screened)).then((verdicts) => {
          let at = 0;
          for (const envelope of screened) {
            const count = 1 + envelope.payloads.length;
            const admitted = admitEnvelope(envelope, verdicts.slice(at, at + count));
            if (!admitted.ok) throw new Error(admitted.message);
            at += count;
          }
        }),
      );
      // The workers' answers are taken between batches, as in a node.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await Promise.all(batches);
  };
  const rawAll = async (items: readonly SignedItem[]): Promise<void> => {
    const batches: Promise<unknown>[] = [];
    for (let start = 0; start < items.length; start += BATCH)
      batches.push(pool.verifyBatch(items.slice(start, start + BATCH)));
    await Promise.all(batches);
  };

  const empty = envelopesOf(quick ? 500 : 4_000, pairs, () => []);
  const emptyItems = itemsOf(empty.map(screen));
  log(`verifying ${empty.length} envelopes on ${workers} workers`);
  const results: Result[] = [];
  const single = emptyItems.slice(0, 1_000);
  const verifySingle = (): number => {
    for (const { key, message, signature } of single)
      verifyNative({ algorithm: ED25519, bytes: key }, message, signature);
    return single.length;
  };
  const [one, raw, taken] = await rates(
    rounds,
    verifySingle,
    () => rawAll(emptyItems).then(() => emptyItems.length),
    () => takeAll(empty, BATCH).then(() => empty.length),
  );
  results.push(
    figure('signatures, one thread, native', 'per s', one.perSecond),
    figure(`signatures through the pool, ${workers} workers`, 'per s', raw.perSecond, {
      name: 'one thread',
      samples: one.perSecond,
      better: 'more',
    }),
    ...both('envelopes verified (form, work, signature)', taken, raw),
  );

  for (const readings of [1, READINGS_PER_PAYLOAD]) {
    const count = quick ? 2 : 8;
    const sequences = devices.map(() => 0);
    const loaded = envelopesOf(count, pairs, (i) =>
      Array.from({ length: IN_ENVELOPE }, (_, n) => {
        const at = (i * IN_ENVELOPE + n) % DEVICES;
        const sequence = (sequences[at] ?? 0) + 1;
        sequences[at] = sequence;
        return signReadings({ chain: CHAIN, device: devices[at] as KeyPair, sequence, readings });
      }),
    );
    const payloads = count * IN_ENVELOPE;
    const items = itemsOf(loaded.map(screen));
    const [bare, rate] = await rates(
      rounds,
      () => rawAll(items).then(() => payloads),
      () => takeAll(loaded, 1).then(() => payloads),
    );
    const what = readings === 1 ? 'one reading each' : `${readings} readings each`;
    results.push(...both(`payloads verified in envelopes of ${IN_ENVELOPE}, ${what}`, rate, bare));
    if (readings > 1)
      results.push(
        figure(
          'that is readings',
          'per s',
          rate.perSecond.map((value) => value * readings),
        ),
      );
    log(`payloads with ${what} done`);
  }
  return results;
}
