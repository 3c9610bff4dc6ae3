/** Asks a gateway in batches which payloads have become final, and when. */
import type { Client } from '@itc/client/client.js';
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';

interface Awaited {
  readonly id: Hash;
  readonly readings: number;
  readonly sentAt: number;
  readonly done: (final: boolean) => void;
}

const BATCH_MAX = 1_000;
const PAUSE_MS = 250;

export class FinalityWatch {
  readonly #client: Client;
  readonly #awaited = new Map<string, Awaited>();
  readonly #latencies: number[] = [];
  readonly #counted = new Set<string>();
  #final = 0;
  #stopped = false;
  #lastFinal = performance.now();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Readings that are final, each counted once. */
  get final(): number {
    return this.#final;
  }

  /** Since a payload last became final. */
  get idleMs(): number {
    return performance.now() - this.#lastFinal;
  }

  /** Ids a gateway knows before anything is sent. */
  async alreadyKnown(ids: readonly Hash[]): Promise<ReadonlySet<string>> {
    const known = new Set<string>();
    for (let at = 0; at < ids.length; at += BATCH_MAX) {
      const { statuses } = await this.#client.payloadStatuses(ids.slice(at, at + BATCH_MAX));
      for (const [id, status] of Object.entries(statuses)) if (status !== 'unknown') known.add(id);
    }
    return known;
  }

  start(changed: () => void): void {
    this.#lastFinal = performance.now();
    void this.#poll(changed);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** True when the payload is final; false when the time was over first. */
  wait(payload: {
    readonly id: Hash;
    readonly readings: number;
    readonly sentAt: number;
    readonly timeoutMs: number;
  }): Promise<boolean> {
    return new Promise((resolve) => {
      const id = toHex(payload.id);
      const timer = setTimeout(() => done(false), payload.timeoutMs);
      const done = (final: boolean): void => {
        clearTimeout(timer);
        this.#awaited.delete(id);
        resolve(final);
      };
      this.#awaited.set(id, { ...payload, done });
    });
  }

  /** Of all payloads that became final here, in milliseconds from their first publish. */
  latencies(): { readonly p50: number; readonly p99: number } {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { p50: at(0.5), p99: at(0.99) };
  }

  async #poll(changed: () => void): Promise<void> {
    while (!this.#stopped) {
      const waiting = [...this.#awaited.values()];
      for (let at = 0; at < waiting.length; at += BATCH_MAX) {
        const batch = waiting.slice(at, at + BATCH_MAX);
        // A gateway that is being restarted is asked again.
        const answer = await this.#client.payloadStatuses(batch.map(({ id }) => id)).catch(() => undefined);
        if (answer === undefined) break;
        for (const awaited of batch) this.#settle(awaited, answer.final[toHex(awaited.id)]?.finalAt);
      }
      changed();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  #settle(awaited: Awaited, finalAt: number | undefined): void {
    if (finalAt === undefined) return;
    const id = toHex(awaited.id);
    if (!this.#counted.has(id)) {
      this.#counted.add(id);
      this.#final += awaited.readings;
      this.#lastFinal = performance.now();
      // What was final before it was sent again tells nothing about this run.
      if (finalAt >= awaited.sentAt) this.#latencies.push(finalAt - awaited.sentAt);
    }
    awaited.done(true);
  }
}
