/**
 * Ten minutes of ten times the load, in virtual time: what the fair queue lets through goes into the graph and becomes
 * final every second. Memory has to stay where it was after the first minutes, and who keeps to its share must not feel
 * the others. Beside it a single queue, first come first served, with the same bound.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { compareBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { FairQueue } from '@itc/core/dag/fair-queue.js';
import { INGRESS } from '@itc/core/dag/ingress.js';
import { evaluate } from '@itc/core/dag/order.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { envelopeOf, equalMembers, graphOf, START, SUBNET } from '@itc/core/testing/dag.js';
import { figure, percentile, type BenchOptions, type Result } from './result.ts';

const MEMBERS = 7;
/** They send what they like; the others keep to a third of their share. */
const GREEDY = 2;
const STEP_MS = 10;
/** Envelopes the checker takes per step: 200 a second. */
const CAPACITY = 2;
const OVERLOAD = 10;
const COST = INGRESS.signatureCost;

interface Item {
  readonly issuer: number;
  readonly at: number;
}

interface Queue {
  push(item: Item): void;
  next(now: number): Item | undefined;
}

function fair(): Queue {
  const queue = new FairQueue<Item>({
    weights: Array.from({ length: MEMBERS }, () => 1),
    quantum: INGRESS.quantumCost,
    quantaMax: INGRESS.quantaMax,
    countMax: INGRESS.screenedCountMax,
    costMax: INGRESS.screenedCostMax,
    delayMaxMs: INGRESS.delayMaxMs,
  });
  return {
    push: (item) => void queue.push(item.issuer, item, COST, item.at),
    next: (now) => queue.next(now),
  };
}

/** What is full refuses whoever comes. */
function firstCome(): Queue {
  let items: Item[] = [];
  let first = 0;
  return {
    push: (item) => {
      if (items.length - first < INGRESS.screenedCountMax) items.push(item);
    },
    next: () => {
      const item = items[first];
      if (item === undefined) return undefined;
      first += 1;
      if (2 * first > items.length) {
        items = items.slice(first);
        first = 0;
      }
      return item;
    },
  };
}

/** A subnet's graph that takes envelopes of members in turn and makes them final once a second. */
class Ledger {
  readonly #members = equalMembers(MEMBERS);
  readonly #graph = graphOf(this.#members);
  readonly #heads: (VerifiedEnvelope | undefined)[] = Array.from({ length: MEMBERS }, () => undefined);
  #lastTime = 0;
  pendingMost = 0;
  final = 0;

  take(issuer: number, now: number): void {
    const own = this.#heads[issuer];
    const others = this.#heads.flatMap((head) => (head === undefined ? [] : [head.hash]));
    const parents = new Map<string, Hash>();
    if (own !== undefined) parents.set(String(own.hash), own.hash);
    for (const hash of others) if (parents.size < LIMITS.parentsMax) parents.set(String(hash), hash);
    const envelope = envelopeOf(this.#members, {
      issuer,
      sequence: (own?.envelope.sequence ?? 0) + 1,
      previous: own?.hash ?? SUBNET,
      parents: parents.size === 0 ? [SUBNET] : [...parents.values()],
      anchor: this.#graph.anchors.last.hash,
      time: START + now,
    });
    if (this.#graph.insert(envelope, 'gossip').kind !== 'inserted') return;
    this.#heads[issuer] = envelope;
    this.pendingMost = Math.max(this.pendingMost, this.#graph.slab.count);
    this.#graph.accepted.length = 0;
  }

  checkpoint(): void {
    const heads = this.#heads.filter((head) => head !== undefined);
    const pending = heads.filter(({ hash }) => this.#graph.place(hash) !== undefined);
    const places = pending
      .sort((a, b) => compareBytes(a.hash, b.hash))
      .map(({ hash }) => this.#graph.place(hash) as number);
    if (places.length === 0) return;
    const evaluation = evaluate(this.#graph, { id: SUBNET, powBits: 0, lastTime: this.#lastTime }, places);
    if (evaluation === undefined) throw new Error('the cone is too large');
    const { checkpoint, hash, lanes, order } = evaluation;
    this.#graph.advance(lanes, { hash, sequence: checkpoint.sequence, powBits: checkpoint.powBits });
    this.#graph.finalise(order, checkpoint.sequence);
    this.#lastTime = checkpoint.time;
    this.final += order.length;
  }
}

interface Outcome {
  /** Milliseconds, of members that keep to their share. */
  readonly waits: number[];
  /** Megabytes after each minute. */
  readonly memory: number[];
  readonly pendingMost: number;
}

function overload(queue: Queue, minutes: number, collect: () => void): Outcome {
  const ledger = new Ledger();
  const waits: number[] = [];
  const memory: number[] = [];
  for (let now = 0; now < minutes * 60_000; now += STEP_MS) {
    for (let i = 0; i < CAPACITY * OVERLOAD; i += 1) queue.push({ issuer: i % GREEDY, at: now });
    const modest = (now / STEP_MS) % 10;
    if (modest < MEMBERS - GREEDY) queue.push({ issuer: GREEDY + modest, at: now });
    for (let n = 0; n < CAPACITY; n += 1) {
      const item = queue.next(now);
      if (item === undefined) break;
      ledger.take(item.issuer, now);
      if (item.issuer >= GREEDY) waits.push(now - item.at);
    }
    if (now % 1_000 === 0) ledger.checkpoint();
    if (now % 60_000 !== 59_000) continue;
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    memory.push((heapUsed + arrayBuffers) / 1_048_576);
  }
  return { waits, memory, pendingMost: ledger.pendingMost };
}

export function benchOverload(options: BenchOptions): Result[] {
  const { quick, log } = options;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const minutes = quick ? 1 : 10;
  const drr = overload(fair(), minutes, collect);
  log(`${minutes} minutes of overload, fair queue, done`);
  const fifo = overload(firstCome(), quick ? 1 : 2, collect);
  const load = `${minutes} minutes at ${OVERLOAD} × the load`;
  const parts = (waits: readonly number[]): number[] => {
    const size = Math.ceil(waits.length / 10);
    return Array.from({ length: 10 }, (_, i) => percentile(waits.slice(i * size, (i + 1) * size), 0.99));
  };
  return [
    // What is remembered of the final past fills up in the first minutes and is bounded then.
    figure(`memory, second half of ${load}`, 'MiB', drr.memory.slice(Math.floor(minutes / 2)), {
      name: 'the same, first half',
      samples: drr.memory.slice(0, Math.max(1, Math.floor(minutes / 2))),
      better: 'less',
    }),
    figure(`envelopes pending at most, ${load}`, 'envelopes', [drr.pendingMost]),
    figure(`wait p99 of members within their share, ${load}`, 'ms', parts(drr.waits), {
      name: 'one queue, first come first served',
      samples: parts(fifo.waits),
      better: 'less',
    }),
  ];
}
