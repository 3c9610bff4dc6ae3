/** Items under a header that is right, bent: records of other keys and times, paths that lead elsewhere, nodes shown as leaves. */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { sha256, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import { bitAt, type StateProof } from '@itc/core/crypto/state-tree.js';
import type { LightItem, LightStream } from '@itc/core/light/stream.js';
import { stateKeyHash, type StateKey } from '@itc/core/state/keys.js';
import { stateItem } from './archive.ts';
import type { Liar } from './liar.ts';

type StateItem = Extract<LightItem, { kind: 'state' }>;

export function bendItems(of: LightStream, liar: Liar): LightStream | undefined {
  if (of.items.length === 0) return undefined;
  const at = liar.random.below(of.items.length);
  const item = of.items[at] as LightItem;
  const bent = bend(item, of, liar);
  return bent && { ...of, items: of.items.map((other, i) => (i === at ? bent : other)) };
}

function bend(item: LightItem, of: LightStream, liar: Liar): LightItem | undefined {
  const { random, knowledge } = liar;
  switch (item.kind) {
    case 'state':
      return bendState(item, of, liar);
    case 'history': {
      const forks = knowledge.forks();
      switch (random.below(3)) {
        case 0:
          return forks.length === 0 ? undefined : { ...item, header: random.pick(forks) };
        case 1:
          return {
            ...item,
            header: knowledge.truth.at(random.between(1, of.header.height))?.header ?? item.header,
          };
        default:
          return { ...item, siblings: bendPath(item.siblings, liar) };
      }
    }
    case 'transaction':
      switch (random.below(4)) {
        case 0:
          return { ...item, id: sha256(item.id) };
        case 1:
          return { ...item, index: item.index + 1, count: item.count + 1 };
        case 2: {
          // An inner node in place of a transaction.
          const [sibling] = item.path;
          const node =
            sibling &&
            sha256(concatBytes(Uint8Array.of(1), sha256(concatBytes(Uint8Array.of(0), item.id)), sibling));
          return (
            node && {
              ...item,
              id: node,
              index: item.index >> 1,
              count: (item.count + 1) >> 1,
              path: item.path.slice(1),
            }
          );
        }
        default:
          return { ...item, path: bendPath(item.path, liar) };
      }
    case 'fresh':
      return { ...item, time: (item.time + 1) as typeof item.time };
    case 'applied':
      return undefined;
  }
}

function bendPath(path: readonly Hash[], { random }: Liar): readonly Hash[] {
  const other = sha256(Uint8Array.of(random.below(256)));
  if (path.length === 0) return [other];
  const at = random.below(path.length);
  switch (random.below(3)) {
    case 0:
      return path.slice(1);
    case 1:
      return [...path, other];
    default:
      return path.map((hash, i) => (i === at ? other : hash));
  }
}

function bendState(item: StateItem, of: LightStream, liar: Liar): LightItem | undefined {
  const { random, knowledge } = liar;
  const { key, value, proof } = item;
  const { truth } = knowledge;
  switch (random.below(8)) {
    case 0:
      return value === undefined
        ? undefined
        : { ...item, value: value.with(random.below(value.length), random.below(256)) };
    case 1:
      // It says there is nothing.
      return value === undefined ? undefined : { kind: 'state', key, proof };
    case 2: {
      // As it was, or as it will be.
      const kept = truth.at(random.between(1, truth.height));
      return kept && stateItem(kept.state, key);
    }
    case 3: {
      // The record of somebody else, under this key.
      const other = of.items.find((one): one is StateItem => one.kind === 'state' && one !== item);
      return other && { ...other, key };
    }
    case 4: {
      const other = of.items.find((one): one is StateItem => one.kind === 'state' && one !== item);
      return other && { ...item, proof: other.proof };
    }
    case 5:
      return { ...item, proof: { ...proof, siblings: bendPath(proof.siblings, liar) } };
    case 6:
      // Its own leaf, said to be another one.
      return (
        value && {
          kind: 'state',
          key,
          proof: { ...proof, terminal: { key: stateKeyHash(key), valueHash: sha256(value) } },
        }
      );
    default:
      return nodeAsLeaf(item, random.below(3));
  }
}

/**
 * Absence of a record that is there: a node on its path is shown as the leaf of another key, its two children as key and
 * hash of the value. Leaves and nodes are hashed apart for this reason.
 */
function nodeAsLeaf({ key, value, proof }: StateItem, depth: number): LightItem | undefined {
  if (value === undefined || proof.siblings.length <= depth) return undefined;
  const place = stateKeyHash(key);
  let node = leaf(place, sha256(value));
  let children: readonly [Hash, Hash] = [node, node];
  for (let level = proof.siblings.length - 1; level >= depth; level -= 1) {
    const sibling = proof.siblings[level] ?? ZERO_HASH;
    children = bitAt(place, level) === 1 ? [sibling, node] : [node, sibling];
    node = sha256(concatBytes(Uint8Array.of(1), ...children));
  }
  const terminal: StateProof['terminal'] = { key: children[0], valueHash: children[1] };
  return {
    kind: 'state',
    key: key as StateKey,
    proof: { siblings: proof.siblings.slice(0, depth), terminal },
  };
}

function leaf(key: Hash, valueHash: Hash): Hash {
  return sha256(concatBytes(Uint8Array.of(0), key, valueHash));
}
