/** Each node delivers each height once and in order; after a restart it goes on above its durable tip (background §6 A3, A6). */
import { Violation } from './checker.ts';

export class Delivery {
  readonly #next: Map<number, number> = new Map();
  readonly #durable: Map<number, number> = new Map();

  /** @param forgets the disk was lost since, or is known to lie */
  started(node: number, tip: number, forgets: boolean): void {
    const durable = this.#durable.get(node) ?? 0;
    if (tip < durable && !forgets)
      throw new Violation('delivery', `node ${node} starts at height ${tip} but had stored ${durable}`);
    this.#next.set(node, tip + 1);
  }

  executed(node: number, height: number): void {
    this.#durable.set(node, height);
  }

  delivered(node: number, height: number): void {
    const expected = this.#next.get(node);
    if (expected !== height)
      throw new Violation('delivery', `node ${node} delivered height ${height}, expected was ${expected}`);
    this.#next.set(node, height + 1);
  }
}
