/** `itc node`: one process of the network, as its configuration says. */
import { Socket } from 'node:net';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { parseHash } from '@itc/client/client.js';
import { toHex } from '@itc/core/bytes/hex.js';
import { readConfig, type NodeConfig } from '@itc/node/config.js';
import { settleEngine } from '@itc/node/engine.js';
import { NodeProcess, readGenesis } from '@itc/node/runtime/process.js';
import type { Face } from '../node-face.ts';
import { textOption, UsageError, type Call, type Command } from '../terminal/command.ts';

const LOOK_MS = 100;

export const node: Command = {
  name: 'node',
  help: `itc node --config FILE [--hybrid MODE]

Runs one process of the network until it is interrupted. The configuration is JSON: name, role (validator, gateway or
member), dataDir, keyFile, genesisFile, peer and api endpoints, peers by ledger key, and for gateways and members the
subnet. See docs/guide/operator.md.

--hybrid, in place of what the configuration says: off, on or require. Channels to peers that have it as well are sealed
with keys of X25519 and ML-KEM-768; with require, there are no others.`,
  options: { config: { type: 'string' }, hybrid: { type: 'string' } },
  run: async (call) => run(call),
};

async function run(call: Call): Promise<number> {
  const path = textOption(call, 'config');
  if (path === undefined) throw new UsageError('--config FILE is needed');
  installNativeCrypto();
  settleEngine();
  const hybrid = hybridMode(textOption(call, 'hybrid'));
  const config = { ...readConfig(path), ...(hybrid && { hybrid }) };
  const over = interrupted();
  if (!(await hasSubnet(config, over))) return 0;
  const node = await NodeProcess.open({ config });
  const face = async (): Promise<Face> => (await import('../node-face.ts')).openFace(node);
  let shown: Face;
  if (config.role === 'gateway') {
    shown = await face();
    await node.start();
  } else {
    // It meets its peers and catches up while the code of the API is loaded, which takes longer.
    await node.start();
    shown = await face();
  }
  await shown.start();
  await over;
  node.logger.info({}, 'stopping');
  await shown.stop();
  await node.stop();
  return 0;
}

/**
 * A member of a subnet that was founded after genesis knows it only when it has followed the main chain so far: until then it does that
 * alone. False when it was interrupted meanwhile.
 */
async function hasSubnet(config: NodeConfig, over: Promise<void>): Promise<boolean> {
  const { subnet, ...rest } = config;
  if (subnet === undefined || config.role === 'validator') return true;
  if (readGenesis(config.genesisFile).subnets.some(({ id: listed }) => toHex(listed) === subnet)) return true;
  const id = parseHash(subnet);
  const isKnown = ({ chain }: NodeProcess): boolean => chain.state.subnet(id) !== undefined;
  const node = await NodeProcess.open({ config: rest });
  let isStopping = false;
  void over.then(() => (isStopping = true));
  try {
    if (isKnown(node)) return true;
    node.logger.info({ subnet }, 'the chain has no such subnet here yet: following it');
    await node.start();
    while (!isKnown(node) && !isStopping) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return isKnown(node);
  } finally {
    await node.stop();
  }
}

function hybridMode(text: string | undefined): NodeConfig['hybrid'] {
  if (text === undefined || text === 'off' || text === 'on' || text === 'require') return text;
  throw new UsageError(`expected off, on or require, got ${text}`);
}

/** A signal, or the end of the process that supervises us: nobody should be left behind. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    if (process.env['ITC_SUPERVISED'] === undefined) return;
    process.stdin.once('end', () => resolve());
    process.stdin.once('error', () => resolve());
    process.stdin.resume();
    // Listening for our end must not put it off: whoever supervises us keeps the other end open.
    if (process.stdin instanceof Socket) process.stdin.unref();
  });
}
