/** The process that loads the main chain, as seen from the bench that started it. */
import { fork, type ChildProcess } from 'node:child_process';
import type { LoadCommand, LoadReport, LoadSetup, PreparedCommand } from './main-chain-load.ts';

/** Signed ahead of a load, per second of it: no load here reaches more. */
const PREPARED_PER_SECOND = 6_000;

export class LoadClient implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(setup: Omit<LoadSetup, 'kind'>): Promise<LoadClient> {
    const client = new LoadClient(fork(new URL('./main-chain-load.js', import.meta.url)));
    await client.#ask({ kind: 'setup', ...setup });
    return client;
  }

  /** Signs what the load will need before its clock starts, or only as many as are said. */
  async load(command: LoadCommand, ahead?: number): Promise<LoadReport> {
    const seconds = (command.rampMs + command.durationMs) / 1_000;
    const rate =
      command.kind === 'open' ? command.level : PREPARED_PER_SECOND / Math.sqrt(command.operations);
    const prepared = ahead ?? Math.round(rate * seconds) + command.level;
    return (await this.#ask({ ...command, prepared })) as LoadReport;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#child.disconnect();
    return Promise.resolve();
  }

  #ask(message: LoadSetup | PreparedCommand): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('the load process ended'));
      this.#child.once('exit', ended);
      this.#child.once('message', (answer: { readonly error?: string }) => {
        this.#child.off('exit', ended);
        if (answer.error === undefined) resolve(answer);
        else reject(new Error(answer.error));
      });
      this.#child.send(message);
    });
  }
}
