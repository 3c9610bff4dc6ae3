/**
 * The main chain under load: 4 validator processes on this machine, TLS between them, fsync on, signed transfers
 * handed in over HTTP to all validators in turn; final means committed, executed and durable at the validator that
 * reports it. Beside it in the same run, taking turns, 3-node etcd: puts of 256 bytes through its leader. etcd
 * tolerates crashes only and checks no signature; a transfer is signed, executed and certified by a
 * Byzantine quorum.
 */
import { amount, height } from '@itc/core/ledger/ids.js';
import { ED25519 } from '@itc/core/crypto/signature.js';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { encodeTransaction, transactionId, transactionSigningBytes } from '@itc/core/ledger/transaction.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { ChainClient } from './chain-client.ts';
import { ETCD_INSTALL, EtcdCluster, etcdVersion } from './etcd.ts';
import { closedLoop, joinSamples, loadFigures, type LoadSamples } from './load.ts';
import { diskWarning, Network } from './network.ts';
import { measured } from './processor-time.ts';
import { figure, seededRandom, type BenchOptions, type Result } from './result.ts';

export const name = 'chain';

const VALIDATORS = 4;
const ACCOUNTS = 1_000;
const VALUE_BYTES = 256;
const IN_FLIGHT = [1, 32, 256, 2_048];
/** Beyond this etcd gains nothing and its client only queues. */
const ETCD_IN_FLIGHT_MAX = 256;
/** Of what the closed loop with most in flight reached. */
const OPEN_LOAD = 0.6;

interface Shape {
  readonly rounds: number;
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
}

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { quick, seed, log } = options;
  const shape: Shape = quick
    ? { rounds: 1, rampMs: 200, durationMs: 600, windows: 2 }
    : { rounds: 3, rampMs: 500, durationMs: 2_000, windows: 2 };
  const loads = quick ? [32] : IN_FLIGHT;
  const warning = diskWarning();
  if (warning !== undefined) log(warning);

  await using network = await Network.create({
    seed,
    validators: VALIDATORS,
    members: 0,
    accounts: ACCOUNTS,
    powBits: 0,
  });
  log(`starting ${VALIDATORS} validators`);
  await network.start(network.nodes);
  await using client = await ChainClient.connect(network.nodes.map(({ url }) => url));
  const transfers = new Transfers(network.accounts, network.chain, seed);

  const version = etcdVersion();
  if (version === undefined) log(ETCD_INSTALL);
  else
    log(`starting etcd ${version}, 3 nodes, client: gRPC over one HTTP/2 connection, no npm client between`);
  await using etcd = version === undefined ? undefined : await EtcdCluster.start();

  const runs = loads.map((inFlight) => ({ inFlight, ours: new Contender(), theirs: new Contender() }));
  const value = new Uint8Array(VALUE_BYTES).map((_, i) => i);
  for (let round = 1; round <= shape.rounds; round += 1) {
    for (const { inFlight, ours, theirs } of runs) {
      const transfer = (): Promise<LoadSamples> =>
        client.closed({ ...shape, inFlight, next: () => transfers.next() });
      await ours.run(network.pids, transfer);
      log(`round ${round}, ${inFlight} in flight: ${ours.latest}`);
      if (etcd === undefined || inFlight > ETCD_IN_FLIGHT_MAX) continue;
      const put = (index: number): Promise<void> =>
        etcd.put(Buffer.from(`key ${seed} ${index % ACCOUNTS}`), value);
      await theirs.run(etcd.pids, () => closedLoop(put, { ...shape, inFlight }));
      log(`round ${round}, ${inFlight} in flight, etcd: ${theirs.latest}`);
    }
  }

  const results: Result[] = [];
  const peer = `etcd ${version ?? ''} × 3, unsigned puts`;
  for (const { inFlight, ours, theirs } of runs) {
    const own = joinSamples(ours.samples);
    const others = joinSamples(theirs.samples);
    const at = `${inFlight} in flight`;
    const what = { what: 'transfers final', latency: 'latency', at };
    results.push(...loadFigures({ ...what, samples: own, peer: { name: peer, samples: others } }));
    if (ours.processorUs.length > 0)
      results.push(
        figure(`processor time of all servers per transfer, ${at}`, 'µs', ours.processorUs, {
          name: peer,
          samples: theirs.processorUs,
          better: 'less',
        }),
      );
  }

  const most = runs.at(-1)?.ours.samples ?? [];
  const reached = figure('', '', joinSamples(most).throughput).value;
  const perSecond = Math.max(10, Math.round((reached * OPEN_LOAD) / 10) * 10 || 0);
  log(`open loop at ${perSecond} per s, ${OPEN_LOAD * 100} % of what the closed loop reached`);
  const open = await client.open({
    ...shape,
    durationMs: shape.durationMs * shape.rounds,
    windows: shape.windows * shape.rounds,
    perSecond,
    next: () => transfers.next(),
  });
  log(`open loop: ${describe(open)}`);
  const at = `open loop at ${perSecond} per s`;
  results.push(...loadFigures({ what: 'transfers final', latency: 'latency', at, samples: open }));
  if (client.refused.size > 0)
    log(`refused: ${[...client.refused].map(([code, count]) => `${code} ${count}`).join(', ')}`);
  return results;
}

function describe(samples: LoadSamples): string {
  const { value } = figure('', '', samples.throughput);
  const p50 = figure('', '', samples.p50).value;
  const p99 = figure('', '', samples.p99).value;
  return `${Math.round(value)} per s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

/** Samples of one side at one load, over all rounds. */
class Contender {
  readonly samples: LoadSamples[] = [];
  /** Microseconds of all its server processes per operation, one per round. */
  readonly processorUs: number[] = [];

  async run(pids: readonly number[], load: () => Promise<LoadSamples>): Promise<void> {
    const { value, usedMs } = await measured(pids, load);
    this.samples.push(value);
    if (usedMs !== undefined) this.processorUs.push((1_000 * usedMs) / value.total);
  }

  get latest(): string {
    const samples = this.samples.at(-1);
    return samples === undefined ? 'nothing yet' : describe(samples);
  }
}

/** Signed transfers from the accounts in turn to others at random: lanes never wait for each other. */
class Transfers {
  readonly #accounts: readonly KeyPair[];
  readonly #chain: Hash;
  readonly #nonces: number[];
  readonly #random: () => number;
  #turn = 0;

  constructor(accounts: readonly KeyPair[], chain: Hash, seed: number) {
    this.#accounts = accounts;
    this.#chain = chain;
    this.#nonces = accounts.map(() => 0);
    this.#random = seededRandom(seed);
  }

  next(): { readonly id: string; readonly encoded: Uint8Array } {
    const { length } = this.#accounts;
    const at = this.#turn % length;
    this.#turn += 1;
    const from = this.#accounts[at] as KeyPair;
    const other = (at + 1 + Math.floor(this.#random() * (length - 1))) % length;
    const nonce = this.#nonces[at] as number;
    this.#nonces[at] = nonce + 1;
    const unsigned = {
      key: { algorithm: ED25519, bytes: from.publicKey.bytes },
      lane: 0,
      nonce,
      fee: amount(1_000n),
      validUntil: height(1_000_000),
      body: { kind: 'transfer' as const, to: (this.#accounts[other] as KeyPair).address, amount: amount(1n) },
    };
    const signature = from.sign(transactionSigningBytes(this.#chain, unsigned));
    const encoded = encodeTransaction({ ...unsigned, signature });
    return { id: toHex(transactionId(encoded)), encoded };
  }
}
