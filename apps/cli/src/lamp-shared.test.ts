/** `itc lamp draft` and `sign` without a node: what is signed is in the file. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandStanding, formatCommandFile, parseCommandFile } from '@itc/client/shared-command.js';
import { asHash } from '@itc/core/crypto/hash.js';
import { verifySignature } from '@itc/core/crypto/verify.js';
import { keySetOf } from '@itc/core/ledger/account-keys.js';
import { millis } from '@itc/core/ledger/ids.js';
import { lamp } from './commands/lamp.ts';
import { layoutOf } from './devnet/layout.ts';
import { keyNamed } from './keys.ts';
import { runCommand } from './terminal/command.ts';

test('CLIENT-3.7: itc lamp sign adds one signature of each holder, offline; who drafted signs when it is sent, and no other file is signed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-lamp-'));
  const itc = (...argv: string[]): Promise<number> =>
    runCommand(
      lamp,
      [...argv, '--json', '--quiet', '--data-dir', folder, '--api', 'http://127.0.0.1:9'],
      () => '',
    );
  try {
    const [alice, bob, carol] = await Promise.all(
      ['alice', 'bob', 'carol'].map((name) => keyNamed(layoutOf(folder), name)),
    );
    assert.ok(alice && bob && carol);
    const file = join(folder, 'on.json');
    const draft = {
      chain: asHash(new Uint8Array(32).fill(1)),
      sender: alice.publicKey,
      account: carol.address,
      device: bob.address,
      action: { kind: 'on' },
      sequence: 1,
      notAfter: millis(2),
    } as const;
    writeFileSync(file, formatCommandFile({ draft, signatures: [] }));
    assert.equal(await itc('sign', file, '--key', 'bob'), 0);
    assert.equal(await itc('sign', file, '--key', 'bob'), 0);
    assert.equal(await itc('sign', file, '--key', 'carol'), 0);
    const parsed = parseCommandFile(readFileSync(file, 'utf8'));
    assert.ok(parsed.ok);
    const set = keySetOf([alice.publicKey, bob.publicKey, carol.publicKey], 3);
    const { weight, enough, useless } = commandStanding(parsed.value, set, verifySignature);
    assert.deepEqual([weight, enough?.length, useless], [3, 2, 0]);
    const before = readFileSync(file, 'utf8');
    assert.equal(await itc('sign', file, '--key', 'alice'), 2);
    assert.equal(readFileSync(file, 'utf8'), before);
    const other = join(folder, 'other.json');
    writeFileSync(other, before.replace('itc-command', 'itc-transaction'));
    assert.equal(await itc('sign', other, '--key', 'bob'), 1);
    const wrong = [
      ['draft'],
      ['draft', file],
      ['draft', file, 'on'],
      ['draft', file, 'on', 'lamp-1', '--valid', '25h'],
      ['draft', file, 'shine', 'lamp-1'],
      ['sign', join(folder, 'none.json')],
      ['send', file, file],
      ['show'],
    ];
    for (const argv of wrong) assert.equal(await itc(...argv), 2, argv.join(' '));
    assert.equal(readFileSync(file, 'utf8'), before);
    assert.equal(await itc('send', file), 1, 'nobody is there to send it to');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
