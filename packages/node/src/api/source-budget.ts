/**
 * How much useless work each address may cause (spec NODE-6.5): a signature that does not hold costs a hundred times
 * more to find out than to send. Addresses are not kept in a table, which somebody could fill: each is hashed, under a
 * secret of this process, to one cell in each of four rows, and what is counted of it is the lowest of its cells
 * (Cormode and Muthukrishnan, "An Improved Data Stream Summary", 2005, with conservative update). Somebody else's cells
 * cannot be aimed at.
 */
import { createHmac } from 'node:crypto';
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';
import type { Clock, Random } from '../ports.ts';

export const SOURCE_LIMITS = {
  /** Failed checks that an address may cause at once, and in each second in the long run. */
  burst: 128,
  perSecond: 10,
  rows: 4,
  /** A power of two: cells are addressed by bits of a hash. */
  columns: 4_096,
} as const;

/** What is found out by checking a signature in vain. */
const WASTED: ReadonlySet<ErrorCode> = new Set([
  'signature.invalid',
  'checkpoint.quorum',
  'checkpoint.signature',
  'claim.endorsement',
  'claim.signature',
  'evidence.signature',
  'validator.possession',
]);

/** What it costs to serve somebody, in answers (spec LIGHT-10.5): many a device stands behind one address. */
export const ANSWER_LIMITS = { burst: 512, perSecond: 64 } as const;

/** Where the cells of an address are. Worked out once for a connection. */
export type Source = readonly number[];

interface Cell {
  owed: number;
  /** When `owed` was right, by the clock. */
  atMs: number;
}

export class SourceBudget {
  readonly #clock: Clock;
  readonly #limits: { readonly burst: number; readonly perSecond: number };
  readonly #secret: Uint8Array;
  readonly #cells: readonly Cell[];
  readonly #sources = new WeakMap<object, Source>();

  constructor(
    { clock, random }: { readonly clock: Clock; readonly random: Random },
    limits: { readonly burst: number; readonly perSecond: number } = SOURCE_LIMITS,
  ) {
    const now = clock.monotonicMs();
    this.#clock = clock;
    this.#limits = limits;
    this.#secret = random.bytes(32);
    this.#cells = Array.from({ length: SOURCE_LIMITS.rows * SOURCE_LIMITS.columns }, () => ({
      owed: 0,
      atMs: now,
    }));
  }

  /** Of whoever is at the other end of a socket. */
  sourceOf(socket: { readonly remoteAddress?: string | undefined }): Source {
    let source = this.#sources.get(socket);
    if (source === undefined) {
      source = this.source(socket.remoteAddress ?? '');
      this.#sources.set(socket, source);
    }
    return source;
  }

  source(address: string): Source {
    const digest = createHmac('sha256', this.#secret).update(networkOf(address)).digest();
    const { rows, columns } = SOURCE_LIMITS;
    return Array.from(
      { length: rows },
      (_, row) => row * columns + (digest.readUInt32BE(4 * row) & (columns - 1)),
    );
  }

  /** Something from this address was refused with this code. */
  refused(source: Source, code: ErrorCode): void {
    if (WASTED.has(code)) this.charge(source);
  }

  /** Throws `request.too-many` while an address is not listened to. */
  assertWelcome(source: Source): void {
    const waitMs = this.waitMs(source);
    if (waitMs === 0) return;
    const retryAfterS = Math.ceil(waitMs / 1_000);
    throw new LedgerError(
      'request.too-many',
      `too much was asked or sent in vain from this address: wait ${retryAfterS} s`,
      { retryAfterS },
    );
  }

  /** A check caused by this address has failed, or an answer cost so much. */
  charge(source: Source, cost = 1): void {
    const owed = this.#owed(source) + cost;
    const now = this.#clock.monotonicMs();
    for (const at of source) {
      const cell = this.#cells[at] as Cell;
      // Cells that others share and have raised already stay as they are.
      cell.owed = Math.max(this.#remaining(cell, now), owed);
      cell.atMs = now;
    }
  }

  /** Milliseconds until this address is listened to again; 0 when it is. */
  waitMs(source: Source): number {
    const over = this.#owed(source) - this.#limits.burst;
    return over < 0 ? 0 : Math.ceil(((over + 1) * 1_000) / this.#limits.perSecond);
  }

  #owed(source: Source): number {
    const now = this.#clock.monotonicMs();
    let owed = Number.POSITIVE_INFINITY;
    for (const at of source) owed = Math.min(owed, this.#remaining(this.#cells[at] as Cell, now));
    return owed;
  }

  #remaining({ owed, atMs }: Cell, now: number): number {
    return Math.max(0, owed - ((now - atMs) * this.#limits.perSecond) / 1_000);
  }
}

/** An IPv4 address, or the first 64 bits of an IPv6 one: one customer has all of the rest. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1] as string;
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%', 1)[0] as string).split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups =
    tail === undefined
      ? front
      : [...front, ...Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0'), ...back];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
