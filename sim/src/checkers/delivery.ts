/** Each node delivers each height once and in order; after a restart it goes on above its durable tip (background §6 A3, A6). */
import { Violation } from './checker.ts';

export class Delivery {
  readonly #next: Map<number, number> = new Map();

  started(node: number, tip: number): void {
    this.#next.set(node, tip + 1);
  }

  delivered(node: number, height: number): void {
    const expected = this.#next.get(node);
    if (expected !== height)
      throw new Violation('delivery', `node ${node} delivered height ${height}, expected was ${expected}`);
    this.#next.set(node, height + 1);
  }
}
