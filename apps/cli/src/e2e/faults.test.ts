/** What the product survives: dead validators, dead gateways, ctrl-C. One devnet for all. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { fromHex } from '@itc/core/bytes/hex.js';
import { asHash } from '@itc/core/crypto/hash.js';
import type { CommandStatus } from '@itc/client/api.js';
import { TestDevnet, until } from './devnet.ts';
import { json } from './itc.ts';

const VALIDATORS = ['validator-1', 'validator-2', 'validator-3', 'validator-4'];

const net = new TestDevnet();
const recordings = mkdtempSync(join(tmpdir(), 'itc-recordings-'));
before(() => net.start());
after(async () => {
  rmSync(recordings, { recursive: true, force: true });
  await net.remove();
});

/** The front shows the height of a gateway, which follows the validators. */
const height = async (): Promise<number> => (await net.status()).height;

async function blocksGoOn(): Promise<void> {
  const seen = await height();
  await until('a new block', async () => (await height()) > seen);
}

async function caughtUp(name: string): Promise<void> {
  const goal = await height();
  await until(`${name} at height ${goal}`, async () => (await net.at(name).status()).height >= goal);
}

test('NODE-1.1: with every validator stopped the owner’s lamp obeys, and the command is final once they are back', async () => {
  assert.equal((await net.itc(['lamp', 'on', 'lamp-1'])).code, 0);
  await Promise.all(VALIDATORS.map((name) => net.control('stop', name)));
  const ran = await net.itc(['lamp', 'level', 'lamp-1', '42', '--json']);
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const command = json(ran) as unknown as CommandStatus;
  assert.deepEqual(command.state, { on: true, level: 42 });
  assert.equal(command.stages.final, undefined);
  const why = await until('a reason', async () => {
    const asked = await net.itc(['status', '--why', '--json']);
    return asked.code === 1 ? json(asked) : undefined;
  });
  assert.match(JSON.stringify(why), /validator-1/);
  await Promise.all(VALIDATORS.map((name) => net.control('start', name)));
  const id = fromHex(command.id);
  assert.ok(id.ok);
  const hash = asHash(id.value);
  await until(
    'the command is final',
    async () => (await net.client.command(hash)).stages.final !== undefined,
  );
});

test('NODE-1.2: with two of four validators killed nothing becomes final, status says why, and one that returns heals it', async () => {
  await blocksGoOn();
  await Promise.all(['validator-2', 'validator-3'].map((name) => net.control('kill', name)));
  // What was certified before they died may still arrive.
  await sleep(1_000);
  const seen = await height();
  const status = await until('the reason', async () => {
    const answer = await net.status();
    return answer.quorum.reason === undefined ? undefined : answer;
  });
  assert.match(status.quorum.reason ?? '', /2 of 4 .*3 is needed.*validator-[23], validator-[23]/);
  assert.equal(status.ready, false);
  await sleep(6_000);
  assert.equal(await height(), seen, 'no block without a quorum');
  await net.control('start', 'validator-2');
  await blocksGoOn();
  await net.control('start', 'validator-3');
  await caughtUp('validator-3');
  await until('all is well', async () => (await net.status()).ready);
});

test('NODE-1.3: a replay during which a validator and a gateway are killed ends with every reading final', async () => {
  // Enough to last: 12 devices, 120 payloads each.
  for (let device = 0; device < 12; device += 1) {
    const rows = Array.from(
      { length: 960 },
      (_, i) => `${1_500_000_000 + i * 60}\t${20 + ((i * 7 + device) % 50) / 10}\n`,
    );
    writeFileSync(join(recordings, `Room${device}_Temperature.csv`), rows.join(''));
  }
  const replay = net.itc(
    ['replay', recordings, '--chunk', '8', '--window', '240', '--json', '--timeout', '60'],
    {
      timeoutMs: 150_000,
    },
  );
  const before_ = (await net.subnet()).payloads;
  await until('the replay is under way', async () => (await net.subnet()).payloads > before_ + 60);
  await sleep(Math.random() * 500);
  await net.control('kill', 'validator-1');
  await sleep(500 + Math.random() * 500);
  await net.control('kill', 'gateway-2');
  const ran = await replay;
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const answer = json(ran);
  assert.equal(answer['sent'], 12 * 960);
  assert.equal(answer['final'], answer['sent']);
  await Promise.all(['validator-1', 'gateway-2'].map((name) => net.control('start', name)));
  await Promise.all(['validator-1', 'gateway-2'].map(caughtUp));
  await until('all is well', async () => (await net.status()).ready);
});

test('NODE-7.15: ctrl-C ends every process; the next start goes on with the same chain and devices', async () => {
  const chain = net.ready.chain;
  const devices = (await net.client.devices()).map(({ address }) => address).sort();
  const seen = await height();
  assert.equal(await net.interrupt(), 0);
  assert.equal(existsSync(join(net.folder, 'devnet.pid')), false, 'the folder is free again');
  const again = await net.start();
  assert.equal(again.chain, chain);
  assert.ok(again.height >= seen, `height ${again.height} after ${seen}`);
  assert.deepEqual((await net.client.devices()).map(({ address }) => address).sort(), devices);
  await until('the lamp obeys', async () => (await net.itc(['lamp', 'off', 'lamp-1'])).code === 0);
});

test('NODE-7.16: a second devnet in the same folder is refused while the first runs', async () => {
  const ran = await net.itc(['devnet', '--json']);
  assert.equal(ran.code, 1);
  assert.equal(json(ran)['code'], 'config.invalid');
  assert.equal((await net.status()).ready, true);
});
