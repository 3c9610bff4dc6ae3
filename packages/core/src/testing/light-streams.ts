/** Light streams over chains whose validators change, with one item of each kind: for tests, vectors and benchmarks. */
import { MmrLog } from '../crypto/mmr.ts';
import { MerkleTree } from '../crypto/merkle.ts';
import type { Hash } from '../crypto/hash.ts';
import { StateTree } from '../crypto/state-tree.ts';
import { checkpointHash } from '../ledger/checkpoint.ts';
import { headerHash } from '../ledger/block.ts';
import { millis } from '../ledger/ids.ts';
import { transactionId } from '../ledger/transaction.ts';
import type { Thirds } from '../light/hop-index.ts';
import {
  encodeLightStream,
  freshnessSigningBytes,
  type LightItem,
  type LightStream,
} from '../light/stream.ts';
import { encodeTrust, trustGenesis, type Trust } from '../light/trust.ts';
import { checkpointLeaf } from '../state/checkpoint-range.ts';
import {
  accountKey,
  checkpointRangeKey,
  deviceKey,
  stateKeyHash,
  subnetKey,
  type StateKey,
} from '../state/keys.ts';
import { encodeRecord, newSubnet } from '../state/records.ts';
import { amount } from '../ledger/ids.ts';
import {
  signedCheckpoint,
  signedPayload,
  signedTransaction,
  world,
  type CertifiedBlock,
  type Group,
  type World,
} from './chain.ts';
import { EpochChain, groupOf } from './epochs.ts';
import { keyPair } from './keys.ts';

export const NONCE: Uint8Array = new Uint8Array(32).fill(7);

/** Four members of weight one, from a seed on: sets of neighbouring seeds share three. */
export const sliding = (from: number): Group => groupOf([0, 1, 2, 3].map((i) => [1000 + from + i, 1]));

export interface StreamWorld {
  readonly home: World;
  readonly chain: EpochChain;
  readonly start: Trust;
  /** Certifies the state the items are of. */
  readonly tip: CertifiedBlock;
  readonly items: readonly LightItem[];
}

/** `later`: the sets of epochs 1, 2, …; the newest block, of the last of them, has one item of each kind. */
export function streamWorld(
  later: readonly Group[],
  o: { readonly signers?: (epoch: number) => readonly number[] | undefined } = {},
): StreamWorld {
  const home = world();
  const chain = new EpochChain(home, later, o);
  const payloads = [1, 2, 3].map((sequence) => signedPayload(home.chain, keyPair(50), { sequence }).id);
  const { checkpoint } = signedCheckpoint(home, payloads);
  const subnet = {
    ...newSubnet({ id: home.subnet, name: 'home', members: home.members.set, powBits: 4 }),
    lastSequence: 1,
    lastHash: checkpointHash(checkpoint),
  };
  // The third of five.
  const range = new MmrLog();
  for (const payloadCount of [1, 2]) range.append(checkpointLeaf({ ...checkpoint, payloadCount }));
  range.append(checkpointLeaf(checkpoint));
  for (const payloadCount of [4, 5]) range.append(checkpointLeaf({ ...checkpoint, payloadCount }));
  const owner = keyPair(61).address;
  const stored: readonly (readonly [key: StateKey, value: Uint8Array])[] = [
    [accountKey(owner), encodeRecord('account', { balance: amount(5n), nonces: [1] })],
    [accountKey(keyPair(62).address), encodeRecord('account', { balance: amount(7n), nonces: [] })],
    [accountKey(keyPair(63).address), encodeRecord('account', { balance: amount(9n), nonces: [] })],
    [subnetKey(home.subnet), encodeRecord('subnet', subnet)],
    [checkpointRangeKey(home.subnet), encodeRecord('checkpoint-range', { root: range.root() })],
  ];
  const tree = StateTree.empty.update(stored.map(([key, value]) => ({ key: stateKeyHash(key), value })));
  const transactions = [1, 2, 3].map((nonce) =>
    signedTransaction(
      home.chain,
      keyPair(1),
      { kind: 'transfer', to: owner, amount: amount(BigInt(nonce)) },
      { nonce },
    ),
  );
  const holding = chain.append(transactions, { stateRoot: tree.root });
  const tip = chain.append([], { stateRoot: tree.root });
  const ids = transactions.map(transactionId);
  const stateItem = (key: StateKey, value?: Uint8Array): LightItem => ({
    kind: 'state',
    key,
    ...(value && { value }),
    proof: tree.prove(stateKeyHash(key)),
  });
  const gateway = keyPair(70);
  const time = millis(tip.block.header.time + 1);
  const hash: Hash = headerHash(tip.block.header);
  const statement = freshnessSigningBytes({ chain: home.chain, nonce: NONCE, hash, time });
  const items: readonly LightItem[] = [
    stateItem(...(stored[0] as (typeof stored)[number])),
    stateItem(deviceKey(owner)),
    stateItem(...(stored[3] as (typeof stored)[number])),
    {
      kind: 'applied',
      checkpoint,
      id: payloads[1] as Hash,
      index: 1,
      path: new MerkleTree(payloads).path(1),
      range: range.path(2),
      proof: tree.prove(stateKeyHash(checkpointRangeKey(home.subnet))),
    },
    { kind: 'fresh', gateway: gateway.key, time, signature: gateway.sign(statement) },
    earlierHeader(chain, holding, tip),
    {
      kind: 'transaction',
      id: ids[1] as Hash,
      index: 1,
      count: ids.length,
      path: new MerkleTree(ids).path(1),
    },
  ];
  return { home, chain, start: trustGenesis(home.genesis), tip, items };
}

/** Shows a block as one of the history of a later one. */
export function earlierHeader(
  chain: EpochChain,
  { block: { header } }: CertifiedBlock,
  under: CertifiedBlock,
): Extract<LightItem, { kind: 'history' }> {
  const history = new MmrLog();
  for (const { block } of chain.builder.blocks) history.append(headerHash(block.header));
  const { siblings } = history.path(header.height - 1, under.block.header.height - 1);
  return { kind: 'history', header, siblings };
}

/** As a server would answer a client that trusts this epoch. */
export function streamFrom(
  of: StreamWorld,
  trusted: number,
  o: { readonly thirds?: Thirds; readonly to?: CertifiedBlock; readonly items?: readonly LightItem[] } = {},
): LightStream {
  const { block, certificate } = o.to ?? of.tip;
  const { header } = block;
  const set = (of.chain.groups[header.epoch] as Group).set;
  const hops = of.chain.index().hopsFrom(trusted, { header, certificate }, set, o.thirds);
  if (hops === undefined) throw new RangeError('the target lies before the trusted epoch');
  return {
    trusted: (of.chain.groups[trusted] as Group).set,
    hops,
    header,
    certificate,
    items: o.items ?? of.items,
  };
}

/** The encoded answer, and the encoded trust it is for. */
export function encodedStream(
  of: StreamWorld,
  from: Trust = of.start,
  o: Parameters<typeof streamFrom>[2] = {},
): { readonly trust: Uint8Array; readonly stream: Uint8Array } {
  return { trust: encodeTrust(from), stream: encodeLightStream(streamFrom(of, from.epoch, o)) };
}
