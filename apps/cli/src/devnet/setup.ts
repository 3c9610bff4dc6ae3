/** Makes a devnet: keys, genesis, one configuration per process. Done once; later starts only pick ports again. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { formatAddress, type Address } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { encodeGenesis, genesisHash, type Genesis } from '@itc/core/ledger/genesis.js';
import { amount, millis, SUPPLY, UNITS_PER_ITC } from '@itc/core/ledger/ids.js';
import { subnetId } from '@itc/core/ledger/bodies/subnet.js';
import { sortValidators, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import type { NodeConfig, PeerConfig } from '@itc/node/config.js';
import { coSigningKeyOf } from '../co-signing-keys.ts';
import { keyNamed } from '../keys.ts';
import { systemRandom } from '@itc/node/random.js';
import { readGenesis } from '@itc/node/runtime/process.js';
import { createReplicaLog } from '@itc/node/runtime/replica-log.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { writeDevnet, type Devnet, type DevnetProcess, type Layout } from './layout.ts';
import { nextFreePort } from './ports.ts';

export interface DevnetOptions {
  readonly apiPort: number;
  readonly mqttPort: number;
  readonly validators: number;
  readonly gateways: number;
  readonly subnets: number;
  readonly simulation: boolean;
}

/** A subnet keeps going while one of four equal members is down, so smaller ones are filled up with always-on devices. */
const SUBNET_MEMBERS = 4;
const MEMBER_STAKE = 100;
const POW_BITS = 10;
/** Of each member, so that a devnet left running does not fill a disk. */
const RETAINED_ENVELOPE_BYTES = 1 << 30;
/** Each validator of a devnet has weight 1, and so has whoever bonds as much and is voted in. */
const VALIDATOR_BOND = 1_000n * UNITS_PER_ITC;
const VALIDATOR_RESERVE = 1_000_000n * UNITS_PER_ITC;
const REWARD_PER_CHECKPOINT = UNITS_PER_ITC / 10n;
/** A transaction costs some 0.0002 ITC; a record ten times that, until it goes; an account 0.001 ITC, once. */
const FEE_PER_BYTE = 1_000n;
const DEPOSIT_PER_BYTE = 10_000n;
const ACCOUNT_PRICE = UNITS_PER_ITC / 1_000n;
/** Ports of the processes lie above the front's, so that two devnets started at once do not race for the same ones. */
export const NODE_API_OFFSET = 20;
export const PEER_OFFSET = 120;

interface Planned {
  readonly name: string;
  readonly role: NodeConfig['role'];
  readonly subnet?: number;
}

export function planProcesses(options: DevnetOptions): Planned[] {
  const planned: Planned[] = [];
  for (let i = 1; i <= options.validators; i += 1)
    planned.push({ name: `validator-${i}`, role: 'validator' });
  for (let i = 0; i < options.gateways; i += 1)
    planned.push({ name: `gateway-${i + 1}`, role: 'gateway', subnet: i % options.subnets });
  for (let subnet = 0, next = 1; subnet < options.subnets; subnet += 1) {
    const gateways = planned.filter((process) => process.subnet === subnet).length;
    for (let i = gateways; i < SUBNET_MEMBERS; i += 1, next += 1)
      planned.push({ name: `member-${next}`, role: 'member', subnet });
  }
  return planned;
}

/** Creates what is missing and writes the configurations with ports that are free now. */
export async function setUpDevnet(
  layout: Layout,
  options: DevnetOptions,
  previous: Devnet | undefined,
): Promise<Devnet> {
  for (const folder of [layout.root, layout.nodes, layout.logs]) mkdirSync(folder, { recursive: true });
  const planned = planProcesses(options);
  if (previous !== undefined) {
    const before = previous.processes
      .filter((process) => process.role !== 'home' && process.added !== true)
      .map((process) => process.name);
    if (
      before.join() !== planned.map((process) => process.name).join() ||
      previous.subnets.length !== options.subnets
    ) {
      throw new LedgerError(
        'config.invalid',
        `${layout.root} holds a devnet of other processes (${before.join(', ')}); start it with the same numbers, or choose another --data-dir`,
      );
    }
  }
  for (const { name, added } of previous?.processes ?? [])
    if (added === true) planned.push({ name, role: 'validator' });
  const keys = new Map<string, KeyPair>();
  for (const { name } of planned) keys.set(name, await keyNamed(layout, name));
  const owner = await keyNamed(layout, 'owner');
  const maker = await keyNamed(layout, 'maker');
  const subnets = Array.from({ length: options.subnets }, (_, i) => ({
    name: i === 0 ? 'home' : `home-${i + 1}`,
    id: subnetId(owner.address, i === 0 ? 'home' : `home-${i + 1}`),
  }));

  if (!existsSync(layout.genesisFile)) {
    const setOf = (chosen: readonly Planned[], weight: number): ValidatorSet =>
      sortValidators(chosen.map(({ name }) => ({ key: (keys.get(name) as KeyPair).publicKey, weight })));
    const validators = setOf(
      planned.filter((process) => process.role === 'validator'),
      1,
    );
    const coSigners: Address[] = [];
    for (const { key } of validators) {
      const named = planned.find(({ name }) => keys.get(name)?.publicKey.bytes === key.bytes) as Planned;
      coSigners.push((await coSigningKeyOf(layout, named.name)).address);
    }
    const genesis = genesisOf({
      validators,
      coSigners,
      funded: [owner.address, maker.address, ...[...keys.values()].map((pair) => pair.address)],
      subnets: subnets.map(({ id, name }, i) => ({
        id,
        name,
        members: setOf(
          planned.filter((process) => process.subnet === i),
          MEMBER_STAKE,
        ),
        powBits: POW_BITS,
      })),
      treasury: owner.address,
      time: millis(Date.now()),
    });
    // Once, with the chain: a validator that finds no log later has lost its disk, and does not vote.
    for (const { name, role } of planned) {
      if (role === 'validator')
        await createReplicaLog({ disk: nodeDisk, folder: join(layout.nodes, name), random: systemRandom });
    }
    writeFileSync(layout.genesisFile, encodeGenesis(genesis));
  }
  const chain = toHex(genesisHash(readGenesis(layout.genesisFile)));

  const taken = new Set<number>();
  const claim = async (from: number): Promise<number> => {
    const port = await nextFreePort(from, taken);
    taken.add(port);
    return port;
  };
  const apiPort = await claim(options.apiPort);
  const places = new Map<string, { peer: number; api: number; mqtt?: number }>();
  for (const { name, role } of planned) {
    const place = {
      peer: await claim(options.apiPort + PEER_OFFSET),
      api: await claim(options.apiPort + NODE_API_OFFSET),
    };
    places.set(name, role === 'gateway' ? { ...place, mqtt: await claim(options.mqttPort) } : place);
  }
  const peerOf = ({ name, role }: Planned): PeerConfig => ({
    name,
    role,
    key: toHex((keys.get(name) as KeyPair).publicKey.bytes),
    host: '127.0.0.1',
    port: (places.get(name) as { peer: number }).peer,
  });
  for (const process of planned) {
    const place = places.get(process.name) as { peer: number; api: number; mqtt?: number };
    const subnet = process.subnet === undefined ? undefined : subnets[process.subnet];
    const config: NodeConfig = {
      name: process.name,
      role: process.role,
      dataDir: join('..', process.name),
      keyFile: join('..', '..', 'keys', `${process.name}.json`),
      genesisFile: join('..', '..', 'genesis.bin'),
      peer: { host: '127.0.0.1', port: place.peer },
      api: { host: '127.0.0.1', port: place.api },
      ...(place.mqtt === undefined ? {} : { mqtt: { host: '127.0.0.1', port: place.mqtt } }),
      hybrid: 'on',
      peers: planned.filter((other) => other !== process).map(peerOf),
      ...(subnet === undefined
        ? {}
        : { subnet: toHex(subnet.id), retainEnvelopeBytes: RETAINED_ENVELOPE_BYTES }),
    };
    mkdirSync(join(layout.nodes, process.name), { recursive: true });
    writeFileSync(configPath(layout, process.name), `${JSON.stringify(config, null, 2)}\n`);
  }
  const processes: DevnetProcess[] = planned.map(({ name, role, subnet }) => {
    const { added, removed } = previous?.processes.find((process) => process.name === name) ?? {};
    const url = `http://127.0.0.1:${(places.get(name) as { api: number }).api}`;
    const of = subnet === undefined ? {} : { subnet: toHex((subnets[subnet] as { id: Hash }).id) };
    return { name, role, url, ...of, ...(added && { added }), ...(removed && { removed }) };
  });
  const devnet: Devnet = {
    version: 1,
    chain,
    subnets: subnets.map(({ id, name }) => ({ id: toHex(id), name })),
    processes: options.simulation ? [...processes, { name: 'home', role: 'home' }] : processes,
    api: `http://127.0.0.1:${apiPort}`,
    mqtt: planned
      .filter((process) => process.role === 'gateway')
      .map(({ name }) => `mqtt://127.0.0.1:${(places.get(name) as { mqtt?: number }).mqtt ?? 0}`),
    simulation: options.simulation,
  };
  writeDevnet(layout, devnet);
  return devnet;
}

export function configPath(layout: Layout, name: string): string {
  return join(layout.nodes, name, 'config.json');
}

function genesisOf(parts: {
  readonly validators: ValidatorSet;
  /** In their order. */
  readonly coSigners: readonly Address[];
  readonly funded: readonly Address[];
  readonly subnets: Genesis['subnets'];
  readonly treasury: Address;
  readonly time: ReturnType<typeof millis>;
}): Genesis {
  const share = 100_000n * UNITS_PER_ITC;
  const bonded = VALIDATOR_BOND * BigInt(parts.validators.length);
  const others = parts.funded.filter((address) => formatAddress(address) !== formatAddress(parts.treasury));
  const accounts = [
    {
      address: parts.treasury,
      balance: amount(SUPPLY - share * BigInt(others.length) - bonded - VALIDATOR_RESERVE),
    },
    ...others.map((address) => ({ address, balance: amount(share) })),
  ].sort((a, b) => compareBytes(a.address, b.address));
  return {
    name: 'itc-devnet',
    time: parts.time,
    validators: parts.validators,
    accounts,
    subnets: parts.subnets,
    feePerByte: amount(FEE_PER_BYTE),
    validatorBond: amount(VALIDATOR_BOND),
    bondPerWeight: amount(VALIDATOR_BOND),
    reserve: amount(VALIDATOR_RESERVE),
    rewardPerCheckpoint: amount(REWARD_PER_CHECKPOINT),
    depositPerByte: amount(DEPOSIT_PER_BYTE),
    accountPrice: amount(ACCOUNT_PRICE),
    burnShare: 0,
    coSigners: parts.coSigners,
  };
}
