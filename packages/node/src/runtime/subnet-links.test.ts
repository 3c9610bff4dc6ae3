/** Members over bad and cut connections: real TLS, real disks, real time, and a proxy of our own in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { installNativeCrypto } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { FaultyProxy, type Faults } from '../testing/faulty-proxy.ts';
import { keyPair, LocalNetwork } from '../testing/local-network.ts';
import { until } from '../testing/until.ts';
import { NodeProcess } from './process.ts';

installNativeCrypto();

const VALIDATORS = 1;
const MEMBERS = [1, 2, 3];
const BAD: Faults = { delayMs: 30, loss: 0.05, lossMs: 200, reset: 0.002 };

function reading(chain: Hash, sequence: number, seed: number): Payload {
  const device = keyPair(seed);
  const unsigned = {
    signer: device.publicKey,
    device: device.address,
    sequence,
    contentType: 'senml+json' as const,
    content: new TextEncoder().encode(`[{"n":"temperature","v":${sequence}}]`),
  };
  const parsed = parsePayload(
    chain,
    encodePayload(unsigned, device.sign(payloadSigningBytes(chain, unsigned))),
  );
  assert.ok(parsed.ok);
  return parsed.value;
}

test('SUBNET-7.1: three members over lossy links that are cut for a while end with one state: what was sent is final, once, and nothing besides', async () => {
  const network = await LocalNetwork.create({ validators: VALIDATORS, members: MEMBERS.length });
  const proxies = new Map<string, FaultyProxy>();
  const random = new SeededRandom(7);
  try {
    await network.start(0);
    for (const index of MEMBERS) {
      const config = network.config(index);
      const peers = [];
      for (const peer of config.peers) {
        const other = Number(peer.name.slice(1));
        if (other < VALIDATORS) {
          peers.push(peer);
          continue;
        }
        const proxy = await FaultyProxy.open({ target: peer, faults: BAD, random });
        proxies.set(`${index} ${other}`, proxy);
        peers.push({ ...peer, port: proxy.port });
      }
      const node = await NodeProcess.open({ config: { ...config, peers } });
      await node.start();
      network.nodes[index] = node;
    }
    const cut = (alone: number, dark: boolean): void => {
      for (const [name, proxy] of proxies) if (name.split(' ').includes(`${alone}`)) proxy.setDark(dark);
    };
    const members = MEMBERS.map((index) => network.nodes[index] as NodeProcess);
    const sent: Payload[] = [];
    const send = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        const at = sent.length % members.length;
        const payload = reading(network.chain, Math.floor(sent.length / members.length) + 1, 120 + at);
        assert.ok((members[at] as NodeProcess).subnet?.offer(payload).ok);
        sent.push(payload);
      }
    };
    const isFinal = (): boolean =>
      members.every((node) => sent.every(({ id }) => node.subnetStore?.place(id) !== undefined));
    send(60);
    await until('the first are final everywhere', isFinal);
    for (const alone of [1, 3]) {
      cut(alone, true);
      send(60);
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      assert.equal(
        isFinal(),
        false,
        'two of three are not two thirds: nothing is final while one is cut off',
      );
      cut(alone, false);
      await until(`all are final after member ${alone} is back`, isFinal);
    }
    const heads = members.map((node) => {
      const status = node.subnet?.status();
      assert.equal(status?.state, 'following', status?.reason);
      return toHex(status.checkpointHash);
    });
    assert.equal(new Set(heads).size, 1);
    assert.equal(members[0]?.chain.state.subnet(network.subnet)?.payloads, sent.length);
  } finally {
    for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]();
    await network.close();
  }
});
