/** How often each thing happened, so that a report shows that every kind of fault really took place. */
export class Tally {
  readonly #counts: Map<string, number> = new Map();

  add(what: string, times: number = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  merge(counts: Readonly<Record<string, number>>): void {
    for (const [what, times] of Object.entries(counts)) this.add(what, times);
  }

  /** Ascending by name. */
  get counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
