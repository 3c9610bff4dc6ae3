/** After healing, every correct node gets further within a bound (background §6 C). */
import { Violation } from './checker.ts';

export class Liveness {
  readonly #goal: number;
  readonly #heights: number[];

  /** @param goal height every correct node has to deliver */
  constructor(count: number, goal: number, heights: readonly number[]) {
    this.#goal = goal;
    this.#heights = Array.from({ length: count }, (_, node) => heights[node] ?? 0);
  }

  delivered(node: number, height: number): void {
    this.#heights[node] = height;
  }

  reached(correct: readonly number[]): boolean {
    return correct.every((node) => (this.#heights[node] ?? 0) >= this.#goal);
  }

  /** @param reason what each node says about itself */
  check(correct: readonly number[], withinMs: number, reason: (node: number) => string): void {
    const late = correct.filter((node) => (this.#heights[node] ?? 0) < this.#goal);
    if (late.length === 0) return;
    const told = late.map((node) => `node ${node} at ${this.#heights[node]}: ${reason(node)}`).join('; ');
    throw new Violation(
      'liveness',
      `${withinMs} ms after healing not everyone has height ${this.#goal}: ${told}`,
    );
  }
}
