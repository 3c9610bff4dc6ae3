/** The story of the lamp, told by the command as a script would run it, on a devnet of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { json, run } from './itc.ts';

interface Told {
  readonly ok: boolean;
  readonly difference?: string;
  readonly steps: readonly {
    readonly title: string;
    readonly ok: boolean;
    readonly checks: readonly { readonly what: string; readonly ok: boolean }[];
  }[];
}

/** What has to be in it, in this order. */
const SCENES = [
  /^A maker enrols 1\s000\s000 devices in one transaction/,
  /claims number .* with the code from its QR/,
  /switches it/,
  /a guest for a while/,
  /sold/,
  /refuses the old owner and her guests; her history stays hers/,
  /stolen/,
  /recovered/,
  /rented for three minutes/,
  /retired, with the deposit back/,
  /sponsors paid the fees/,
];
const MINUTES_MAX = 10;

test('NODE-7.20: the whole life of a lamp goes as expected, every step of it, and leaves nothing behind', async () => {
  const ran = await run(['story', 'lamp', '--start', '--validators', '1', '--json', '--quiet'], {
    timeoutMs: MINUTES_MAX * 60_000,
  });
  assert.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`);
  const { ok, steps, difference } = json(ran) as unknown as Told;
  assert.equal(ok, true, difference);
  for (const step of steps) {
    assert.ok(step.ok && step.checks.length > 0, step.title);
    for (const check of step.checks) assert.ok(check.ok, `${step.title}: ${check.what}`);
  }
  let at = 0;
  for (const scene of SCENES) {
    const found = steps.findIndex(({ title }, i) => i >= at && scene.test(title));
    assert.ok(found >= at, `${String(scene)} comes after step ${at}`);
    at = found + 1;
  }
});

test('NODE-7.20: without a devnet the story is not told, and that is said', async () => {
  const ran = await run(['story', 'lamp', '--json', '--data-dir', '/nonexistent/itc']);
  assert.equal(ran.code, 1);
  assert.equal(json(ran)['code'], 'not-found');
});
