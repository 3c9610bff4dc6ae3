/** Runs the real `itc` as a process of its own, as a person or a script would. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const ITC: string = fileURLToPath(new URL('../../bin/itc.mjs', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly command?: string;
}

/** Ends the process after `timeoutMs` (60 s); its code is null then. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const started = performance.now();
  const { command } = options;
  const child = spawn(command ?? process.execPath, command === undefined ? [ITC, ...argv] : [...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr, ms: performance.now() - started });
    });
  });
}

/** The one JSON object on standard output; throws when there is more or less than that. */
export function json(ran: Ran): Record<string, unknown> {
  const lines = ran.stdout.split('\n').filter((line) => line !== '');
  if (lines.length !== 1)
    throw new Error(`expected one line of JSON, got ${lines.length}: ${ran.stdout}${ran.stderr}`);
  return JSON.parse(lines[0] as string) as Record<string, unknown>;
}
