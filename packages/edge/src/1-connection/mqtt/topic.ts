/** Topic names and filters (MQTT 5.0 §4.7), and a tree that finds the filters matching a name. */
import { EDGE_LIMITS } from '../../limits.ts';

/** U+FFFD is what a decoder leaves where the bytes were not UTF-8. */
const UNFIT = /[\u0000\uFFFD]/; // oxlint-disable-line no-control-regex

function fits(text: string): boolean {
  return text.length > 0 && Buffer.byteLength(text) <= EDGE_LIMITS.topicBytesMax && !UNFIT.test(text);
}

export function isTextClean(text: string): boolean {
  return !UNFIT.test(text);
}

export function isTopicName(topic: string): boolean {
  return fits(topic) && !/[+#]/.test(topic) && topic.split('/').length <= EDGE_LIMITS.topicLevelsMax;
}

export function isTopicFilter(filter: string): boolean {
  if (!fits(filter)) return false;
  const levels = filter.split('/');
  if (levels.length > EDGE_LIMITS.topicLevelsMax) return false;
  return levels.every((level, i) => {
    if (level === '#') return i === levels.length - 1;
    return level === '+' || !/[+#]/.test(level);
  });
}

/** Names beginning with `$` are not matched by a wildcard in the first level (§4.7.2). */
export function matchesTopic(filter: string, topic: string): boolean {
  const levels = filter.split('/');
  const names = topic.split('/');
  if (topic.startsWith('$') && (levels[0] === '#' || levels[0] === '+')) return false;
  for (const [i, level] of levels.entries()) {
    if (level === '#') return true;
    if (names[i] === undefined || (level !== '+' && level !== names[i])) return false;
  }
  return names.length === levels.length;
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  readonly values: Map<string, T>;
}

const newNode = <T>(): Node<T> => ({ children: new Map(), values: new Map() });

/** Filters with a value per owner. Depth is bounded by the filter check, so recursion is too. */
export class TopicTree<T> {
  readonly #root: Node<T> = newNode();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  set(filter: string, owner: string, value: T): void {
    let node = this.#root;
    for (const level of filter.split('/')) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = newNode();
        node.children.set(level, child);
      }
      node = child;
    }
    if (!node.values.has(owner)) this.#size += 1;
    node.values.set(owner, value);
  }

  delete(filter: string, owner: string): boolean {
    const path: [Node<T>, string][] = [];
    let node = this.#root;
    for (const level of filter.split('/')) {
      const child = node.children.get(level);
      if (child === undefined) return false;
      path.push([node, level]);
      node = child;
    }
    if (!node.values.delete(owner)) return false;
    this.#size -= 1;
    // Branches that hold nothing any more go, or names tried once would stay for ever.
    for (const [parent, level] of path.reverse()) {
      const child = parent.children.get(level) as Node<T>;
      if (child.values.size > 0 || child.children.size > 0) break;
      parent.children.delete(level);
    }
    return true;
  }

  /** Calls `found` once per (filter, owner) that matches. */
  match(topic: string, found: (owner: string, value: T) => void): void {
    const names = topic.split('/');
    const visit = (node: Node<T>, depth: number): void => {
      const wild = depth > 0 || !topic.startsWith('$');
      if (wild) {
        const rest = node.children.get('#');
        if (rest !== undefined) for (const [owner, value] of rest.values) found(owner, value);
      }
      const name = names[depth];
      if (name === undefined) {
        for (const [owner, value] of node.values) found(owner, value);
        return;
      }
      const exact = node.children.get(name);
      if (exact !== undefined) visit(exact, depth + 1);
      const any = wild ? node.children.get('+') : undefined;
      if (any !== undefined) visit(any, depth + 1);
    };
    visit(this.#root, 0);
  }
}
