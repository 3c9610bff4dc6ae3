/** Clients that demand co-signatures: bytes and time of a stream, of signing and of gathering, and of the records of a hybrid channel. */
import { SealedRecords, channelKeys } from '@itc/node/network/hybrid.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { xWingDecapsulate, xWingEncapsulate, xWingKeysOf } from '@itc/core/crypto/x-wing.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { encodeCoSignedTrust } from '@itc/core/light/co-signed.js';
import { CoSignedReader } from '@itc/core/light/co-signed-reader.js';
import { encodeCoSignedStream } from '@itc/core/light/co-signed-stream.js';
import type { CertifiedBlock } from '@itc/core/testing/chain.js';
import { coSigningPair, CoSignedWorld, type Members } from '@itc/core/testing/co-signed-world.js';
import { figure, rates, type BenchOptions, type Result } from './result.ts';

const SETS = [4, 16, 31];
const RECORD_BYTES = 65_536;

export async function coSigned(options: BenchOptions): Promise<Result[]> {
  const { quick, log } = options;
  const results: Result[] = [];
  for (const validators of quick ? SETS.slice(0, 1) : SETS) {
    for (const epochs of [0, 1]) {
      const { trust, bytes } = streamOf(validators, epochs);
      const of = `${validators} validators, ${epochs === 0 ? 'of the trusted epoch' : 'one epoch on'}`;
      log(`co-signed: ${of}: ${bytes.length} bytes`);
      results.push(figure(`co-signed checkpoint, ${of}`, 'bytes', [bytes.length]));
      if (epochs === 1 || (validators !== 16 && !quick)) continue;
      let held = 0;
      const read = (): void => {
        const reader = new CoSignedReader({ trust, verify: verifySignature });
        reader.push(bytes);
        if (!reader.isDone) throw new Error('a stream of ours does not hold');
        held = reader.held;
      };
      const [used] = await processorMs(quick, 1, read);
      results.push(
        figure(`it verified, ${validators} validators`, 'ms processor', used as number[]),
        figure(`room for keys and a frame, ${validators} validators`, 'bytes', [held]),
      );
    }
  }
  return [...results, ...(await costs(quick))];
}

/** By exactly a quorum; one validator is another in the next epoch. */
function streamOf(validators: number, epochs: number): { trust: Uint8Array; bytes: Uint8Array } {
  const ones = Array.from({ length: validators }, () => 1);
  const members = (at: number): Members => ones.map((weight, i) => [at + i, weight]);
  const world = new CoSignedWorld(Array.from({ length: epochs + 1 }, (_, at) => members(at)));
  const { strong } = quorumOf(ones);
  const seedsOf = (at: number): number[] =>
    (world.members[at] as Members).map(([seed]) => seed).slice(0, strong);
  const hops = Array.from({ length: epochs }, (_, at) => world.hop(at, { seeds: seedsOf(at) }));
  const newest = world.first[epochs] as CertifiedBlock;
  const checkpoint = world.checkpoint(newest, { seeds: seedsOf(epochs) });
  const stream = { trusted: world.start.coSigners, hops, checkpoint, items: [] };
  return { trust: encodeCoSignedTrust(world.start), bytes: encodeCoSignedStream(stream) };
}

/** What one validator pays for a checkpoint, and a hybrid channel for a connection and for its bytes. */
async function costs(quick: boolean): Promise<Result[]> {
  const { key, sign } = coSigningPair(0);
  const message = new Uint8Array(150);
  const signature = sign(message);
  const parts = {
    secret: new Uint8Array(32),
    exporter: new Uint8Array(32),
    hellos: { dialler: new Uint8Array(1), listener: new Uint8Array(1) },
  };
  const sender = new SealedRecords(channelKeys({ ...parts, side: 'dialler' }));
  const receiver = new SealedRecords(channelKeys({ ...parts, side: 'listener' }));
  const plain = new Uint8Array(RECORD_BYTES).fill(3);
  let round = 0;
  const [signed, verified, agreed, sealed] = await processorMs(
    quick,
    20,
    () => {
      round += 1;
      message[0] = round;
      sign(message);
    },
    () => {
      message[0] = 0;
      if (!verifySignature(key, message, signature)) throw new Error('a signature of ours does not hold');
    },
    () => {
      const { publicKey, secretKey } = xWingKeysOf(new Uint8Array(32).fill(1));
      const sent = xWingEncapsulate(publicKey, new Uint8Array(64).fill(2));
      if (sent === undefined || xWingDecapsulate(secretKey, sent.ciphertext) === undefined)
        throw new Error('a key of ours is none');
    },
    () => {
      if (!receiver.open(sender.seal(plain), () => undefined))
        throw new Error('a record of ours does not hold');
    },
  );
  return [
    figure('co-signature made', 'ms processor', signed as number[]),
    figure('co-signature verified', 'ms processor', verified as number[]),
    figure('X-Wing, both ends of a connection', 'ms processor', agreed as number[]),
    figure(
      'hybrid channel, sealed and opened',
      'ns per byte',
      (sealed as number[]).map((ms) => (ms * 1e6) / RECORD_BYTES),
    ),
  ];
}

async function processorMs(quick: boolean, count: number, ...work: (() => void)[]): Promise<number[][]> {
  const operations = work.map((one) => () => {
    for (let i = 0; i < count; i += 1) one();
    return count;
  });
  const measured = await rates(quick ? 1 : 5, ...operations);
  return measured.map(({ processorUs }) => processorUs.map((us) => us / 1_000));
}
