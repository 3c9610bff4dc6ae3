/** Runs one job at a time for as long as there is work: the owner of the promise behind a queue. */
export class Drain {
  readonly #work: () => Promise<void>;
  readonly #hasWork: () => boolean;
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #dead = false;

  constructor(options: {
    /** Takes from the queue what is there now and deals with it. */
    readonly work: () => Promise<void>;
    readonly hasWork: () => boolean;
    /** Called once; nothing is run after it. */
    readonly failed: (error: unknown) => void;
  }) {
    this.#work = options.work;
    this.#hasWork = options.hasWork;
    this.#failed = options.failed;
  }

  /** Starts unless it runs already. */
  kick(): void {
    if (!this.#dead) this.#running ??= this.#run();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // The first turn is given away, so that `kick` has kept the promise before the work can end.
    await Promise.resolve();
    try {
      while (this.#hasWork()) await this.#work();
    } catch (error) {
      this.#dead = true;
      this.#failed(error);
    }
    this.#running = undefined;
  }
}
