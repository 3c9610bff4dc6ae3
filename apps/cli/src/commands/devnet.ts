/** `itc devnet`: the whole system on this machine, one process per node. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { requestJson } from '@itc/client/http.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { retireValidator, setUpValidator } from '../devnet/added-validator.ts';
import { bootstrap, pairBrowser } from '../devnet/bootstrap.ts';
import { Front } from '../devnet/front.ts';
import { writeHomeConfig } from '../devnet/home.ts';
import { layoutOf, readDevnet, type Devnet, type DevnetProcess, type Layout } from '../devnet/layout.ts';
import { addValidator, nameFor, removeValidator } from '../devnet/membership.ts';
import { configPath, setUpDevnet } from '../devnet/setup.ts';
import { Supervisor, type Launch, type ProcessStatus } from '../devnet/supervisor.ts';
import { integerOption, UsageError, type Call, type Command } from '../terminal/command.ts';
import { formatDuration } from '../terminal/output.ts';
import { openClient } from '../wallet.ts';

/** Each process loads and connects to all others: many of them on a small machine take their time. */
const READY_MS_BASE = 60_000;
const READY_MS_PER_PROCESS = 10_000;
const WAIT_NOTE_MS = 3_000;
const ITC = fileURLToPath(new URL('../../bin/itc.mjs', import.meta.url));
const WWW = fileURLToPath(new URL('../../../dashboard/dist/www', import.meta.url));

export const devnet: Command = {
  name: 'devnet',
  help: `itc devnet [OPTIONS]                run until interrupted
itc devnet start|stop|kill NAME     one process of a running devnet
itc devnet validator add [NAME]     a further validator: bonded, voted in, started; it co-signs, too
itc devnet validator remove NAME    voted out, then stopped

Starts validators, gateways, always-on members and simulated lamps and sensors as separate processes, with the API
and the dashboard on one address. The chain lives in the data folder and goes on where it stopped. A process that
dies stays down, so that you can watch the others go on; start it again by name, or run with --restart.

Options:
  --api-port N       API and dashboard (default 8080, or the next free one)
  --mqtt-port N      MQTT of the first gateway (default 1883, or the next free one)
  --validators N     1 to 16 (default 4)
  --gateways N       1 to 8 (default 2), one for each subnet at least
  --subnets N        1 to 4 (default 1), each with four members, gateways among them
  --no-simulation    no simulated lamps and sensors
  --restart          start processes again that die

Options of validator add and remove:
  --weight N         what the newcomer is to have (default 1)
  --timeout SECONDS  how long to wait for the epoch (default 180)`,
  options: {
    'api-port': { type: 'string' },
    'mqtt-port': { type: 'string' },
    validators: { type: 'string' },
    gateways: { type: 'string' },
    subnets: { type: 'string' },
    'no-simulation': { type: 'boolean' },
    restart: { type: 'boolean' },
    weight: { type: 'string' },
    timeout: { type: 'string' },
  },
  run: async (call) => {
    const [verb, name, ...rest] = call.arguments;
    if (verb === undefined) return run(call);
    if (verb === 'validator') return changeValidators(call, name, rest);
    if ((verb !== 'start' && verb !== 'stop' && verb !== 'kill') || name === undefined || rest.length > 0) {
      throw new UsageError(
        'expected no argument, or: start NAME, stop NAME, kill NAME, validator add [NAME], validator remove NAME',
      );
    }
    const url = `${call.api}/api/v1/devnet/processes/${encodeURIComponent(name)}/${verb}`;
    const status = (await requestJson(fetch, url, {
      method: 'POST',
      headers: {},
      body: '',
    })) as ProcessStatus;
    call.output.result(status, [
      `${status.name}  ${status.state}${status.pid === undefined ? '' : `  pid ${status.pid}`}${status.reason === undefined ? '' : `  ${status.reason}`}`,
    ]);
    return 0;
  },
};

async function changeValidators(
  call: Call,
  verb: string | undefined,
  names: readonly string[],
): Promise<number> {
  const [given, ...rest] = names;
  if ((verb !== 'add' && verb !== 'remove') || rest.length > 0 || (verb === 'remove' && given === undefined))
    throw new UsageError('expected: validator add [NAME], or: validator remove NAME');
  const timeoutMs = 1_000 * integerOption(call, 'timeout', 180, { min: 1, max: 86_400 });
  const weight = verb === 'add' ? integerOption(call, 'weight', 1, { min: 1, max: 1_000 }) : 0;
  const name = nameFor(call, given);
  const answer =
    verb === 'add'
      ? await addValidator(call, { name, weight, timeoutMs })
      : await removeValidator(call, { name, timeoutMs });
  const { epoch, since, total, strong } = answer;
  call.output.result({ ok: true, name, weight, epoch, since, total, strong }, [
    `${name}  weight ${weight} of ${total} from block ${since}, epoch ${epoch}; ${strong} certify a block`,
  ]);
  return 0;
}

async function run(call: Call): Promise<number> {
  const started = performance.now();
  const layout = layoutOf(call.dataDir);
  mkdirSync(layout.root, { recursive: true });
  lock(layout);
  const { output } = call;
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort());
  const subnets = integerOption(call, 'subnets', 1, { min: 1, max: 4 });
  const gateways = integerOption(call, 'gateways', Math.max(2, subnets), { min: subnets, max: 8 });
  const options = {
    apiPort: integerOption(call, 'api-port', 8080, { min: 1, max: 65_000 }),
    mqttPort: integerOption(call, 'mqtt-port', 1883, { min: 1, max: 65_000 }),
    validators: integerOption(call, 'validators', 4, { min: 1, max: 16 }),
    gateways,
    subnets,
    simulation: call.options['no-simulation'] !== true,
  };
  const resumed = existsSync(layout.genesisFile);
  const network = await setUpDevnet(layout, options, readDevnet(layout));
  const supervisor = new Supervisor({
    logFolder: layout.logs,
    restart: call.options['restart'] === true,
    onChange: (status) => {
      if (status.state !== 'running' && !stopping.signal.aborted)
        output.note(`${status.name} ${status.reason ?? status.state}`);
    },
  });
  const front = new Front({
    host: '127.0.0.1',
    port: Number(new URL(network.api).port),
    www: WWW,
    supervisor,
    validators: {
      add: async (name) => {
        const process = await setUpValidator(layout, name);
        const isUp = supervisor.statuses().some((one) => one.name === name && one.state === 'running');
        if (!isUp) supervisor.launch(launchOf(layout, process));
        return supervisor.status(name);
      },
      remove: async (name) => {
        retireValidator(layout, name);
        return supervisor.retire(name);
      },
    },
    pair: (publicKey) => pairBrowser(layout, network, publicKey),
  });
  try {
    output.note(resumed ? `Resuming the chain in ${layout.root}` : `A new chain in ${layout.root}`);
    for (const process of network.processes) {
      if (process.role !== 'home' && process.removed !== true) supervisor.launch(launchOf(layout, process));
    }
    await front.start();
    const height = await untilReady({
      network,
      supervisor,
      signal: stopping.signal,
      note: (line) => output.note(line),
    });
    if (!stopping.signal.aborted && options.simulation) {
      await bootstrap(layout, network, (line) => output.note(line));
      const config = await writeHomeConfig(layout, network);
      supervisor.launch({
        process: { name: 'home', role: 'home' },
        argv: ['--enable-source-maps', config.entry, config.path],
      });
    }
    if (!stopping.signal.aborted) tell(call, network, height, performance.now() - started);
    await aborted(stopping.signal);
  } finally {
    // What ends from here on is meant to.
    stopping.abort();
    output.note('Stopping …');
    await supervisor.close();
    await front.stop();
    rmSync(lockPath(layout), { force: true });
    output.note(`Stopped. The chain stays in ${layout.root}; the next start goes on with it.`);
  }
  return 0;
}

function launchOf(layout: Layout, process: DevnetProcess): Launch {
  return {
    process,
    argv: ['--enable-source-maps', ITC, 'node', '--config', configPath(layout, process.name)],
  };
}

function tell(call: Call, network: Devnet, height: number, ms: number): void {
  call.output.result(
    {
      ready: true,
      api: network.api,
      dashboard: `${network.api}/`,
      mqtt: network.mqtt,
      chain: network.chain,
      height,
      startMs: Math.round(ms),
    },
    [
      '',
      `IoT Chain is ready (${formatDuration(ms)}), at height ${height}.`,
      '',
      `  Dashboard  ${network.api}/`,
      `  API        ${network.api}/api/v1/status   (OpenAPI: /api/v1/openapi.json)`,
      ...network.mqtt.map((url, i) => `  ${i === 0 ? 'MQTT     ' : '         '}  ${url}`),
      `  Genesis    ${network.chain}`,
      '',
      `  Next, in a second terminal:  npx itc status · ${network.simulation ? 'npx itc lamp on lamp-1 · ' : ''}npx itc --help`,
      '  Stop with ctrl-C; the chain stays, and the next start goes on with it.',
      '',
    ],
  );
}

/** Polls the front, and tells what it waits for when that takes longer than people wait without a word. */
async function untilReady(o: {
  readonly network: Devnet;
  readonly supervisor: Supervisor;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
}): Promise<number> {
  const { network, supervisor, signal } = o;
  const patienceMs = READY_MS_BASE + READY_MS_PER_PROCESS * network.processes.length;
  const deadline = performance.now() + patienceMs;
  let noteAt = performance.now() + WAIT_NOTE_MS;
  let noted = '';
  let reason: string | undefined;
  while (!signal.aborted) {
    const status = await openClient(network.api)
      .status()
      .catch(() => undefined);
    reason = status?.ready === true ? undefined : (status?.reason ?? reason ?? 'no node answers yet');
    // Another node may be ready earlier, but only a gateway that has caught up knows the devices.
    reason ??= await waitingGateway(network);
    if (status !== undefined && reason === undefined) return status.height;
    if (performance.now() > noteAt && reason !== noted) {
      o.note(`Waiting: ${reason}`);
      noted = reason ?? '';
      noteAt = performance.now() + WAIT_NOTE_MS;
    }
    const dead = supervisor.statuses().filter((process) => process.state === 'exited');
    if (performance.now() > deadline) {
      throw new LedgerError(
        'not-ready',
        `not ready after ${patienceMs / 1_000} s: ${reason ?? ''}${dead.map((process) => `; ${process.name} ${process.reason ?? ''}`).join('')}; see the folder logs/ of the data folder`,
      );
    }
    await sleep(100, undefined, { signal }).catch(() => undefined);
  }
  return 0;
}

async function waitingGateway(network: Devnet): Promise<string | undefined> {
  for (const { name, role, url } of network.processes) {
    if (role !== 'gateway' || url === undefined) continue;
    const status = await openClient(url)
      .status()
      .catch(() => undefined);
    if (status?.ready !== true) return `${name}: ${status?.reason ?? 'does not answer yet'}`;
  }
  return undefined;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function lockPath(layout: Layout): string {
  return join(layout.root, 'devnet.pid');
}

/** One devnet per data folder: two would write the same files. */
function lock(layout: Layout): void {
  const path = lockPath(layout);
  const pid = existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
  if (pid > 0 && pid !== process.pid && isAlive(pid)) {
    throw new LedgerError(
      'config.invalid',
      `a devnet runs already in ${layout.root} (process ${pid}); stop it, or choose another --data-dir`,
    );
  }
  writeFileSync(path, String(process.pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
