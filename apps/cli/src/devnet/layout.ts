/** Where a devnet keeps what: one folder, one file that describes it. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Role } from '@itc/node/config.js';

export interface DevnetProcess {
  readonly name: string;
  readonly role: Role | 'home';
  /** Base URL of its HTTP API; none for the simulated home. */
  readonly url?: string;
  /** Id of the subnet it is a member of. */
  readonly subnet?: string;
  /** A validator that joined later. */
  readonly added?: true;
  /** A validator that was voted out: it is not started with the others. */
  readonly removed?: true;
}

/** `.itc/devnet.json`: what `itc` needs to find and restart a devnet. Ports are what was bound last. */
export interface Devnet {
  readonly version: 1;
  readonly chain: string;
  readonly subnets: readonly { readonly id: string; readonly name: string }[];
  readonly processes: readonly DevnetProcess[];
  /** Of the front: API and dashboard. */
  readonly api: string;
  /** MQTT URLs of the gateways. */
  readonly mqtt: readonly string[];
  readonly simulation: boolean;
}

export interface Layout {
  readonly root: string;
  readonly devnetFile: string;
  readonly genesisFile: string;
  readonly keys: string;
  readonly nodes: string;
  readonly logs: string;
  /** Images of firmware, each called by its hash: where simulated lamps find what was released from here. */
  readonly images: string;
}

export function layoutOf(dataDir: string): Layout {
  return {
    root: dataDir,
    devnetFile: join(dataDir, 'devnet.json'),
    genesisFile: join(dataDir, 'genesis.bin'),
    keys: join(dataDir, 'keys'),
    nodes: join(dataDir, 'nodes'),
    logs: join(dataDir, 'logs'),
    images: join(dataDir, 'firmware'),
  };
}

export function readDevnet(layout: Layout): Devnet | undefined {
  if (!existsSync(layout.devnetFile)) return undefined;
  try {
    const devnet = JSON.parse(readFileSync(layout.devnetFile, 'utf8')) as Devnet;
    if (devnet.version === 1) return devnet;
  } catch (error) {
    throw new LedgerError(
      'config.invalid',
      `${layout.devnetFile} cannot be read; move the folder ${layout.root} away to start anew`,
      {},
      error,
    );
  }
  throw new LedgerError(
    'config.invalid',
    `${layout.devnetFile} is of another version; move the folder ${layout.root} away to start anew`,
  );
}

export function writeDevnet(layout: Layout, devnet: Devnet): void {
  const draft = `${layout.devnetFile}.new`;
  writeFileSync(draft, `${JSON.stringify(devnet, null, 2)}\n`);
  renameSync(draft, layout.devnetFile);
}

/** Where the devnet of a data folder answers, or would by default. */
export function defaultApi(dataDir: string): string {
  try {
    return readDevnet(layoutOf(dataDir))?.api ?? 'http://127.0.0.1:8080';
  } catch {
    return 'http://127.0.0.1:8080';
  }
}
