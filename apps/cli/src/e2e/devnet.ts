/** A real devnet in a folder of its own, on free ports, for one test file; nothing of it is left afterwards. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus, SubnetStatus } from '@itc/client/api.js';
import type { Client } from '@itc/client/client.js';
import { anyRoom, nextFreePort } from '../devnet/ports.ts';
import { openClient } from '../wallet.ts';
import { ITC, run, type Ran, type RunOptions } from './itc.ts';

const READY_MS_MAX = 120_000;

export interface Ready {
  readonly api: string;
  readonly mqtt: readonly string[];
  readonly chain: string;
  readonly height: number;
  readonly startMs: number;
}

export class TestDevnet {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'itc-e2e-'));
  #child: ChildProcess | undefined;
  #ready: Ready | undefined;
  #stderr = '';

  get ready(): Ready {
    assert.ok(this.#ready, `the devnet is not up: ${this.#stderr}`);
    return this.#ready;
  }

  get client(): Client {
    return openClient(this.ready.api);
  }

  /** Rejects with what the devnet said when it is not ready in time. */
  async start(argv: readonly string[] = []): Promise<Ready> {
    const apiPort = await nextFreePort(anyRoom(), new Set());
    const mqttPort = await nextFreePort(apiPort + 300, new Set());
    const child = spawn(
      process.execPath,
      [
        ITC,
        'devnet',
        '--json',
        '--data-dir',
        this.folder,
        '--api-port',
        `${apiPort}`,
        '--mqtt-port',
        `${mqttPort}`,
        ...argv,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    // Whatever ends this process politely ends the devnet, too.
    process.once('exit', () => child.kill('SIGTERM'));
    this.#stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    for (const end = performance.now() + READY_MS_MAX; !stdout.includes('\n');) {
      assert.ok(child.exitCode === null, `the devnet ended with ${child.exitCode}: ${this.#stderr}`);
      assert.ok(performance.now() < end, `no devnet after ${READY_MS_MAX} ms: ${this.#stderr}`);
      await sleep(50);
    }
    this.#ready = JSON.parse(stdout) as Ready;
    return this.#ready;
  }

  /** Ctrl-C. Returns the exit code once every process of it is gone. */
  async interrupt(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    this.#child = undefined;
    const pids = await this.pids().catch(() => []);
    if (child.exitCode === null) {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGINT');
      await gone;
    }
    assert.deepEqual(pids.filter(isAlive), [], 'ctrl-C leaves no process behind');
    return child.exitCode;
  }

  /** For `after`: stops what runs and removes the folder. */
  async remove(): Promise<void> {
    try {
      await this.interrupt();
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  itc(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return run([...argv, '--data-dir', this.folder], options);
  }

  status(): Promise<NodeStatus> {
    return this.client.status();
  }

  async subnet(): Promise<SubnetStatus> {
    const [subnet] = (await this.status()).subnets;
    assert.ok(subnet);
    return subnet;
  }

  /** `start`, `stop` or `kill` of one process, as `itc devnet` does it. */
  async control(verb: 'start' | 'stop' | 'kill', name: string): Promise<void> {
    const response = await fetch(`${this.ready.api}/api/v1/devnet/processes/${name}/${verb}`, {
      method: 'POST',
    });
    assert.equal(response.status, 200, await response.text());
  }

  async pids(): Promise<number[]> {
    const answer = (await (await fetch(`${this.ready.api}/api/v1/devnet`)).json()) as {
      processes: { pid?: number }[];
    };
    return answer.processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** HTTP API of one process, behind the front's back. */
  at(name: string): Client {
    const file = JSON.parse(readFileSync(join(this.folder, 'devnet.json'), 'utf8')) as {
      processes: { name: string; url?: string }[];
    };
    const url = file.processes.find((process) => process.name === name)?.url;
    assert.ok(url, `${name} has an API`);
    return openClient(url);
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Asks until the answer is not undefined or false; a failing question counts as no answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  let last: unknown;
  for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(150)) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: last });
}
