import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import { sha256 } from '@itc/core/crypto/hash.js';
import { encodePayload, parsePayload, payloadSigningBytes, type Payload } from '@itc/core/ledger/payload.js';
import { KeyPair } from '../crypto/keypair.ts';
import { installNativeCrypto } from '../crypto/native.ts';
import { SeededRandom } from '../random.ts';
import { SubnetWorld } from '../testing/subnet-world.ts';

installNativeCrypto();

const STEP_MS = 50;
const LIVE = 20;
const CROWD = 200;
const BACKLOG = 15;

class Devices {
  readonly #world: SubnetWorld;
  readonly #chain: SubnetWorld['id'];
  readonly #keys = new Map<string, { readonly keys: KeyPair; sequence: number }>();

  constructor(world: SubnetWorld) {
    this.#world = world;
    this.#chain = this.#world.id;
  }

  /** The next reading of a device, with so many spaces in it. */
  next(name: string, size: number): Payload {
    const seed = sha256(new TextEncoder().encode(name));
    const device = this.#keys.get(name) ?? { keys: KeyPair.fromSeed(seed), sequence: 0 };
    this.#keys.set(name, device);
    device.sequence += 1;
    const unsigned = {
      signer: device.keys.publicKey,
      device: device.keys.address,
      sequence: device.sequence,
      contentType: 'senml+json' as const,
      content: new TextEncoder().encode(`[{"n":"power","v":${device.sequence}}${' '.repeat(size)}]`),
    };
    const signature = device.keys.sign(payloadSigningBytes(this.#chain, unsigned));
    const parsed = parsePayload(this.#chain, encodePayload(unsigned, signature));
    if (!parsed.ok) throw new Error(parsed.message);
    return parsed.value;
  }
}

test('SUBNET-9.2: two hundred devices with backlogs come back within a second through one member; the others’ finality stays within twice its 99th percentile (rejoin storm)', async () => {
  const world = await SubnetWorld.open({ seed: 9, loss: 0.01 });
  const devices = new Devices(world);
  const random = new SeededRandom(9);
  const { subnet } = world.of(0);
  const offeredAt = new Map<string, number>();
  const latencies: { readonly at: number; readonly ms: number }[] = [];
  let finals = 0;
  subnet.listen({
    progress: ({ payloads, stage }) => {
      if (stage !== 'final') return;
      finals += payloads.length;
      for (const id of payloads) {
        const at = offeredAt.get(toHex(id));
        if (at !== undefined) latencies.push({ at, ms: world.clock.now() - at });
      }
    },
  });
  await world.run(2_000);
  const start = world.clock.now();
  const back = Array.from({ length: CROWD }, (_, i) => ({
    name: `away ${i}`,
    at: start + 10_000 + random.uniform() * 1_000,
    left: BACKLOG,
  }));
  // Each was known before it went away.
  for (const { name } of back) subnet.offer(devices.next(name, 0));
  let sent = CROWD;
  while (world.clock.now() < start + 20_000 || finals < sent) {
    const now = world.clock.now();
    if (now < start + 20_000) {
      const payload = devices.next(`live ${Math.floor(random.uniform() * LIVE)}`, 0);
      offeredAt.set(toHex(payload.id), now);
      assert.ok(subnet.offer(payload).ok);
      sent += 1;
    }
    for (const device of back) {
      // Four of its backlog at a time, as a connection that waits for what it sent to be acknowledged.
      for (let i = 0; i < 4 && device.left > 0 && now >= device.at; i += 1) {
        if (!subnet.offer(devices.next(device.name, 1_000)).ok) break;
        device.left -= 1;
        sent += 1;
      }
    }
    assert.ok(now < start + 120_000, `${finals} of ${sent} are final`);
    await world.run(STEP_MS);
  }
  assert.equal(sent - CROWD, 400 + CROWD * BACKLOG);
  const p99 = (from: number, to: number): number => {
    const sorted = latencies.filter(({ at }) => at >= start + from && at < start + to).map(({ ms }) => ms);
    return sorted.sort((a, b) => a - b)[Math.floor(0.99 * sorted.length)] as number;
  };
  const [usual, during] = [p99(1_000, 9_000), p99(10_000, 13_000)];
  assert.ok(during <= 2 * usual, `${during} ms against ${usual} ms`);
  await world.close();
});
