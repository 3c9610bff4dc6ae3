/** A real devnet behind a proxy that lies in one field: what the browser proves, and how it shows the lie. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Browser, findChromium } from './testing/browser.ts';
import { startLyingProxy, type LyingProxy } from './testing/lying-proxy.ts';
import type { Device, Reading } from './wire.ts';

const itc = fileURLToPath(new URL('../../cli/bin/itc.mjs', import.meta.url));
const www = fileURLToPath(new URL('www', import.meta.url));
const built = [
  itc,
  `${www}/light-worker.js`,
  fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url)),
];
const chromium = findChromium();
const skip =
  chromium === undefined
    ? 'no chromium is installed'
    : built.every((file) => existsSync(file))
      ? false
      : 'the command line or the dashboard is not built';
const DESK = { width: 1280, height: 1000 } as const;
const READY_MS = 180_000;
/** The machine may be busy; a verdict takes a request, and a settled lie five blocks. */
const SOON_MS = 90_000;
/** Where to leave pictures of what was seen, for people; none are taken without it. */
const pictures = process.env['ITC_PICTURES'];

const ownership = '.verified';
const shows = (selector: string, kind: string): string =>
  `document.querySelector(${JSON.stringify(selector)})?.classList.contains('verified-${kind}')`;
const textOf = (selector: string): string =>
  `document.querySelector(${JSON.stringify(selector)})?.textContent`;

suite('the browser verifies', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'itc-light-'));
  let devnet: ChildProcess | undefined;
  let proxy: LyingProxy;
  let page: Browser;
  let reading: Reading;
  let device: Device;
  let somebody: string;
  let direct: string;

  const ask = async <T>(path: string): Promise<T> =>
    (await (await fetch(`${proxy.url}/api/v1${path}`)).json()) as T;
  const picture = async (name: string): Promise<void> => {
    if (pictures !== undefined) writeFileSync(join(pictures, `${name}.png`), await page.screenshot(true));
  };

  before(async () => {
    const ports = 20_000 + Math.floor(Math.random() * 24) * 500 + 137;
    const child = spawn(
      process.execPath,
      [
        itc,
        'devnet',
        '--json',
        '--data-dir',
        folder,
        '--api-port',
        `${ports}`,
        '--mqtt-port',
        `${ports + 300}`,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    devnet = child;
    process.once('exit', () => child.kill('SIGTERM'));
    const api = await new Promise<string>((resolve, reject) => {
      let text = '';
      const timer = setTimeout(() => reject(new Error(`no devnet after ${READY_MS} ms`)), READY_MS);
      child.stdout.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (!text.includes('\n')) return;
        clearTimeout(timer);
        resolve((JSON.parse(text) as { api: string }).api);
      });
      child.once('exit', (code) => reject(new Error(`the devnet ended with ${code}`)));
    });
    direct = api;
    proxy = await startLyingProxy(api);
    for (const end = Date.now() + SOON_MS; ;) {
      const { devices } = await ask<{ devices: Device[] }>('/devices');
      const sensor = devices.find((one) => one.kind === 'sensor' && one.owner !== undefined && !one.attested);
      const other = devices.find((one) => one.address !== sensor?.address);
      if (sensor !== undefined && other !== undefined) {
        const { readings } = await ask<{ readings: Reading[] }>(
          `/devices/${sensor.address}/readings?limit=50`,
        );
        const found = readings.find((one) => one.status === 'final' && typeof one.value === 'number');
        if (found !== undefined) {
          [reading, device, somebody] = [found, sensor, other.address];
          break;
        }
      }
      assert.ok(Date.now() < end, 'no final reading of a sensor with an owner');
      await new Promise((resolve) => {
        setTimeout(resolve, 300);
      });
    }
    page = new Browser(chromium ?? '');
  });
  after(async () => {
    await page?.close();
    await proxy?.close();
    if (devnet !== undefined && devnet.exitCode === null) {
      const gone = new Promise((resolve) => devnet?.once('close', resolve));
      devnet.kill('SIGINT');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test('CLIENT-15.1: a device’s ownership is verified by this browser, with block, time and signers', async () => {
    await page.open(`${proxy.url}/#/devices/${device.address}`, DESK);
    await page.until(shows(ownership, 'proved'), SOON_MS);
    const text = await page.evaluate<string>(textOf(ownership));
    assert.match(text, /Verified by this browser block [\d,. ]+/);
    // The keyboard opens what it is verified by.
    await page.evaluate(`document.querySelector('.verified summary').focus()`);
    await page.press(' ', 'Space', 32);
    await page.until(`document.querySelector('.verified details').open`);
    assert.match(text, /signed by validators \d(, \d)+: \d of \d weight/);
    assert.equal(
      await page.evaluate(textOf('.verified [role=status]')),
      'Owner, batch, model and the grants shown: Verified by this browser',
    );
    await picture('owner-verified');
  });

  test('CLIENT-15.1: a reading and its payload are verified by this browser', async () => {
    await page.open(`${proxy.url}/#/payloads/${reading.payload}`, { ...DESK, dark: true });
    await page.until(shows('.verified', 'proved'), SOON_MS);
    await picture('reading-verified-dark');
  });

  test('CLIENT-15.2: attack the node lies about the owner of a device: after five blocks the lie is shown as such, with what is true', async () => {
    proxy.lie = (object) => {
      if (object['address'] === device.address && 'owner' in object) object['owner'] = somebody;
    };
    await page.open(`${proxy.url}/#/devices/${device.address}`, DESK);
    await page.until(`${shows(ownership, 'unsettled')} || ${shows(ownership, 'differs')}`, SOON_MS);
    await page.until(shows(ownership, 'differs'), SOON_MS);
    const rows = await page.evaluate<string[][]>(
      `[...document.querySelectorAll('.differences tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent))`,
    );
    assert.deepEqual(rows, [['Owner', somebody, device.owner]]);
    assert.equal(await page.evaluate(`document.querySelector('.verified [role=alert]') !== null`), true);
    await picture('owner-lie');
    await page.open(`${proxy.url}/#/devices/${device.address}`, {
      width: 360,
      height: 780,
      mobile: true,
      dark: true,
    });
    await page.until(shows(ownership, 'differs'), SOON_MS);
    assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= 360);
    await picture('owner-lie-phone-dark');
  });

  test('CLIENT-15.2: attack the node lies about the value of a reading: the lie is shown as such', async () => {
    const told = (reading.value as number) + 7;
    proxy.lie = (object) => {
      if (object['id'] === reading.id && 'value' in object) object['value'] = told;
    };
    await page.open(`${proxy.url}/#/payloads/${reading.payload}`, DESK);
    await page.until(shows('.verified', 'differs'), SOON_MS);
    const row = await page.evaluate<string[]>(
      `[...document.querySelector('.differences tbody tr').children].map((cell) => cell.textContent)`,
    );
    const unit = reading.unit === undefined ? '' : ` ${reading.unit}`;
    assert.deepEqual(row, [
      `Reading ${reading.index + 1}: Value`,
      `${told}${unit}`,
      `${String(reading.value)}${unit}`,
    ]);
    await picture('value-lie');
    // The same where the device is shown: there the reading of before has scrolled away, so it lies about all of them.
    proxy.lie = (object) => {
      if (object['device'] === device.address && typeof object['value'] === 'number') object['value'] += 7;
    };
    await page.open(`${proxy.url}/#/devices/${device.address}`, DESK);
    const proof = `document.querySelector('.readings button:not(:disabled)')`;
    await page.until(proof, SOON_MS);
    await page.evaluate(`${proof}.click()`);
    await page.until(shows('.proof-row .verified', 'differs'), SOON_MS);
    await picture('value-lie-in-list');
    proxy.lie = undefined;
  });

  test('CLIENT-15.5: a second gateway, of another origin, is named and agrees', async () => {
    await page.open(`${proxy.url}/#/gateways`, DESK);
    await page.until(`document.querySelector('.gateway-form input') !== null`, SOON_MS);
    await page.evaluate(
      `(() => { const field = document.querySelector('.gateway-form input'); field.value = ${JSON.stringify(direct)}; field.form.requestSubmit(); })()`,
    );
    const agreeing = `[...document.querySelectorAll('.node-detail')].filter((one) => one.textContent.startsWith('Agrees')).length`;
    await page.until(`${agreeing} === 2`, SOON_MS);
    assert.match(
      await page.evaluate<string>(textOf('.verdict-line')),
      /All 2 show the same chain: block [\d,. ]+/,
    );
    await picture('gateways');
    // It is remembered.
    await page.open(`${proxy.url}/?again#/gateways`, DESK);
    await page.until(`${agreeing} === 2`, SOON_MS);
    assert.ok((await page.evaluate<string>(textOf('.nodes'))).includes(direct));
  });

  test('CLIENT-15.4: what is trusted outlives the page, and another chain is refused until a person decides', async () => {
    await page.open(`${proxy.url}/?genesis=${'ab'.repeat(32)}#/devices/${device.address}`, DESK);
    await page.until(shows(ownership, 'failed'), SOON_MS);
    assert.match(await page.evaluate<string>(textOf(ownership)), /this is another chain/);
    await picture('another-chain');
  });

  test('nothing failed in the page', () => {
    assert.deepEqual(page.errors, []);
  });
});
