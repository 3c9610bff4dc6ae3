/** Where a story is played: a running devnet, or one of its own that goes when the story is over, and lamps plugged in there. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toHex } from '@itc/core/bytes/hex.js';
import { formatAddress } from '@itc/core/ledger/address.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { gatewayPlaces, HOME_ENTRY } from '../devnet/home.ts';
import { layoutOf, readDevnet, type Devnet, type Layout } from '../devnet/layout.ts';
import { anyRoom, nextFreePort } from '../devnet/ports.ts';

const ITC = fileURLToPath(new URL('../../bin/itc.mjs', import.meta.url));
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 20_000;

/** Disposing of it stops the lamps that were plugged in, then the devnet if it is its own, and leaves nothing of them. */
export class Stage implements AsyncDisposable {
  readonly layout: Layout;
  readonly network: Devnet;
  /** HTTP API of the gateway that the lamps of the story connect to first. */
  readonly gateway: string;
  readonly #close: () => Promise<void>;
  readonly #lamps: AsyncDisposable[] = [];

  private constructor(dataDir: string, close: () => Promise<void>) {
    this.layout = layoutOf(dataDir);
    const network = readDevnet(this.layout);
    if (network === undefined)
      throw new LedgerError(
        'not-found',
        `no devnet in ${this.layout.root}; start one with: itc devnet, or add --start`,
      );
    this.network = network;
    this.gateway = gatewayOf(network);
    this.#close = close;
  }

  /** The devnet of a data folder; it is somebody else's to start and to stop. */
  static open(dataDir: string): Stage {
    return new Stage(dataDir, () => Promise.resolve());
  }

  /** A devnet in a folder of its own, ready, unless it is aborted before. `argv`: further options of `itc devnet`. */
  static async start(argv: readonly string[], signal: AbortSignal): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'itc-story-'));
    const room = anyRoom();
    const ports = ['--api-port', `${await nextFreePort(room, new Set())}`, '--mqtt-port', `${room + 300}`];
    const child = spawn(
      process.execPath,
      [ITC, 'devnet', '--json', '--no-simulation', '--data-dir', folder, ...ports, ...argv],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const kill = (): void => void child.kill('SIGTERM');
    process.once('exit', kill);
    const close = async (): Promise<void> => {
      await ended(child, 'SIGINT');
      process.off('exit', kill);
      rmSync(folder, { recursive: true, force: true });
    };
    const abort = (): void => void child.kill('SIGINT');
    signal.addEventListener('abort', abort);
    try {
      await firstLine(child, 'the devnet', READY_MS_MAX);
      return new Stage(folder, close);
    } catch (error) {
      await close();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** A lamp as a process of its own: it has its key, the genesis of the chain and the gateways, and believes nobody but its own checks. */
  async plugIn(lamp: {
    readonly name: string;
    readonly seed: Uint8Array;
    readonly reportMs: number;
  }): Promise<void> {
    const { layout, network } = this;
    const folder = mkdtempSync(join(layout.root, 'story-'));
    const path = join(folder, 'config.json');
    const config = {
      genesis: toHex(readFileSync(layout.genesisFile)),
      dataDir: folder,
      gateways: (await gatewayPlaces(layout, network)).map(({ url, keys }) => ({
        url,
        address: formatAddress(keys.address),
      })),
      devices: [{ name: lamp.name, kind: 'lamp', seed: toHex(lamp.seed), intervalMs: lamp.reportMs }],
    };
    // Holds the seed: for nobody else's eyes.
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    const child = spawn(process.execPath, ['--enable-source-maps', HOME_ENTRY, path], {
      // The pipe ends with this process, and the lamp with it.
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ITC_SUPERVISED: '1' },
    });
    this.#lamps.push({
      async [Symbol.asyncDispose]() {
        await ended(child, 'SIGTERM');
        rmSync(folder, { recursive: true, force: true });
      },
    });
    await firstLine(child, 'the lamp', READY_MS_MAX);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lamp of this.#lamps) await lamp[Symbol.asyncDispose]();
    await this.#close();
  }
}

function gatewayOf(network: Devnet): string {
  const [home] = network.subnets;
  const found = network.processes.find(
    ({ role, subnet }) => role === 'gateway' && (subnet === undefined || subnet === home?.id),
  );
  if (found?.url === undefined) throw new LedgerError('config.invalid', 'the devnet has no gateway');
  return found.url;
}

/** The process says in one line that it is up; what it says besides is told when it is not. */
function firstLine(child: ChildProcess, what: string, timeoutMs: number): Promise<void> {
  const last = 2_000;
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-last)));
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer);
      reject(new LedgerError('not-ready', `${what} ${reason}: ${said}`));
    };
    const timer = setTimeout(() => fail(`is not up after ${timeoutMs / 1_000} s`), timeoutMs);
    child.once('error', (error) => fail(error.message));
    child.once('close', (code) => fail(`ended with ${String(code)}`));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

async function ended(child: ChildProcess, signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await gone;
  clearTimeout(timer);
}
