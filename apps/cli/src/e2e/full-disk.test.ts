/** Processes whose disk is full: a real file system, filled to the last byte. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { transfer } from '@itc/client/transactions.js';
import { VALUE_MIN } from '@itc/core/ledger/escrow.js';
import { amount, millis, type Amount } from '@itc/core/ledger/ids.js';
import { installNativeCrypto } from '@itc/node/crypto/native.js';
import { keyPair } from '@itc/node/testing/local-network.js';
import { SmallDisk } from '@itc/node/testing/small-disk.js';
import { Wallet } from '../wallet.ts';
import { until } from './devnet.ts';
import { json, run } from './itc.ts';
import { Processes } from './processes.ts';

installNativeCrypto();

/** The tables keep 16 MiB free, and stop before the others; below 64 MiB free is worth a word. */
const DISK_BYTES = 128 << 20;
const VICTIM = 1;
const PAYEE = keyPair(110);
const LATE = millis(8_000_000_000_000);

/** Undefined, and the test skipped, where none can be had. */
function smallDisk(context: TestContext): SmallDisk | undefined {
  const disk = SmallDisk.mount(DISK_BYTES);
  if (disk === undefined) context.skip('a file system of a few MB can be mounted by root on Linux only');
  return disk;
}

function moveTo(disk: SmallDisk, network: Processes): void {
  const dataDir = join(disk.folder, 'node');
  cpSync(network.config(VICTIM).dataDir, dataDir, { recursive: true });
  network.change(VICTIM, { dataDir });
}

/** A validator is not ready without a disk; a member is, and its subnet is not. */
async function saysWhy(network: Processes): Promise<void> {
  const reason = await until('its status says why', async () => {
    const status = await network.client(VICTIM).status();
    return status.reason ?? status.subnets[0]?.reason;
  });
  assert.match(String(reason), /no space is left|bytes are free/);
  assert.match(String(reason), /nothing new is taken, what is here is kept; it goes on when there is room/);
  const why = await run(['status', '--why', '--api', network.url(VICTIM)]);
  assert.equal(why.code, 1);
  assert.match(why.stdout, /^! n1  [^\n]*(no space is left|bytes are free)/m);
  assert.match(why.stdout, /^ {4}do: make room on the volume of \S+; it goes on by itself$/m);
  assert.match(why.stdout, /^ {4}since \d{4}-[^\n]*Z \(\d/m);
}

async function saysAllIsWell(network: Processes): Promise<void> {
  const why = await until('all is well', async () => {
    const ran = await run(['status', '--why', '--api', network.url(VICTIM)]);
    return ran.stdout.startsWith('all is well') ? ran : undefined;
  });
  assert.equal(why.code, 0);
  assert.match(why.stdout, /^all is well: height [\d ,]+\n$/);
}

test('NODE-4.9: a validator whose disk is full refuses transactions and keeps what it has, the others go on; with room it goes on by itself, to the same states', async (context) => {
  using disk = smallDisk(context);
  if (disk === undefined) return;
  await using network = await Processes.create({ validators: 4 });
  moveTo(disk, network);
  await network.start(0, 1, 2, 3);
  await network.ready(0, 1, 2, 3);
  const wallet = await Wallet.open(network.url(0), network.network.treasury);
  const pay = (at: Wallet): Promise<{ readonly height: number }> =>
    at.send(transfer(PAYEE.address, amount(1_000n)));
  await pay(wallet);

  disk.fill();
  const before = (await pay(wallet)).height;
  await saysWhy(network);
  const refused = await Wallet.open(network.url(VICTIM), keyPair(2));
  await assert.rejects(pay(refused), { code: 'storage.full' });
  const { height } = await pay(wallet);
  assert.ok(height > before, 'three of four go on');
  const stuck = await network.client(VICTIM).status();
  assert.ok(stuck.height < height);
  assert.equal(
    (await network.client(VICTIM).block(stuck.height)).height,
    stuck.height,
    'what it has, it shows',
  );

  disk.empty();
  await saysAllIsWell(network);
  await until('it has caught up', async () => (await network.client(VICTIM).status()).height >= height);
  assert.ok((await pay(refused)).height > height);
  await network.end(VICTIM);
  await network.start(VICTIM);
  await network.ready(VICTIM);
  const { height: now } = await network.client(VICTIM).status();
  const [ours, theirs] = await Promise.all(
    [VICTIM, 0].map((at) => until('both have the block', () => network.client(at).block(now))),
  );
  assert.equal(ours?.header.stateRoot, theirs?.header.stateRoot);
  assert.equal(ours?.hash, theirs?.hash);
});

test('SUBNET-3.1, SUBNET-3.2, SUBNET-5.5, SUBNET-5.6: a member whose disk is full refuses payloads and keeps what it has, also when it is killed; with room it goes on by itself, to the same state', async (context) => {
  using disk = smallDisk(context);
  if (disk === undefined) return;
  await using network = await Processes.create({ validators: 1, members: 4 });
  moveTo(disk, network);
  await network.start(0, 1, 2, 3, 4);
  await network.ready(0, 1, 2, 3, 4);
  const payer = keyPair(101);
  await network.deposit(0, [payer], 100n * VALUE_MIN);
  let sequence = 0;
  const pay = (at: number, value: Amount = VALUE_MIN): Promise<string> =>
    network.order(at, payer, (sequence += 1), {
      kind: 'transfer',
      to: PAYEE.address,
      amount: value,
      expiresAt: LATE,
    });
  const isPaid = (at: number, count: number): Promise<unknown> =>
    until(`n${at} shows ${count} payments`, async () => {
      const { balance } = await network.balance(at, PAYEE);
      return balance === BigInt(count) * VALUE_MIN;
    });
  await until('the deposit is there', async () => (await network.balance(VICTIM, payer)).balance > 0n);
  await pay(VICTIM);
  await isPaid(VICTIM, 1);
  const ignored = await pay(VICTIM, amount(1_000n * VALUE_MIN));
  const explain = async (): Promise<Record<string, unknown>> =>
    json(await run(['tx', 'explain', ignored, '--json', '--api', network.url(VICTIM)]));
  const told = await until('it is ignored', async () => {
    const answer = await explain();
    return answer['state'] === 'ignored' ? answer : undefined;
  });
  assert.match(String(told['reason']), /without effect: it asked for more than the balance/);

  disk.fill();
  await pay(2);
  await isPaid(2, 2);
  await saysWhy(network);
  await assert.rejects(
    network.client(VICTIM).sendOrder(network.network.subnet, await network.signed(payer, 90, PAYEE.address)),
    { code: 'storage.full' },
  );
  assert.ok((await network.balance(VICTIM, PAYEE)).balance >= VALUE_MIN, 'what it has, it shows');

  disk.empty();
  await isPaid(VICTIM, 2);
  await saysAllIsWell(network);
  await pay(VICTIM);
  await isPaid(3, 3);

  disk.fill();
  await pay(2);
  await isPaid(2, 4);
  await network.end(VICTIM);
  disk.empty();
  await network.start(VICTIM);
  await isPaid(VICTIM, 4);
  await until('all are at one checkpoint', async () => {
    const heads = await Promise.all([1, 2, 3, 4].map((at) => network.balance(at, PAYEE)));
    return new Set(heads.map(({ checkpoint }) => checkpoint)).size === 1;
  });
  assert.deepEqual(await explain(), told, 'also why something was ignored');
});
