/**
 * Starts the processes of a devnet and knows what became of them. A process that dies stays down until it is
 * asked for again (or comes back by itself with `restart`): whoever kills a validator wants to see the others go on.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { ENGINE_ARGUMENTS } from '@itc/node/engine.js';
import type { DevnetProcess } from './layout.ts';

export interface ProcessStatus {
  readonly name: string;
  readonly role: DevnetProcess['role'];
  readonly url?: string;
  /** Of a gateway or member. */
  readonly subnet?: string;
  readonly pid?: number;
  readonly state: 'running' | 'stopped' | 'exited';
  /** When it came into this state, milliseconds since 1970. */
  readonly since: number;
  readonly restarts: number;
  /** What to do about it, when it is not running and should be. */
  readonly reason?: string;
}

export interface Launch {
  readonly process: DevnetProcess;
  /** Arguments after the node binary. */
  readonly argv: readonly string[];
}

interface Child {
  readonly launch: Launch;
  running: ChildProcess | undefined;
  state: ProcessStatus['state'];
  since: number;
  restarts: number;
  reason: string | undefined;
  /** True while we are the one who ends it. */
  stopping: boolean;
  startedAt: number;
}

const STOP_MS = 8_000;
const RESTART_DELAY_MS = 1_500;
/** Give up on a process that dies this often in a row without living for `STEADY_MS`. */
const RESTARTS_MAX = 5;
const STEADY_MS = 10_000;

export class Supervisor {
  readonly #children = new Map<string, Child>();
  readonly #logFolder: string;
  readonly #restart: boolean;
  readonly #stopMs: number;
  readonly #listener: (status: ProcessStatus) => void;
  #closing = false;

  constructor(options: {
    readonly logFolder: string;
    readonly restart: boolean;
    readonly onChange: (status: ProcessStatus) => void;
    /** How long a process has to end by itself. */
    readonly stopMs?: number;
  }) {
    this.#logFolder = options.logFolder;
    this.#restart = options.restart;
    this.#listener = options.onChange;
    this.#stopMs = options.stopMs ?? STOP_MS;
    mkdirSync(options.logFolder, { recursive: true });
  }

  /** Starts a process under its name; a second launch of the same name replaces the first's arguments. */
  launch(launch: Launch): void {
    const known = this.#children.get(launch.process.name);
    if (known?.running !== undefined) throw new Error(`${launch.process.name} runs already`);
    const child: Child = {
      launch,
      running: undefined,
      state: 'stopped',
      since: Date.now(),
      restarts: known?.restarts ?? 0,
      reason: undefined,
      stopping: false,
      startedAt: 0,
    };
    this.#children.set(launch.process.name, child);
    this.#spawn(child);
  }

  statuses(): ProcessStatus[] {
    return [...this.#children.values()].map(statusOf);
  }

  status(name: string): ProcessStatus {
    return statusOf(this.#find(name));
  }

  start(name: string): ProcessStatus {
    const child = this.#find(name);
    if (child.running === undefined) {
      child.restarts += 1;
      this.#spawn(child);
    }
    return statusOf(child);
  }

  /** SIGTERM, and SIGKILL when it does not go in time. It stays down. */
  async stop(name: string): Promise<ProcessStatus> {
    const child = this.#find(name);
    await this.#end(child);
    return statusOf(child);
  }

  /** As `stop`, of one that is to stay down: there is nothing to be done about it, so it has no reason. */
  async retire(name: string): Promise<ProcessStatus> {
    const child = this.#find(name);
    await this.#end(child);
    child.state = 'stopped';
    child.reason = undefined;
    return statusOf(child);
  }

  /** SIGKILL: the process gets no chance to tidy up. It stays down. */
  async kill(name: string): Promise<ProcessStatus> {
    const child = this.#find(name);
    const { running } = child;
    if (running !== undefined) {
      const gone = ended(running);
      running.kill('SIGKILL');
      await gone;
    }
    return statusOf(child);
  }

  /** Ends all processes, the last started first. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#children.values()].reverse().map((child) => this.#end(child)));
  }

  #find(name: string): Child {
    const child = this.#children.get(name);
    if (child === undefined) {
      throw new LedgerError(
        'not-found',
        `no process is called ${name}; there are: ${[...this.#children.keys()].join(', ')}`,
      );
    }
    return child;
  }

  #spawn(child: Child): void {
    const { name } = child.launch.process;
    const log: WriteStream = createWriteStream(join(this.#logFolder, `${name}.log`), { flags: 'a' });
    const running = spawn(process.execPath, [...ENGINE_ARGUMENTS, ...child.launch.argv], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // When we are gone without a word, our end of its standard input closes, and it ends too.
      env: { ...process.env, ITC_SUPERVISED: '1' },
    });
    child.running = running;
    child.state = 'running';
    child.since = Date.now();
    child.reason = undefined;
    child.stopping = false;
    child.startedAt = performance.now();
    // A log that cannot be written must not end the devnet.
    log.on('error', () => {});
    let lastError = '';
    running.stdin.on('error', () => {});
    running.stdout.pipe(log, { end: false });
    running.stderr.on('data', (chunk: Buffer) => {
      lastError = chunk.toString('utf8').trim().split('\n').at(-1) ?? lastError;
      log.write(chunk);
    });
    const ending = (code: number | null, signal: NodeJS.Signals | null, message?: string): void => {
      if (child.running !== running) return;
      child.running = undefined;
      log.end();
      this.#ended(child, { code, signal, message: message ?? lastError });
    };
    running.once('error', (error) => ending(null, null, error.message));
    // Not 'exit': its last words come after that, and the log is open until they are in it.
    running.once('close', (code, signal) => ending(code, signal));
    this.#listener(statusOf(child));
  }

  #ended(
    child: Child,
    end: { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly message: string },
  ): void {
    const { name } = child.launch.process;
    child.since = Date.now();
    if (child.stopping) {
      child.state = 'stopped';
      // An operator should know: what it had in hand was cut off as by a crash.
      const how =
        end.signal === 'SIGKILL' ? `killed, it did not stop in ${this.#stopMs / 1_000} s` : 'stopped';
      child.reason = `${how}; start it again with: itc devnet start ${name}`;
    } else {
      child.state = 'exited';
      const how =
        end.signal === null
          ? `ended with exit code ${end.code ?? '?'}${end.message === '' ? '' : ` (${end.message.slice(0, 200)})`}`
          : `was ended by ${end.signal}`;
      child.reason = `${how}; start it again with: itc devnet start ${name}`;
      if (performance.now() - child.startedAt > STEADY_MS) child.restarts = 0;
      if (this.#restart && !this.#closing && child.restarts < RESTARTS_MAX) {
        child.restarts += 1;
        child.reason = `${how}; starting it again`;
        setTimeout(() => {
          if (!this.#closing && child.running === undefined && child.state === 'exited') this.#spawn(child);
        }, RESTART_DELAY_MS);
      }
    }
    this.#listener(statusOf(child));
  }

  async #end(child: Child): Promise<void> {
    const { running } = child;
    if (running === undefined) return;
    child.stopping = true;
    const gone = ended(running);
    running.kill('SIGTERM');
    const timer = setTimeout(() => running.kill('SIGKILL'), this.#stopMs);
    await gone;
    clearTimeout(timer);
  }
}

function ended(running: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    running.once('close', () => resolve());
  });
}

function statusOf(child: Child): ProcessStatus {
  const { process: described } = child.launch;
  return {
    name: described.name,
    role: described.role,
    ...(described.url === undefined ? {} : { url: described.url }),
    ...(described.subnet === undefined ? {} : { subnet: described.subnet }),
    ...(child.running?.pid === undefined ? {} : { pid: child.running.pid }),
    state: child.state,
    since: child.since,
    restarts: child.restarts,
    ...(child.reason === undefined ? {} : { reason: child.reason }),
  };
}
