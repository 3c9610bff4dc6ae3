/** A further validator of a devnet that runs already: key, home and configuration. Votes and bonds are the ledger's business. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@itc/core/bytes/hex.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { NodeConfig, PeerConfig } from '@itc/node/config.js';
import { systemRandom } from '@itc/node/random.js';
import { createReplicaLog } from '@itc/node/runtime/replica-log.js';
import { nodeDisk } from '@itc/node/storage/node-disk.js';
import { keyNamed } from '../keys.ts';
import { readDevnet, writeDevnet, type Devnet, type DevnetProcess, type Layout } from './layout.ts';
import { nextFreePort } from './ports.ts';
import { configPath, NODE_API_OFFSET, PEER_OFFSET } from './setup.ts';

/** Beside the ones a devnet starts with. */
const ADDED_MAX = 16;
const NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;

/** The next `validator-N` that nobody is called. */
export function freeValidatorName(network: Devnet): string {
  const names = new Set(network.processes.map(({ name }) => name));
  for (let i = 1; ; i += 1) if (!names.has(`validator-${i}`)) return `validator-${i}`;
}

/**
 * Writes what the process needs and enters it in `devnet.json`, so that the next start of the devnet knows it. One that was
 * removed comes back with its own home. The others go on as they are: it connects to them, and they let in whoever has
 * bonded a key. Their configurations name it from their next start on.
 */
export async function setUpValidator(layout: Layout, name: string): Promise<DevnetProcess> {
  const network = existing(layout);
  const known = network.processes.find((process) => process.name === name);
  if (known !== undefined) {
    if (known.role !== 'validator')
      throw new LedgerError('config.invalid', `${name} is a ${known.role} of this devnet already`);
    return update(layout, network, known, { removed: false });
  }
  if (!NAME.test(name))
    throw new LedgerError(
      'config.invalid',
      'a validator is named with lower-case letters, digits and hyphens',
    );
  if (network.processes.filter(({ added }) => added === true).length >= ADDED_MAX)
    throw new LedgerError('config.invalid', `a devnet takes at most ${ADDED_MAX} further validators`);
  const { publicKey } = await keyNamed(layout, name);
  const peers: PeerConfig[] = [];
  for (const process of network.processes)
    if (process.role !== 'home') peers.push(await peerOf(layout, process.name, process.role));
  const front = Number(new URL(network.api).port);
  // Also of processes that are down now and will want theirs again.
  const taken = new Set<number>([front]);
  for (const { name: other } of peers) {
    const { peer, api, mqtt } = readConfig(layout, other);
    for (const place of [peer, api, mqtt]) if (place !== undefined) taken.add(place.port);
  }
  const peer = await nextFreePort(front + PEER_OFFSET, taken);
  const api = await nextFreePort(front + NODE_API_OFFSET, taken.add(peer));
  const config: NodeConfig = {
    name,
    role: 'validator',
    dataDir: join('..', name),
    keyFile: join('..', '..', 'keys', `${name}.json`),
    genesisFile: join('..', '..', 'genesis.bin'),
    peer: { host: '127.0.0.1', port: peer },
    api: { host: '127.0.0.1', port: api },
    peers,
  };
  const folder = join(layout.nodes, name);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(folder, 'replica')))
    await createReplicaLog({ disk: nodeDisk, folder, random: systemRandom });
  writeConfig(layout, config);
  const itself: PeerConfig = {
    name,
    role: 'validator',
    key: toHex(publicKey.bytes),
    host: '127.0.0.1',
    port: peer,
  };
  for (const other of peers) {
    const before = readConfig(layout, other.name);
    writeConfig(layout, { ...before, peers: [...before.peers, itself] });
  }
  const process: DevnetProcess = { name, role: 'validator', url: `http://127.0.0.1:${api}`, added: true };
  writeDevnet(layout, { ...network, processes: [...network.processes, process] });
  return process;
}

/** The next start of the devnet leaves it down. */
export function retireValidator(layout: Layout, name: string): DevnetProcess {
  const network = existing(layout);
  const known = network.processes.find((process) => process.name === name && process.role === 'validator');
  if (known === undefined)
    throw new LedgerError('not-found', `no validator of this devnet is called ${name}`);
  return update(layout, network, known, { removed: true });
}

function update(
  layout: Layout,
  network: Devnet,
  known: DevnetProcess,
  change: { readonly removed: boolean },
): DevnetProcess {
  const { removed: _, ...rest } = known;
  const updated: DevnetProcess = change.removed ? { ...rest, removed: true } : rest;
  const processes = network.processes.map((process) => (process === known ? updated : process));
  writeDevnet(layout, { ...network, processes });
  return updated;
}

function existing(layout: Layout): Devnet {
  const network = readDevnet(layout);
  if (network === undefined) throw new LedgerError('not-ready', `there is no devnet in ${layout.root}`);
  return network;
}

async function peerOf(layout: Layout, name: string, role: NodeConfig['role']): Promise<PeerConfig> {
  const { peer } = readConfig(layout, name);
  const { publicKey } = await keyNamed(layout, name);
  return { name, role, key: toHex(publicKey.bytes), host: peer.host, port: peer.port };
}

/** As it stands in the file, with relative paths. */
function readConfig(layout: Layout, name: string): NodeConfig {
  return JSON.parse(readFileSync(configPath(layout, name), 'utf8')) as NodeConfig;
}

function writeConfig(layout: Layout, config: NodeConfig): void {
  writeFileSync(configPath(layout, config.name), `${JSON.stringify(config, null, 2)}\n`);
}
