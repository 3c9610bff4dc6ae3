/**
 * Envelopes whose parents are not here yet, and the asking for those parents (spec DAG-9). Every map has a cap an
 * attacker cannot steer against others: authors are counted by their signatures, announcements by the channel
 * they came through.
 */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Origin } from './graph.ts';
import { keyOf } from './slab.ts';
import type { VerifiedEnvelope } from './verify.ts';

export interface Waiting {
  readonly envelope: VerifiedEnvelope;
  readonly from: number;
  readonly origin: Origin;
  /** Parents not here yet; 0 while it waits for its anchor. */
  missing: number;
}

interface Missing {
  readonly hash: Hash;
  /** Whose signed envelope needs it; −1 when a peer only announced it. */
  readonly author: number;
  /** Who told us. Asked first. */
  readonly announcer: number;
  readonly certified: boolean;
  readonly waiters: string[];
  tries: number;
  nextAt: number;
  askedAt: number;
  askedPeer: number;
}

/** A peer and the hashes to ask it for. */
export interface Ask {
  readonly to: number;
  readonly hashes: Hash[];
}

/** Attempts before an entry is given up; with the back-off that is about a minute. */
const TRIES_MAX = 16;
/** Quiet time after part of an answer before the rest is asked for. */
const PROGRESS_MS = 50;
const NOBODY: readonly Waiting[] = [];

export class Solidifier {
  readonly #waiting = new Map<string, Waiting>();
  readonly #missing = new Map<string, Missing>();
  /** Envelopes by the anchor they wait for. */
  readonly #byAnchor = new Map<string, string[]>();
  readonly #peers: readonly number[];
  readonly #waitingByAuthor: number[];
  readonly #bytesByAuthor: number[];
  readonly #missingByAuthor: number[];
  readonly #missingByPeer = new Map<number, number>();
  /** Envelopes a peer may still send as an answer, and when the last of them came. */
  readonly #credit = new Map<number, number>();
  readonly #progress = new Map<number, number>();
  readonly #shareMax: number;
  readonly #shareBytes: number;
  readonly #missingMax: { readonly author: number; readonly peer: number };
  readonly #timing: { readonly requestMs: number; readonly requestMaxMs: number };
  #bytes = 0;

  constructor(options: {
    readonly members: number;
    readonly self: number;
    readonly timing: { readonly requestMs: number; readonly requestMaxMs: number };
  }) {
    const all = Array.from({ length: options.members }, (_, i) => i);
    this.#peers = all.filter((peer) => peer !== options.self);
    this.#waitingByAuthor = all.map(() => 0);
    this.#bytesByAuthor = all.map(() => 0);
    this.#shareBytes = Math.floor(LIMITS.unsolidBytesMax / options.members);
    this.#missingByAuthor = all.map(() => 0);
    // All shares together are within the limit: whatever some use up, the others have theirs.
    const each = Math.floor(LIMITS.missingMax / (2 * options.members));
    this.#missingMax = {
      author: Math.min(LIMITS.missingPerAuthorMax, each),
      peer: Math.min(LIMITS.missingPerPeerMax, each),
    };
    this.#shareMax = Math.floor(LIMITS.unsolidEnvelopesMax / options.members);
    this.#timing = options.timing;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  get missingCount(): number {
    return this.#missing.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  isWaiting(hash: Hash): boolean {
    return this.#waiting.has(keyOf(hash));
  }

  missingOf(hash: Hash): number {
    return this.#waiting.get(keyOf(hash))?.missing ?? 0;
  }

  /** How an envelope that arrives is to be judged: asked for by hash, or part of an answer we are owed. */
  originOf(hash: Hash, from: number, reply: boolean): Origin {
    const wanted = this.#missing.size === 0 ? undefined : this.#missing.get(keyOf(hash));
    if (wanted !== undefined) return wanted.certified ? 'certified' : 'requested';
    return reply && this.expectsFrom(from) ? 'requested' : 'gossip';
  }

  expectsFrom(peer: number): boolean {
    return (this.#credit.get(peer) ?? 0) > 0;
  }

  /** One envelope of an answer has come. */
  spend(from: number, now: number): void {
    const credit = this.#credit.get(from) ?? 0;
    if (credit > 0) this.#credit.set(from, credit - 1);
    this.#progress.set(from, now);
  }

  /** Keeps an envelope until its parents come. False when there is no room: it will be asked for again if needed. */
  hold(waiting: Omit<Waiting, 'missing'>, parents: readonly Hash[], now: number): boolean {
    const { envelope } = waiting;
    const key = keyOf(envelope.hash);
    if (this.#waiting.has(key)) return true;
    if (!this.#hasRoom(envelope)) return false;
    let missing = 0;
    for (const parent of parents) {
      const entry = this.#want(parent, {
        author: envelope.issuer,
        announcer: waiting.from,
        certified: waiting.origin === 'certified',
        now,
      });
      if (entry === undefined) continue;
      entry.waiters.push(key);
      missing += 1;
    }
    // Without an entry for every parent it could never be completed; those made so far expire by themselves.
    if (missing < parents.length) return false;
    this.#keep(key, { ...waiting, missing });
    return true;
  }

  holdForAnchor(waiting: Omit<Waiting, 'missing'>): boolean {
    const key = keyOf(waiting.envelope.hash);
    if (this.#waiting.has(key)) return true;
    if (!this.#hasRoom(waiting.envelope)) return false;
    const anchor = keyOf(waiting.envelope.envelope.anchor);
    const keys = this.#byAnchor.get(anchor);
    if (keys === undefined) this.#byAnchor.set(anchor, [key]);
    else keys.push(key);
    this.#keep(key, { ...waiting, missing: 0 });
    return true;
  }

  #hasRoom(envelope: VerifiedEnvelope): boolean {
    return (
      (this.#waitingByAuthor[envelope.issuer] as number) < this.#shareMax &&
      (this.#bytesByAuthor[envelope.issuer] as number) + envelope.encoded.length <= this.#shareBytes
    );
  }

  #keep(key: string, waiting: Waiting): void {
    const { issuer, encoded } = waiting.envelope;
    this.#waiting.set(key, waiting);
    this.#waitingByAuthor[issuer] = (this.#waitingByAuthor[issuer] as number) + 1;
    this.#bytesByAuthor[issuer] = (this.#bytesByAuthor[issuer] as number) + encoded.length;
    this.#bytes += encoded.length;
  }

  #release(key: string): Waiting | undefined {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return undefined;
    const { issuer, encoded } = waiting.envelope;
    this.#waiting.delete(key);
    this.#waitingByAuthor[issuer] = (this.#waitingByAuthor[issuer] as number) - 1;
    this.#bytesByAuthor[issuer] = (this.#bytesByAuthor[issuer] as number) - encoded.length;
    this.#bytes -= encoded.length;
    return waiting;
  }

  /** A peer holds this and we do not, or a committed checkpoint names it. */
  want(
    hash: Hash,
    from: { readonly announcer: number; readonly certified: boolean; readonly now: number },
  ): void {
    if (!this.#waiting.has(keyOf(hash))) this.#want(hash, { author: -1, ...from });
  }

  #want(
    hash: Hash,
    why: {
      readonly author: number;
      readonly announcer: number;
      readonly certified: boolean;
      readonly now: number;
    },
  ): Missing | undefined {
    const key = keyOf(hash);
    const held = this.#missing.get(key);
    if (held !== undefined && (held.certified || !why.certified)) return held;
    if (held === undefined && !why.certified && this.#isFull(why.author, why.announcer)) return undefined;
    const entry: Missing = {
      hash,
      author: held?.author ?? why.author,
      announcer: held?.announcer ?? why.announcer,
      certified: why.certified,
      waiters: held?.waiters ?? [],
      tries: 0,
      // The first request leaves at once with the next tick; what comes out of order by a moment has arrived by then.
      nextAt: why.now,
      askedAt: 0,
      askedPeer: -1,
    };
    this.#missing.set(key, entry);
    if (held === undefined) this.#countMissing(entry, 1);
    return entry;
  }

  #isFull(author: number, announcer: number): boolean {
    if (author >= 0) return (this.#missingByAuthor[author] as number) >= this.#missingMax.author;
    return (this.#missingByPeer.get(announcer) ?? 0) >= this.#missingMax.peer;
  }

  #countMissing(entry: Missing, by: 1 | -1): void {
    if (entry.author >= 0)
      this.#missingByAuthor[entry.author] = (this.#missingByAuthor[entry.author] as number) + by;
    else this.#missingByPeer.set(entry.announcer, (this.#missingByPeer.get(entry.announcer) ?? 0) + by);
  }

  /** The envelope is in the graph or final: those that waited for it alone come back, to be inserted. */
  arrived(hash: Hash): readonly Waiting[] {
    // In the even flow of gossip nothing waits, and a key costs as much as an insertion.
    if (this.#missing.size === 0 && this.#waiting.size === 0) return NOBODY;
    const key = keyOf(hash);
    this.#release(key);
    const entry = this.#missing.get(key);
    if (entry === undefined) return NOBODY;
    this.#missing.delete(key);
    this.#countMissing(entry, -1);
    const ready: Waiting[] = [];
    for (const waiter of entry.waiters) {
      const waiting = this.#waiting.get(waiter);
      if (waiting === undefined) continue;
      waiting.missing -= 1;
      if (waiting.missing > 0) continue;
      this.#release(waiter);
      ready.push(waiting);
    }
    return ready;
  }

  /** The checkpoint has been applied: what waited for it as its anchor comes back. */
  anchored(anchor: Hash): Waiting[] {
    const key = keyOf(anchor);
    const ready: Waiting[] = [];
    for (const waiter of this.#byAnchor.get(key) ?? []) {
      const waiting = this.#release(waiter);
      if (waiting !== undefined) ready.push(waiting);
    }
    this.#byAnchor.delete(key);
    return ready;
  }

  /** An envelope was refused: what waited for it never becomes solid and is dropped, with all that waited for that. */
  refused(hash: Hash): void {
    const keys = [keyOf(hash)];
    for (let key = keys.pop(); key !== undefined; key = keys.pop()) {
      this.#release(key);
      const entry = this.#missing.get(key);
      if (entry === undefined) continue;
      this.#missing.delete(key);
      this.#countMissing(entry, -1);
      keys.push(...entry.waiters);
    }
  }

  /** What to ask now: the announcer first, then the others in turn, each time after a longer pause. */
  due(now: number): Ask[] {
    const asks = new Map<number, Ask>();
    const given: Hash[] = [];
    for (const [key, entry] of this.#missing) {
      // Held already, waiting for its own parents: those are what is missing.
      if (this.#waiting.has(key)) continue;
      if (entry.tries >= TRIES_MAX && !entry.certified) {
        given.push(entry.hash);
        continue;
      }
      if (now < entry.nextAt && !this.#hasProgress(entry, now)) continue;
      // An answer that came in part goes on with the same peer.
      const to = now < entry.nextAt ? entry.askedPeer : this.#peerFor(entry);
      if (to === undefined) continue;
      const ask = asks.get(to) ?? { to, hashes: [] };
      if (ask.hashes.length >= LIMITS.requestHashesMax) continue;
      asks.set(to, ask);
      ask.hashes.push(entry.hash);
      if (now >= entry.nextAt) entry.tries += 1;
      entry.askedAt = now;
      entry.askedPeer = to;
      const pause = this.#timing.requestMs * 2 ** Math.min(entry.tries, 10);
      entry.nextAt = now + Math.min(pause, this.#timing.requestMaxMs);
    }
    for (const hash of given) this.refused(hash);
    for (const to of asks.keys()) this.#credit.set(to, LIMITS.replyEnvelopesMax);
    return [...asks.values()];
  }

  /** The peer asked last has sent a part and then stopped: the rest can be asked for without waiting. */
  #hasProgress(entry: Missing, now: number): boolean {
    const at = this.#progress.get(entry.askedPeer) ?? 0;
    return at > entry.askedAt && now - at >= PROGRESS_MS;
  }

  #peerFor(entry: Missing): number | undefined {
    if (entry.tries === 0 && this.#peers.includes(entry.announcer)) return entry.announcer;
    const start = Math.max(0, this.#peers.indexOf(entry.announcer));
    return this.#peers[(start + entry.tries) % Math.max(1, this.#peers.length)];
  }

  /** Hashes nobody has been asked for yet: storage may know them as final. */
  unasked(): Hash[] {
    const hashes: Hash[] = [];
    for (const [key, entry] of this.#missing) {
      if (hashes.length >= LIMITS.requestHashesMax) break;
      if (entry.tries === 0 && !this.#waiting.has(key)) hashes.push(entry.hash);
    }
    return hashes;
  }
}
