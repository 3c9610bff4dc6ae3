/**
 * Drives an installed Chromium over its debugging pipe (file descriptors 3 and 4, one JSON message per NUL),
 * which needs neither a port nor a WebSocket. Only what the tests of this page use.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export function findChromium(): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  for (const folder of (process.env['PATH'] ?? '').split(':'))
    for (const name of names) if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--hide-scrollbars',
  '--remote-debugging-pipe',
];

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

export interface PageOptions {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
  readonly mobile?: boolean;
  readonly reducedMotion?: boolean;
}

export class Browser {
  /** Uncaught exceptions and console errors of the page, as text. */
  readonly errors: string[] = [];
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #out: Writable;
  readonly #waiting = new Map<
    number,
    { resolve: (result: Record<string, unknown>) => void; reject: (error: Error) => void }
  >();
  #rest = '';
  #id = 0;
  #session: string | undefined;
  #target: string | undefined;

  constructor(executable: string) {
    this.#profile = mkdtempSync(join(tmpdir(), 'itc-chromium-'));
    this.#process = spawn(executable, [...FLAGS, `--user-data-dir=${this.#profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#out = this.#process.stdio[3] as Writable;
    const input = this.#process.stdio[4] as Readable;
    input.setEncoding('utf8');
    input.on('data', (text: string) => this.#read(text));
    this.#out.on('error', () => undefined);
    this.#process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser ended'));
      this.#waiting.clear();
    });
  }

  #read(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop() ?? '';
    for (const message of messages) {
      const answer = JSON.parse(message) as Answer;
      if (answer.method === 'Runtime.exceptionThrown') {
        const details = answer.params?.['exceptionDetails'] as
          | { text?: string; exception?: { description?: string } }
          | undefined;
        this.errors.push(details?.exception?.description ?? details?.text ?? 'an exception');
      }
      if (answer.method === 'Log.entryAdded') {
        const entry = answer.params?.['entry'] as { level?: string; text?: string; url?: string } | undefined;
        if (entry?.level === 'error') this.errors.push(`${entry.text ?? ''} ${entry.url ?? ''}`);
      }
      const waiting = answer.id === undefined ? undefined : this.#waiting.get(answer.id);
      if (waiting === undefined || answer.id === undefined) continue;
      this.#waiting.delete(answer.id);
      if (answer.error === undefined) waiting.resolve(answer.result ?? {});
      else waiting.reject(new Error(answer.error.message));
    }
  }

  send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    this.#id += 1;
    const id = this.#id;
    const message = {
      id,
      method,
      params,
      ...(this.#session === undefined ? {} : { sessionId: this.#session }),
    };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#out.write(`${JSON.stringify(message)}\0`);
    });
  }

  /** Opens the page in a fresh tab; later calls act on it. */
  async open(url: string, options: PageOptions): Promise<void> {
    this.#session = undefined;
    if (this.#target !== undefined) await this.send('Target.closeTarget', { targetId: this.#target });
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    this.#target = String(targetId);
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    this.#session = String(sessionId);
    await this.send('Page.enable');
    await this.send('Runtime.enable');
    await this.send('Log.enable');
    await this.send('Emulation.setDeviceMetricsOverride', {
      width: options.width,
      height: options.height,
      deviceScaleFactor: 1,
      mobile: options.mobile === true,
    });
    await this.send('Emulation.setEmulatedMedia', {
      features: [
        { name: 'prefers-color-scheme', value: options.dark === true ? 'dark' : 'light' },
        {
          name: 'prefers-reduced-motion',
          value: options.reducedMotion === true ? 'reduce' : 'no-preference',
        },
      ],
    });
    await this.send('Page.navigate', { url });
  }

  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    const failure = answer['exceptionDetails'] as { exception?: { description?: string } } | undefined;
    if (failure !== undefined)
      throw new Error(failure.exception?.description ?? 'the expression failed in the page');
    return (answer['result'] as { value: T }).value;
  }

  /** Polls the page until the expression is truthy, and returns its value. */
  async until<T>(expression: string, timeoutMs = 60_000): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const value = await this.evaluate<T>(expression);
      if (value) return value;
      if (Date.now() > end) throw new Error(`not true within ${timeoutMs} ms: ${expression}`);
      await new Promise((resolve) => {
        setTimeout(resolve, 60);
      });
    }
  }

  async press(key: string, code: string = key, keyCode = 0): Promise<void> {
    const text = key.length === 1 ? { text: key } : {};
    await this.send('Input.dispatchKeyEvent', {
      type: 'keyDown',
      key,
      code,
      windowsVirtualKeyCode: keyCode,
      ...text,
    });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code, windowsVirtualKeyCode: keyCode });
  }

  async screenshot(fullPage = false): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: fullPage,
    });
    return Buffer.from(String(data), 'base64');
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => {
      this.#process.on('exit', resolve);
    });
    this.#session = undefined;
    void this.send('Browser.close').catch(() => undefined);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 3_000);
    await ended;
    clearTimeout(timer);
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
