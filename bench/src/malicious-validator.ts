/**
 * A validator that runs the real node and attacks the others from when it is told to: a line `attack` on standard
 * input. Started by a bench in the place of `itc node`: malicious-validator.js --config FILE --attack NAME [--victim HEX].
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { fromHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { TIMING } from '@itc/core/pbft/timing.js';
import { idText } from '@itc/core/state/record-map.js';
import { EventHub } from '@itc/node/api/events.js';
import { NodeApi } from '@itc/node/api/node-api.js';
import { systemClock } from '@itc/node/clock.js';
import { readConfig } from '@itc/node/config.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { Mempool } from '@itc/node/mempool/mempool.js';
import type { Transport } from '@itc/node/ports.js';
import { NodeProcess } from '@itc/node/runtime/process.js';
import { alternative, AttackTransport, delayed, forged, invalid, repeating } from './attack-behaviour.ts';
import { CensoringMempool, JunkMempool, junkOf } from './attack-mempool.ts';
import { isValidatorAttack, type ValidatorAttack } from './attack-plans.ts';

const SLOW_SHARE = 0.95;
/** Just below what others begin to find slow (spec PBFT-12.2). */
const LAZY_SHARE = 0.24;

/** Between two repetitions of all it remembers: most of its machine is left to the others, who run on the same one. */
const FLOOD_PAUSE_MS = 1;

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: '' },
    attack: { type: 'string', default: '' },
    victim: { type: 'string', default: '' },
  },
});
const { attack } = values;
if (!isValidatorAttack(attack)) throw new Error(`there is no attack ${attack} by a validator`);

installNativeCrypto();
const config = readConfig(values.config);
let wire: AttackTransport | undefined;
const mempool = mempoolFor(attack);
const node = await NodeProcess.open({
  config,
  mempool,
  wrapTransport: (inner: Transport) => (wire = new AttackTransport(inner)),
});
const api = new NodeApi({ node, hub: new EventHub(Date.now()) });
await node.start();
await api.start();

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  if (line === 'attack') begin(attack, wire as AttackTransport);
});
// The pipe ends with whoever started us.
input.on('close', () => process.exit(0));
process.once('SIGTERM', () => process.exit(0));

function mempoolFor(name: ValidatorAttack): Mempool {
  if (name === 'censor') return new CensoringMempool();
  return name === 'junk-blocks' ? new JunkMempool() : new Mempool();
}

function begin(name: ValidatorAttack, transport: AttackTransport): void {
  const timeoutMs = config.viewTimeoutMs ?? TIMING.viewTimeoutMs;
  const body = (id: Hash): Uint8Array | undefined => mempool.get(idText(id))?.encoded;
  const forger = { keys: node.keys, chain: node.chain.id, body };
  switch (name) {
    case 'slow-primary':
      return transport.arm(delayed(SLOW_SHARE * timeoutMs, systemClock));
    case 'lazy-primary':
      return transport.arm(delayed(LAZY_SHARE * timeoutMs, systemClock));
    case 'invalid-blocks':
      return transport.arm(forged({ ...forger, forge: invalid }));
    case 'equivocate':
      return transport.arm(forged({ ...forger, forge: alternative, each: true }));
    case 'vote-flood':
      return flood(transport);
    case 'censor':
      if (mempool instanceof CensoringMempool) mempool.censor(victim());
      return undefined;
    case 'junk-blocks':
      if (mempool instanceof JunkMempool) mempool.fill(junkOf(node.keys, node.chain.id));
      return undefined;
  }
}

/** As much as the outgoing queues take. */
function flood(transport: AttackTransport): void {
  const behaviour = repeating(() => config.peers.map(({ key }) => key));
  transport.arm(behaviour);
  const again = (): void => {
    behaviour.more(({ peer, channel, bytes }) => transport.sendPast(peer, channel, bytes));
    setTimeout(again, FLOOD_PAUSE_MS);
  };
  again();
}

function victim(): string {
  const address = fromHex(values.victim);
  if (!address.ok) throw new Error(`--victim: ${address.message}`);
  return idText(address.value);
}
