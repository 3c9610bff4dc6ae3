/**
 * Proposals without the transactions everybody has already (spec NODE-20; the idea is BIP-152's): header and ids cross the
 * wire, the block is put together from the pool, and what is missing there is asked for by position. The replica sees
 * whole blocks only. A proposal that is sent again is sent whole: whatever went wrong, that ends it.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { decode } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import {
  closesEpoch,
  headerHash,
  readHeader,
  transactionsRoot,
  writeHeader,
  type Header,
} from '@itc/core/ledger/block.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { readHash } from '@itc/core/ledger/fields.js';
import { transactionId } from '@itc/core/ledger/transaction.js';
import { decodeMessage, encodeMessage } from '@itc/core/pbft/message-codec.js';
import type { Candidate, Message, PrePrepare } from '@itc/core/pbft/messages.js';
import { idText } from '@itc/core/state/record-map.js';
import type { VerifiedTransaction } from '@itc/core/state/verified-transaction.js';
import type { Mempool } from '../mempool/mempool.ts';
import type { Peer, PeerId, Transport } from '../ports.ts';
import { CHANNELS } from './channels.ts';
import { joinParts, type PreparedBlock } from './prepared-block.ts';

export interface CompactBlocksOptions {
  readonly mempool: Pick<Mempool, 'get'>;
  readonly transport: Transport;
  /** A block this node knows and may be asked about. */
  readonly block: (hash: Hash) => PreparedBlock | undefined;
  /** Validators of the present epoch: who is heard and answered. */
  readonly isHeard: (peer: PeerId) => boolean;
  /** Whether a proposal is signed by its author, in this epoch, for a height that is due. */
  readonly isDue: (proposal: PrePrepare) => boolean;
  /** A proposal with its whole block. */
  readonly complete: (peer: PeerId, proposal: PrePrepare) => void;
  readonly blame: (peer: PeerId, message: string) => void;
}

/** Proposals waiting for transactions, and proposals remembered as sent or answered; the oldest makes room. */
const REMEMBERED_MAX = 64;
/** Below this a block is sent whole: there is nothing to be saved. */
const WORTHWHILE = 8;

/** Stands for the bytes of a block in a proposal on the channel `compact`. */
export interface Compact {
  readonly header: Header;
  readonly ids: readonly Hash[];
}

interface Incomplete {
  readonly peer: PeerId;
  readonly proposal: PrePrepare;
  readonly compact: Compact;
  /** By position; undefined where it is missing. */
  readonly transactions: (VerifiedTransaction | Uint8Array | undefined)[];
}

export class CompactBlocks {
  readonly #o: CompactBlocksOptions;
  readonly #sent = new Map<string, true>();
  readonly #served = new Map<string, true>();
  readonly #waiting = new Map<string, Incomplete>();

  constructor(options: CompactBlocksOptions) {
    this.#o = options;
    const { transport, isHeard } = options;
    const heard = (receive: (peer: PeerId, bytes: Uint8Array) => void) => (peer: Peer, bytes: Uint8Array) => {
      if (isHeard(peer.id)) receive(peer.id, bytes);
    };
    transport.open({ ...CHANNELS.compact, receive: heard((peer, bytes) => this.#proposed(peer, bytes)) });
    transport.open({ ...CHANNELS.bodyRequest, receive: heard((peer, bytes) => this.#serve(peer, bytes)) });
    transport.open({ ...CHANNELS.bodyReply, receive: heard((peer, bytes) => this.#answered(peer, bytes)) });
  }

  /** A message for the channel `compact` in place of a proposal; undefined when it is to be sent whole. */
  encode(message: Message): Uint8Array | undefined {
    if (message.kind !== 'pre-prepare') return undefined;
    const block = this.#o.block(message.block.hash);
    const name = toHex(message.block.hash);
    if (block === undefined || block.transactions.length < WORTHWHILE || this.#sent.has(name))
      return undefined;
    remember(this.#sent, name, true);
    const ids = block.transactions.map(({ id }) => id);
    return encodeMessage({
      ...message,
      block: { ...message.block, bytes: encodeCompact({ header: block.header, ids }) },
    });
  }

  #proposed(peer: PeerId, bytes: Uint8Array): void {
    let compact: Compact | undefined;
    const decoded = decodeMessage(bytes.slice(), (block) => {
      compact = decodeCompact(block);
      return compact && candidateOf(compact, block);
    });
    if (!decoded.ok) return this.#o.blame(peer, decoded.message);
    const proposal = decoded.value;
    if (proposal.kind !== 'pre-prepare' || compact === undefined)
      return this.#o.blame(peer, `a ${proposal.kind} is no compact proposal`);
    if (!equalBytes(transactionsRoot(compact.ids), compact.header.txRoot))
      return this.#o.blame(peer, 'the ids of a compact proposal do not have the root in its header');
    if (!this.#o.isDue(proposal)) return undefined;
    const transactions = compact.ids.map((id): Incomplete['transactions'][number] =>
      this.#o.mempool.get(idText(id)),
    );
    const missing = [...transactions.keys()].filter((i) => transactions[i] === undefined);
    const incomplete: Incomplete = { peer, proposal, compact, transactions };
    if (missing.length === 0) return this.#complete(incomplete);
    remember(this.#waiting, toHex(proposal.block.hash), incomplete);
    const request = new Writer(HASH_BYTES + 2 + 2 * missing.length).fixed(proposal.block.hash, HASH_BYTES);
    request.list(missing, (w, index) => w.u16(index));
    this.#o.transport.send(peer, CHANNELS.bodyRequest.number, request.finish());
    return undefined;
  }

  /** Once per peer and block: whoever loses the answer gets the whole block when it is sent again. */
  #serve(peer: PeerId, bytes: Uint8Array): void {
    const request = decode(
      (r) => ({ hash: readHash(r), indices: r.list(LIMITS.blockTransactionsMax, (item) => item.u16()) }),
      bytes,
    );
    if (!request.ok) return this.#o.blame(peer, request.message);
    const { hash, indices } = request.value;
    const block = this.#o.block(hash);
    const name = `${peer} ${toHex(hash)}`;
    if (block === undefined || this.#served.has(name)) return undefined;
    remember(this.#served, name, true);
    const writer = new Writer(1024).fixed(hash, HASH_BYTES);
    for (const index of new Set(indices)) {
      const transaction = block.transactions[index];
      if (transaction === undefined) return this.#o.blame(peer, `block has no transaction ${index}`);
      writer.bytes(transaction.encoded);
    }
    this.#o.transport.send(peer, CHANNELS.bodyReply.number, writer.finish());
    return undefined;
  }

  #answered(peer: PeerId, bytes: Uint8Array): void {
    const reply = decode((r) => {
      const hash = readHash(r);
      const bodies: Uint8Array[] = [];
      while (r.remaining > 0) bodies.push(r.bytes(LIMITS.transactionBytesMax).slice());
      return { hash, bodies };
    }, bytes);
    if (!reply.ok) return this.#o.blame(peer, reply.message);
    const name = toHex(reply.value.hash);
    const incomplete = this.#waiting.get(name);
    if (incomplete === undefined || incomplete.peer !== peer) return undefined;
    this.#waiting.delete(name);
    const { compact, transactions } = incomplete;
    for (const body of reply.value.bodies) {
      const index = transactions.indexOf(undefined);
      if (index < 0 || !equalBytes(transactionId(body), compact.ids[index] as Hash))
        return this.#o.blame(peer, 'a transaction is not the one that was asked for');
      transactions[index] = body;
    }
    if (transactions.includes(undefined)) return this.#o.blame(peer, 'an answer leaves transactions out');
    return this.#complete(incomplete);
  }

  #complete({ peer, proposal, compact, transactions }: Incomplete): void {
    const parts = { ...compact, transactions: transactions as (VerifiedTransaction | Uint8Array)[] };
    const bytes = joinParts(parts);
    // What a whole block could not be is nothing a compact one may be.
    if (bytes.length > LIMITS.blockBytesMax)
      return this.#o.blame(peer, `a proposed block has ${bytes.length} bytes`);
    return this.#o.complete(peer, { ...proposal, block: { ...proposal.block, bytes } });
  }
}

function encodeCompact({ header, ids }: Compact): Uint8Array {
  const writer = new Writer(512 + HASH_BYTES * ids.length);
  writeHeader(writer, header);
  return writer.list(ids, (w, id) => w.fixed(id, HASH_BYTES)).finish();
}

export function decodeCompact(bytes: Uint8Array): Compact | undefined {
  const decoded = decode(
    (reader) => ({ header: readHeader(reader), ids: reader.list(LIMITS.blockTransactionsMax, readHash) }),
    bytes,
  );
  return decoded.ok ? decoded.value : undefined;
}

export function candidateOf({ header, ids }: Compact, bytes: Uint8Array): Candidate {
  return {
    height: header.height,
    parentHash: header.parentHash,
    hash: headerHash(header),
    bytes,
    closes: closesEpoch(header),
    count: ids.length,
  };
}

function remember<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name);
  map.set(name, value);
  const oldest = map.keys().next().value;
  if (map.size > REMEMBERED_MAX && oldest !== undefined) map.delete(oldest);
}
