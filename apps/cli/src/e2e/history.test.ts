/** `itc history` and payments to many, on a devnet of its own. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TestDevnet } from './devnet.ts';
import { json, type Ran } from './itc.ts';

const net = new TestDevnet();

interface Told {
  readonly entries: readonly { readonly cursor: string; readonly event?: { readonly kind: string } }[];
  readonly next?: string;
}

before(async () => {
  await net.start(['--validators', '1', '--gateways', '1', '--no-simulation']);
});
after(() => net.remove());

async function itc(...argv: readonly string[]): Promise<Ran> {
  const ran = await net.itc(argv);
  assert.equal(ran.code, 0, `itc ${argv.join(' ')}: ${ran.stdout} ${ran.stderr}`);
  return ran;
}

async function told(...argv: readonly string[]): Promise<Told> {
  return json(await itc('history', ...argv, '--json')) as unknown as Told;
}

test('NODE-7.22: the log of an account is told newest first, page by page, everything once; one payment to many is one entry', async () => {
  for (const name of ['alice', 'bob']) await itc('key', 'new', name, '--plain');
  await itc('transfer', 'alice', '3');
  await itc('transfer', 'alice', '1', 'bob', '2.5', '--key', 'maker');
  await itc('transfer', 'bob', '0.5', '--key', 'alice');

  const all = await told('alice', '--all');
  assert.equal(all.next, undefined);
  const kinds = all.entries.map(({ event }) => event?.kind);
  assert.deepEqual(kinds, ['transferred', 'distributed', 'transferred']);

  const cursors: string[] = [];
  let before: string[] = [];
  for (let pages = 0; pages < 5; pages += 1) {
    const page = await told('alice', '--limit', '1', ...before);
    cursors.push(...page.entries.map(({ cursor }) => cursor));
    if (page.next === undefined) break;
    before = ['--before', page.next];
  }
  assert.deepEqual(
    cursors,
    all.entries.map(({ cursor }) => cursor),
  );

  const { stdout } = await itc('history', 'bob');
  assert.match(stdout, /transferred/);
  assert.match(stdout, /distributed/);
  const unknown = await net.itc(['history', 'nobody-here', '--json']);
  assert.equal(unknown.code, 1);
  assert.equal(json(unknown)['code'], 'not-found');
});
