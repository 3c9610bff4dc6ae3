/**
 * The subnet's core alone, one thread, no cryptography in what is timed: envelopes that are ready go into the graph, where
 * every rule is checked and weight is counted, and tips are selected. Beside it, on the same DAG, published
 * algorithms as one would write them down from their papers. Rates are per second of processor time: this thread and what
 * the collector takes beside it.
 */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { Member } from '@itc/core/dag/member.js';
import { selectTips, TipPool } from '@itc/core/dag/tips.js';
import { NONE } from '@itc/core/dag/slab.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { CHAIN, envelopeOf, equalMembers, graphOf, START, SUBNET } from '@itc/core/testing/dag.js';
import {
  figure,
  percentile,
  rates,
  seededRandom,
  type BenchOptions,
  type Rate,
  type Result,
} from './result.ts';

const MEMBERS = [7, 32];
/** Below the half of the pending pool that gossip may fill. */
const ENVELOPES = 20_000;
/** The exact baseline is quadratic: a smaller DAG, the same for both. */
const ENVELOPES_EXACT = 3_000;
const TIPS = [1_000, 10_000, 100_000];
const PARENTS = 8;
/** The greater of the two values simulated in the walk's literature. */
const ALPHA = 0.005;
/** A lane drains its rate bucket at 50 per second: a little slower than that needs no extra work. */
const LANE_MS = 21;

/** Issuers in turn; parents are the own previous envelope and two of the newest: gossip is a round behind. */
function dagOf(members: ValidatorSet, count: number, random: () => number): VerifiedEnvelope[] {
  const envelopes: VerifiedEnvelope[] = [];
  const { length } = members;
  const behind = Math.max(2, Math.floor(length / 2));
  for (let i = 0; i < count; i += 1) {
    const issuer = i % length;
    const sequence = Math.floor(i / length) + 1;
    const own = envelopes[i - length];
    const parents = new Map<string, Hash>();
    if (own !== undefined) parents.set(toHex(own.hash), own.hash);
    for (let n = 0; n < 2; n += 1) {
      const at = i - 1 - Math.floor(random() * Math.min(length, behind + n));
      const parent = envelopes[at];
      if (parent !== undefined) parents.set(toHex(parent.hash), parent.hash);
    }
    envelopes.push(
      envelopeOf(members, {
        issuer,
        sequence,
        previous: own?.hash ?? SUBNET,
        parents: parents.size === 0 ? [SUBNET] : [...parents.values()],
        time: START + Math.floor((i * LANE_MS) / length),
      }),
    );
  }
  return envelopes;
}

function insertAll(members: ValidatorSet, envelopes: readonly VerifiedEnvelope[]): number {
  const graph = graphOf(members);
  for (const envelope of envelopes) {
    const { kind } = graph.insert(envelope, 'gossip');
    if (kind !== 'inserted') throw new Error(`an envelope of the workload was not inserted: ${kind}`);
  }
  return envelopes.length;
}

function stepAll(
  members: ValidatorSet,
  envelopes: readonly VerifiedEnvelope[],
  random: () => number,
): number {
  const member = new Member({
    chain: CHAIN,
    subnet: SUBNET,
    members,
    self: -1,
    powBits: 0,
    random,
    sign: () => new Uint8Array(64),
  });
  let joined = 0;
  for (const envelope of envelopes) {
    const now = millis(envelope.envelope.time);
    joined += member.step({ kind: 'envelope', from: envelope.issuer, envelope, reply: false, now }).joined
      .length;
  }
  if (joined !== envelopes.length) throw new Error(`${envelopes.length - joined} envelopes did not join`);
  return joined;
}

interface ExactVertex {
  readonly parents: readonly string[];
  weight: number;
}

/** Exact cumulative weight (The Tangle, §3): a new vertex adds its own weight to everything it approves. */
function insertExact(envelopes: readonly VerifiedEnvelope[]): number {
  const vertices = new Map<string, ExactVertex>();
  for (const { hash, envelope } of envelopes) {
    const parents = envelope.parents.map(toHex);
    vertices.set(toHex(hash), { parents, weight: 1 });
    const seen = new Set<string>(parents);
    const queue = [...parents];
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      const vertex = vertices.get(id);
      if (vertex === undefined) continue;
      vertex.weight += 1;
      for (const parent of vertex.parents) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        queue.push(parent);
      }
    }
  }
  return vertices.size;
}

/** A map by hex id, walked to a random position (as in nodes that keep their tips in a hash map). */
function selectByScan(tips: ReadonlyMap<string, number>, random: () => number): number[] {
  const chosen: number[] = [];
  while (chosen.length < PARENTS) {
    let left = Math.floor(random() * tips.size);
    for (const place of tips.values()) {
      if (left === 0) {
        if (!chosen.includes(place)) chosen.push(place);
        break;
      }
      left -= 1;
    }
  }
  return chosen;
}

interface WalkVertex {
  readonly children: number[];
  /** Cumulative weight, exact. */
  weight: number;
}

/** The DAG as the walk needs it: children and exact weights, made before anything is timed. */
function walkable(envelopes: readonly VerifiedEnvelope[]): WalkVertex[] {
  const at = new Map(envelopes.map(({ hash }, i) => [toHex(hash), i]));
  const vertices: WalkVertex[] = envelopes.map(() => ({ children: [], weight: 1 }));
  const parents = envelopes.map(({ envelope }) =>
    envelope.parents.flatMap((hash) => at.get(toHex(hash)) ?? []),
  );
  for (const [i, of] of parents.entries()) {
    const seen = new Set<number>(of);
    const queue = [...of];
    for (const parent of of) (vertices[parent] as WalkVertex).children.push(i);
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      (vertices[next] as WalkVertex).weight += 1;
      for (const parent of parents[next] as number[]) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        queue.push(parent);
      }
    }
  }
  return vertices;
}

/** Markov-chain walk (The Tangle, §4.1): from the oldest vertex to a tip, heavier children with exp(−α ΔH). */
function walk(vertices: readonly WalkVertex[], alpha: number, random: () => number): number {
  let at = 0;
  for (;;) {
    const { children, weight } = vertices[at] as WalkVertex;
    if (children.length === 0) return at;
    let sum = 0;
    const odds = children.map((child) => {
      sum += Math.exp(-alpha * (weight - (vertices[child] as WalkVertex).weight));
      return sum;
    });
    const drawn = random() * sum;
    at = children[
      Math.max(
        0,
        odds.findIndex((odd) => drawn < odd),
      )
    ] as number;
  }
}

/** Operations per second of one processor, whoever else uses the machine. */
const perProcessorSecond = (rate: Rate): number[] => rate.processorUs.map((us) => 1_000_000 / us);

/** Microseconds, one per selection. */
function selectionTimes(count: number, select: () => unknown): number[] {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    select();
    times.push((performance.now() - start) * 1_000);
  }
  return times;
}

/** The 99th percentile of each of ten equal parts. */
function p99s(times: readonly number[]): number[] {
  const size = Math.ceil(times.length / 10);
  return Array.from({ length: 10 }, (_, i) => percentile(times.slice(i * size, (i + 1) * size), 0.99));
}

export async function benchCore(options: BenchOptions): Promise<Result[]> {
  const { quick, seed, log } = options;
  const random = seededRandom(seed);
  const rounds = quick ? 2 : 5;
  const results: Result[] = [];
  for (const count of MEMBERS) {
    const members = equalMembers(count);
    const envelopes = dagOf(members, quick ? 2_000 : ENVELOPES, random);
    const of = `${count} members`;
    const fewer = envelopes.slice(0, quick ? 500 : ENVELOPES_EXACT);
    const [inserted, stepped] = await rates(
      rounds,
      () => insertAll(members, envelopes),
      () => stepAll(members, envelopes, random),
    );
    const [own, exact] = await rates(
      Math.min(rounds, 3),
      () => insertAll(members, fewer),
      () => insertExact(fewer),
    );
    results.push(
      figure(`envelopes inserted and weighed, ${of}`, 'per s', perProcessorSecond(inserted)),
      figure(`the same through Member.step, ${of}`, 'per s', perProcessorSecond(stepped)),
      figure(`the first ${fewer.length} inserted and weighed, ${of}`, 'per s', perProcessorSecond(own), {
        name: 'exact cumulative weight',
        samples: perProcessorSecond(exact),
        better: 'more',
      }),
    );
    log(`core with ${of} done`);
  }
  for (const tips of quick ? TIPS.slice(0, 1) : TIPS) {
    const pool = new TipPool();
    const fresh = new TipPool();
    const map = new Map<string, number>();
    for (let place = 0; place < tips; place += 1) {
      pool.add(place);
      if (place % 2 === 0) fresh.add(place);
      map.set(`${seed} ${place}`, place);
    }
    const times = selectionTimes(quick ? 200 : 2_000, () =>
      selectTips({ pool, fresh, count: PARENTS, skip: 0, random }),
    );
    const scans = selectionTimes(quick ? 50 : 200, () => selectByScan(map, random));
    results.push(
      figure(`tip selection p99, ${tips} tips`, 'µs', p99s(times), {
        name: 'scan of a map',
        samples: p99s(scans),
        better: 'less',
      }),
    );
  }
  results.push(walkedSelection(options, random));
  log('tip selection done');
  return results;
}

/** The same DAG, three thousand pending: ours takes eight tips of the pool, the walk two from the bottom up. */
function walkedSelection({ quick }: BenchOptions, random: () => number): Result {
  const members = equalMembers(7);
  const envelopes = dagOf(members, quick ? 500 : ENVELOPES_EXACT, random);
  const graph = graphOf(members);
  for (const envelope of envelopes) graph.insert(envelope, 'gossip');
  const { tips: pool, fresh } = graph;
  const own = selectionTimes(quick ? 200 : 2_000, () =>
    selectTips({ pool, fresh, count: PARENTS, skip: NONE, random }),
  );
  const vertices = walkable(envelopes);
  const walked = selectionTimes(quick ? 20 : 200, () => [
    walk(vertices, ALPHA, random),
    walk(vertices, ALPHA, random),
  ]);
  return figure(`tip selection p99, ${envelopes.length} pending`, 'µs', p99s(own), {
    name: `Markov-chain walk, α = ${ALPHA}`,
    samples: p99s(walked),
    better: 'less',
  });
}
