/** Token buckets by key, bounded: a key that has not been used for long is full again and need not be remembered. */
export class Rates {
  readonly #perSecond: number;
  readonly #keysMax: number;
  readonly #now: () => number;
  readonly #buckets: Map<string, { tokens: number; at: number }> = new Map();

  constructor(o: { perSecond: number; keysMax: number; now: () => number }) {
    this.#perSecond = o.perSecond;
    this.#keysMax = o.keysMax;
    this.#now = o.now;
  }

  /** Takes one token; a burst of one second's worth is allowed. */
  take(key: string): boolean {
    const now = this.#now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perSecond, at: now };
    const tokens = Math.min(this.#perSecond, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond);
    if (tokens < 1) return false;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens - 1, at: now });
    if (this.#buckets.size > this.#keysMax) {
      const oldest = this.#buckets.keys().next();
      if (oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    return true;
  }
}
