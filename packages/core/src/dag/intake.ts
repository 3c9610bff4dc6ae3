/** Envelopes on their way into the graph: hold, insert, and everything that was waiting for them (spec DAG-2, DAG-9). */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Accusations } from './accusations.ts';
import type { Effects } from './effects.ts';
import type { Graph, Origin, Refusal } from './graph.ts';
import { keyOf } from './slab.ts';
import type { Solidifier, Waiting } from './solidify.ts';
import type { VerifiedEnvelope } from './verify.ts';

const REFUSALS_MAX = 1024;
const RANK: Readonly<Record<Origin, number>> = { gossip: 0, requested: 1, own: 2, certified: 3 };

export class Intake {
  readonly #graph: Graph;
  readonly #solidifier: Solidifier;
  /** The latest refusals, for `explain`. */
  readonly #refusals = new Map<string, Refusal>();
  /** Members seen to equivocate since start. */
  readonly equivocators: Set<number> = new Set();

  /** Own envelopes accepted since the owner last took note. */
  ownAccepted = 0;
  readonly #self: number;
  readonly #accusations: Accusations;

  constructor(graph: Graph, solidifier: Solidifier, accusations: Accusations, self: number) {
    this.#graph = graph;
    this.#accusations = accusations;
    this.#solidifier = solidifier;
    this.#self = self;
  }

  refusalOf(hash: Hash): Refusal | undefined {
    return this.#refusals.get(keyOf(hash));
  }

  receive(item: Omit<Waiting, 'missing'>, now: number, effects: Effects): void {
    const { envelope, origin } = item;
    if (origin !== 'certified' && origin !== 'own' && envelope.envelope.time > now + LIMITS.clockSkewMsMax) {
      // Nothing is held for later: when its time has come, the exchange of heads brings it again.
      this.#refuse(
        envelope,
        { code: 'envelope.from-future', reason: 'the time lies ahead of our clock' },
        effects,
      );
      return;
    }
    // What others have built on is taken all the same: its payloads are ignored wherever it ends up (spec DAG-13.4).
    const { payloads, accusation, issuer } = envelope;
    const isRefused = origin === 'gossip' && payloads.length > 0 && accusation === undefined;
    if (isRefused && this.#accusations.isBarred(issuer)) {
      this.#refuse(
        envelope,
        { code: 'envelope.barred', reason: 'its issuer was caught forging payloads' },
        effects,
      );
      return;
    }
    this.#insertAll([item], now, effects);
  }

  /** Storage has it as final. */
  located(
    final: { readonly hash: Hash; readonly checkpoint: number; readonly time: number },
    now: number,
    effects: Effects,
  ): void {
    this.#graph.finals.add(final);
    this.#insertAll(this.#solidifier.arrived(final.hash), now, effects);
  }

  /** A checkpoint was applied: its hash serves as anchor now. */
  anchored(anchor: Hash, now: number, effects: Effects): void {
    this.#insertAll(this.#solidifier.anchored(anchor), now, effects);
  }

  /** Iterative: a chain of a hundred thousand waiting envelopes is a queue, not a stack. */
  #insertAll(items: readonly Omit<Waiting, 'missing'>[], now: number, effects: Effects): void {
    const queue = [...items];
    for (let i = 0; i < queue.length; i += 1) {
      const item = queue[i] as Omit<Waiting, 'missing'>;
      for (const ready of this.#insert(item, now, effects)) queue.push(ready);
    }
    this.#reportAccepted(effects);
  }

  #insert(item: Omit<Waiting, 'missing'>, now: number, effects: Effects): readonly Waiting[] {
    const { envelope } = item;
    // Somebody may have come to need it while it was waiting.
    const needed = this.#solidifier.originOf(envelope.hash, item.from, false);
    const origin = RANK[needed] > RANK[item.origin] ? needed : item.origin;
    const insertion = this.#graph.insert(envelope, origin);
    switch (insertion.kind) {
      case 'known':
        return this.#solidifier.arrived(envelope.hash);
      case 'inserted':
        effects.persist.push({ kind: 'envelope', bytes: envelope.encoded });
        effects.joined.push(envelope);
        if (envelope.accusation !== undefined) this.#accusations.carried(envelope);
        if (insertion.conflict !== undefined) {
          this.equivocators.add(envelope.issuer);
          effects.evidence.push({ issuer: envelope.issuer, first: insertion.conflict, second: envelope });
        }
        return this.#solidifier.arrived(envelope.hash);
      case 'missing':
        if (!this.#solidifier.hold({ ...item, origin }, insertion.parents, now))
          this.#refuse(
            envelope,
            { code: 'envelope.pool-full', reason: 'too many wait for parents' },
            effects,
          );
        return [];
      case 'anchor-unknown':
        if (!this.#solidifier.holdForAnchor({ ...item, origin }))
          this.#refuse(
            envelope,
            { code: 'envelope.anchor', reason: 'too many wait for their anchor' },
            effects,
          );
        return [];
      case 'refused':
        this.#refuse(envelope, insertion, effects);
        if (origin !== 'gossip') this.#solidifier.refused(envelope.hash);
        return [];
    }
  }

  #refuse(envelope: VerifiedEnvelope, refusal: Refusal, effects: Effects): void {
    const { code, reason } = refusal;
    effects.refused.push({ hash: envelope.hash, issuer: envelope.issuer, code, reason });
    this.#refusals.set(keyOf(envelope.hash), { code, reason });
    if (this.#refusals.size <= REFUSALS_MAX) return;
    for (const oldest of this.#refusals.keys()) {
      this.#refusals.delete(oldest);
      break;
    }
  }

  #reportAccepted(effects: Effects): void {
    const { accepted, slab } = this.#graph;
    for (const place of accepted) {
      if (slab.issuer[place] === this.#self) this.ownAccepted += 1;
      // Level 2 is no promise for a contested slot: only the checkpoint decides there.
      if (this.#graph.isMuted(slab.issuer[place] as number, slab.lane[place] as number)) continue;
      effects.accepted.push(slab.hash(place));
    }
    accepted.length = 0;
  }
}
