/**
 * Coming back after too long: a snapshot and the tail (spec SUBNET-6). Serves the documents this member has written down,
 * and takes one over when its own way back is pruned or too long. Nobody is believed alone: the state has to be what the
 * main chain commits, and more than a third of the stake has to name the same document.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { sha256, type Hash } from '@itc/core/crypto/hash.js';
import { merkleRoot } from '@itc/core/crypto/merkle.js';
import type { Snapshot } from '@itc/core/dag/records.js';
import { quorumOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Clock, Peer, PeerId, Random, Timer, Transport } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { isFull } from './full-disk.ts';
import type { Logger } from './logger.ts';
import { committedCheckpoint, type SubnetChain } from './subnet-chain.ts';
import { SNAPSHOT, verifySnapshot, type SnapshotDocument } from './subnet-snapshot.ts';
import type { SubnetWithdrawals } from './subnet-withdrawals.ts';
import {
  decodeSubnetAnswer,
  decodeSubnetRequest,
  encodeSubnetAnswer,
  encodeSubnetRequest,
  SUBNET_SYNC,
  type Offer,
  type SubnetAnswer,
  type SubnetRequest,
} from './subnet-sync-messages.ts';

export interface SubnetSyncOptions {
  readonly chain: SubnetChain;
  readonly subnet: Hash;
  /** Who decides on the main chain now; they have what is missing here. */
  readonly members: () => ValidatorSet;
  /** For the first ones: a snapshot of a later set brings its own. */
  readonly firstMembers: ValidatorSet;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Checkpoints behind the main chain at which a snapshot is taken in any case. */
  readonly behindMax: () => number;
  /** Last checkpoint applied here. */
  readonly applied: () => number;
  /** First checkpoint from which on all are kept here. */
  readonly oldest: () => number;
  /** Of the checkpoint applied last, while nothing changes. */
  readonly document: () => SnapshotDocument | undefined;
  readonly appliedIds: (sequence: number) => readonly Hash[] | undefined;
  readonly withdrawals: SubnetWithdrawals;
  /** Hands the member what the main chain has committed since. */
  readonly feed: () => void;
  /** Starts again from the document. Resolves when it is in force. */
  readonly install: (snapshot: Snapshot) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

const LOOK_MS = 2_000;
/** Without progress for this long, and behind: perhaps nobody has any more what is missing. */
const STUCK_MS = 8_000;
/** Members that come back at one time do not ask at one time. */
const JITTER_MS = 3_000;
const OFFERS_MS = 1_500;
const ANSWER_MS = 5_000;
const DOCUMENTS_KEPT = 2;
/** Checkpoints of the past whose payloads are asked for. */
const MISSED_MAX = 20_000;
/** An idle subnet writes no documents down: whoever asks gets one of its last checkpoint, at most this often. */
const FRESH_MS = 2_000;

export interface Missed {
  readonly checkpoint: number;
  readonly height: number;
  readonly payloads: readonly Hash[];
}

/** What a snapshot skipped of withdrawals: looked for at start, after a snapshot, and while something is lacking. */
const WITHDRAWALS_MS = 20_000;
const WITHDRAWALS_AT_ONCE = 64;

interface Waiting {
  readonly peer: PeerId;
  readonly resolve: (answer: SubnetAnswer | undefined) => void;
  readonly timer: Timer;
}

export class SubnetSync {
  readonly #o: SubnetSyncOptions;
  readonly #documents: SnapshotDocument[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;
  #timer: Timer | undefined;
  #running = false;
  #stopped = false;
  #seen = -1;
  #seenAt = 0;
  #freshAt = Number.NEGATIVE_INFINITY;
  #sentAt = 0;
  #withdrawalsAt = Number.NEGATIVE_INFINITY;
  /** While one comes in, how far it is. */
  progress: string | undefined;

  constructor(options: SubnetSyncOptions) {
    this.#o = options;
    const { transport } = options;
    transport.open({
      ...CHANNELS.subnetRequest,
      receive: (peer, bytes) => this.#serve(peer, bytes.slice()),
    });
    transport.open({
      ...CHANNELS.subnetReply,
      receive: (peer, bytes) => this.#take(peer, bytes.slice()),
    });
  }

  start(): void {
    this.#seenAt = this.#o.clock.monotonicMs();
    const look = (): void => {
      if (this.#stopped) return;
      this.#look();
      this.#timer = this.#o.clock.after(LOOK_MS, look);
    };
    look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const { resolve, timer } of this.#waiting.values()) {
      timer.cancel();
      resolve(undefined);
    }
    this.#waiting.clear();
  }

  /** A document was written down: from now on it is offered. */
  keep(document: SnapshotDocument): void {
    if (this.#documents.some(({ sequence }) => sequence === document.sequence)) return;
    this.#documents.push(document);
    if (this.#documents.length > DOCUMENTS_KEPT) this.#documents.shift();
  }

  /**
   * Which payloads became final while this member was away, checkpoint by checkpoint, as others tell and the main chain
   * confirms. What nobody keeps any more is passed over.
   */
  async *missed(after: number, upTo: number): AsyncGenerator<Missed> {
    const { chain, subnet } = this.#o;
    for (let sequence = Math.max(after + 1, upTo - MISSED_MAX); sequence <= upTo; sequence += 1) {
      const committed = committedCheckpoint(chain, subnet, sequence);
      const checkpoint = committed?.certificate.checkpoint;
      if (committed === undefined || checkpoint === undefined || checkpoint.payloadCount === 0) continue;
      for (const peer of this.#members()) {
        const answer = await this.#ask(peer, { kind: 'applied', sequence });
        if (this.#stopped) return;
        if (answer?.kind !== 'applied' || answer.ids.length !== checkpoint.payloadCount) continue;
        if (!equalBytes(merkleRoot(answer.ids), checkpoint.appliedRoot)) continue;
        yield { checkpoint: sequence, height: committed.height, payloads: answer.ids };
        break;
      }
    }
  }

  get #committed(): number {
    const { chain, subnet } = this.#o;
    return chain.state.subnet(subnet)?.lastSequence ?? 0;
  }

  /** Each lacking list from whoever has it; the main chain says whether it is the right one. */
  async #fetchWithdrawals(): Promise<void> {
    const { chain, subnet, withdrawals } = this.#o;
    for (const sequence of withdrawals.lacking(subnet, chain.state, WITHDRAWALS_AT_ONCE)) {
      // What is about to be applied here tells its own.
      if (sequence > this.#o.applied()) return;
      for (const peer of this.#members()) {
        const answer = await this.#ask(peer, { kind: 'withdrawals', sequence });
        if (this.#stopped) return;
        if (answer?.kind !== 'withdrawals') continue;
        if (await withdrawals.take(subnet, sequence, answer.withdrawals, chain.state)) break;
      }
    }
  }

  #look(): void {
    const now = this.#o.clock.monotonicMs();
    if (now - this.#withdrawalsAt >= WITHDRAWALS_MS) {
      this.#withdrawalsAt = now;
      this.#fetchWithdrawals().catch((error: unknown) => {
        // For want of room: later.
        if (!isFull(error)) this.#o.failed(error);
      });
    }
    if (this.#running) return;
    const applied = this.#o.applied();
    if (applied !== this.#seen || this.#committed <= applied) {
      this.#seen = applied;
      this.#seenAt = now;
    }
    const behind = this.#committed - applied;
    // Whatever was lost on the way from the chain to the member.
    if (behind > 0) this.#o.feed();
    const isStuck = behind > 0 && now - this.#seenAt > STUCK_MS;
    if (behind <= this.#o.behindMax() && !isStuck) return;
    this.#running = true;
    this.#catchUp()
      .catch((error: unknown) => this.#o.failed(error))
      .finally(() => {
        this.#running = false;
        this.progress = undefined;
        this.#seenAt = this.#o.clock.monotonicMs();
      });
  }

  async #catchUp(): Promise<void> {
    const { chain, subnet, logger } = this.#o;
    await this.#pause(this.#o.random.uniform() * JITTER_MS);
    const heard = await this.#offers();
    const applied = this.#o.applied();
    const isPruned = heard.length > 0 && heard.every(({ oldest }) => oldest > applied + 1);
    if (this.#stopped || (!isPruned && this.#committed - applied <= this.#o.behindMax())) return;
    const stakes = this.#stakes();
    const weak = quorumOf([...stakes.values()]).total;
    for (const { offer, from, stake } of ranked(heard, stakes)) {
      if (offer.sequence <= applied || 3 * stake <= weak || offer.bytes > SNAPSHOT.bytesMax) continue;
      const committed = committedCheckpoint(chain, subnet, offer.sequence);
      if (committed === undefined) continue;
      const bytes = await this.#fetch(offer, from);
      if (bytes === undefined) continue;
      const { checkpoint } = committed.certificate;
      const verified = verifySnapshot(
        bytes,
        checkpoint,
        this.#o.firstMembers.map(({ weight }) => weight),
      );
      if (!verified.ok) {
        logger.warn({ sequence: offer.sequence }, `a snapshot does not hold: ${verified.message}`);
        continue;
      }
      if (this.#stopped) return;
      logger.info({ from: applied, to: offer.sequence }, 'a snapshot is taken over');
      await this.#o.install(verified.value);
      this.#withdrawalsAt = Number.NEGATIVE_INFINITY;
      return;
    }
  }

  async #offers(): Promise<
    { readonly peer: PeerId; readonly oldest: number; readonly offers: readonly Offer[] }[]
  > {
    const asked = this.#members().map(async (peer) => {
      const answer = await this.#ask(peer, { kind: 'offers' }, OFFERS_MS);
      return answer?.kind === 'offers' ? [{ peer, oldest: answer.oldest, offers: answer.offers }] : [];
    });
    return (await Promise.all(asked)).flat();
  }

  /** Piece by piece from one, or from the next where one falls silent; what they told as digest decides. */
  async #fetch(offer: Offer, from: readonly PeerId[]): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(offer.bytes);
    const count = Math.ceil(offer.bytes / SUBNET_SYNC.chunkBytes);
    const sources = [...from];
    for (let index = 0; index < count && !this.#stopped;) {
      const [source] = sources;
      if (source === undefined) return undefined;
      this.progress = `a snapshot of checkpoint ${offer.sequence} comes in: ${index} of ${count} pieces`;
      const answer = await this.#ask(source, { kind: 'chunk', sequence: offer.sequence, index });
      const at = index * SUBNET_SYNC.chunkBytes;
      const length = Math.min(SUBNET_SYNC.chunkBytes, offer.bytes - at);
      if (answer?.kind !== 'chunk' || answer.body.length !== length) {
        sources.shift();
        continue;
      }
      bytes.set(answer.body, at);
      index += 1;
    }
    if (equalBytes(sha256(bytes), offer.digest)) return bytes;
    // Somebody gave a wrong piece; with one source for all of them it is known who.
    if (sources.length === from.length && from[0] !== undefined) {
      this.#o.transport.disconnect(from[0]);
      return this.#fetch(offer, from.slice(1));
    }
    return undefined;
  }

  #members(): PeerId[] {
    const stakes = this.#stakes();
    return this.#o.transport.peers().flatMap(({ id }) => (stakes.has(id) ? [id] : []));
  }

  #stakes(): ReadonlyMap<PeerId, number> {
    return new Map(this.#o.members().map(({ key, weight }) => [toHex(key.bytes), weight]));
  }

  #ask(peer: PeerId, request: SubnetRequest, timeoutMs = ANSWER_MS): Promise<SubnetAnswer | undefined> {
    this.#number = (this.#number + 1) % 0xffff_ffff;
    const number = this.#number;
    return new Promise((resolve) => {
      const timer = this.#o.clock.after(timeoutMs, () => {
        this.#waiting.delete(number);
        resolve(undefined);
      });
      this.#waiting.set(number, { peer, resolve, timer });
      this.#o.transport.send(peer, CHANNELS.subnetRequest.number, encodeSubnetRequest(number, request));
    });
  }

  #take(peer: Peer, bytes: Uint8Array): void {
    const decoded = decodeSubnetAnswer(bytes);
    if (!decoded.ok) return this.#o.transport.disconnect(peer.id);
    const { number, answer } = decoded.value;
    const waiting = this.#waiting.get(number);
    if (waiting === undefined || waiting.peer !== peer.id) return;
    this.#waiting.delete(number);
    waiting.timer.cancel();
    waiting.resolve(answer);
  }

  #serve(peer: Peer, bytes: Uint8Array): void {
    if (this.#stopped || !this.#stakes().has(peer.id)) return;
    const decoded = decodeSubnetRequest(bytes);
    if (!decoded.ok) return this.#o.transport.disconnect(peer.id);
    const { number, request } = decoded.value;
    const answer = encodeSubnetAnswer(number, this.#answer(request));
    const send = (): void => {
      if (!this.#stopped) this.#o.transport.send(peer.id, CHANNELS.subnetReply.number, answer);
    };
    const waitMs = this.#budget(answer.length);
    if (waitMs === 0) send();
    else this.#o.clock.after(waitMs, send);
  }

  #answer(request: SubnetRequest): SubnetAnswer {
    switch (request.kind) {
      case 'offers': {
        this.#refresh();
        const offers = this.#documents.map(({ sequence, digest, bytes }) => ({
          sequence,
          digest,
          bytes: bytes.length,
        }));
        return { kind: 'offers', oldest: this.#o.oldest(), offers };
      }
      case 'chunk': {
        const document = this.#documents.find(({ sequence }) => sequence === request.sequence);
        const at = request.index * SUBNET_SYNC.chunkBytes;
        if (document === undefined || at >= document.bytes.length) return { kind: 'unknown' };
        return { kind: 'chunk', body: document.bytes.subarray(at, at + SUBNET_SYNC.chunkBytes) };
      }
      case 'applied': {
        const ids = this.#o.appliedIds(request.sequence);
        return ids === undefined ? { kind: 'unknown' } : { kind: 'applied', ids };
      }
      case 'withdrawals': {
        const withdrawals = this.#o.withdrawals.list(request.sequence);
        return withdrawals.length === 0 ? { kind: 'unknown' } : { kind: 'withdrawals', withdrawals };
      }
    }
  }

  #refresh(): void {
    const now = this.#o.clock.monotonicMs();
    if (now - this.#freshAt < FRESH_MS || now - this.#seenAt < FRESH_MS) return;
    if (this.#documents.some(({ sequence }) => sequence === this.#o.applied())) return;
    this.#freshAt = now;
    const document = this.#o.document();
    if (document !== undefined) this.keep(document);
  }

  /** Milliseconds an answer of this size has to wait for its turn. */
  #budget(bytes: number): number {
    const now = this.#o.clock.monotonicMs();
    this.#sentAt = Math.max(now, this.#sentAt);
    const waitMs = this.#sentAt - now;
    this.#sentAt += (bytes * 1_000) / SUBNET_SYNC.bytesPerSecond;
    return Math.floor(waitMs);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#o.clock.after(ms, resolve);
    });
  }
}

/** Documents by what stands behind them, the newest first. */
function ranked(
  heard: readonly { readonly peer: PeerId; readonly offers: readonly Offer[] }[],
  stakes: ReadonlyMap<PeerId, number>,
): { readonly offer: Offer; readonly from: readonly PeerId[]; readonly stake: number }[] {
  const found = new Map<string, { readonly offer: Offer; readonly from: PeerId[]; stake: number }>();
  for (const { peer, offers } of heard) {
    const named = new Set<string>();
    for (const offer of offers) {
      const name = `${offer.sequence} ${offer.bytes} ${toHex(offer.digest)}`;
      if (named.has(name)) continue;
      named.add(name);
      const entry = found.get(name) ?? { offer, from: [], stake: 0 };
      entry.from.push(peer);
      entry.stake += stakes.get(peer) ?? 0;
      found.set(name, entry);
    }
  }
  return [...found.values()].sort((a, b) => b.offer.sequence - a.offer.sequence);
}
