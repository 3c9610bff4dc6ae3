/**
 * Asks peers for pieces of a state (spec SNAPSHOT-5): one request at a time to each, every answer within a time, and
 * nothing more of a peer that sent something wrong.
 */
import type { Clock, Peer, PeerId, Timer, Transport } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { decodeAnswer, encodeRequest, type SyncAnswer, type SyncRequest } from './state-sync-messages.ts';

export interface SyncPeersOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Who has not answered after this is silent. Default 10 s. */
  readonly answerMsMax?: number;
  readonly warn: (message: string, peer: PeerId) => void;
}

interface Open {
  readonly number: number;
  readonly timer: Timer;
  readonly resolve: (answer: SyncAnswer | { readonly kind: 'silent' }) => void;
}

const ANSWER_MS_MAX = 10_000;
const BAN_MS = 3_600_000;
/** Bans remembered; the oldest are forgotten first. */
const BANNED_MAX = 1_024;

export class SyncPeers {
  readonly #o: SyncPeersOptions;
  readonly #open = new Map<PeerId, Open>();
  readonly #bannedUntil = new Map<PeerId, number>();
  #number = 0;

  constructor(options: SyncPeersOptions) {
    this.#o = options;
    const { transport } = options;
    transport.open({ ...CHANNELS.stateReply, receive: (peer, bytes) => this.#receive(peer, bytes) });
    transport.listen({ disconnected: ({ id }) => this.#close(id, { kind: 'silent' }) });
  }

  /** Connected, not banned. */
  peers(): PeerId[] {
    return this.#o.transport
      .peers()
      .map(({ id }) => id)
      .filter((id) => !this.isBanned(id));
  }

  isBanned(peer: PeerId): boolean {
    return (this.#bannedUntil.get(peer) ?? 0) > this.#o.clock.monotonicMs();
  }

  /** For what no honest peer sends. */
  ban(peer: PeerId, message: string): void {
    this.#o.warn(message, peer);
    this.#bannedUntil.delete(peer);
    this.#bannedUntil.set(peer, this.#o.clock.monotonicMs() + BAN_MS);
    const oldest = this.#bannedUntil.keys().next().value;
    if (this.#bannedUntil.size > BANNED_MAX && oldest !== undefined) this.#bannedUntil.delete(oldest);
    this.#o.transport.disconnect(peer);
  }

  /** Never rejects. The body of a piece is a copy. */
  ask(peer: PeerId, request: SyncRequest): Promise<SyncAnswer | { readonly kind: 'silent' }> {
    if (this.#open.has(peer)) throw new RangeError('a peer is asked for one thing at a time');
    const number = (this.#number = (this.#number + 1) >>> 0);
    const { transport, clock, answerMsMax = ANSWER_MS_MAX } = this.#o;
    return new Promise((resolve) => {
      const bytes = encodeRequest({ number, content: request });
      if (!transport.send(peer, CHANNELS.stateRequest.number, bytes)) return resolve({ kind: 'silent' });
      const timer = clock.after(answerMsMax, () => this.#close(peer, { kind: 'silent' }));
      this.#open.set(peer, { number, timer, resolve });
    });
  }

  /** Nobody is waited for any more. */
  stop(): void {
    for (const peer of this.#open.keys()) this.#close(peer, { kind: 'silent' });
  }

  #receive(peer: Peer, bytes: Uint8Array): void {
    const open = this.#open.get(peer.id);
    const answer = decodeAnswer(bytes.slice());
    if (!answer.ok) return this.ban(peer.id, answer.message);
    // Late, repeated or never asked for: whatever it is about, nobody waits for it.
    if (open?.number !== answer.value.number) return;
    this.#close(peer.id, answer.value.content);
  }

  #close(peer: PeerId, answer: SyncAnswer | { readonly kind: 'silent' }): void {
    const open = this.#open.get(peer);
    if (open === undefined) return;
    open.timer.cancel();
    this.#open.delete(peer);
    open.resolve(answer);
  }
}
