/** Members of subnets that were founded while a devnet runs: their homes and configurations. They run as `itc node`, beside the devnet. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '@itc/core/bytes/hex.js';
import type { NodeConfig, PeerConfig } from '@itc/node/config.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { keyNamed } from '../keys.ts';
import { readDevnet, type Layout } from './layout.ts';
import { nextFreePort } from './ports.ts';
import { configPath, NODE_API_OFFSET, PEER_OFFSET } from './setup.ts';

/** Ports beyond those of a devnet's own processes. */
const BEYOND = 60;

function readConfig(layout: Layout, name: string): NodeConfig | undefined {
  const path = configPath(layout, name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as NodeConfig) : undefined;
}

/**
 * Writes the configuration of a member, once; gives its path. It dials the processes of the devnet, and members of the same
 * subnet that were set up before; they let it in by its stake.
 */
export async function setUpMember(
  layout: Layout,
  o: { readonly name: string; readonly subnet: string; readonly beside: readonly string[] },
): Promise<string> {
  const network = readDevnet(layout);
  if (network === undefined) throw new LedgerError('not-ready', `there is no devnet in ${layout.root}`);
  const path = configPath(layout, o.name);
  const known = readConfig(layout, o.name);
  if (known !== undefined) {
    if (known.subnet !== o.subnet)
      throw new LedgerError('config.invalid', `${o.name} is configured for another subnet already: ${path}`);
    return path;
  }
  const names = new Set(network.processes.filter(({ role }) => role !== 'home').map(({ name }) => name));
  const others = [...names, ...membersOf(layout, o.subnet, names), ...o.beside].filter(
    (name) => name !== o.name,
  );
  const peers: PeerConfig[] = [];
  const taken = new Set<number>([Number(new URL(network.api).port)]);
  for (const name of new Set(others)) {
    const config = readConfig(layout, name);
    if (config === undefined) continue;
    for (const place of [config.peer, config.api, config.mqtt])
      if (place !== undefined) taken.add(place.port);
    const { publicKey } = await keyNamed(layout, name);
    peers.push({
      name,
      role: config.role,
      key: toHex(publicKey.bytes),
      host: config.peer.host,
      port: config.peer.port,
    });
  }
  for (const name of configured(layout)) {
    const config = readConfig(layout, name);
    for (const place of [config?.peer, config?.api]) if (place !== undefined) taken.add(place.port);
  }
  const front = Number(new URL(network.api).port);
  const peer = await nextFreePort(front + PEER_OFFSET + BEYOND, taken);
  const api = await nextFreePort(front + NODE_API_OFFSET + BEYOND, taken.add(peer));
  const config: NodeConfig = {
    name: o.name,
    role: 'member',
    dataDir: join('..', o.name),
    keyFile: join('..', '..', 'keys', `${o.name}.json`),
    genesisFile: join('..', '..', 'genesis.bin'),
    peer: { host: '127.0.0.1', port: peer },
    api: { host: '127.0.0.1', port: api },
    peers,
    subnet: o.subnet,
  };
  await keyNamed(layout, o.name);
  mkdirSync(join(layout.nodes, o.name), { recursive: true });
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`);
  remember(layout, o.name);
  return path;
}

/** Names of members set up so, one a line. */
const listFile = (layout: Layout): string => join(layout.root, 'members.txt');

function configured(layout: Layout): string[] {
  return existsSync(listFile(layout))
    ? readFileSync(listFile(layout), 'utf8')
        .split('\n')
        .filter((name) => name !== '')
    : [];
}

function remember(layout: Layout, name: string): void {
  writeFileSync(listFile(layout), `${[...configured(layout), name].join('\n')}\n`);
}

function membersOf(layout: Layout, subnet: string, known: ReadonlySet<string>): string[] {
  return configured(layout).filter((name) => !known.has(name) && readConfig(layout, name)?.subnet === subnet);
}
