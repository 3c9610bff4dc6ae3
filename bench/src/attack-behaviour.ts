/**
 * What a faulty validator does to its own messages. It runs the real node; only what leaves it passes through here, so
 * that it knows all that an attacker would know and signs with the right key.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { asHash, sha256 } from '@itc/core/crypto/hash.js';
import {
  decodeBlock,
  encodeBlock,
  transactionsRoot,
  type Block,
  type Header,
} from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { millis } from '@itc/core/ledger/ids.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate, PrePrepare } from '@itc/core/pbft/messages.js';
import { prePrepareSigningBytes } from '@itc/core/pbft/signing.js';
import type { KeyPair } from '@itc/node/crypto/keypair.js';
import type { Channel, Clock, Peer, PeerId, PeerListener, Transport } from '@itc/node/ports.js';
import { parseCandidate } from '@itc/node/runtime/candidates.js';
import { CHANNELS } from '@itc/node/runtime/channels.js';
import { candidateOf, decodeCompact, type Compact } from '@itc/node/runtime/compact-block.js';

/** A message on its way: passed on with `pass`, now, later, changed, or not at all. */
export interface Outgoing {
  readonly peer: PeerId;
  readonly channel: number;
  readonly bytes: Uint8Array;
}

export interface Behaviour {
  /** True when the message is taken care of; false lets it pass as it is. */
  intercept(message: Outgoing, pass: (message: Outgoing) => boolean): boolean;
}

/** The transport of an honest node until `arm` is called. */
export class AttackTransport implements Transport {
  readonly #inner: Transport;
  #behaviour: Behaviour | undefined;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  arm(behaviour: Behaviour): void {
    this.#behaviour = behaviour;
  }

  get self(): PeerId {
    return this.#inner.self;
  }

  open(channel: Channel): void {
    this.#inner.open(channel);
  }

  listen(listener: PeerListener): void {
    this.#inner.listen(listener);
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  peers(): readonly Peer[] {
    return this.#inner.peers();
  }

  send(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    const pass = (message: Outgoing): boolean =>
      this.#inner.send(message.peer, message.channel, message.bytes);
    const message = { peer, channel, bytes };
    return this.#behaviour?.intercept(message, pass) === true || pass(message);
  }

  /** Of the behaviour's own making. */
  sendPast(peer: PeerId, channel: number, bytes: Uint8Array): boolean {
    return this.#inner.send(peer, channel, bytes);
  }

  broadcast(channel: number, bytes: Uint8Array): number {
    return this.#inner.broadcast(channel, bytes);
  }

  disconnect(peer: PeerId): void {
    this.#inner.disconnect(peer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }
}

interface Proposal {
  readonly message: PrePrepare;
  readonly header: Header;
  /** Of its transactions. */
  readonly ids: readonly Hash[];
}

/** Reads proposals out of what is sent, whole ones and compact ones; the same bytes go to every peer and are decoded once. */
class Proposals {
  readonly #read = new WeakMap<Uint8Array, Proposal | 'other'>();

  in({ channel, bytes }: Outgoing): Proposal | undefined {
    if (channel !== CHANNELS.proposal.number && channel !== CHANNELS.compact.number) return undefined;
    let found = this.#read.get(bytes);
    if (found === undefined) {
      found = (channel === CHANNELS.proposal.number ? readWhole(bytes) : readCompact(bytes)) ?? 'other';
      this.#read.set(bytes, found);
    }
    return found === 'other' ? undefined : found;
  }
}

function readWhole(bytes: Uint8Array): Proposal | undefined {
  const decoded = decodeMessage(bytes, parseCandidate);
  if (!decoded.ok || decoded.value.kind !== 'pre-prepare') return undefined;
  const block = decodeBlock(decoded.value.block.bytes);
  if (!block.ok) return undefined;
  const { header, transactions } = block.value;
  return { message: decoded.value, header, ids: transactions.map((encoded) => transactionId(encoded)) };
}

function readCompact(bytes: Uint8Array): Proposal | undefined {
  let compact: Compact | undefined;
  const decoded = decodeMessage(bytes, (block) => {
    compact = decodeCompact(block);
    return compact && candidateOf(compact, block);
  });
  if (!decoded.ok || decoded.value.kind !== 'pre-prepare' || compact === undefined) return undefined;
  return { message: decoded.value, ...compact };
}

/** Each proposal leaves this long after the one before it, the first of a turn this long after it was made. */
export function delayed(delayMs: number, clock: Clock): Behaviour {
  const proposals = new Proposals();
  const due = new Map<string, number>();
  let last = Number.NEGATIVE_INFINITY;
  return {
    intercept(message, pass) {
      const proposal = proposals.in(message);
      if (proposal === undefined) return false;
      const { view, block } = proposal.message;
      const now = clock.monotonicMs();
      // Sent again for want of progress, it is the same proposal and keeps its time.
      const turn = `${view} ${block.height}`;
      const name = `${turn} ${message.peer}`;
      if (due.has(name)) return now < (due.get(name) as number);
      const at = due.get(turn) ?? (last = Math.max(now, last) + delayMs);
      due.set(turn, at).set(name, at);
      clock.after(at - now, () => void pass(message));
      return true;
    },
  };
}

/** A proposal with another block, signed anew. */
type Forge = (block: Block, round: number) => Block;

export interface Forger {
  readonly keys: KeyPair;
  readonly chain: Hash;
  readonly forge: Forge;
  /** A transaction this node has proposed. */
  readonly body: (id: Hash) => Uint8Array | undefined;
  /** Every peer is shown a block of its own; otherwise all of them the same. */
  readonly each?: boolean;
}

/** Shows others other blocks than the ones this node itself stands by. */
export function forged({ keys, chain, forge, body, each = false }: Forger): Behaviour {
  const proposals = new Proposals();
  const made = new WeakMap<Proposal, Map<PeerId, Uint8Array>>();
  let round = 0;
  return {
    intercept(message, pass) {
      const proposal = proposals.in(message);
      if (proposal === undefined) return false;
      const blocks = made.get(proposal) ?? new Map<PeerId, Uint8Array>();
      made.set(proposal, blocks);
      const shown = each ? message.peer : '';
      let bytes = blocks.get(shown);
      if (bytes === undefined) {
        const { header, ids } = proposal;
        const transactions = ids.flatMap((id) => body(id) ?? []);
        // Final meanwhile: it is too late to lie about it.
        if (transactions.length < ids.length) return false;
        bytes = signedAnew(
          proposal.message,
          encodeBlock(forge({ header, transactions }, round)),
          keys,
          chain,
        );
        round += 1;
        blocks.set(shown, bytes);
      }
      return pass({ ...message, channel: CHANNELS.proposal.number, bytes });
    },
  };
}

function signedAnew(proposal: PrePrepare, block: Uint8Array, keys: KeyPair, chain: Hash): Uint8Array {
  const { signature: _, ...unsigned } = { ...proposal, block: parseCandidate(block) as Candidate };
  return encodeMessage({ ...unsigned, signature: keys.sign(prePrepareSigningBytes(chain, unsigned)) });
}

/** A wrong state root, and a transaction its sender did not sign, in turns. */
export function invalid(block: Block, round: number): Block {
  const { header, transactions } = block;
  const [first, ...others] = transactions;
  if (round % 2 === 0 || first === undefined)
    return { header: { ...header, stateRoot: asHash(sha256(header.stateRoot)) }, transactions };
  const spoilt = first.slice();
  spoilt[spoilt.length - 40] = (spoilt[spoilt.length - 40] as number) ^ 1;
  const changed = [spoilt, ...others];
  return {
    header: { ...header, txRoot: transactionsRoot(changed.map((bytes) => transactionId(bytes))) },
    transactions: changed,
  };
}

/** As good as any other, and not the same. */
export function alternative({ header, transactions }: Block, round: number): Block {
  return {
    header: { ...header, time: millis(header.time + 1 + (round % LIMITS.rotationBlocks)) },
    transactions,
  };
}

/** Everything said on the channel of votes, again and again: `more` calls it as often as this thread can. */
export function repeating(peers: () => readonly PeerId[]): Behaviour & {
  more(send: (message: Outgoing) => boolean): void;
} {
  const said: Uint8Array[] = [];
  return {
    intercept({ channel, bytes }) {
      if (channel === CHANNELS.vote.number && said.at(-1) !== bytes) {
        said.push(bytes);
        if (said.length > REPEATED) said.shift();
      }
      return false;
    },
    more(send) {
      for (const bytes of said)
        for (const peer of peers()) send({ peer, channel: CHANNELS.vote.number, bytes });
    },
  };
}

const REPEATED = 64;
