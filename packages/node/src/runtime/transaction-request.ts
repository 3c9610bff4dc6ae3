/** Transactions by id, from validators that have them: what others report as overdue a proposer may never have heard of. */
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { idText } from '@itc/core/state/record-map.js';
import type { Mempool } from '../mempool/mempool.ts';
import type { Clock, Peer, PeerId, Transport } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { encodeBatches } from './intake.ts';

export interface TransactionRequestOptions {
  readonly mempool: Mempool;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Validators of the present epoch: who is asked, and who is answered. */
  readonly voters: () => Iterable<PeerId>;
  readonly blame: (peer: PeerId, message: string) => void;
}

/** Between two requests, and between two answers to one peer. */
const PAUSE_MS = 500;

export class TransactionRequest {
  readonly #o: TransactionRequestOptions;
  readonly #servedAt = new Map<PeerId, number>();
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: TransactionRequestOptions) {
    this.#o = options;
    const { transport } = options;
    transport.open({
      ...CHANNELS.transactionRequest,
      receive: (peer, bytes) => this.#serve(peer, bytes),
    });
    transport.listen({ disconnected: ({ id }) => void this.#servedAt.delete(id) });
  }

  /** Asks for those that do not wait here. The answers come like every relayed transaction. */
  want(ids: readonly Hash[]): void {
    const { mempool, transport, clock, voters } = this.#o;
    const missing = ids.filter((id) => mempool.get(idText(id)) === undefined).slice(0, LIMITS.inclusionMax);
    const now = clock.monotonicMs();
    if (missing.length === 0 || now - this.#askedAt < PAUSE_MS) return;
    this.#askedAt = now;
    const writer = new Writer(16 + HASH_BYTES * missing.length);
    writer.list(missing, (w, id) => w.fixed(id, HASH_BYTES));
    const request = writer.finish();
    for (const peer of voters())
      if (peer !== transport.self) transport.send(peer, CHANNELS.transactionRequest.number, request);
  }

  #serve(peer: Peer, bytes: Uint8Array): void {
    const { mempool, transport, clock, voters, blame } = this.#o;
    const now = clock.monotonicMs();
    if (now - (this.#servedAt.get(peer.id) ?? Number.NEGATIVE_INFINITY) < PAUSE_MS / 2) return;
    if (![...voters()].includes(peer.id)) return;
    const ids = decode((reader) => reader.list(LIMITS.inclusionMax, readHash), bytes);
    if (!ids.ok) return blame(peer.id, ids.message);
    this.#servedAt.set(peer.id, now);
    const known = ids.value.flatMap((id) => mempool.get(idText(id))?.encoded ?? []);
    for (const batch of encodeBatches(known)) transport.send(peer.id, CHANNELS.transaction.number, batch);
  }
}
