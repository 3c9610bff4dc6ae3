/**
 * Pieces of proofs that were forgotten here and others still have (spec LIGHT-10.6): asked of a few peers at once, and answered to all of
 * them, so many a second. What comes is checked by whoever asked; nobody is believed.
 */
import { idText } from '@itc/core/bytes/id-text.js';
import { decode, Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES } from '@itc/core/crypto/hash.js';
import { height } from '@itc/core/ledger/ids.js';
import { readHash } from '@itc/core/ledger/fields.js';
import type { Clock, Peer, PeerId, Transport } from '../ports.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import {
  decodePiece,
  encodePiece,
  holds,
  type LightPieces,
  type Piece,
  type PieceQuestion,
} from './light-pieces.ts';

export interface LightPeersOptions {
  readonly chain: Pick<Chain, 'headerAt' | 'stateUnder'>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly pieces: LightPieces;
}

/** Peers that are asked at once; how long they have; questions that are open; pieces that are remembered. */
const ASKED = 4;
const WAIT_MS = 2_000;
const OPEN_MAX = 256;
const REMEMBERED_MAX = 512;
/** Questions of one peer that are answered in a second. */
const ANSWERS_PER_SECOND = 64;

interface Open {
  readonly question: PieceQuestion;
  readonly done: (piece: Piece | undefined) => void;
  waiting: number;
}

export class LightPeers {
  readonly #o: LightPeersOptions;
  readonly #open = new Map<number, Open>();
  /** The latest last. */
  readonly #remembered = new Map<string, Piece>();
  readonly #answered = new Map<PeerId, { second: number; count: number }>();
  #questions = 0;

  constructor(options: LightPeersOptions) {
    this.#o = options;
    const { transport } = options;
    transport.open({ ...CHANNELS.lightRequest, receive: (peer, bytes) => this.#serve(peer, bytes) });
    transport.open({ ...CHANNELS.lightReply, receive: (_, bytes) => this.#take(bytes) });
    transport.listen({ disconnected: ({ id }) => void this.#answered.delete(id) });
  }

  /** What is here, or was brought before. */
  known(question: PieceQuestion): Piece | 'later' | undefined {
    const local = this.#o.pieces.find(question);
    if (local !== undefined) return local;
    const name = nameOf(question);
    const piece = this.#remembered.get(name);
    if (piece !== undefined && holds(this.#o.chain, question, piece)) return piece;
    this.#remembered.delete(name);
    return undefined;
  }

  /** Asks those who are connected, unless it is known. Undefined when none of them has it, or nobody answers in time. */
  async find(question: PieceQuestion): Promise<Piece | 'later' | undefined> {
    const known = this.known(question);
    if (known !== undefined || this.#open.size >= OPEN_MAX) return known;
    const { transport, clock } = this.#o;
    this.#questions = (this.#questions + 1) % 0x1_0000_0000;
    const number = this.#questions;
    const request = new Writer(64)
      .u32(number)
      .u8(question.kind === 'transaction' ? 1 : 2)
      .fixed(question.id, HASH_BYTES)
      .u53(question.under)
      .finish();
    const peers = transport.peers();
    let waiting = 0;
    // In turn, so that not the same few are asked always.
    for (let i = 0; i < peers.length && waiting < ASKED; i += 1) {
      const peer = peers[(i + number) % peers.length] as Peer;
      if (transport.send(peer.id, CHANNELS.lightRequest.number, request)) waiting += 1;
    }
    if (waiting === 0) return undefined;
    return new Promise((resolve) => {
      const timer = clock.after(WAIT_MS, () => done(undefined));
      const done = (piece: Piece | undefined): void => {
        timer.cancel();
        this.#open.delete(number);
        resolve(piece);
      };
      this.#open.set(number, { question, done, waiting });
    });
  }

  #serve(peer: Peer, bytes: Uint8Array): void {
    const { transport, clock, pieces } = this.#o;
    const second = Math.floor(clock.monotonicMs() / 1_000);
    const answered = this.#answered.get(peer.id);
    const count = answered?.second === second ? answered.count + 1 : 1;
    if (count > ANSWERS_PER_SECOND) return;
    this.#answered.set(peer.id, { second, count });
    const read = decode((reader) => {
      const number = reader.u32();
      const kind = reader.u8() === 1 ? 'transaction' : 'payload';
      return { number, question: { kind, id: readHash(reader), under: height(reader.u53()) } as const };
    }, bytes);
    if (!read.ok) return transport.disconnect(peer.id);
    const piece = pieces.find(read.value.question);
    const writer = new Writer(2048).u32(read.value.number);
    if (piece !== undefined && piece !== 'later') writer.raw(encodePiece(piece));
    transport.send(peer.id, CHANNELS.lightReply.number, writer.finish());
  }

  /** Nothing behind the number: the peer has not got it either. What does not hold counts as that. */
  #take(bytes: Uint8Array): void {
    if (bytes.length < 4) return;
    const reader = new Reader(bytes);
    const open = this.#open.get(reader.u32());
    if (open === undefined) return;
    const piece = decodePiece(reader.fixed(reader.remaining));
    if (piece.ok && holds(this.#o.chain, open.question, piece.value)) {
      this.#remember(open.question, piece.value);
      return open.done(piece.value);
    }
    open.waiting -= 1;
    if (open.waiting === 0) open.done(undefined);
    return undefined;
  }

  #remember(question: PieceQuestion, piece: Piece): void {
    this.#remembered.set(nameOf(question), piece);
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= REMEMBERED_MAX) return;
      this.#remembered.delete(oldest);
    }
  }
}

const nameOf = ({ kind, id }: PieceQuestion): string => `${kind} ${idText(id)}`;
