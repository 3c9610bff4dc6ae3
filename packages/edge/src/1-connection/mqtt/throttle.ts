/** A token bucket of bytes: what comes in faster is left in the socket until there is room again. */
export class Throttle {
  readonly #perSecond: number;
  readonly #refilled: () => void;
  #tokens: number;
  #at = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param refilled called once after it was exhausted and has room again. */
  constructor(perSecond: number, refilled: () => void) {
    this.#perSecond = perSecond;
    this.#refilled = refilled;
    this.#tokens = 2 * perSecond;
  }

  get exhausted(): boolean {
    return this.#timer !== undefined;
  }

  take(bytes: number, now: number): void {
    const gained = ((now - this.#at) / 1000) * this.#perSecond;
    this.#tokens = Math.min(2 * this.#perSecond, this.#tokens + gained) - bytes;
    this.#at = now;
    if (this.#tokens >= 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#refilled();
      },
      Math.ceil((-this.#tokens / this.#perSecond) * 1000),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
