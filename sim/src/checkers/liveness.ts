/** After healing, every correct node gets further within a bound, and what clients asked for before is done (background §6 C). */
import { Violation } from './checker.ts';

export class Liveness {
  readonly #goal: number;
  readonly #heights: readonly number[];
  readonly #requests: readonly number[];
  readonly #isDone: (request: number) => boolean;

  /**
   * @param goal height every correct node has to deliver
   * @param heights of all nodes, kept up to date by whoever runs the world
   * @param requests all that waited when the world was healed
   */
  constructor(
    goal: number,
    heights: readonly number[],
    requests: readonly number[],
    isDone: (request: number) => boolean,
  ) {
    this.#goal = goal;
    this.#heights = heights;
    this.#requests = requests;
    this.#isDone = isDone;
  }

  reached(nodes: readonly number[]): boolean {
    return (
      nodes.every((node) => this.#isThere(node)) && this.#requests.every((request) => this.#isDone(request))
    );
  }

  /** @param reason what each node says about itself */
  check(nodes: readonly number[], withinMs: number, reason: (node: number) => string): void {
    const late = nodes.filter((node) => !this.#isThere(node));
    const tell = (node: number): string => `node ${node} at ${this.#heights[node]}: ${reason(node)}`;
    if (late.length > 0)
      throw new Violation(
        'liveness',
        `${withinMs} ms after healing not everyone has height ${this.#goal}: ${late.map(tell).join('; ')}`,
      );
    const undone = this.#requests.filter((request) => !this.#isDone(request));
    if (undone.length > 0)
      throw new Violation(
        'liveness',
        `${withinMs} ms after healing ${undone.length} requests are not done that waited then: ${undone.join(', ')}; ${nodes.map(tell).join('; ')}`,
      );
  }

  #isThere(node: number): boolean {
    return (this.#heights[node] ?? 0) >= this.#goal;
  }
}
