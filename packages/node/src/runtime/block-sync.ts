/**
 * Certified blocks by height, from whoever has them. Used by observers always and by a validator that fell
 * behind. Only certificates move anybody: a height claimed without one is ignored. A reply is used up to a block that
 * closes its epoch: who signs the next one is known when it is executed.
 */
import { Reader, DecodeError } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import {
  closesEpoch,
  headerHash,
  decodeBlock,
  readCertificate,
  writeCertificate,
  type Certificate,
  type Header,
} from '@itc/core/ledger/block.js';
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import type { Candidate } from '@itc/core/pbft/messages.js';
import { verifyCertificate } from '@itc/core/pbft/verify.js';
import type { Clock, Peer, PeerId, Timer, Transport } from '../ports.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';

export interface CertifiedBlock {
  readonly candidate: Candidate;
  readonly header: Header;
  readonly certificate: Certificate;
}

export interface BlockSyncOptions {
  readonly chain: Chain;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Blocks of one epoch in height order, certificates checked. Resolves when they are taken. */
  readonly accept: (blocks: readonly CertifiedBlock[]) => Promise<void>;
  readonly warn: (message: string, peer: PeerId) => void;
}

const REPLY_BLOCKS_MAX = 64;
const REPLY_MS_MAX = 5_000;
/** A peer that was silent, or has not what it claims, is asked again after this long, unless there is nobody else. */
const AVOIDED_MS = 30_000;
/** After blocks that were not taken (consensus stands still), the next request waits for this long. */
const UNTAKEN_MS = 1_000;
/** First byte of a refusal, before the lowest height there is; the first byte of a block's length is below it. */
const PRUNED = 0xff;

export class BlockSync {
  readonly #options: BlockSyncOptions;
  /** Highest height each connected peer has announced: a hint where to ask, nothing more. */
  readonly #claimed = new Map<PeerId, number>();
  /** Lowest block of peers that have refused an older one. */
  readonly #floors = new Map<PeerId, number>();
  /** Peers that did not answer, or had nothing, and until when others go first. */
  readonly #avoidedUntil = new Map<PeerId, number>();
  #asked: { readonly peer: PeerId; readonly timer: Timer } | undefined;
  #accepting = false;
  #waitsUntil = Number.NEGATIVE_INFINITY;
  #target = 0;

  constructor(options: BlockSyncOptions) {
    this.#options = options;
    const { transport } = options;
    transport.open({ ...CHANNELS.blockRequest, receive: (peer, bytes) => this.#serve(peer, bytes) });
    transport.open({ ...CHANNELS.blockReply, receive: (peer, bytes) => this.#receive(peer, bytes) });
    transport.open({ ...CHANNELS.head, receive: (peer, bytes) => this.#announced(peer, bytes) });
    transport.listen({
      connected: (peer) => this.#greet(peer.id),
      disconnected: (peer) => {
        this.#claimed.delete(peer.id);
        this.#floors.delete(peer.id);
        this.#avoidedUntil.delete(peer.id);
        if (this.#asked?.peer === peer.id) this.#release();
      },
    });
  }

  /** True while a height is known to exist that is not committed here. */
  get behind(): boolean {
    return this.target > this.#options.chain.height;
  }

  /** Blocks are missing here that every peer in sight has pruned. */
  get isPruned(): boolean {
    return this.#floors.size > 0 && this.behind && this.#askable().length === 0;
  }

  /**
   * Height that is certified, or that weight F + 1 of the present validators claim: one liar moves nobody. Where so much
   * weight is not connected (a process behind a gateway), the highest claim of all.
   */
  get target(): number {
    const { validators } = this.#options.chain.epoch;
    const { weak } = quorumOf(validators.map(({ weight }) => weight));
    const claims = validators.flatMap(({ key, weight }) => {
      const claimed = this.#claimed.get(toHex(key.bytes));
      return claimed === undefined ? [] : [{ claimed, weight }];
    });
    let claiming = 0;
    for (const { claimed, weight } of claims.sort((a, b) => b.claimed - a.claimed)) {
      claiming += weight;
      if (claiming >= weak) return Math.max(this.#target, claimed);
    }
    return Math.max(this.#target, ...this.#claimed.values());
  }

  /** After every commit: tells the peers that follow us. */
  announce(): void {
    this.#options.transport.broadcast(CHANNELS.head.number, headBytes(this.#options.chain.height));
    this.pursue();
  }

  /** Blocks up to `target` are known to exist; `from` has them. */
  want(target: number, from: PeerId): void {
    this.#target = Math.max(this.#target, target);
    // Who is not connected cannot be asked, and nothing would ever take its claim away again.
    if (this.#options.transport.peers().some(({ id }) => id === from))
      this.#claimed.set(from, Math.max(target, this.#claimed.get(from) ?? 0));
    this.pursue();
  }

  /** Asks for the next blocks unless an answer is on its way or being worked on. */
  pursue(): void {
    if (this.#asked !== undefined || this.#accepting) return;
    if (this.#options.clock.monotonicMs() < this.#waitsUntil) return;
    const peer = this.#ask();
    if (peer === undefined) return;
    const timer = this.#options.clock.after(REPLY_MS_MAX, () => {
      this.#avoid(peer);
      this.#release();
      this.pursue();
    });
    this.#asked = { peer, timer };
  }

  /** Sends the request to the first who takes it; begins with another one for each block. */
  #ask(): PeerId | undefined {
    const { chain, clock, transport } = this.#options;
    const next = chain.height + 1;
    const now = clock.monotonicMs();
    const askable = this.#askable();
    const isAvoided = (peer: PeerId): boolean => (this.#avoidedUntil.get(peer) ?? 0) > now;
    const request = new Writer(10).u53(next).u16(REPLY_BLOCKS_MAX).finish();
    const first = next % Math.max(1, askable.length);
    const inTurn = [...askable.slice(first), ...askable.slice(0, first)];
    return [
      ...inTurn.filter((peer) => !isAvoided(peer)),
      // One that claims again what it did not have is asked when nobody else is there.
      ...inTurn.filter(isAvoided),
    ].find((peer) => transport.send(peer, CHANNELS.blockRequest.number, request));
  }

  /** What this peer claims no longer counts until it claims again, and others go first for a while. */
  #avoid(peer: PeerId): void {
    this.#claimed.delete(peer);
    this.#avoidedUntil.set(peer, this.#options.clock.monotonicMs() + AVOIDED_MS);
  }

  /** Peers that claim the next block and have not said that they pruned it. */
  #askable(): PeerId[] {
    const next = this.#options.chain.height + 1;
    const claiming = [...this.#claimed].filter(([, claimed]) => claimed >= next).map(([peer]) => peer);
    return claiming.filter((peer) => (this.#floors.get(peer) ?? 0) <= next);
  }

  #release(): void {
    this.#asked?.timer.cancel();
    this.#asked = undefined;
  }

  #greet(peer: PeerId): void {
    this.#options.transport.send(peer, CHANNELS.head.number, headBytes(this.#options.chain.height));
  }

  #announced(peer: Peer, bytes: Uint8Array): void {
    if (bytes.length !== 8) return this.#blame(peer.id, 'a head announcement has eight bytes');
    try {
      this.#claimed.set(peer.id, new Reader(bytes).u53());
    } catch (error) {
      if (error instanceof DecodeError) return this.#blame(peer.id, error.message);
      throw error;
    }
    this.pursue();
  }

  #serve(peer: Peer, bytes: Uint8Array): void {
    if (bytes.length !== 10) return this.#blame(peer.id, 'a block request has ten bytes');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const from = Number(view.getBigUint64(0));
    const count = Math.min(view.getUint16(8), REPLY_BLOCKS_MAX);
    const writer = new Writer(4096);
    const { chain } = this.#options;
    if (from < chain.floor && from <= chain.height) {
      const refusal = new Writer(9).u8(PRUNED).u53(chain.floor).finish();
      this.#options.transport.send(peer.id, CHANNELS.blockReply.number, refusal);
      return;
    }
    for (let at = from; at < from + count && at <= chain.height; at += 1) {
      const stored = chain.blockAt(at);
      if (stored === undefined) break;
      // The first block always fits; further ones as long as the reply stays well below the channel's bound.
      if (at > from && writer.length + stored.block.length > LIMITS.blockBytesMax) break;
      writer.bytes(stored.block);
      writeCertificate(writer, stored.certificate);
    }
    this.#options.transport.send(peer.id, CHANNELS.blockReply.number, writer.finish());
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    if (this.#asked?.peer !== peer.id) return;
    this.#release();
    if (bytes.length === 9 && bytes[0] === PRUNED) return this.#refused(peer.id, bytes.slice(1));
    const blocks = this.#decode(peer.id, bytes.slice());
    if (blocks === undefined) return;
    if (blocks.length === 0) {
      // All of it may have been delivered another way meanwhile; nothing at all is a broken claim.
      if (bytes.length === 0) this.#avoid(peer.id);
      return this.pursue();
    }
    const { chain, clock, accept } = this.#options;
    const before = chain.height;
    this.#accepting = true;
    void accept(blocks)
      .finally(() => {
        this.#accepting = false;
        // The same blocks asked for in a circle would help nobody.
        if (chain.height === before) this.#waitsUntil = clock.monotonicMs() + UNTAKEN_MS;
      })
      .then(() => this.pursue());
  }

  /** The peer has pruned what is missing here (SNAPSHOT-12): others are asked, and a state may be taken over instead. */
  #refused(peer: PeerId, floor: Uint8Array): void {
    const next = this.#options.chain.height + 1;
    const lowest = Number(new DataView(floor.buffer).getBigUint64(0));
    if (lowest <= next) return this.#blame(peer, `block ${next} is refused as pruned below ${lowest}`);
    this.#floors.set(peer, lowest);
    this.pursue();
  }

  #decode(peer: PeerId, bytes: Uint8Array): CertifiedBlock[] | undefined {
    const reader = new Reader(bytes);
    const blocks: CertifiedBlock[] = [];
    const { chain } = this.#options;
    const context = chain.contextAt(height(chain.height + 1));
    let expected = chain.height + 1;
    let parent = chain.tipHash;
    try {
      while (reader.remaining > 0) {
        const block = reader.bytes(LIMITS.blockBytesMax);
        const certificate = readCertificate(reader);
        const decoded = decodeBlock(block);
        if (!decoded.ok) throw new DecodeError(decoded.code, reader.offset, decoded.message);
        const { header } = decoded.value;
        // An answer that overlaps what another way delivered meanwhile is no fault of the peer.
        if (header.height < expected) continue;
        const hash = headerHash(header);
        if (
          header.height !== expected ||
          !equalBytes(header.parentHash, parent) ||
          !equalBytes(certificate.hash, hash) ||
          certificate.height !== expected
        ) {
          return this.#blame(peer, `block ${header.height} does not follow ${expected - 1}`);
        }
        if (!verifyCertificate(context, certificate))
          return this.#blame(peer, `the certificate of block ${expected} does not verify`);
        blocks.push({
          candidate: {
            height: header.height,
            parentHash: header.parentHash,
            hash,
            bytes: block,
            closes: closesEpoch(header),
            count: decoded.value.transactions.length,
          },
          header,
          certificate,
        });
        if (closesEpoch(header)) break;
        expected += 1;
        parent = hash;
      }
    } catch (error) {
      if (error instanceof DecodeError) return this.#blame(peer, error.message);
      throw error;
    }
    return blocks;
  }

  #blame(peer: PeerId, message: string): undefined {
    this.#options.warn(message, peer);
    this.#claimed.delete(peer);
    this.#options.transport.disconnect(peer);
    return undefined;
  }
}

function headBytes(of: number): Uint8Array {
  return new Writer(8).u53(of).finish();
}
