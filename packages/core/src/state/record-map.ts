/**
 * Persistent map from ids to decoded records: an update copies one path and shares the rest, so that hundreds
 * of states can be held at once and none leaks into another.
 *
 * A trie over the nibbles of the id, in the shape its content alone decides. Ids may be chosen by an attacker
 * (the receiver of a transfer is any 32 bytes); depth is bounded by the width of the id, where a hash table
 * would offer chosen collisions.
 */

/** The bytes of an id, one character each: maps compare strings by content, and bytes by identity. */
export function idText(bytes: Uint8Array): string {
  // Spreading would walk the bytes by an iterator, ten times slower, and every record is looked up by this text.
  return Reflect.apply(String.fromCharCode, undefined, bytes);
}

export function idBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

interface Leaf<T> {
  readonly kind: 'leaf';
  readonly id: string;
  readonly record: T;
}

interface Branch<T> {
  readonly kind: 'branch';
  /** Sixteen, by the nibble at the branch's depth. */
  readonly slots: readonly (Node<T> | undefined)[];
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
    const had = this.get(id) !== undefined;
    if (record === undefined) return had ? new RecordMap(without(this.#top, id, 0), this.size - 1) : this;
    const leaf: Leaf<T> = { kind: 'leaf', id, record };
    return new RecordMap(insert(this.#top, leaf, 0), this.size + (had ? 0 : 1));
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

function insert<T>(node: Node<T> | undefined, leaf: Leaf<T>, depth: number): Node<T> {
  if (node === undefined) return leaf;
  if (node.kind === 'leaf') {
    if (node.id === leaf.id) return leaf;
    // Both leaves move below a new branch; where their nibbles agree, the second insertion digs on.
    return insert(withSlot(EMPTY_SLOTS, nibble(node.id, depth), node), leaf, depth);
  }
  const at = nibble(leaf.id, depth);
  return withSlot(node.slots, at, insert(node.slots[at], leaf, depth + 1));
}

function without<T>(node: Node<T> | undefined, id: string, depth: number): Node<T> | undefined {
  if (node === undefined || node.kind === 'leaf') return undefined;
  const at = nibble(id, depth);
  const slots = node.slots.with(at, without(node.slots[at], id, depth + 1));
  const left = slots.filter((slot) => slot !== undefined);
  // A branch over one leaf is that leaf: the shape must not remember what was here.
  return left.length === 1 && left[0]?.kind === 'leaf' ? left[0] : { kind: 'branch', slots };
}

function withSlot<T>(slots: readonly (Node<T> | undefined)[], at: number, node: Node<T>): Branch<T> {
  const copy = slots.slice();
  copy[at] = node;
  return { kind: 'branch', slots: copy };
}
