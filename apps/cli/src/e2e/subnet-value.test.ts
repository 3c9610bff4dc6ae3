/** ITC into a subnet of a devnet, from hand to hand inside, by voucher, to the other subnet, and back: through the commands. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { formatAddress } from '@itc/core/ledger/address.js';
import { layoutOf } from '../devnet/layout.ts';
import { keyNamed } from '../keys.ts';
import { TestDevnet } from './devnet.ts';
import { json } from './itc.ts';

const net = new TestDevnet();
const ITC = 1_000_000_000n;

before(async () => {
  await net.start(['--validators', '1', '--gateways', '2', '--subnets', '2', '--no-simulation']);
  for (const name of ['ann', 'bob']) await keyNamed(layoutOf(net.folder), name);
});
after(() => net.remove());

async function itc(...argv: string[]): Promise<Record<string, unknown>> {
  const ran = await net.itc(['subnet', ...argv, '--json']);
  assert.equal(ran.code, 0, `itc subnet ${argv.join(' ')}: ${ran.stdout} ${ran.stderr}`);
  return json(ran);
}

async function inside(subnet: string, who: string): Promise<bigint> {
  return BigInt((await itc('balance', subnet, who))['balance'] as string);
}

async function outside(who: string): Promise<bigint> {
  const { address } = await keyNamed(layoutOf(net.folder), who);
  return (await net.client.account(address)).balance;
}

test('SUBNET-9.1: deposited, paid, by voucher, moved, withdrawn: progress to finality at each step, and every sum exact', async () => {
  const listed = await itc('list');
  assert.deepEqual((listed['subnets'] as { name: string }[]).map(({ name }) => name).sort(), [
    'home',
    'home-2',
  ]);
  const shown = await itc('show', 'home');
  assert.equal((shown['members'] as unknown[]).length, 4);
  assert.equal(shown['terms'], undefined);

  const deposited = await itc('deposit', 'home', '5', '--to', 'ann');
  assert.equal(deposited['balance'], String(5n * ITC));
  const paid = await itc('pay', 'home', 'bob', '1.25', '--key', 'ann');
  assert.deepEqual([paid['state'], paid['level']], ['applied', 3]);
  const early = await itc('pay', 'home', 'bob', '0.25', '--key', 'ann', '--level', '2');
  assert.ok(Number(early['level']) >= 2);

  const aside = await itc(
    'voucher',
    'set-aside',
    'home',
    '1',
    '--key',
    'ann',
    '--payee',
    'bob',
    '--for',
    '1h',
  );
  assert.equal(aside['level'], 3);
  const note = (await itc('voucher', 'write', 'home', 'bob', '0.4', '--key', 'ann', '--for', '30m'))[
    'voucher'
  ] as string;
  const read = await itc('voucher', 'read', 'home', note);
  assert.equal(read['amount'], String((4n * ITC) / 10n));
  assert.equal((await itc('voucher', 'cash', 'home', note))['level'], 3);
  const again = await net.itc(['subnet', 'voucher', 'cash', 'home', note, '--json']);
  // The same payload: it is final already, and nothing is paid twice.
  assert.equal(again.code, 0, again.stdout);
  assert.equal(await inside('home', 'ann'), 5n * ITC - (15n * ITC) / 10n - ITC);
  assert.equal(await inside('home', 'bob'), (15n * ITC) / 10n + (4n * ITC) / 10n);

  const uncovered = await net.itc(['subnet', 'pay', 'home', 'ann', '100', '--key', 'bob', '--json']);
  assert.equal(uncovered.code, 1);
  assert.match(String(json(uncovered)['message']), /more than the balance/);

  // Bob has no account on the main chain yet: the owner pays the fees and passes it on.
  const moved = await itc('move', 'home', 'home-2', '--holder', 'bob');
  assert.equal(moved['amount'], String((19n * ITC) / 10n));
  assert.deepEqual(
    (moved['steps'] as { step: string }[]).map(({ step }) => step),
    ['ordered', 'left', 'fetched', 'deposited', 'arrived'],
  );
  assert.deepEqual([await inside('home', 'bob'), await inside('home-2', 'bob')], [0n, (19n * ITC) / 10n]);

  // Ordered out by one who forgets everything: anybody fetches it later from what members keep.
  const before = await outside('bob');
  const out = await itc('pay', 'home-2', 'owner', '0.9', '--key', 'bob');
  assert.equal(out['level'], 3);
  const fetched = await itc('withdraw', 'home-2', '0.9', '--to', 'bob');
  assert.equal(fetched['amount'], String((9n * ITC) / 10n));
  assert.equal(await outside('bob'), before + (9n * ITC) / 10n);
  const nothing = await itc('withdraw', 'home-2', '--fetch', '--to', 'bob');
  assert.equal(nothing['amount'], '0');
  assert.equal(await inside('home-2', 'bob'), ITC);
  const { address } = await keyNamed(layoutOf(net.folder), 'bob');
  const told = await net.itc(['subnet', 'balance', 'home-2', 'bob']);
  assert.equal(told.stdout.trim(), `${formatAddress(address)} has 1 ITC in home-2`);
});

test('SUBNET-9.2: what cannot be right is refused with a hint, before anything is sent', async () => {
  const refusedWith = async (pattern: RegExp, ...argv: string[]): Promise<void> => {
    const ran = await net.itc(['subnet', ...argv]);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, pattern);
  };
  await refusedWith(/no subnet is called nowhere/, 'show', 'nowhere');
  await refusedWith(/expected one of: list, show/, 'fly');
  await refusedWith(/expected an amount above 0/, 'deposit', 'home', 'much');
  await refusedWith(/an amount, or --fetch/, 'withdraw', 'home');
  await refusedWith(/begins with itc-note:/, 'voucher', 'cash', 'home', 'paper');
  await refusedWith(/members of this subnet were listed/, 'join', 'home', '100', '--member', 'newcomer');
  const help = await net.itc(['subnet', '--help']);
  assert.match(help.stdout, /itc subnet move FROM TO/);
});
