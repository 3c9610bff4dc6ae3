/**
 * An hour of devices in some minutes, against a target for the disk: three members as processes and one here, which takes
 * the payloads. All the time the folders of the members are measured. Each checkpoint gets the same share of the hour, so the
 * newest ones, which are never given up, hold what the target has room for. Checked, and an error when it does not hold: every
 * reading of a pinned device is proved by every member, also those that are pruned, and of the others the oldest are gone.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@itc/client/client.js';
import { requestJson } from '@itc/client/http.js';
import { signRequest } from '@itc/client/requests.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { decodeReadingProof, verifyReading } from '@itc/core/light/reading-proof.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { installNativeCrypto, verifyNative } from '@itc/node/crypto/native.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import { RETENTION } from '@itc/node/runtime/subnet-retention.js';
import { signReadings } from './dag-verify.ts';
import { keysOf, Network, type NetworkNode } from './network.ts';
import { figure, type BenchOptions, type Result } from './result.ts';

export const name = 'retention';

const MEMBERS = 4;
const POW_BITS = 4;
const TARGET_BYTES = 12 << 20;
const DEVICES = 40;
const PINNED = 2;
/** Readings in a payload, one in a second of device time. */
const READINGS = 9;
const MINUTES = 60;
const MINUTES_QUICK = 2;
const SAMPLE_MS = 250;
const CHECKPOINT_MS_MAX = 60_000;
const PIN_MS = 24 * 3_600_000;
/** Where a member keeps its subnet; in `tables` the main chain has its own, as a validator has them, too. */
const TABLES = 'tables';
const FOLDERS = ['envelopes', 'member', TABLES];

export async function run(options: BenchOptions): Promise<Result[]> {
  installNativeCrypto();
  const { seed, quick, log } = options;
  const minutes = options.times ?? (quick ? MINUTES_QUICK : MINUTES);
  const rounds = Math.ceil((minutes * 60) / READINGS);
  await using network = await Network.create({
    seed,
    validators: 1,
    members: MEMBERS,
    accounts: 1,
    powBits: POW_BITS,
    retainEnvelopeBytes: TARGET_BYTES,
  });
  const last = network.nodes.length - 1;
  const here = network.nodes[last] as NetworkNode;
  const members = network.nodes.filter(({ role }) => role === 'member');
  const others = members.slice(0, -1);
  const started = network.start(network.nodes.slice(0, last));
  await using node = await NodeProcess.open({ config: here.config });
  await node.start();
  await started;
  const { subnet } = node;
  if (subnet === undefined) throw new Error('the member here has no subnet');
  const devices = Array.from({ length: DEVICES }, (_, i) => keysOf(seed, `device ${i}`));
  const pinned = devices.slice(0, PINNED);
  const until = Date.now() + PIN_MS;
  for (const device of pinned) {
    await subnet.retention.pins.pin(device.address, until);
    for (const member of others)
      await pinAt(network, member, keysOf(seed, member.name.replace('-', ' ')), device, until);
  }
  const disks = new Disks(members, network.nodes[0] as NetworkNode);
  disks.start();
  const sent: Payload[][] = devices.map(() => []);
  for (let round = 1; round <= rounds; round += 1) {
    const before = subnet.status().checkpoint;
    for (const [i, device] of devices.entries()) {
      const payload = signReadings({
        chain: network.chain,
        device,
        sequence: (round - 1) * READINGS + 1,
        readings: READINGS,
      });
      const offered = subnet.offer(payload);
      if (!offered.ok) throw new Error(`a payload is refused: ${offered.message}`);
      sent[i]?.push(payload);
    }
    await reached(() => subnet.status().checkpoint > before, 'the next checkpoint');
    if (round % 50 === 0)
      log(
        `${Math.round((round * READINGS) / 60)} of ${minutes} minutes, checkpoint ${subnet.status().checkpoint}, ${disks.last} bytes at most`,
      );
  }
  const count = rounds * DEVICES;
  const payloads = (): number => node.chain.state.subnet(network.subnet)?.payloads ?? 0;
  await reached(() => payloads() === count, 'all payloads are final');
  await disks.stop();

  const oldest = sent.at(-1)?.[0] as Payload;
  const oldestKept = node.subnetStore?.oldest()?.sequence ?? 1;
  if (oldestKept > 1 && node.subnetStore?.place(oldest.id) !== undefined)
    throw new Error('a reading below the oldest checkpoint is still found');
  let proved = 0;
  let pruned = 0;
  for (const payload of pinned.flatMap((_, i) => sent[i] ?? [])) {
    if (node.subnetStore?.place(payload.id) === undefined) pruned += 1;
    for (const member of others) {
      const client = new Client({ url: member.url, fetch });
      const proof = decodeReadingProof(await client.readingProof(payload.id));
      const verdict =
        proof.ok && verifyReading({ genesisHash: network.chain, proof: proof.value, verify: verifyNative });
      if (verdict === false || !verdict.valid)
        throw new Error(`${member.name} does not prove reading ${toHex(payload.id)} of a pinned device`);
      proved += 1;
    }
  }
  log(
    `${count} payloads of ${DEVICES} devices final, the oldest checkpoint kept is ${oldestKept} of ${subnet.status().checkpoint}, the newest ${RETENTION.checkpointsMin} stay in any case`,
  );
  return [
    figure('target for what a member keeps', 'MiB', [TARGET_BYTES / (1 << 20)]),
    figure('disk use of a member', 'MiB', disks.mebibytes),
    figure('greatest disk use of any', 'MiB', [Math.max(...disks.mebibytes)]),
    figure('share of time above the target', '%', [disks.shareAbove(TARGET_BYTES)]),
    figure('proofs of pinned readings verified', '', [proved]),
    figure('of them pruned otherwise', '', [pruned * others.length]),
  ];
}

async function reached(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + CHECKPOINT_MS_MAX; !condition(); await sleep(20))
    if (performance.now() > end) throw new Error(`waited ${CHECKPOINT_MS_MAX} ms in vain for ${what}`);
}

/** Whoever runs a process may pin there. */
async function pinAt(
  network: Network,
  member: NetworkNode,
  signer: KeyPair,
  device: KeyPair,
  until: number,
): Promise<void> {
  const path = '/api/v1/retention/pins';
  const body = JSON.stringify({ device: formatAddress(device.address), until });
  const authorization = await signRequest({
    chain: network.chain,
    signer,
    method: 'POST',
    path,
    body: utf8Encode(body),
    time: millis(Date.now()),
  });
  const headers = { 'content-type': 'application/json', authorization };
  await requestJson(fetch, `${member.url}${path}`, { method: 'POST', headers, body });
}

/** What lies in the folders of the members, again and again. */
class Disks {
  readonly #members: readonly NetworkNode[];
  readonly #validator: NetworkNode;
  readonly #samples: number[] = [];
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(members: readonly NetworkNode[], validator: NetworkNode) {
    this.#members = members;
    this.#validator = validator;
  }

  start(): void {
    this.#running = this.#sample();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** The greatest of the last round. */
  get last(): number {
    return Math.max(...this.#samples.slice(-this.#members.length));
  }

  get mebibytes(): number[] {
    return this.#samples.map((bytes) => bytes / (1 << 20));
  }

  shareAbove(target: number): number {
    return (100 * this.#samples.filter((bytes) => bytes > target).length) / this.#samples.length;
  }

  async #sample(): Promise<void> {
    while (!this.#stopped) {
      const chain = bytesBelow(join(this.#validator.config.dataDir, TABLES));
      for (const { config } of this.#members) {
        const all = FOLDERS.reduce((sum, folder) => sum + bytesBelow(join(config.dataDir, folder)), 0);
        this.#samples.push(Math.max(0, all - chain));
      }
      await sleep(SAMPLE_MS);
    }
  }
}

function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    // A segment may go between being listed and being looked at.
    if (entry.isFile()) bytes += statSync(join(folder, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}
