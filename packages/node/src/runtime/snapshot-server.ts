/**
 * Hands out the states of stable anchors while the chain moves on (spec SNAPSHOT-5, SNAPSHOT-6). A state is a value that
 * shares its structure with those above it, so holding one costs what has changed since. The newest two anchors are
 * offered; one that is being fetched stays beyond that, so that a fast chain does not pull it away from under the reader.
 */
import { readHeader, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { epoch, height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { StableCertificate } from '@itc/core/ledger/stable-certificate.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import {
  chunkDepths,
  chunkOf,
  encodeChunk,
  encodeHashPiece,
  encodeManifest,
  hashPieceBounds,
  hashPieceCount,
} from '@itc/core/state/snapshot.js';
import type { Clock, Peer, PeerId, Transport } from '../ports.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import {
  decodeRequest,
  encodeAnswer,
  encodeManifests,
  encodeTurns,
  SYNC_LIMITS,
  type EpochTurn,
  type SyncAnswer,
  type SyncRequest,
} from './state-sync-messages.ts';

export interface SnapshotServerOptions {
  readonly chain: Chain;
  readonly transport: Transport;
  readonly clock: Clock;
  /** A request that is none. */
  readonly blame: (peer: PeerId, message: string) => void;
  /** To one peer. Default 8 MiB. */
  readonly bytesPerSecond?: number;
}

interface Held {
  readonly anchor: StableCertificate;
  readonly state: LedgerState;
  readonly header: Header;
  readonly certificate: Certificate;
  readonly block: Uint8Array;
  /** Made when it is first asked for. */
  manifest: Uint8Array | undefined;
  /** When it was first and last fetched from; undefined when never. */
  use: { readonly first: number; last: number } | undefined;
  /** The chain need not keep the state any more. */
  readonly release: () => void;
}

interface Account {
  /** Bytes that may go at once; below zero it is owed. */
  credit: number;
  at: number;
  waiting: boolean;
}

/** Anchors offered because they are the newest, and in addition because somebody is at them. */
const RECENT_MAX = 2;
const LEASED_MAX = SYNC_LIMITS.manifestsMax - RECENT_MAX;
/** A fetched anchor is held this long after the last request, and so long in all. */
const LEASE_IDLE_MS = 120_000;
const LEASE_MS_MAX = 1_800_000;
const BYTES_PER_SECOND = 8 << 20;
/** The least a request counts: work without bytes is not free. */
const REQUEST_BYTES = 16 << 10;
/** All peers together get this many times what one gets, so that a crowd that rejoins does not starve consensus. */
const CROWD = 4;
const PENDING_MAX = 8;

export class SnapshotServer {
  readonly #o: SnapshotServerOptions;
  readonly #bytesPerSecond: number;
  /** Stable, but not yet so far below the committed block that whoever starts there can vote. Oldest first. */
  #pending: StableCertificate[] = [];
  #held: Held[] = [];
  readonly #accounts = new Map<PeerId, Account>();
  readonly #everybody: Account;

  constructor(options: SnapshotServerOptions) {
    this.#o = options;
    this.#bytesPerSecond = options.bytesPerSecond ?? BYTES_PER_SECOND;
    this.#everybody = {
      credit: CROWD * this.#bytesPerSecond,
      at: options.clock.monotonicMs(),
      waiting: false,
    };
    const { chain, transport } = options;
    transport.open({ ...CHANNELS.stateRequest, receive: (peer, bytes) => this.#receive(peer, bytes) });
    transport.listen({ disconnected: ({ id }) => void this.#accounts.delete(id) });
    chain.onCommitted(() => this.#hold());
    // The states before are gone with the pages they were in.
    chain.onReplaced(() => {
      for (const { release } of this.#held) release();
      this.#held = [];
    });
  }

  /** Heights of the anchors there are, oldest first. */
  get anchors(): readonly number[] {
    return this.#held.map(({ anchor }) => anchor.height);
  }

  /** Quorum weight has executed and stored a block; its certificate was verified. */
  noteStable(certificate: StableCertificate): void {
    const newest = this.#pending.at(-1) ?? this.#held.at(-1)?.anchor;
    if (certificate.height <= (newest?.height ?? 0)) return;
    this.#pending = [...this.#pending, certificate].slice(-PENDING_MAX);
    this.#hold();
  }

  /**
   * An anchor is offered when the states its next headers commit are in blocks that exist: whoever starts there
   * learns them by executing, and votes from then on (SNAPSHOT-9).
   */
  #hold(): void {
    const { chain } = this.#o;
    while ((this.#pending[0]?.height ?? Number.POSITIVE_INFINITY) + LIMITS.pipelineDepth <= chain.height) {
      const anchor = this.#pending.shift() as StableCertificate;
      const state = chain.stateUnder(height(anchor.height + LIMITS.pipelineDepth));
      const stored = chain.blockAt(anchor.height);
      if (state === undefined || stored === undefined || !equalBytes(state.root, anchor.stateRoot)) continue;
      const { block, certificate } = stored;
      const header = readHeader(new Reader(block));
      this.#held.push({
        anchor,
        state,
        header,
        certificate,
        block,
        manifest: undefined,
        use: undefined,
        release: chain.hold(anchor.height),
      });
    }
    this.#release();
  }

  #release(): void {
    const now = this.#o.clock.monotonicMs();
    const older = this.#held.slice(0, -RECENT_MAX).filter(({ use }) => {
      return use !== undefined && now - use.last < LEASE_IDLE_MS && now - use.first < LEASE_MS_MAX;
    });
    const held = [...older.slice(-LEASED_MAX), ...this.#held.slice(-RECENT_MAX)];
    for (const each of this.#held) if (!held.includes(each)) each.release();
    this.#held = held;
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const request = decodeRequest(bytes.slice());
    if (!request.ok) return this.#o.blame(peer.id, request.message);
    const account = this.#accountOf(peer.id);
    // One at a time: who asks again before the answer went out is not answered twice.
    if (account.waiting) return;
    const { number, content } = request.value;
    const answer = encodeAnswer({ number, content: this.#answer(content) });
    const cost = Math.max(answer.length, REQUEST_BYTES);
    const own = spend(account, cost, this.#bytesPerSecond, this.#o.clock.monotonicMs());
    const all = spend(this.#everybody, cost, CROWD * this.#bytesPerSecond, this.#o.clock.monotonicMs());
    if (own <= 0 && all <= 0) return this.#send(peer.id, answer);
    account.waiting = true;
    this.#o.clock.after(Math.max(own, all), () => {
      account.waiting = false;
      this.#send(peer.id, answer);
    });
  }

  #send(peer: PeerId, answer: Uint8Array): void {
    this.#o.transport.send(peer, CHANNELS.stateReply.number, answer);
  }

  #accountOf(peer: PeerId): Account {
    let account = this.#accounts.get(peer);
    if (account === undefined) {
      account = { credit: this.#bytesPerSecond, at: this.#o.clock.monotonicMs(), waiting: false };
      this.#accounts.set(peer, account);
    }
    return account;
  }

  #answer(request: SyncRequest): SyncAnswer {
    switch (request.kind) {
      case 'manifests':
        return { kind: 'piece', body: encodeManifests(this.#held.map(manifestOf)) };
      case 'epochs':
        return { kind: 'piece', body: encodeTurns(this.#turns(request.from)) };
      case 'chunk': {
        const held = this.#use(request.height);
        const chunk = held && chunkOf(held.state.tree, request.prefix);
        return chunk === undefined ? UNKNOWN : { kind: 'piece', body: encodeChunk(chunk) };
      }
      case 'hashes': {
        const held = this.#use(request.height);
        if (held === undefined || request.index >= hashPieceCount(held.anchor.height)) return UNKNOWN;
        const { start, end } = hashPieceBounds(held.anchor.height, request.index);
        const piece = this.#o.chain.hashPiece(start, end, held.anchor.height);
        return { kind: 'piece', body: encodeHashPiece(piece) };
      }
      case 'block': {
        const held = this.#use(request.height);
        return held === undefined ? UNKNOWN : { kind: 'piece', body: held.block };
      }
    }
  }

  #use(of: number): Held | undefined {
    const held = this.#held.find(({ anchor }) => anchor.height === of);
    const now = this.#o.clock.monotonicMs();
    if (held?.use !== undefined) held.use.last = now;
    else if (held !== undefined) held.use = { first: now, last: now };
    return held;
  }

  #turns(from: number): EpochTurn[] {
    const { chain } = this.#o;
    const turns: EpochTurn[] = [];
    for (let of = from; of < chain.epoch.epoch && turns.length < SYNC_LIMITS.turnsMax; of += 1) {
      const next = chain.epochStart(epoch(of + 1));
      if (next?.closing === undefined) break;
      turns.push({ closing: next.closing, validators: next.validators });
    }
    return turns;
  }
}

const UNKNOWN: SyncAnswer = { kind: 'unknown' };

function manifestOf(held: Held): Uint8Array {
  const { anchor, header, certificate, state } = held;
  held.manifest ??= encodeManifest({
    anchor,
    header,
    certificate,
    records: state.size,
    depths: chunkDepths(state.tree),
  });
  return held.manifest;
}

/** Takes a cost from what an account has earned, a second's worth at most; returns the milliseconds it is short of. */
function spend(account: Account, cost: number, perSecond: number, now: number): number {
  const earned = ((now - account.at) / 1_000) * perSecond;
  account.credit = Math.min(perSecond, account.credit + earned) - cost;
  account.at = now;
  return (-account.credit / perSecond) * 1_000;
}
