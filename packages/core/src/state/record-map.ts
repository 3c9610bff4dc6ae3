/**
 * Persistent map from ids to decoded records: an update copies one path and shares the rest, so that hundreds
 * of states can be held at once and none leaks into another.
 *
 * A trie over the nibbles of the id, in the shape its content alone decides. Ids may be chosen by an attacker
 * (the receiver of a transfer is any 32 bytes); depth is bounded by the width of the id, where a hash table
 * would offer chosen collisions.
 */

export { idBytes, idText } from '../bytes/id-text.ts';

interface Leaf<T> {
  readonly kind: 'leaf';
  readonly id: string;
  readonly record: T;
}

interface Branch<T> {
  readonly kind: 'branch';
  /** Sixteen, by the nibble at the branch's depth. */
  readonly slots: (Node<T> | undefined)[];
  /** The update that made it may still write to it; to all others it is immutable. */
  readonly update: object;
}

type Node<T> = Leaf<T> | Branch<T>;

const EMPTY_SLOTS: readonly undefined[] = Array.from({ length: 16 }, () => undefined);

function nibble(id: string, depth: number): number {
  const code = id.charCodeAt(depth >> 1);
  return (depth & 1) === 0 ? code >> 4 : code & 15;
}

export class RecordMap<T> {
  readonly #top: Node<T> | undefined;
  readonly size: number;

  private constructor(top: Node<T> | undefined, size: number) {
    this.#top = top;
    this.size = size;
  }

  static empty<T>(): RecordMap<T> {
    return new RecordMap<T>(undefined, 0);
  }

  get(id: string): T | undefined {
    let node = this.#top;
    for (let depth = 0; node?.kind === 'branch'; depth += 1) node = node.slots[nibble(id, depth)];
    return node?.id === id ? node.record : undefined;
  }

  /** `undefined` removes. All ids of one map have one width, so none is a prefix of another. */
  set(id: string, record: T | undefined): RecordMap<T> {
    return this.setAll([[id, record]]);
  }

  /** All changes at once: every touched branch is copied one time. Of several changes to one id the last counts. */
  setAll(changes: Iterable<readonly [id: string, record: T | undefined]>): RecordMap<T> {
    const count: Count = { size: this.size };
    let top = this.#top;
    for (const [id, record] of changes) {
      top =
        record === undefined
          ? remove(top, id, 0, count)
          : insert(top, { kind: 'leaf', id, record }, 0, count);
    }
    return top === this.#top ? this : new RecordMap(top, count.size);
  }

  /** In ascending order of ids; with a prefix, only those that begin with it. */
  *entries(prefix = ''): Iterable<readonly [id: string, record: T]> {
    let top = this.#top;
    for (let depth = 0; depth < 2 * prefix.length && top?.kind === 'branch'; depth += 1) {
      top = top.slots[nibble(prefix, depth)];
    }
    const stack: (Node<T> | undefined)[] = [top];
    while (stack.length > 0) {
      const node = stack.pop();
      if (node === undefined) continue;
      if (node.kind === 'branch') stack.push(...node.slots.toReversed());
      else if (node.id.startsWith(prefix)) yield [node.id, node.record];
    }
  }
}

/** One update: its identity marks the branches it made, its size follows what it adds and removes. */
interface Count {
  size: number;
}

function insert<T>(node: Node<T> | undefined, leaf: Leaf<T>, depth: number, update: Count): Node<T> {
  if (node === undefined) {
    update.size += 1;
    return leaf;
  }
  if (node.kind === 'leaf') {
    if (node.id === leaf.id) return leaf;
    // Both leaves move below a new branch; where their nibbles agree, the second insertion digs on.
    const slots = EMPTY_SLOTS.slice() as (Node<T> | undefined)[];
    slots[nibble(node.id, depth)] = node;
    return insert({ kind: 'branch', slots, update }, leaf, depth, update);
  }
  const branch = writable(node, update);
  const at = nibble(leaf.id, depth);
  branch.slots[at] = insert(branch.slots[at], leaf, depth + 1, update);
  return branch;
}

function remove<T>(node: Node<T> | undefined, id: string, depth: number, update: Count): Node<T> | undefined {
  if (node === undefined) return undefined;
  if (node.kind === 'leaf') {
    if (node.id !== id) return node;
    update.size -= 1;
    return undefined;
  }
  const at = nibble(id, depth);
  const below = remove(node.slots[at], id, depth + 1, update);
  if (below === node.slots[at]) return node;
  const branch = writable(node, update);
  branch.slots[at] = below;
  const left = branch.slots.filter((slot) => slot !== undefined);
  // A branch over one leaf is that leaf: the shape must not remember what was here.
  return left.length === 1 && left[0]?.kind === 'leaf' ? left[0] : branch;
}

function writable<T>(branch: Branch<T>, update: Count): Branch<T> {
  return branch.update === update ? branch : { kind: 'branch', slots: branch.slots.slice(), update };
}
