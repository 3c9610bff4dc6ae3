/** Two subnets in one devnet, and what an operator asks of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { encodePayload, parsePayload, payloadSigningBytes } from '@itc/core/ledger/payload.js';
import { DeviceClient } from '@itc/edge/device/device-client.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import { ownDevices } from '../devnet/bootstrap.ts';
import { layoutOf, readDevnet, type Devnet } from '../devnet/layout.ts';
import { keyNamed } from '../keys.ts';
import { openClient } from '../wallet.ts';
import { TestDevnet, until } from './devnet.ts';
import { json } from './itc.ts';

const net = new TestDevnet();
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
let network: Devnet;
let chain: Hash;
let device: KeyPair;

before(async () => {
  await net.start(['--validators', '1', '--gateways', '2', '--subnets', '2', '--no-simulation']);
  const layout = layoutOf(net.folder);
  network = readDevnet(layout) as Devnet;
  ({ chain } = await net.client.genesis());
  device = await keyNamed(layout, 'thermo');
  await ownDevices(layout, network, [{ name: 'thermo', kind: 'sensor', keys: device }], () => undefined);
});
after(() => net.remove());

async function upload(gateway: number, sequence: number): Promise<string> {
  const unsigned = {
    signer: device.publicKey,
    device: device.address,
    sequence,
    contentType: 'senml+json' as const,
    content: new TextEncoder().encode(`[{"n":"temperature","u":"Cel","v":${sequence}}]`),
  };
  const bytes = encodePayload(unsigned, device.sign(payloadSigningBytes(chain, unsigned)));
  const payload = parsePayload(chain, bytes);
  assert.ok(payload.ok);
  const { address } = await keyNamed(layoutOf(net.folder), `gateway-${gateway}`);
  const client = new DeviceClient({
    chain,
    signer: device,
    gateways: [{ url: network.mqtt[gateway - 1] as string, address }],
    random: Math.random,
    log: silent,
  });
  client.start();
  try {
    const delivered = await client.resend(bytes, false);
    assert.equal(delivered.code, undefined);
  } finally {
    await client.stop();
  }
  return toHex(payload.value.id);
}

const finalAt = (gateway: number, id: string): Promise<unknown> =>
  until(`a reading is final at gateway-${gateway}`, async () => {
    const url = network.processes.find(({ name }) => name === `gateway-${gateway}`)?.url as string;
    const { statuses } = await openClient(url).payloadStatuses([
      Buffer.from(id, 'hex') as Uint8Array as Hash,
    ]);
    return statuses[id] === 'final';
  });

test('SUBNET-4.1: the subnets of a devnet have members, gateways and checkpoints of their own; one that has lost its quorum does not hold up the other', async () => {
  const [home, second] = network.subnets;
  assert.ok(home && second);
  for (const gateway of [1, 2]) await finalAt(gateway, await upload(gateway, gateway));
  for (const { id } of [home, second]) {
    const checkpoints = await net.client.checkpoints(Buffer.from(id, 'hex') as Uint8Array as Hash);
    assert.ok(checkpoints.length > 0, 'the front asks a member of the subnet');
  }
  const members = network.processes.filter(({ subnet }) => subnet === second.id);
  assert.equal(members.length, 4);
  for (const { name } of members.slice(-2)) await net.control('kill', name);
  await finalAt(1, await upload(1, 3));
  const stuck = await upload(2, 4);
  await finalAt(1, await upload(1, 5));

  const gateway = network.processes.find(({ name }) => name === 'gateway-2')?.url as string;
  const why = await until('its status tells why', async () => {
    const ran = await net.itc(['status', '--why', '--api', gateway]);
    return ran.stdout.includes('stake is connected') ? ran.stdout : undefined;
  });
  assert.match(
    why,
    /200 of 400 stake is connected, \d+ is needed for a checkpoint\n {4}since .*\n {4}do: start or reach member-\d, member-\d;/,
  );
  const explained = json(await net.itc(['tx', 'explain', stuck, '--api', gateway, '--json']));
  assert.equal(explained['kind'], 'payload');
  assert.ok(['waiting', 'pending'].includes(String(explained['state'])), String(explained['state']));
  for (const { name } of members.slice(-2)) await net.control('start', name);
  await finalAt(2, stuck);
  const done = json(await net.itc(['tx', 'explain', stuck, '--api', gateway, '--json']));
  assert.equal(done['state'], 'final');
  assert.ok(Number(done['checkpoint']) >= 1 && Number(done['height']) >= 1);
});

test('SUBNET-5.2: itc retention tells what is kept; the owner pins a device, a stranger does not', async () => {
  const kept = json(await net.itc(['retention', '--json']));
  assert.equal(kept['bytesTarget'], 1 << 30);
  const pin = json(await net.itc(['retention', 'pin', 'thermo', '--for', '30d', '--json']));
  assert.ok(Number(pin['readings']) >= 1, 'what is final already is kept with its proof');
  const told = await net.itc(['retention', 'thermo']);
  assert.match(told.stdout, /^thermo is pinned until \d{4}-/);
  await net.itc(['key', 'new', 'stranger', '--plain']);
  const refused = await net.itc(['retention', 'unpin', 'thermo', '--key', 'stranger', '--json']);
  assert.equal(refused.code, 1);
  assert.equal(json(refused)['code'], 'request.unauthorised');
  assert.equal((await net.itc(['retention', 'unpin', 'thermo'])).code, 0);
  assert.deepEqual(json(await net.itc(['retention', '--json']))['pins'], []);
});

test('SUBNET-5.1: itc tx explain tells of transactions, payloads and envelopes, and ends with 1 when nothing is known', async () => {
  const id = await upload(1, 6);
  await finalAt(1, id);
  const payload = json(await net.itc(['tx', 'explain', id, '--json']));
  assert.deepEqual([payload['kind'], payload['state']], ['payload', 'final']);
  const envelope = json(await net.itc(['tx', 'explain', String(payload['envelope']), '--json']));
  assert.deepEqual([envelope['kind'], envelope['state']], ['envelope', 'final']);
  const block = await net.client.block(Number(payload['height']));
  const transaction = json(await net.itc(['tx', 'explain', block.items[0]?.id as string, '--json']));
  assert.deepEqual([transaction['kind'], transaction['state']], ['transaction', 'final']);
  const nothing = await net.itc(['tx', 'explain', '11'.repeat(32), '--json']);
  assert.deepEqual([nothing.code, json(nothing)['state']], [1, 'unknown']);
});

test('SUBNET-5.3: itc snapshot verify holds a member’s state against the chain, for each subnet', async () => {
  for (const { name } of network.subnets) {
    const ran = await net.itc(['snapshot', 'verify', name, '--genesis', net.ready.chain, '--json']);
    assert.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`);
    const answer = json(ran);
    assert.equal(answer['valid'], true);
    assert.ok(Number(answer['checkpoint']) >= 1);
  }
});
