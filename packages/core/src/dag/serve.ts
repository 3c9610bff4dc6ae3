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
