/**
 * Brings a process that is new or far behind to the present without executing history (spec SNAPSHOT-5 to SNAPSHOT-9): finds an
 * anchor that quorum weight has signed, fetches its state in pieces from several peers, takes it into use, and leaves the
 * rest to block synchronisation. Only certificates count: a claimed height makes it ask, and nothing more.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { SignatureVerifier } from '@itc/core/crypto/signature.js';
import { decodeBlock, headerHash, transactionsRoot } from '@itc/core/ledger/block.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import {
  decodeChunk,
  decodeHashPiece,
  hashPieceBounds,
  verifyChunk,
  verifyHashPiece,
  type SnapshotManifest,
} from '@itc/core/state/snapshot.js';
import type { Clock, PeerId, Random, Tables, Timer, Transport } from '../ports.ts';
import type { BlockLog } from '../storage/block-log.ts';
import type { Chain } from './chain.ts';
import { Drain } from './drain.ts';
import type { Logger } from './logger.ts';
import { installSnapshot } from './snapshot-install.ts';
import { StateStaging, type PieceId } from './state-staging.ts';
import { decodeManifests, decodeTurns, type EpochTurn, type SyncRequest } from './state-sync-messages.ts';
import {
  epochAbove,
  followTurns,
  offerFlaw,
  rankOffers,
  type Offer,
  type PeerOffer,
  type Sets,
} from './sync-offer.ts';
import { SyncPeers } from './sync-peers.ts';

export interface StateSyncOptions {
  readonly chain: Chain;
  readonly tables: Tables;
  readonly log: BlockLog;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly verify: SignatureVerifier;
  /** Blocks behind from which a state is taken over instead of executing them. */
  readonly boundBlocks: number;
  /** Highest height that any peer claims. */
  readonly target: () => number;
  /** Peers have refused blocks that are missing here: they have pruned them. */
  readonly isPruned: () => boolean;
  /** Runs `work` while nobody votes, executes or commits. `work` does not reject. */
  readonly between: (work: () => Promise<void>) => Promise<void>;
  /** How a peer is called in logs and in the status. */
  readonly nameOf: (peer: PeerId) => string;
  readonly answerMsMax?: number;
  /** Pause before the first attempt is up to this long, so that many that start together do not ask together. */
  readonly jitterMs?: number;
}

const CONSIDER_MS = 1_000;
const JITTER_MS = 2_000;
const RETRY_MS = 5_000;
const RETRY_MS_MAX = 60_000;
/** After a success blocks follow for at least this long: a fast chain must not make one state chase the next. */
const SETTLE_MS = 30_000;
/** Peers fetched from at a time. */
const PEERS_MAX = 8;
/** Answers a peer may owe in one attempt before it is left alone. */
const SILENCES_MAX = 2;
/** Requests for turns of epochs in one attempt. */
const TURN_REQUESTS_MAX = 1_024;

/** A state to take over: its anchor is proved. */
interface Found {
  readonly manifest: SnapshotManifest;
  /** From the epoch of this chain to that above the anchor. */
  readonly turns: readonly EpochTurn[];
  readonly peers: readonly PeerId[];
}

type Verdict = 'taken' | 'wrong';

export class StateSync {
  readonly #o: StateSyncOptions;
  readonly #peers: SyncPeers;
  readonly #attempt = new Drain({
    work: () => this.#try(),
    hasWork: () => this.#wanted,
    failed: (error) => this.#o.logger.error({ err: error }, 'no state is taken over any more'),
  });
  #wanted = false;
  #stopped = false;
  #timer: Timer | undefined;
  #failures = 0;
  #notBefore = 0;
  #progress: { done: number; readonly total: number; readonly from: Set<PeerId> } | undefined;

  constructor(options: StateSyncOptions) {
    this.#o = options;
    const { logger, nameOf } = options;
    this.#peers = new SyncPeers({
      ...options,
      warn: (message, peer) => logger.warn({ peer: nameOf(peer) }, `a peer is banned: ${message}`),
    });
  }

  /** While pieces come in, in words: for the status and the log. */
  get progress(): string | undefined {
    if (this.#progress === undefined) return undefined;
    const { done, total, from } = this.#progress;
    const names = [...from].map(this.#o.nameOf).sort().join(', ');
    const whom = names === '' ? '' : ` from ${names}`;
    return `state-sync ${Math.floor((100 * done) / total)} %, ${done} of ${total} pieces${whom}`;
  }

  start(): void {
    this.#notBefore =
      this.#o.clock.monotonicMs() + this.#o.random.uniform() * (this.#o.jitterMs ?? JITTER_MS);
    const consider = (): void => {
      if (this.#stopped) return;
      this.consider();
      this.#timer = this.#o.clock.after(CONSIDER_MS, consider);
    };
    consider();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wanted = false;
    this.#timer?.cancel();
    this.#peers.stop();
    await this.#attempt.idle();
  }

  /** Begins an attempt when one is due. */
  consider(): void {
    if (this.#stopped || this.#o.clock.monotonicMs() < this.#notBefore) return;
    if (this.#behind() <= 0) return;
    this.#wanted = true;
    this.#attempt.kick();
  }

  /** Resolves when no attempt is under way. */
  idle(): Promise<void> {
    return this.#attempt.idle();
  }

  /** How many blocks too many are missing; at most 0 when there is nothing to do. */
  #behind(): number {
    return this.#o.target() - this.#o.chain.height - this.#bound();
  }

  /** Blocks behind from which there is no executing them: by choice, or because nobody has them. */
  #bound(): number {
    return this.#o.isPruned() ? LIMITS.pipelineDepth : this.#o.boundBlocks;
  }

  async #try(): Promise<void> {
    this.#wanted = false;
    const { chain, clock, random, logger } = this.#o;
    let isDone = false;
    try {
      isDone = await this.#takeOver();
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      logger.error({ err: error }, 'a state could not be taken over');
    } finally {
      this.#progress = undefined;
    }
    this.#failures = isDone ? 0 : this.#failures + 1;
    const pause = isDone ? SETTLE_MS : Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (this.#failures - 1));
    this.#notBefore = clock.monotonicMs() + pause * (0.5 + random.uniform());
    if (isDone) logger.info({ height: chain.height }, 'the state was taken over; blocks follow');
  }

  async #takeOver(): Promise<boolean> {
    const found = await this.#find();
    if (found === undefined) return false;
    const { manifest, peers } = found;
    this.#o.logger.info(
      { anchor: manifest.anchor.height, records: manifest.records, peers: peers.map(this.#o.nameOf) },
      'takes over the state of an anchor',
    );
    let isDone = false;
    let failure: Error | undefined;
    await this.#o.between(async () => {
      try {
        isDone = await this.#fetchAndInstall(found);
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    });
    if (failure !== undefined) throw failure;
    return isDone;
  }

  /** The best state whose anchor is proved, and who has it. Whoever shows an anchor that is not is banned. */
  async #find(): Promise<Found | undefined> {
    const { chain, verify, tables } = this.#o;
    // Whatever height is claimed: an anchor must be worth it, and lies somewhat below what is claimed in honesty.
    const above = chain.height + Math.ceil(this.#bound() / 2);
    const ranked = rankOffers(await this.#offers(), above);
    // What was begun is gone on with as long as anybody has it.
    const begun = StateStaging.stored(tables)?.manifest.anchor.hash;
    const isBegun = (offer: Offer): boolean =>
      begun !== undefined && equalBytes(offer[0].manifest.anchor.hash, begun);
    for (const offer of [...ranked.filter(isBegun), ...ranked]) {
      for (const { peer, manifest } of offer) {
        if (this.#peers.isBanned(peer)) continue;
        const way = await this.#wayTo(manifest, offer);
        if (way === undefined) break;
        const flaw = offerFlaw({ chain: chain.id, verify }, way.sets, manifest);
        if (flaw === undefined) return { manifest, turns: way.turns, peers: offer.map((each) => each.peer) };
        this.#peers.ban(peer, flaw);
      }
    }
    return undefined;
  }

  async #offers(): Promise<PeerOffer[]> {
    const offers: PeerOffer[] = [];
    const ask = async (peer: PeerId): Promise<void> => {
      const answer = await this.#peers.ask(peer, { kind: 'manifests' });
      if (answer.kind !== 'piece') return;
      const manifests = decodeManifests(answer.body);
      if (!manifests.ok) return this.#peers.ban(peer, manifests.message);
      for (const manifest of manifests.value) offers.push({ peer, manifest });
    };
    await Promise.all(this.#peers.peers().map(ask));
    return offers;
  }

  /** The turns from the epoch of this chain to that above the anchor, from the first peer that can show them. */
  async #wayTo(
    manifest: SnapshotManifest,
    offer: Offer,
  ): Promise<{ readonly sets: Sets; readonly turns: readonly EpochTurn[] } | undefined> {
    const { chain, verify } = this.#o;
    const { epoch: from, validators } = chain.epoch;
    const to = epochAbove(manifest);
    for (const { peer } of offer) {
      let sets: Sets = new Map([[from, validators]]);
      const turns: EpochTurn[] = [];
      for (let asked = 0; from + turns.length < to && asked < TURN_REQUESTS_MAX; asked += 1) {
        if (this.#stopped || this.#peers.isBanned(peer)) break;
        const answer = await this.#peers.ask(peer, { kind: 'epochs', from: from + turns.length });
        if (answer.kind !== 'piece') break;
        const more = decodeTurns(answer.body);
        const followed = more.ok ? followTurns({ chain: chain.id, verify }, sets, more.value) : more;
        if (!followed.ok) this.#peers.ban(peer, followed.message);
        if (!more.ok || !followed.ok || more.value.length === 0) break;
        sets = followed.value;
        turns.push(...more.value);
      }
      if (from + turns.length >= to) return { sets, turns: turns.slice(0, to - from) };
    }
    return undefined;
  }

  async #fetchAndInstall({ manifest, turns, peers }: Found): Promise<boolean> {
    const { chain, tables, log } = this.#o;
    const staging = await StateStaging.begin(tables, manifest);
    const pieces = staging.pieces();
    const missing = pieces.filter((piece) => !staging.has(piece));
    this.#progress = { done: pieces.length - missing.length, total: pieces.length, from: new Set() };
    const rest = new Set(peers);
    // A piece whose peer has failed goes to the others in the next round; a round that brings nothing is the last.
    for (let before = missing.length + 1; missing.length > 0 && missing.length < before && rest.size > 0;) {
      before = missing.length;
      const connected = this.#peers.peers();
      const asked = [...rest].filter((peer) => connected.includes(peer)).slice(0, PEERS_MAX);
      await Promise.all(asked.map((peer) => this.#fetchFrom(peer, missing, staging, rest)));
    }
    if (missing.length > 0 || this.#stopped) return false;
    await installSnapshot({ chain, tables, log, staging, turns });
    return true;
  }

  /** Takes pieces off the list until it is empty, or this peer is out: wrong, silent, or without the state. */
  async #fetchFrom(
    peer: PeerId,
    missing: PieceId[],
    staging: StateStaging,
    rest: Set<PeerId>,
  ): Promise<void> {
    let silences = 0;
    for (let piece = missing.shift(); piece !== undefined; piece = missing.shift()) {
      const answer = this.#stopped
        ? ({ kind: 'unknown' } as const)
        : await this.#peers.ask(peer, requestFor(piece, staging));
      if (answer.kind === 'piece') {
        if ((await this.#take(piece, answer.body, staging)) === 'taken') {
          this.#note(peer);
          continue;
        }
        this.#peers.ban(peer, `a wrong piece: ${piece.kind}`);
      }
      missing.unshift(piece);
      if (answer.kind === 'silent' && silences + 1 < SILENCES_MAX) {
        silences += 1;
        continue;
      }
      rest.delete(peer);
      return;
    }
  }

  #note(peer: PeerId): void {
    const progress = this.#progress;
    if (progress === undefined) return;
    progress.from.add(peer);
    const tenth = (done: number): number => Math.floor((10 * done) / progress.total);
    progress.done += 1;
    if (tenth(progress.done) > tenth(progress.done - 1)) this.#o.logger.info({}, this.progress ?? '');
  }

  async #take(piece: PieceId, body: Uint8Array, staging: StateStaging): Promise<Verdict> {
    const { anchor, header } = staging.manifest;
    const { chain } = this.#o;
    switch (piece.kind) {
      case 'block': {
        const block = decodeBlock(body);
        if (!block.ok || !equalBytes(headerHash(block.value.header), anchor.hash)) return 'wrong';
        const root = transactionsRoot(block.value.transactions.map(transactionId));
        if (!equalBytes(root, header.txRoot)) return 'wrong';
        await staging.addBlock(body);
        return 'taken';
      }
      case 'hashes': {
        const decoded = decodeHashPiece(body);
        const { start, end } = hashPieceBounds(anchor.height, piece.index);
        if (!decoded.ok || decoded.value.start !== start || decoded.value.hashes.length !== end - start)
          return 'wrong';
        if (!verifyHashPiece(header, decoded.value)) return 'wrong';
        for (const [i, hash] of decoded.value.hashes.entries()) {
          const own = chain.hashAt(start + i + 1);
          if (own !== undefined && !equalBytes(own, hash))
            throw new LedgerError(
              'storage.corrupt',
              `quorum weight has signed a history that differs from the one here at height ${start + i + 1}`,
            );
        }
        await staging.addHashes(piece.index, decoded.value, chain.height);
        return 'taken';
      }
      case 'chunk': {
        const chunk = decodeChunk(body);
        const prefix = staging.prefixes[piece.index];
        if (!chunk.ok || prefix === undefined || chunk.value.prefix.depth !== prefix.depth) return 'wrong';
        if (!equalBytes(chunk.value.prefix.bits, prefix.bits)) return 'wrong';
        if (!verifyChunk(anchor.stateRoot, chunk.value)) return 'wrong';
        await staging.addChunk(piece.index, chunk.value);
        return 'taken';
      }
    }
  }
}

function requestFor(piece: PieceId, staging: StateStaging): SyncRequest {
  const { height } = staging.manifest.anchor;
  switch (piece.kind) {
    case 'block':
      return { kind: 'block', height };
    case 'hashes':
      return { kind: 'hashes', height, index: piece.index };
    case 'chunk': {
      const prefix = staging.prefixes[piece.index];
      if (prefix === undefined) throw new RangeError(`there is no chunk ${piece.index}`);
      return { kind: 'chunk', height, prefix };
    }
  }
}
