/** A passkey as an account, in a real browser with a virtual authenticator, on a devnet of its own: made, funded, used, found again. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, suite, test } from 'node:test';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromHex } from '@itc/core/bytes/hex.js';
import { parseAddress, type Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { amount, height, millis } from '@itc/core/ledger/ids.js';
import { ACTIONS } from '@itc/core/ledger/terms.js';
import { createClient, type Client } from '@itc/client/client.js';
import { seedSigner } from '@itc/client/keys.js';
import { buildTransaction, grant, transfer } from '@itc/client/transactions.js';
import { parseTransfer } from './identity-passkey.ts';
import { Browser, findChromium } from './testing/browser.ts';

const ITC = fileURLToPath(new URL('../../cli/bin/itc.mjs', import.meta.url));
const www = fileURLToPath(new URL('www', import.meta.url));
const chromium = findChromium();
const skip =
  chromium === undefined
    ? 'no chromium is installed'
    : existsSync(`${www}/dashboard.js`)
      ? false
      : 'the dashboard is not bundled: run `node scripts/bundle.mjs`';

const READY_MS_MAX = 120_000;
const FINAL_MS_MAX = 30_000;

test('a transfer is read from what somebody typed, or refused in a sentence', () => {
  const to = 'itc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqtv8wzd';
  const nobody = parseTransfer('itc1nobody', '1');
  assert.ok(typeof nobody === 'string' && nobody.includes('not an address'));
  for (const bad of ['', '0', '-1', '1e3', '1.1234567891', 'abc', '1 000', '0.0'])
    assert.equal(typeof parseTransfer(to, bad), 'string', bad);
});

suite('a passkey in a browser', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-passkey-'));
  let devnet: ChildProcess;
  let api = '';
  let client: Client;
  let page: Browser;

  before(async () => {
    const port = 21_000 + Math.floor(Math.random() * 4_000);
    const argv = ['devnet', '--json', '--validators', '1', '--gateways', '1'];
    devnet = spawn(
      process.execPath,
      [ITC, ...argv, '--data-dir', folder, '--api-port', `${port}`, '--mqtt-port', `${port + 4_500}`],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    process.once('exit', () => devnet.kill('SIGTERM'));
    api = await readyAddress(devnet);
    client = createClient({ url: api, fetch });
    page = new Browser(chromium ?? '');
  });
  after(async () => {
    await page?.close();
    const gone = new Promise((resolve) => devnet.once('close', resolve));
    devnet.kill('SIGINT');
    await gone;
    rmSync(folder, { recursive: true, force: true });
  });

  const fund = (to: Address, value: bigint): Promise<void> => asOwner(transfer(to, amount(value)));

  /** By the owner of the devnet, whose key lies in plain sight. */
  async function asOwner(body: Body): Promise<void> {
    const file = JSON.parse(readFileSync(join(folder, 'keys', 'owner.json'), 'utf8')) as {
      seed: { plain: string };
    };
    const seed = fromHex(file.seed.plain);
    assert.ok(seed.ok);
    const signer = seedSigner(seed.value);
    const [{ genesis, chain }, status] = await Promise.all([client.genesis(), client.status()]);
    const transaction = await buildTransaction(
      {
        chain,
        signer,
        lane: 15,
        nonce: await client.nextNonce(signer.address, 15),
        feePerByte: genesis.feePerByte,
        validUntil: height(status.height + 1000),
      },
      body,
    );
    const final = await client.submitAndWait(transaction, { timeoutMs: FINAL_MS_MAX });
    assert.equal(final.status.receipt?.ok, true);
  }

  const click = (label: string): Promise<unknown> =>
    page.evaluate(
      `[...document.querySelectorAll('button')].find((b) => b.textContent.trim() === ${JSON.stringify(label)}).click()`,
    );
  const type = (name: string, value: string): Promise<unknown> =>
    page.evaluate(`(() => { const field = document.querySelector('input[name=${name}]'); field.value = ${JSON.stringify(value)};
      field.dispatchEvent(new Event('input', { bubbles: true })); })()`);

  async function openWallet(): Promise<void> {
    // A passkey needs a host name: the same server, under the name every browser trusts.
    await page.open(`${api.replace('127.0.0.1', 'localhost')}/#/wallet`, { width: 1280, height: 900 });
  }

  let authenticatorId = '';
  async function plugIn(): Promise<void> {
    await page.send('WebAuthn.enable');
    const made = await page.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    authenticatorId = String(made['authenticatorId']);
  }

  const address = `document.querySelector('.facts [title^=itc1]')?.title ?? document.querySelector('.facts')?.textContent.match(/itc1[a-z0-9]{58}/)?.[0]`;
  let account = '';

  test('CRYPTO-10.1: made, funded, and a transfer signed by it becomes final', async () => {
    await openWallet();
    await plugIn();
    await page.until(`document.querySelector('.button-primary')`);
    await click('Make a passkey');
    account = await page.until<string>(address);
    const own = parseAddress(account);
    assert.ok(own.ok, account);
    await fund(own.value, 5_000_000_000n);
    await page.until(`document.querySelector('.number.big')?.textContent.includes('5')`);
    await type('to', ownerAddress());
    await type('amount', '1.25');
    await click('Sign and send');
    await page.until(`document.querySelector('.wallet-sent')`, FINAL_MS_MAX);
    const left = await client.account(own.value);
    assert.equal(left.nonces['0'], 1);
    assert.ok(left.balance < 3_750_000_000n && left.balance > 3_700_000_000n, `${left.balance}`);
  });

  test('LIGHT-5.22: a lamp that was granted to the passkey’s account is switched by it, asked for once', async () => {
    const lamp = parseAddress((await client.device('lamp-1')).address);
    const subject = parseAddress(account);
    assert.ok(lamp.ok && subject.ok);
    const [notBefore, expiresAt] = [millis(0), millis(Date.now() + 3_600_000)];
    const terms = { actions: ACTIONS.onOff, levelMax: 0, notBefore, expiresAt };
    await asOwner(grant({ device: lamp.value, subject: subject.value, ...terms }));
    // The lamp is shown the state of a block some heights up.
    for (let i = 0; i < 5; i += 1) await fund(lamp.value, 1n);
    await page.evaluate(`void (location.hash = '#/lamps')`);
    const lever = `document.querySelector('[role=switch][aria-label="lamp-1 on"]')`;
    await page.until(`${lever} !== null && !${lever}.disabled`, FINAL_MS_MAX);
    await page.evaluate(`${lever}.click()`);
    await page.until(`${lever}.getAttribute('aria-checked') === 'true'`, FINAL_MS_MAX);
    const [command] = (
      await client.get<{ commands: { signer: string; outcome?: { kind: string } }[] }>('/commands')
    ).commands;
    assert.deepEqual([command?.signer, command?.outcome?.kind], [account, 'done']);
  });

  test('CRYPTO-10.1: a browser that keeps nothing finds the account by one signature', async () => {
    const { credentials } = (await page.send('WebAuthn.getCredentials', { authenticatorId })) as {
      credentials: Record<string, unknown>[];
    };
    assert.equal(credentials.length, 1);
    // It goes as soon as this page does.
    await page.evaluate(`void indexedDB.deleteDatabase('itc-dashboard')`);
    await openWallet();
    await plugIn();
    await page.send('WebAuthn.addCredential', { authenticatorId, credential: credentials[0] });
    await page.until(`document.querySelector('.button-primary')`);
    await page.until(
      `[...document.querySelectorAll('button')].some((b) => b.textContent.trim() === 'Use one I have')`,
    );
    await click('Use one I have');
    assert.equal(await page.until<string>(address), account);
    assert.deepEqual(
      page.errors.filter((error) => !error.includes('404')),
      [],
    );
  });

  /** Somebody to send to. */
  function ownerAddress(): string {
    const file = JSON.parse(readFileSync(join(folder, 'keys', 'owner.json'), 'utf8')) as { address: string };
    return file.address;
  }
});

async function readyAddress(devnet: ChildProcess): Promise<string> {
  let text = '';
  devnet.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part));
  for (const end = Date.now() + READY_MS_MAX; !text.includes('\n');) {
    assert.ok(devnet.exitCode === null && Date.now() < end, `no devnet: ${text}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
  return (JSON.parse(text) as { api: string }).api;
}
