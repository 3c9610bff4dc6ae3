/**
 * The product from outside: readings to finality, proofs, lamps, Debian's MQTT client, bad input, dead validators and
 * gateways, ctrl-C. One devnet for all: starting it is what takes time.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fromHex } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import type { CommandStatus, Reading } from '@itc/client/api.js';
import { checkProofText } from '../commands/verify.ts';
import { TestDevnet, until } from './devnet.ts';
import { json, run, type Ran } from './itc.ts';
import { withOneByteChanged } from './proof.ts';

const MEASUREMENTS = fileURLToPath(
  new URL('../../../../../shared/data/open-smart-home/Measurements', import.meta.url),
);
const noMeasurements = existsSync(MEASUREMENTS)
  ? false
  : '../shared/data/open-smart-home/Measurements is absent';
const noMosquitto =
  spawnSync('mosquitto_pub', ['--help']).error === undefined
    ? false
    : 'mosquitto_pub is absent (Debian: mosquitto-clients)';

const net = new TestDevnet();
before(() => net.start());
after(() => net.remove());

const lamp = (words: readonly string[], key = 'owner'): Promise<Ran> =>
  net.itc(['lamp', ...words, '--key', key, '--json']);

function refusal(ran: Ran): unknown {
  assert.equal(ran.code, 1, ran.stderr);
  const { outcome } = json(ran) as unknown as CommandStatus;
  return outcome?.kind === 'refused' ? outcome.reason : outcome;
}

async function finalReading(
  device: string,
  match: (reading: Reading) => boolean = () => true,
): Promise<Reading> {
  return await until(`a final reading of ${device}`, async () =>
    (await net.client.readings(device, { limit: 50 })).find(
      (reading) => reading.status === 'final' && match(reading),
    ),
  );
}

test('NODE-7.11: itc devnet is ready with URLs that answer, dashboard and OpenAPI among them', async () => {
  const { api, mqtt, startMs, height } = net.ready;
  assert.ok(startMs < 120_000 && height >= 1);
  assert.equal(mqtt.length, 2);
  const status = await net.status();
  assert.equal(status.ready, true, status.reason);
  assert.equal(status.chain, net.ready.chain);
  const page = await fetch(`${api}/`);
  if (page.status === 200) assert.match(await page.text(), /<title>/);
  else assert.equal(page.status, 404, 'only a dashboard that was not bundled is missing');
  const openapi = (await (await fetch(`${api}/api/v1/openapi.json`)).json()) as { paths: object };
  for (const path of ['/api/v1/status', '/api/v1/transactions', '/api/v1/commands'])
    assert.ok(path in openapi.paths, path);
  assert.match(await (await fetch(`${api}/metrics`)).text(), /^itc_/m);
});

test('NODE-7.12: each reading command answers with one JSON object and 0', async () => {
  const calls: readonly (readonly string[])[] = [
    ['status'],
    ['status', '--why'],
    ['device', 'list'],
    ['device', 'show', 'lamp-1'],
    ['key', 'list'],
  ];
  for (const argv of calls) {
    const ran = await net.itc([...argv, '--json']);
    assert.equal(ran.code, 0, `itc ${argv.join(' ')}: ${ran.stderr}`);
    assert.equal(typeof json(ran), 'object');
  }
});

test(
  'NODE-7.7: recorded readings reach finality, and the same again count once',
  { skip: noMeasurements },
  async () => {
    // Nothing else may count in the meantime.
    await net.control('stop', 'home');
    try {
      const replay = ['replay', MEASUREMENTS, '--limit', '64', '--json', '--timeout', '60'];
      const first = await net.itc(replay, { timeoutMs: 120_000 });
      assert.equal(first.code, 0, first.stderr);
      const answer = json(first);
      assert.ok(Number(answer['sent']) > 1_000);
      assert.equal(answer['sent'], answer['final']);
      assert.equal(answer['refused'], 0);
      assert.match(first.stderr, /readings\/s/, 'progress and rate are shown');
      const before_ = (await net.subnet()).payloads;
      const second = json(await net.itc(replay, { timeoutMs: 120_000 }));
      assert.equal(second['final'], second['sent']);
      assert.equal(second['duplicates'], second['sent']);
      // What came late would be in a checkpoint by then.
      await sleep(2_500);
      assert.equal((await net.subnet()).payloads, before_);
    } finally {
      await net.control('start', 'home');
    }
  },
);

test('NODE-8.4: a proof is checked with no node: who signed, when, which block; one byte changed is refused', async () => {
  const reading = await finalReading('sensor-1');
  const path = join(net.folder, 'p.json');
  const made = await net.itc(['proof', reading.id, '--out', path, '--json']);
  assert.equal(made.code, 0, made.stderr);
  const genesis = net.ready.chain;
  const offline = { env: { ITC_API: 'http://127.0.0.1:1', ITC_DATA_DIR: join(net.folder, 'nothing-here') } };
  const good = await run(['verify', path, '--genesis', genesis, '--json'], offline);
  assert.equal(good.code, 0, good.stdout);
  const verdict = json(good) as unknown as {
    valid: boolean;
    height: number;
    time: number;
    signers: unknown[];
    reading: Reading;
  };
  assert.equal(verdict.valid, true);
  assert.equal(verdict.height, json(made)['height']);
  assert.equal(verdict.reading.value, reading.value);
  assert.ok(verdict.signers.length >= 3);
  assert.ok(Math.abs(verdict.time - reading.time) < 60_000);
  const told = await run(['verify', path, '--genesis', genesis], offline);
  assert.match(told.stdout, /^VALID .*\n[^]*final in +block \d+ of \d{4}-[^]*certified +by 3 of 4|4 of 4/);

  const wrong = await run(['verify', path, '--genesis', '00'.repeat(32), '--json'], offline);
  assert.equal(wrong.code, 1);
  assert.equal(json(wrong)['check'], 'genesis');

  const text = readFileSync(path, 'utf8');
  const hash = fromHex(genesis);
  assert.ok(hash.ok);
  const trusted = asHash(hash.value);
  assert.equal(checkProofText(text, trusted).valid, true);
  const checks = new Map<string, number>();
  const sampled = 320;
  for (let i = 0; i < sampled; i += 1) {
    const at = Math.floor((i * text.length) / sampled);
    const checked = checkProofText(withOneByteChanged(text, at, 1 + (i % 255)), trusted);
    assert.equal(checked.valid, false, `byte ${at} changed goes unseen`);
    if (!checked.valid) checks.set(checked.check, (checks.get(checked.check) ?? 0) + 1);
  }
  assert.ok(checks.size >= 4, `different checks refuse: ${[...checks.keys()].join(', ')}`);
  const damaged = join(net.folder, 'damaged.json');
  writeFileSync(damaged, withOneByteChanged(text, text.length - 200, 1));
  const refused = await run(['verify', damaged, '--genesis', genesis], offline);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /^NOT VALID {2}failed check: \S+\n +\S/);
});

test('NODE-7.13: a lamp obeys its owner, and itself refuses strangers, guests out of bounds, revoked and expired ones', async (t) => {
  const on = await lamp(['on', 'lamp-1']);
  assert.equal(on.code, 0, on.stdout + on.stderr);
  // Once more, with everything warm. The faster of two: a delay on the path would be in each of them, a busy machine is not.
  const trips: number[] = [];
  for (const verb of ['on', 'off']) {
    const answer = json(await lamp([verb, 'lamp-1'])) as unknown as CommandStatus & { roundTripMs: number };
    trips.push(answer.roundTripMs);
    assert.deepEqual(answer.state?.on, verb === 'on');
  }
  t.diagnostic(`note: lamp round trip ${Math.min(...trips)} ms`);
  assert.ok(Math.min(...trips) < 2_000);

  assert.equal((await net.itc(['key', 'new', 'guest', '--plain'])).code, 0);
  assert.equal(refusal(await lamp(['on', 'lamp-1'], 'guest')), 'not-granted');
  const granted = await net.itc([
    'grant',
    'lamp-1',
    '--to',
    'guest',
    '--for',
    '1h',
    '--actions',
    'on-off',
    '--json',
  ]);
  assert.equal(granted.code, 0, granted.stderr);
  json(granted);
  await until('the guest may switch', async () => (await lamp(['on', 'lamp-1'], 'guest')).code === 0, 20_000);
  assert.equal(refusal(await lamp(['level', 'lamp-1', '7'], 'guest')), 'not-allowed');
  const revoked = await net.itc(['revoke', 'lamp-1', '--to', 'guest', '--json']);
  assert.equal(revoked.code, 0, revoked.stderr);
  await until(
    'the lamp knows of the revocation',
    async () => (await lamp(['off', 'lamp-1'], 'guest')).code === 1,
    20_000,
  );
  assert.equal(refusal(await lamp(['off', 'lamp-1'], 'guest')), 'not-granted');

  const short = await net.itc(['grant', 'lamp-1', '--to', 'guest', '--for', '2s', '--json']);
  assert.equal(short.code, 0, short.stderr);
  await sleep(Math.max(0, Number(json(short)['expiresAt']) - Date.now()) + 100);
  // The lamp's clock is the newest header it has heard of.
  await until('the grant has run out', async () => (await lamp(['off', 'lamp-1'], 'guest')).code === 1);
  assert.equal(refusal(await lamp(['off', 'lamp-1'], 'guest')), 'not-granted');
  const { state } = json(await lamp(['level', 'lamp-1', '9'])) as unknown as CommandStatus;
  assert.deepEqual(state, { on: true, level: 9, kelvin: 6_500 });
});

test('EDGE-13.5: a lamp is rented for three minutes: begun and ended by its own word, and paid exactly', async () => {
  const rent = async (...words: string[]): Promise<Record<string, unknown>> => {
    const ran = await net.itc(['rent', ...words, '--json']);
    assert.equal(ran.code, 0, ran.stderr);
    return json(ran);
  };
  await rent(
    'offer',
    'lamp-2',
    '--price',
    '0.1',
    '--min',
    '3',
    '--max',
    '30',
    '--deposit',
    '5',
    '--window',
    '1h',
  );
  const begun = await rent('start', 'lamp-2', '--max', '3', '--key', 'maker');
  assert.equal(begun['state'], 'running');
  assert.equal((begun['end'] as number) - (begun['startedAt'] as number), 180_000);
  assert.equal((await lamp(['on', 'lamp-2'], 'maker')).code, 0);
  const revoked = await net.itc(['revoke', 'lamp-2', '--to', 'maker', '--json']);
  assert.equal(json(revoked)['code'], 'grant.rented');
  const settled = await rent('stop', 'lamp-2', '--key', 'maker');
  assert.deepEqual(
    [settled['charge'], settled['returned'], settled['heldBack'], settled['uses']],
    ['300000000', '0', '5000000000', 1],
  );
  assert.equal(refusal(await lamp(['on', 'lamp-2'], 'maker')), 'not-granted');
  const rental = String(settled['rental']);
  await rent('dispute', 'claim', rental, '--amount', '2', '--key', 'owner');
  await rent('dispute', 'answer', rental, '--amount', '2', '--key', 'maker');
  assert.equal((await rent('status', rental))['deposit'], undefined);
});

test(
  'NODE-7.14: what mosquitto_pub sends becomes final; a wrong credential, topic, form or size is refused with its reason and changes nothing',
  { skip: noMosquitto },
  async () => {
    const { hostname, port } = new URL(net.ready.mqtt[0] as string);
    const publish = (login: readonly string[], message: string, more: readonly string[] = []): Promise<Ran> =>
      run(
        [
          '-h',
          hostname,
          '-p',
          port,
          '-V',
          '5',
          '-q',
          '1',
          ...login,
          '-t',
          'itc/v1/up',
          '-m',
          message,
          ...more,
        ],
        { command: 'mosquitto_pub', timeoutMs: 20_000 },
      );
    const said = ({ stdout, stderr }: Ran): string => stdout + stderr;
    const reading = (value: number): string => `[{"n":"temperature","u":"Cel","v":${value}}]`;
    const legacy = ['-u', 'thermo-1', '-P', 'a long enough secret'];

    const enrolled = await net.itc([
      'device',
      'enrol',
      'thermo-1',
      '--password',
      'a long enough secret',
      '--json',
    ]);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    json(enrolled);
    const sent = await publish(legacy, reading(21.25));
    assert.equal(sent.code, 0, said(sent));
    const final = await finalReading('thermo-1', ({ value }) => value === 21.25);
    const login = json(await net.itc(['device', 'login', 'sensor-2', '--json']));
    const byKey = ['-u', String(login['username']), '-P', String(login['password'])];
    const keyed = await publish(byKey, reading(-77.5));
    assert.equal(keyed.code, 0, said(keyed));
    await finalReading('sensor-2', ({ value }) => value === -77.5);

    const wrongs: readonly (readonly [() => Promise<Ran>, RegExp])[] = [
      [
        () => publish(['-u', 'thermo-1', '-P', 'another long secret'], reading(1)),
        /bad user name or password/i,
      ],
      [
        () => publish(['-u', 'nobody', '-P', 'a long enough secret'], reading(1)),
        /bad user name or password/i,
      ],
      [() => publish(byKey, reading(1)), /not authorized|bad user name/i],
      [() => publish(legacy, '{{{'), /payload format invalid/i],
      [() => publish(legacy, `[{"n":"${'a'.repeat(17_000)}","v":1}]`), /payload format invalid[^]*16384/i],
      [() => publish(legacy, reading(1), ['-t', 'itc/v1/lamp-1/up']), /not authorized/i],
    ];
    for (const [attempt, reason] of wrongs) assert.match(said(await attempt()), reason);
    await sleep(1_500);
    const readings = await net.client.readings('thermo-1', { limit: 50 });
    assert.deepEqual(
      readings.map(({ id }) => id),
      [final.id],
      'refused messages left nothing behind',
    );
  },
);

test('NODE-6.1: bad input to the API gets a typed error, and the node goes on', async () => {
  const { api } = net.ready;
  const post = (path: string, body: string): Promise<Response> =>
    fetch(`${api}/api/v1${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const deep = '['.repeat(50_000) + ']'.repeat(50_000);
  const answers = [
    await post('/transactions', '{'),
    await post('/transactions', deep),
    await post('/transactions', '{"transaction":"zz"}'),
    await post('/transactions', `{"transaction":"${'00'.repeat(20_000)}"}`),
    await post('/transactions', `{"transaction":"${'00'.repeat(200)}"}`),
    await post('/transactions', '{"transaction":7,"__proto__":{"x":1}}'),
    await post(
      '/payloads/status',
      `{"ids":${JSON.stringify(Array.from({ length: 1_001 }, () => '00'.repeat(32)))}}`,
    ),
    await post('/commands', '{"payload":"d2"}'),
    await post('/gateway/devices', '{"name":"mine"}'),
    await post('/transactions', ' '.repeat(3 << 20)),
    await fetch(`${api}/api/v1/blocks/99999999999999999999`),
    await fetch(`${api}/api/v1/blocks?limit=-1`),
    await fetch(`${api}/api/v1/accounts/itc1nonsense`),
    await fetch(`${api}/api/v1/devices/${'x'.repeat(3_000)}`),
    await fetch(`${api}/api/v1/proofs/reading/${'00'.repeat(32)}`),
    await fetch(`${api}/api/v1/no/such/thing`),
    await fetch(`${api}/%2e%2e/%2e%2e/package.json`),
    await fetch(`${api}/%00%ff`),
    await fetch(`${api}/api/v1/devnet/processes/validator-1/kill`, {
      method: 'POST',
      headers: { origin: 'http://evil.example' },
    }),
  ];
  for (const answer of answers) {
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.url.slice(0, 120)}: ${answer.status}`);
    assert.match(
      answer.headers.get('content-type') ?? '',
      /^application\/problem\+json/,
      answer.url.slice(0, 120),
    );
    const { code, status } = (await answer.json()) as { code: string; status: number };
    assert.match(code, /^[a-z-]+(\.[a-z-]+)?$/);
    assert.equal(status, answer.status);
  }
  assert.equal((await net.status()).ready, true);
});

test('NODE-6.2: random bytes and huge lengths on every port cost their connection only', async () => {
  const ports = new Set<number>([Number(new URL(net.ready.api).port)]);
  for (const url of net.ready.mqtt) ports.add(Number(new URL(url).port));
  for (const name of ['validator-1', 'gateway-1', 'member-1']) {
    const config = JSON.parse(readFileSync(join(net.folder, 'nodes', name, 'config.json'), 'utf8')) as {
      peer: { port: number };
      api: { port: number };
    };
    ports.add(config.peer.port).add(config.api.port);
  }
  const junk = Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * i * 31 + (i >> 3) * 7) & 0xff));
  const openings: readonly Buffer[] = [
    junk,
    Buffer.alloc(65_536, 0xff),
    // A TLS record, an MQTT CONNECT and an HTTP request that promise much more than they bring.
    Buffer.from('16030142001000', 'hex'),
    Buffer.from('10ffffff7f00044d515454', 'hex'),
    Buffer.from('POST /api/v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n{'),
    Buffer.from(`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`),
  ];
  const before_ = new Set(await net.pids());
  await Promise.all([...ports].flatMap((port) => openings.map((bytes) => throwAt(port, bytes))));
  assert.deepEqual(new Set(await net.pids()), before_, 'every process lives');
  const { height } = await net.status();
  await until('blocks go on', async () => (await net.status()).height > height);
  assert.equal((await lamp(['on', 'lamp-2'])).code, 0);
});

/** Writes, waits a moment for what comes of it, and hangs up. */
async function throwAt(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  socket.write(bytes);
  await Promise.race([new Promise((resolve) => socket.once('close', resolve)), sleep(1_000)]);
  socket.destroy();
}

/** The front shows the height of a gateway, which follows the validators. */
const height = async (): Promise<number> => (await net.status()).height;

async function blocksGoOn(): Promise<void> {
  const seen = await height();
  await until('a new block', async () => (await height()) > seen);
}

async function caughtUp(name: string): Promise<void> {
  const goal = await height();
  await until(`${name} at height ${goal}`, async () => (await net.at(name).status()).height >= goal);
}

function idOf(command: CommandStatus): Hash {
  const id = fromHex(command.id);
  assert.ok(id.ok);
  return asHash(id.value);
}

test('NODE-1.2, NODE-1.1: without a quorum nothing becomes final and status says why; with no validator at all the owner’s lamp obeys; it all heals by itself', async () => {
  assert.equal((await lamp(['on', 'lamp-1'])).code, 0);
  await blocksGoOn();
  await Promise.all(['validator-2', 'validator-3'].map((name) => net.control('kill', name)));
  const seen = await until('what was certified before they died has arrived', async () => {
    const at = await height();
    await sleep(1_000);
    return (await height()) === at ? at : undefined;
  });
  const status = await until('the reason', async () => {
    const answer = await net.status();
    return answer.quorum.reason === undefined ? undefined : answer;
  });
  assert.match(status.quorum.reason ?? '', /2 of 4 .*3 is needed.*validator-[23], validator-[23]/);
  assert.equal(status.ready, false);

  await Promise.all(['validator-1', 'validator-4'].map((name) => net.control('stop', name)));
  const { processes = [] } = await net.status();
  for (const { name, reason } of processes)
    if (name === 'validator-1' || name === 'validator-4')
      assert.match(reason ?? '', /^stopped;/, `${name} stops when it is asked to`);
  const ran = await lamp(['level', 'lamp-1', '42']);
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const command = json(ran) as unknown as CommandStatus;
  assert.deepEqual(command.state, { on: true, level: 42, kelvin: 6_500 });
  const why = await net.itc(['status', '--why', '--json']);
  assert.equal(why.code, 1);
  assert.match(JSON.stringify(json(why)), /validator-1/);
  // Longer than the pause between empty blocks.
  await sleep(4_000);
  assert.equal(await height(), seen, 'no block without a quorum');
  assert.equal((await net.client.command(idOf(command))).stages.final, undefined);

  await Promise.all(['validator-1', 'validator-4', 'validator-2'].map((name) => net.control('start', name)));
  await until(
    'the command is final',
    async () => (await net.client.command(idOf(command))).stages.final !== undefined,
  );
  await net.control('start', 'validator-3');
  await caughtUp('validator-3');
  await until('all is well', async () => (await net.status()).ready);
});

test('NODE-1.3: a replay during which a validator and a gateway are killed ends with every reading final', async () => {
  const recordings = join(net.folder, 'recordings');
  mkdirSync(recordings);
  // Enough to last: 12 devices, 120 payloads each.
  for (let device = 0; device < 12; device += 1) {
    const rows = Array.from(
      { length: 960 },
      (_, i) => `${1_500_000_000 + i * 60}\t${20 + ((i * 7 + device) % 50) / 10}\n`,
    );
    writeFileSync(join(recordings, `Hall${device}_Temperature.csv`), rows.join(''));
  }
  const replay = net.itc(
    ['replay', recordings, '--chunk', '8', '--window', '240', '--json', '--timeout', '60'],
    {
      timeoutMs: 150_000,
    },
  );
  const before_ = (await net.subnet()).payloads;
  await until('the replay is under way', async () => (await net.subnet()).payloads > before_ + 60);
  await sleep(Math.random() * 500);
  await net.control('kill', 'validator-1');
  await sleep(500 + Math.random() * 500);
  await net.control('kill', 'gateway-2');
  const ran = await replay;
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const answer = json(ran);
  assert.equal(answer['sent'], 12 * 960);
  assert.equal(answer['final'], answer['sent']);
  await Promise.all(['validator-1', 'gateway-2'].map((name) => net.control('start', name)));
  await Promise.all(['validator-1', 'gateway-2'].map(caughtUp));
  await until('all is well', async () => (await net.status()).ready);
});

test('NODE-7.15: ctrl-C ends every process; the next start goes on with the same chain and devices', async () => {
  const chain = net.ready.chain;
  const devices = (await net.client.devices()).map(({ address }) => address).sort();
  const seen = await height();
  assert.equal(await net.interrupt(), 0);
  assert.equal(existsSync(join(net.folder, 'devnet.pid')), false, 'the folder is free again');
  const again = await net.start();
  assert.equal(again.chain, chain);
  assert.ok(again.height >= seen, `height ${again.height} after ${seen}`);
  assert.deepEqual((await net.client.devices()).map(({ address }) => address).sort(), devices);
  await until('the lamp obeys', async () => (await net.itc(['lamp', 'off', 'lamp-1'])).code === 0);
});

test('NODE-7.16: a second devnet in the same folder is refused while the first runs', async () => {
  const ran = await net.itc(['devnet', '--json']);
  assert.equal(ran.code, 1);
  assert.equal(json(ran)['code'], 'config.invalid');
  assert.equal((await net.status()).ready, true);
});
