/** `itc` without a network: help, exit codes, JSON, and what becomes of a reader that has seen enough. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ITC, json, run } from './e2e/itc.ts';

const folder = mkdtempSync(join(tmpdir(), 'itc-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const COMMANDS = [
  'devnet',
  'status',
  'key',
  'device',
  'grant',
  'revoke',
  'lamp',
  'replay',
  'proof',
  'tx',
  'retention',
  'snapshot',
  'verify',
  'validator',
  'node',
];
/** Nothing listens there. */
const NOWHERE = ['--api', 'http://127.0.0.1:1', '--data-dir', join(folder, 'empty')];

/** Two at a time: starting a process is most of the work. */
async function eachOf<T>(items: readonly T[], check: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await check(item);
  };
  await Promise.all([lane(), lane()]);
}

test('NODE-7.1: itc --help names every command, and each has a help text that ends with 0', async () => {
  const overview = await run(['--help']);
  assert.equal(overview.code, 0);
  await eachOf(COMMANDS, async (name) => {
    assert.match(overview.stdout, new RegExp(`^  ${name} +\\S`, 'm'), name);
    const { code, stdout, stderr } = await run([name, '--help']);
    assert.equal(code, 0, `${name}: ${stderr}`);
    assert.ok(stdout.startsWith(`itc ${name} `), `${name} --help begins with its synopsis`);
    assert.match(stdout, /--json/, `${name} --help lists the common options`);
    assert.equal(stderr, '');
  });
  const asked = await run(['help', 'lamp']);
  assert.match(asked.stdout, /^itc lamp on DEVICE/, 'itc help COMMAND is asked as often');
});

test('NODE-7.2: a call that cannot be right ends with 2, says why, and changes nothing', async () => {
  const cases: readonly (readonly string[])[] = [
    [],
    ['no-such-command'],
    ['status', '--no-such-option'],
    ['status', 'of-something'],
    ['device', 'list', 'lamp-1'],
    ['transfer', 'guest', '-5'],
    ['lamp', 'on'],
    ['lamp', 'level', 'lamp-1', '255'],
    ['replay', '.', '--chunk', '0'],
    ['verify', 'p.json'],
    ['tx', 'explain', 'abc'],
    ['snapshot', 'check'],
    ['retention', 'pin', 'lamp-1'],
    ['retention', 'pin', 'lamp-1', '--for', '3w'],
    ['devnet', '--validators', '0'],
    ['device', 'enrol', 'x', '--password', 'short'],
    ['key', 'new', '../escape', '--plain'],
  ];
  await eachOf(cases, async (argv) => {
    const { code, stdout, stderr } = await run([...argv, ...(argv.length > 1 ? NOWHERE : [])]);
    assert.equal(code, 2, `itc ${argv.join(' ')}: ${stdout}${stderr}`);
    assert.ok(argv.length === 0 || stderr.includes('--help'), `itc ${argv.join(' ')} says where help is`);
    assert.doesNotMatch(stderr, /^\s+at /m, 'no stack trace for bad usage');
  });
});

test('NODE-7.2: what was nearly right is told what it may have meant', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['statsu'], /no command statsu; did you mean status\?/],
    [['lamp', 'on', 'lamp-1', '--finl'], /no option --finl; did you mean --final\?/],
    [['lamp', 'on', 'lamp-1', '--key'], /--key takes a value/],
  ];
  await eachOf(cases, async ([argv, said]) => {
    const { code, stderr } = await run(argv);
    assert.equal(code, 2, stderr);
    assert.match(stderr, said);
  });
});

test('NODE-7.3: with --json a failure, too, is one JSON object on standard output with a code', async () => {
  const cases: readonly (readonly [readonly string[], number, string])[] = [
    [['status'], 1, 'peer.gone'],
    [['lamp', 'on', 'lamp-1'], 1, 'not-found'],
    [['key', 'show', 'nobody'], 1, 'not-found'],
    [['verify', join(folder, 'none.json'), '--genesis', '00'.repeat(32)], 1, 'not-found'],
    [['node', '--config', join(folder, 'none.json')], 1, 'config.invalid'],
    [['status', '--what'], 2, 'usage'],
  ];
  await eachOf(cases, async ([argv, code, reason]) => {
    const ran = await run([...argv, '--json', ...NOWHERE]);
    assert.equal(ran.code, code, `itc ${argv.join(' ')}: ${ran.stderr}`);
    assert.equal(json(ran)['code'], reason, `itc ${argv.join(' ')}`);
  });
});

test('NODE-7.4: a reader that goes away early is no failure: itc --help | head -1', async () => {
  const ran = await run(['-c', `"$0" "$1" --help | head -1; exit \${PIPESTATUS[0]}`, process.execPath, ITC], {
    command: 'bash',
  });
  assert.equal(ran.stderr, '');
  assert.equal(ran.code, 0);
  const none = await run(
    [
      '-c',
      `"$0" "$1" key list --data-dir "$2" | true; exit \${PIPESTATUS[0]}`,
      process.execPath,
      ITC,
      folder,
    ],
    { command: 'bash' },
  );
  assert.equal(none.stderr, '');
  assert.equal(none.code, 0);
});

test('NODE-7.5: a key is sealed unless --plain is said, is never overwritten, and its secret is never shown', async () => {
  const dir = ['--data-dir', join(folder, 'keys-of-one')];
  assert.equal((await run(['key', 'new', 'alice', ...dir], { env: { ITC_PASSPHRASE: '' } })).code, 2);
  const made = json(
    await run(['key', 'new', 'alice', '--json', ...dir], { env: { ITC_PASSPHRASE: 'correct horse' } }),
  );
  assert.match(String(made['address']), /^itc1[0-9a-z]+$/);
  const again = await run(['key', 'new', 'alice', '--plain', ...dir]);
  assert.equal(again.code, 1);
  const locked = await run(['key', 'show', 'alice', ...dir], { env: { ITC_PASSPHRASE: 'wrong horse' } });
  assert.equal(locked.code, 1);
  const shown = await run(['key', 'show', 'alice', '--json', ...dir], {
    env: { ITC_PASSPHRASE: 'correct horse' },
  });
  assert.deepEqual(json(shown), made);
  const told = ['address', 'algorithm', 'did', 'file', 'key', 'name', 'publicKey'];
  assert.deepEqual(Object.keys(made).sort(), told);
  assert.match(String(made['key']), /^did:key:z/);
});

test('NODE-8.1: a file that is no proof is NOT VALID by the check "format", whatever it is', async () => {
  const path = join(folder, 'wrong.json');
  for (const text of [
    '',
    'null',
    '[]',
    '{"format":"itc-proof-1"}',
    '['.repeat(100_000),
    `"${'a'.repeat(400_000)}"`,
  ]) {
    writeFileSync(path, text);
    const ran = await run(['verify', path, '--genesis', '00'.repeat(32), '--json']);
    assert.equal(ran.code, 1, ran.stderr);
    assert.deepEqual(
      { valid: json(ran)['valid'], check: json(ran)['check'] },
      { valid: false, check: 'format' },
    );
  }
});
