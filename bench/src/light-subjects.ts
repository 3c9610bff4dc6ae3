/**
 * Light streams of a grown chain without growing one: sets and signatures are real, and so is every path, but the other
 * leaves of the history of 10^6 blocks and of the state are siblings drawn at random.
 */
import { utf8Encode } from '@itc/core/bytes/writer.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { hashTagged, sha256, type Hash } from '@itc/core/crypto/hash.js';
import { merkleLeaf, merkleNode, merkleRootFromPath, MerkleTree } from '@itc/core/crypto/merkle.js';
import { leafHash } from '@itc/core/crypto/state-tree.js';
import { headerHash, HEADER_VERSION, type Header } from '@itc/core/ledger/block.js';
import { transactionsRoot } from '@itc/core/ledger/block.js';
import type { MmrPath } from '@itc/core/crypto/mmr.js';
import { amount, epoch, height, millis } from '@itc/core/ledger/ids.js';
import { quorumOf, validatorsHash } from '@itc/core/ledger/validators.js';
import { leanStream } from '@itc/core/light/lean-stream.js';
import { encodeLightStream, type LightItem } from '@itc/core/light/stream.js';
import { encodeTrust, trustGenesis, type Trust } from '@itc/core/light/trust.js';
import { checkpointLeaf } from '@itc/core/state/checkpoint-range.js';
import { accountKey, checkpointRangeKey, stateKeyHash, type StateKey } from '@itc/core/state/keys.js';
import { encodeRecord } from '@itc/core/state/records.js';
import {
  certify,
  signedCheckpoint,
  signedPayload,
  world,
  type Group,
  type World,
} from '@itc/core/testing/chain.js';
import { EpochChain, groupOf } from '@itc/core/testing/epochs.js';
import { keyPair } from '@itc/core/testing/keys.js';

export interface StreamSubject {
  readonly name: string;
  readonly trust: Uint8Array;
  readonly stream: Uint8Array;
  readonly hops: number;
}

export const BLOCKS = 1_000_000;
/**
 * Siblings on the way to one of so many records. Keys are hashes, so on average it is a third more than the logarithm (13.6 and 20.3 here):
 * the sum of 1 − exp(−N / 2^k) over k ≥ 1. Rounded up.
 */
const STATES: readonly (readonly [records: string, siblings: number])[] = [
  ['10^4', 14],
  ['10^6', 21],
];
/** Checkpoints of the subnet: one in each block, which is as many as there can be. */
const CHECKPOINTS = BLOCKS;
const PAYLOADS = 512;
const TRANSACTIONS = 64;

const noise = (label: string, i: number): Hash => sha256(utf8Encode(`${label} ${i}`));
const siblings = (label: string, count: number): Hash[] =>
  Array.from({ length: count }, (_, i) => noise(label, i));

/** Siblings of leaf `index` among `count` (RFC 9162 §2.1.3.2): a node without a neighbour moves up for nothing. */
function pathLength(index: number, count: number): number {
  let length = 0;
  for (let at = index, last = count - 1; last > 0; at = Math.floor(at / 2), last = Math.floor(last / 2))
    if (at % 2 === 1 || at < last) length += 1;
  return length;
}

/** A record so deep in the state: what is stored, and the root over it. */
function inState(
  key: StateKey,
  value: Uint8Array,
  levels: number,
): { readonly item: Extract<LightItem, { kind: 'state' }>; readonly root: Hash } {
  const hashed = stateKeyHash(key);
  const path = siblings('state', levels);
  let root = leafHash(hashed, sha256(value));
  for (let depth = levels - 1; depth >= 0; depth -= 1) {
    const isRight = (((hashed[depth >> 3] as number) >> (7 - (depth & 7))) & 1) === 1;
    const sibling = path[depth] as Hash;
    root = isRight ? merkleNode(sibling, root) : merkleNode(root, sibling);
  }
  return { item: { kind: 'state', key, value, proof: { siblings: path, terminal: undefined } }, root };
}

const ones = (count: number): number[] => Array.from({ length: count }, () => 1);

/** A record, a payload and a transaction, in the newest block and in one of the 10^6 before it. */
export function sizeSubjects(validators: number): StreamSubject[] {
  const home = world({ validatorWeights: ones(validators) });
  const signers = ones(validators)
    .map((_, i) => i)
    .slice(0, quorumOf(ones(validators)).strong);
  const trusted = trustGenesis(home.genesis);
  // It believed a header of this epoch before.
  const trust = encodeTrust({ ...trusted, last: { ...trusted.last, height: height(3) } });

  const account = encodeRecord('account', { balance: amount(5n), nonces: [1] });
  const ids = siblings('transaction', TRANSACTIONS);
  const index = TRANSACTIONS / 2;
  const transaction: LightItem = {
    kind: 'transaction',
    id: ids[index] as Hash,
    index,
    count: TRANSACTIONS,
    path: new MerkleTree(ids).path(index),
  };
  const txRoot = transactionsRoot(ids);
  const newestOf = { set: home.validators, at: BLOCKS + 1, historyRoot: noise('history', 0) };
  const subject = (name: string, header: Header, items: readonly LightItem[]): StreamSubject => {
    const certificate = certify({ chain: home.chain, validators: home.validators, header, signers });
    const stream = { trusted: home.validators.set, hops: [], header, certificate, items };
    return { name, trust, stream: encodeLightStream(stream), hops: 0 };
  };
  /** In the newest block, and in one that its history holds. */
  const both = (
    name: string,
    roots: Pick<Header, 'stateRoot' | 'txRoot'>,
    item: LightItem,
  ): StreamSubject[] => {
    const old = historyOf(headerOf({ ...newestOf, ...roots, at: BLOCKS / 2 + 3 }));
    const above = headerOf({ ...newestOf, stateRoot: noise('root', 0), txRoot, historyRoot: old.root });
    return [
      subject(`${name}, newest block`, headerOf({ ...newestOf, ...roots }), [item]),
      subject(`${name}, under 10^6 blocks`, above, [old.item, item]),
    ];
  };
  const subjects = both('transaction', { stateRoot: noise('root', 1), txRoot }, transaction);
  for (const [records, count] of STATES) {
    const { item, root } = inState(accountKey(keyPair(61).address), account, count);
    subjects.push(...both(`record, state of ${records}`, { stateRoot: root, txRoot }, item));
    // Of whatever age: always under the newest header.
    for (const [age, sequence] of [
      ['newest', CHECKPOINTS],
      ['deep in 10^6 blocks', CHECKPOINTS / 2 + 3],
    ] as const) {
      const payload = payloadIn(home, sequence, count);
      const header = headerOf({ ...newestOf, stateRoot: payload.root, txRoot });
      subjects.push(subject(`reading, ${age}, state of ${records}`, header, [payload.item]));
    }
  }
  return subjects;
}

/** One of 512 in a checkpoint, of a subnet with a checkpoint in each block. */
function payloadIn(
  home: World,
  sequence: number,
  count: number,
): { readonly item: LightItem; readonly root: Hash } {
  const ids = Array.from({ length: PAYLOADS }, (_, i) => noise('payload', i));
  const index = PAYLOADS / 2;
  ids[index] = signedPayload(home.chain, keyPair(50), { sequence: 1 }).id;
  const { checkpoint } = signedCheckpoint(home, ids);
  const range = rangeOf(checkpointLeaf(checkpoint), sequence - 1, 'checkpoint');
  const { item, root } = inState(checkpointRangeKey(home.subnet), range.root, count);
  const path = new MerkleTree(ids).path(index);
  const proof = { siblings: item.proof.siblings, terminal: undefined };
  return { item: { kind: 'applied', checkpoint, id: ids[index] as Hash, index, path, range, proof }, root };
}

/** A leaf of a range of 10^6 with siblings drawn at random, and the root over them. */
function rangeOf(leaf: Hash, index: number, label: string): MmrPath & { readonly root: Hash } {
  const path = siblings(label, pathLength(index, BLOCKS));
  const merkleRoot = merkleRootFromPath({ leafHash: merkleLeaf(leaf), index, count: BLOCKS, path });
  if (merkleRoot === undefined) throw new Error('a path of the wrong length');
  const root = hashTagged('mmr', new Writer(8).u53(BLOCKS).finish(), merkleRoot);
  return { index, count: BLOCKS, siblings: path, root };
}

function headerOf(o: {
  readonly set: Group;
  readonly at: number;
  readonly stateRoot: Hash;
  readonly txRoot: Hash;
  readonly historyRoot: Hash;
}): Header {
  const named = validatorsHash(o.set.set);
  return {
    version: HEADER_VERSION,
    flags: 0,
    epoch: epoch(0),
    height: height(o.at),
    time: millis(1_700_000_000_000 + 1000 * o.at),
    parentHash: noise('parent', o.at),
    txRoot: o.txRoot,
    stateRoot: o.stateRoot,
    historyRoot: o.historyRoot,
    validatorsHash: named,
    nextValidatorsHash: named,
  };
}

/** A header among 10^6, and the root of the range over them. */
function historyOf(header: Header): { readonly item: LightItem; readonly root: Hash } {
  const range = rangeOf(headerHash(header), header.height - 1, 'block');
  return { item: { kind: 'history', header, siblings: range.siblings }, root: range.root };
}

/**
 * A device that slept through so many epochs. In each, one validator of sixteen is another, and all of the set sign, so that
 * five may be new on either side of a hop. Servers leave out the signatures a client does not need.
 */
export class SleptChain {
  readonly #home: World;
  readonly #chain: EpochChain;
  readonly #start: Trust;
  readonly #index: ReturnType<EpochChain['index']>;

  constructor(epochs: number, validators = 16) {
    this.#home = world({ validatorWeights: ones(validators) });
    // World seeds are 1000 and up: set k has members k to k + 15, counted from there.
    const later = Array.from({ length: epochs }, (_, k) =>
      groupOf(ones(validators).map((weight, i) => [1000 + k + 1 + i, weight])),
    );
    this.#chain = new EpochChain(this.#home, later);
    this.#chain.append();
    this.#start = trustGenesis(this.#home.genesis);
    this.#index = this.#chain.index();
  }

  /** From `slept` epochs before the newest. Found over all epochs; with one third of the trusted weight, or two. */
  subject(slept: number, thirds: 1 | 2): StreamSubject {
    const tip = this.#chain.builder.blocks.at(-1);
    const from = this.#chain.groups.length - 1 - slept;
    const set = this.#chain.groups[from];
    if (tip === undefined || set === undefined) throw new RangeError(`the chain has no epoch ${from}`);
    const { header } = tip.block;
    const target = { header, certificate: tip.certificate };
    const newest = this.#chain.groups[header.epoch] as Group;
    const hops = this.#index.hopsFrom(from, target, newest.set, thirds);
    if (hops === undefined) throw new Error('no way leads there');
    const before = this.#chain.first[from]?.block.header;
    const last =
      before === undefined
        ? this.#start.last
        : { height: before.height, time: before.time, hash: headerHash(before), stateRoot: before.stateRoot };
    const trust = encodeTrust({ ...this.#start, epoch: epoch(from), validators: set.set, last });
    const stream = encodeLightStream(leanStream({ trusted: set.set, hops, ...target, items: [] }, thirds));
    return { name: `slept through ${slept} epochs`, trust, stream, hops: hops.length };
  }
}
