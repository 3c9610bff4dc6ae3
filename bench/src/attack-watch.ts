/** What an honest validator says while an attack goes on: views it has been through, and who is skipped. */
import { Client } from '@itc/client/client.js';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Observed {
  readonly attacker: string;
  /** Blocks that became final meanwhile. */
  readonly heights: number;
  readonly viewChanges: number;
  /** Names of all validators that were skipped at some moment, in the order they were seen. */
  readonly skipped: readonly string[];
}

const LOOK_MS = 250;

export class AttackWatch {
  readonly #client: Client;
  readonly #attacker: string;
  readonly #skipped = new Set<string>();
  #from = 0;
  #height = 0;
  #last = 0;
  #changes = 0;
  #stopped = false;
  #running: Promise<void> | undefined;

  constructor(url: string, attacker: string) {
    this.#client = new Client({ url, fetch });
    this.#attacker = attacker;
  }

  async start(): Promise<void> {
    const { view, height } = await this.#client.status();
    this.#last = view;
    this.#from = this.#height = height;
    this.#running = this.#look();
  }

  async stop(): Promise<Observed> {
    this.#stopped = true;
    await this.#running;
    return {
      attacker: this.#attacker,
      heights: this.#height - this.#from,
      viewChanges: this.#changes,
      skipped: [...this.#skipped],
    };
  }

  async #look(): Promise<void> {
    while (!this.#stopped) {
      const status = await this.#client.status().catch(() => undefined);
      if (status !== undefined) {
        // Views begin anew with an epoch.
        this.#changes += status.view < this.#last ? status.view : status.view - this.#last;
        this.#last = status.view;
        this.#height = status.height;
        for (const { name, index, skipped } of status.validators)
          if (skipped) this.#skipped.add(name ?? `validator ${index}`);
      }
      await sleep(LOOK_MS);
    }
  }
}
