/** Answers to other members: of a requested past what is not final, in an order that can be inserted as it comes. */
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Graph } from './graph.ts';
import type { EnvelopeRequest, LaneHead } from './messages.ts';
import { NONE, PARENT_STRIDE } from './slab.ts';

export interface Answer {
  readonly encoded: Uint8Array[];
  /** Not in the graph: perhaps final, then they are in storage. */
  readonly elsewhere: Hash[];
}

const lanesKey = (issuer: number, lane: number): number => issuer * LIMITS.envelopeLanesMax + lane;

/**
 * The requested envelopes and those of their past beyond the heads the asker has, parents first, up to the limits of
 * one reply. Cut off at the end: what is missing then is asked for again, with newer heads.
 */
export function answerRequest(graph: Graph, request: EnvelopeRequest): Answer {
  const { slab } = graph;
  const has = new Map<number, number>();
  for (const head of request.heads) has.set(lanesKey(head.issuer, head.lane), head.sequence);
  const stamp = slab.stamp();
  const answer: Answer = { encoded: [], elsewhere: [] };
  let bytes = 0;
  const stack: number[] = [];
  const edge: number[] = [];
  for (const hash of request.hashes) {
    const root = graph.place(hash);
    if (root === undefined) {
      answer.elsewhere.push(hash);
      continue;
    }
    if (slab.mark[root] === stamp) continue;
    slab.mark[root] = stamp;
    stack.push(root);
    edge.push(0);
    while (stack.length > 0) {
      const top = stack.length - 1;
      const place = stack[top] as number;
      const at = edge[top] as number;
      if (at === (slab.parentCount[place] as number)) {
        const { encoded } = slab.envelope(place);
        bytes += encoded.length;
        if (answer.encoded.length === LIMITS.replyEnvelopesMax || bytes > LIMITS.replyBytesMax) return answer;
        answer.encoded.push(encoded);
        stack.pop();
        edge.pop();
        continue;
      }
      edge[top] = at + 1;
      const parent = slab.parents[place * PARENT_STRIDE + at] as number;
      if (parent < 0 || slab.mark[parent] === stamp) continue;
      const held = has.get(lanesKey(slab.issuer[parent] as number, slab.lane[parent] as number)) ?? 0;
      if ((slab.sequence[parent] as number) <= held) continue;
      slab.mark[parent] = stamp;
      stack.push(parent);
      edge.push(0);
    }
  }
  return answer;
}

/** What answers to one peer may cost, so that a greedy one takes nothing from the others (spec DAG-9.8). */
export const ANSWERS = {
  burstBytes: 8_388_608,
  bytesPerSecond: 4_194_304,
  /** What is in storage is charged before its size is known. */
  storedEnvelopeBytes: 8_192,
  checkpointIdsBytes: 131_072,
} as const;

/** One bucket of bytes per member. */
export class AnswerBudget {
  readonly #left: Float64Array;
  readonly #at: Float64Array;

  constructor(members: number) {
    this.#left = new Float64Array(members).fill(ANSWERS.burstBytes);
    this.#at = new Float64Array(members);
  }

  /** Whether the peer is answered now. An answer may overdraw the bucket once: its size is not known before. */
  allows(peer: number, now: number): boolean {
    const left = this.#left[peer];
    if (left === undefined) return false;
    const elapsed = Math.max(0, now - (this.#at[peer] as number));
    this.#at[peer] = Math.max(now, this.#at[peer] as number);
    this.#left[peer] = Math.min(ANSWERS.burstBytes, left + (elapsed * ANSWERS.bytesPerSecond) / 1_000);
    return (this.#left[peer] as number) > 0;
  }

  charge(peer: number, bytes: number): void {
    this.#left[peer] = (this.#left[peer] ?? 0) - bytes;
  }
}

/** The newest envelope of every lane that has any, pending or final. */
export function laneHeads(graph: Graph, members: number): LaneHead[] {
  const heads: LaneHead[] = [];
  for (let issuer = 0; issuer < members; issuer += 1) {
    for (let lane = 0; lane < LIMITS.envelopeLanesMax; lane += 1) {
      const place = graph.newestOf(issuer, lane);
      if (place !== NONE) {
        const { envelope, hash } = graph.slab.envelope(place);
        heads.push({ issuer, lane, sequence: envelope.sequence, hash });
        continue;
      }
      const final = graph.lanes.issuerLane(issuer, lane);
      if (final !== undefined) heads.push({ issuer, lane, sequence: final.sequence, hash: final.hash });
    }
  }
  return heads;
}
