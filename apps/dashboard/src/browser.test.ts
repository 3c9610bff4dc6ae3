/** End to end in a real browser, over the fake devnet: what a person does, and what they must see. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Browser, findChromium } from './testing/browser.ts';
import { startFakeApi, type FakeApi } from './testing/fake-api.ts';

const www = fileURLToPath(new URL('www', import.meta.url));
const chromium = findChromium();
const skip =
  chromium === undefined
    ? 'no chromium is installed'
    : existsSync(`${www}/dashboard.js`)
      ? false
      : 'the dashboard is not bundled: run `node scripts/bundle.mjs`';

const DESK = { width: 1280, height: 900 } as const;
const PHONE = { width: 360, height: 780, mobile: true } as const;
const text = (selector: string): string => `document.querySelector(${JSON.stringify(selector)})?.textContent`;

suite('the page in a browser', { skip }, () => {
  let api: FakeApi;
  let page: Browser;
  before(async () => {
    api = await startFakeApi({ seed: 3, port: 0, www });
    page = new Browser(chromium ?? '');
  });
  after(async () => {
    await page.close();
    await api.close();
  });

  test('overview: says ready, counts blocks live, and names why it is not ready', async () => {
    await page.open(`${api.url}/#/`, DESK);
    await page.until(`${text('.hero h2')}?.includes('Ready')`);
    const first = await page.evaluate<string>(text('.tile strong'));
    await page.until(`${text('.tile strong')} !== ${JSON.stringify(first)}`);
    api.world.setProcess('validator-2', 'stop');
    api.world.setProcess('validator-3', 'stop');
    await page.until(`${text('.hero h2')}?.includes('Not ready')`);
    assert.match(
      await page.evaluate<string>(text('.hero-verdict > p')),
      /3 are needed; validator-2 and validator-3 do not answer/,
    );
    // Started again from the page itself.
    await page.evaluate(`document.querySelector('[aria-label="Start validator-2"]').click()`);
    await page.until(`${text('.hero h2')}?.includes('Ready, with a fault')`);
    api.world.setProcess('validator-3', 'start');
  });

  test('lamps: pair, switch, see the four stages; a refusal and a sleeping lamp are explained', async () => {
    await page.open(`${api.url}/#/lamps`, DESK);
    await page.until(`document.querySelector('.pairing .button-primary')`);
    assert.equal(
      await page.evaluate(`[...document.querySelectorAll('.switch')].every((s) => s.disabled)`),
      true,
    );
    await page.evaluate(`document.querySelector('.pairing .button-primary').click()`);
    await page.until(`document.querySelector('.paired')`);
    await page.until(`!document.querySelector('[aria-label="lamp-desk on"]').disabled`);
    await page.evaluate(`document.querySelector('[aria-label="lamp-desk on"]').click()`);
    await page.until(
      `document.querySelector('[aria-label="lamp-desk on"]').getAttribute('aria-checked') === 'true'`,
    );
    const card = `document.querySelector('[aria-label="lamp-desk on"]').closest('.card')`;
    await page.until(`${card}.querySelectorAll('.stage-done').length === 4`);
    assert.match(
      await page.evaluate<string>(`${card}.querySelector('.stages').textContent`),
      /Acknowledged by lamp\+\d+ ms.*Final\+[\d.]+ s/,
    );

    await page.evaluate(`(() => { const slider = document.querySelector('[aria-label="Brightness of lamp-porch"]'); slider.value = 90;
      slider.dispatchEvent(new Event('input', { bubbles: true })); slider.dispatchEvent(new Event('change', { bubbles: true })); })()`);
    await page.until(`document.body.textContent.includes('does not cover this action or this brightness')`);
    await page.evaluate(`document.querySelector('[aria-label="lamp-cellar on"]').click()`);
    await page.until(`document.body.textContent.includes('lamp-cellar is asleep or offline')`);
  });

  test('the browser’s secret key cannot be read out, and its key survives a reload', async () => {
    await page.open(`${api.url}/#/lamps`, DESK);
    const known = await page.until<string>(`document.querySelector('.paired a')?.title`);
    const extractable =
      await page.evaluate(`new Promise((resolve) => { const r = indexedDB.open('itc-dashboard'); r.onsuccess = () => {
      const g = r.result.transaction('keys').objectStore('keys').get('browser'); g.onsuccess = () => resolve(g.result.privateKey.extractable); }; })`);
    assert.equal(extractable, false);
    assert.match(known, /^itc1/);
  });

  test('live DAG: the keyboard selects, shows both cones, pauses and clears', async () => {
    await page.open(`${api.url}/#/graph`, DESK);
    await page.until(`document.querySelector('.graph-canvas')`);
    await page.until(`/Shown\\d\\d+/.test(document.querySelector('#graph-details').textContent)`);
    await page.evaluate(`document.querySelector('.graph-canvas').focus()`);
    for (let i = 0; i < 6; i += 1) await page.press('ArrowLeft');
    await page.until(
      `/Past[\\d,]+ envelopes.*Future[\\d,]+ envelopes/.test(document.querySelector('#graph-details').textContent)`,
    );
    assert.equal(
      await page.evaluate(`document.querySelector('.graph-bar button').getAttribute('aria-pressed')`),
      'true',
    );
    await page.press('Escape');
    await page.until(`document.querySelector('#graph-details').textContent.includes('arrow keys')`);
    // Something is really drawn: the canvas has more than one colour.
    const colours = await page.evaluate<number>(`(() => { const c = document.querySelector('.graph-canvas');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set();
      for (let i = 0; i < d.length; i += 4) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]); return seen.size; })()`);
    assert.ok(colours > 10, `only ${colours} colours`);
  });

  test('a reading’s status climbs to final and its proof can be downloaded', async () => {
    await page.open(`${api.url}/#/devices/climate-living`, DESK);
    await page.until(`document.querySelector('.uplot canvas')`);
    await page.until(`document.querySelector('.readings button:not(:disabled)')`);
    await page.evaluate(`document.querySelector('.readings button:not(:disabled)').click()`);
    await page.until(
      `document.querySelector('.command code')?.textContent.startsWith('itc verify reading-')`,
    );
    assert.match(await page.evaluate<string>(`document.querySelector('.proof a[download]').href`), /^blob:/);
  });

  test('search finds a height, a device by part of its name, and says when there is nothing', async () => {
    await page.open(`${api.url}/#/search/${api.world.height - 3}`, DESK);
    await page.until(`${text('h1')}?.startsWith('Block ')`);
    await page.evaluate(`location.hash = '#/search/greenhouse'`);
    await page.until(`${text('h1')} === 'climate-greenhouse'`);
    await page.evaluate(`location.hash = '#/search/${'ab'.repeat(32)}'`);
    await page.until(`document.body.textContent.includes('Nothing found')`);
    // The node says 404 for an unknown payload, and the browser logs that; nothing else.
    assert.deepEqual(
      page.errors.splice(0).filter((error) => !/status of 404.*\/payloads\/(ab){32}$/.test(error)),
      [],
    );
  });

  test('a lost connection is announced, the last known state is marked, and it recovers by itself', async () => {
    await page.open(`${api.url}/#/`, DESK);
    await page.until(`${text('.hero h2')}?.includes('Ready')`);
    const before = page.errors.length;
    api.down = true;
    api.cutStreams();
    await page.until(`${text('.banner')}?.includes('Connection lost, retrying')`);
    await page.until(`${text('.hero h2')}?.startsWith('Was:')`);
    api.down = false;
    await page.until(`document.querySelector('.banner') === null`);
    await page.until(`${text('.hero h2')}?.startsWith('Ready')`);
    // The browser logs the failed requests themselves; those are the point here.
    page.errors.splice(before);
  });

  test('at 360 pixels nothing is wider than the screen, and everything can be reached', async () => {
    for (const path of [
      '',
      'graph',
      'devices',
      'devices/air-office',
      'lamps',
      'explorer',
      `blocks/${api.world.height}`,
    ]) {
      await page.open(`${api.url}/#/${path}`, PHONE);
      await page.until(`document.querySelector('h1') && !document.querySelector('.loading')`);
      assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= 360, path);
    }
    assert.equal(await page.evaluate(`document.querySelectorAll('.nav a[href]').length >= 5`), true);
  });

  test('no page raised an error in the console', () => {
    assert.deepEqual(page.errors, []);
  });
});
