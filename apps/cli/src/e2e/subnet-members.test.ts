/** A subnet with members by stake, each a process of its own: one joins under load, one leaves; through the commands. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { toHex } from '@itc/core/bytes/hex.js';
import type { NodeConfig } from '@itc/node/config.js';
import { parseHash } from '@itc/client/client.js';
import { openClient } from '../wallet.ts';
import { TestDevnet, until } from './devnet.ts';
import { ITC, json } from './itc.ts';

const net = new TestDevnet();
const UNITS = 1_000_000_000n;
const children: ChildProcess[] = [];

before(async () => {
  await net.start(['--validators', '1', '--gateways', '1', '--no-simulation']);
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await net.remove();
});

/** Its API. */
function startMember(path: string): string {
  const child = spawn(process.execPath, [ITC, 'node', '--config', path], { stdio: 'ignore' });
  children.push(child);
  process.once('exit', () => child.kill('SIGKILL'));
  const { api } = JSON.parse(readFileSync(path, 'utf8')) as NodeConfig;
  return `http://127.0.0.1:${api.port}`;
}

async function itc(api: string, ...argv: string[]): Promise<Record<string, unknown>> {
  const ran = await net.itc(['subnet', ...argv, '--json', '--api', api], { timeoutMs: 200_000 });
  assert.equal(ran.code, 0, `itc subnet ${argv.join(' ')}: ${ran.stdout} ${ran.stderr}`);
  return json(ran);
}

test('SUBNET-10.1: a member joins by stake under load and another leaves: turns without a restart, one state, every payment once', async () => {
  const founded = await itc(
    net.ready.api,
    'create',
    'farm',
    '--members',
    'f1,f2,f3,f4',
    '--stake',
    '1000',
    '--delay',
    '20',
  );
  const id = founded['subnet'] as string;
  const apis = (founded['configs'] as string[]).map(startMember);
  const [first, second] = apis as [string, string];
  await until(
    'the members answer',
    async () => {
      const statuses = await Promise.all(
        apis.map((api) =>
          openClient(api)
            .status()
            .catch(() => undefined),
        ),
      );
      return statuses.every((status) => status !== undefined) ? true : undefined;
    },
    120_000,
  );
  await itc(first, 'deposit', id, '10', '--timeout', '100');

  let isOver = false;
  let paid = 0;
  const load = (async (): Promise<void> => {
    while (!isOver) {
      await itc(second, 'pay', id, 'f1', '0.01', '--timeout', '150', '--level', '3');
      paid += 1;
    }
  })();
  try {
    const asked = itc(first, 'join', id, '1000', '--member', 'f5', '--wait', '--timeout', '150');
    const path = await until('the new member is configured', async () => {
      const folder = `${net.folder}/nodes/f5/config.json`;
      await Promise.resolve();
      try {
        readFileSync(folder);
        return folder;
      } catch {
        return undefined;
      }
    });
    const fifth = startMember(path);
    const joined = await asked;
    assert.equal(joined['inForce'], true);
    const heads = async (): Promise<true | undefined> => {
      const known = await Promise.all(
        [...apis.slice(1), fifth].map((api) =>
          openClient(api)
            .checkpoints(parseHash(id), { limit: 1 })
            .then(([newest]) => newest)
            .catch(() => undefined),
        ),
      );
      const [one] = known;
      return one !== undefined && known.every((other) => other?.hash === one.hash) ? true : undefined;
    };
    await until('the newcomer has the same newest checkpoint as the others', heads, 120_000);
    const left = await itc(second, 'leave', id, '--member', 'f1', '--wait', '--timeout', '150');
    assert.equal(left['isOut'], true);
    isOver = true;
    await load;
    await until('those who decide agree after the turn, too', heads, 120_000);
    for (const api of [...apis.slice(1), fifth]) {
      const balance = await until('the balance has arrived', async () => {
        const told = await itc(api, 'balance', id, 'f1');
        return told['balance'] === String((BigInt(paid) * UNITS) / 100n) ? told['balance'] : undefined;
      });
      assert.ok(balance);
    }
    const shown = await itc(fifth, 'show', id);
    assert.equal((shown['members'] as unknown[]).length, 4);
    assert.equal(shown['subnet'], toHex(parseHash(id)));
  } finally {
    isOver = true;
    await load.catch(() => undefined);
  }
});
