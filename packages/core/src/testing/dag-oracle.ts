/**
 * The DAG's rules by their definitions, slow and plain, held against what the engine computes step by step: weight,
 * acceptance, tips, canonical order, winners of contested slots, what is applied. One seed is one random DAG with
 * forks, unequal stake and work, inserted in two orders and made final in two steps.
 */
import { compareBytes } from '../bytes/hex.ts';
import { hashTagged, sha256, type Hash } from '../crypto/hash.ts';
import { Graph } from '../dag/graph.ts';
import { evaluate, type Evaluation } from '../dag/order.ts';
import { ACCEPTED } from '../dag/slab.ts';
import type { VerifiedEnvelope } from '../dag/verify.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import { envelopeOf, keyNamed, seededRandom, START, SUBNET } from './dag.ts';

const VERTICES_MAX = 32;

interface Vertex {
  readonly envelope: VerifiedEnvelope;
  readonly name: string;
  readonly parents: readonly Vertex[];
  /** The issuer's envelope before it; undefined for the first of a lane. */
  readonly previous: Vertex | undefined;
  /** Everything below it, itself not included. */
  readonly past: ReadonlySet<Vertex>;
}

interface World {
  readonly members: ValidatorSet;
  readonly stake: readonly number[];
  readonly work: readonly number[];
  readonly vertices: readonly Vertex[];
}

const nameOf = (hash: Hash): string => String(hash);

class Disagreement extends Error {}

function agree(what: string, got: unknown, expected: unknown): void {
  if (got === expected) return;
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Disagreement(`${what}: the engine says ${a}, the definition ${b}`);
}

/** A fault put into the engine after each insertion, to see that the oracle sees. */
export type Spoil = (graph: Graph, place: number) => void;

/** Undefined when engine and definitions agree on the DAG of this seed, else what they disagree on. */
export function oracleDisagreement(seed: number, spoil?: Spoil): string | undefined {
  const random = seededRandom(Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995);
  const world = drawWorld(random);
  try {
    const firsts = run(world, world.vertices, random, spoil);
    const seconds = run(world, reordered(world.vertices, random), seededRandom(seed), spoil);
    if (firsts.length > 0 && seconds.length > 0)
      agree('the first checkpoint in two orders', seconds[0], firsts[0]);
    return undefined;
  } catch (error) {
    if (error instanceof Disagreement) return error.message;
    throw error;
  }
}

function drawWorld(random: () => number): World {
  const below = (n: number): number => Math.floor(random() * n);
  const count = 1 + below(below(3) === 0 ? 32 : 7);
  const members = Array.from({ length: count }, (_, i) => ({
    key: keyNamed(`oracle ${i}`),
    weight: 1 + below(1000),
  }));
  const stake = members.map((member) => member.weight);
  const work = stake.map((weight) => (below(2) === 0 ? 0 : below(weight + 1)));
  const vertices: Vertex[] = [];
  const forks = random() * 0.2;
  for (let i = 1 + below(VERTICES_MAX); i > 0; i -= 1)
    vertices.push(drawVertex(members, vertices, forks, random));
  return { members, stake, work, vertices };
}

function drawVertex(
  members: ValidatorSet,
  before: readonly Vertex[],
  forks: number,
  random: () => number,
): Vertex {
  const below = (n: number): number => Math.floor(random() * n);
  const issuer = below(members.length);
  const own = before.filter((vertex) => vertex.envelope.issuer === issuer);
  // A fork goes on from any of the own ones, or begins the lane again.
  const previous = random() < forks ? own[below(own.length + 1)] : own.at(-1);
  const parents = new Set<Vertex>(previous === undefined ? [] : [previous]);
  for (let n = below(LIMITS.parentsMax); n > 0 && before.length > 0; n -= 1) {
    // Mostly of the newest, as in life, sometimes of any.
    const from = random() < 0.7 ? Math.max(0, before.length - 6) : 0;
    parents.add(before[from + below(before.length - from)] as Vertex);
  }
  const envelope = envelopeOf(members, {
    issuer,
    sequence: (previous?.envelope.envelope.sequence ?? 0) + 1,
    previous: previous?.envelope.hash ?? SUBNET,
    parents: parents.size === 0 ? [SUBNET] : [...parents].map((parent) => parent.envelope.hash),
    // Distinct times: equal bodies would be one envelope and no fork.
    time: START + before.length,
  });
  const past = new Set([...parents, ...[...parents].flatMap((parent) => [...parent.past])]);
  return { envelope, name: nameOf(envelope.hash), parents: [...parents], previous, past };
}

/** Another order in which a network might bring the same. */
function reordered(vertices: readonly Vertex[], random: () => number): Vertex[] {
  const left = [...vertices];
  const here = new Set<Vertex>();
  const order: Vertex[] = [];
  while (left.length > 0) {
    const ready = left.filter(({ parents }) => parents.every((parent) => here.has(parent)));
    const next = ready[Math.floor(random() * ready.length)] as Vertex;
    left.splice(left.indexOf(next), 1);
    here.add(next);
    order.push(next);
  }
  return order;
}

/** Inserts all, comparing after each; makes two checkpoints, comparing those. What they say, to compare between orders. */
function run(
  world: World,
  order: readonly Vertex[],
  random: () => number,
  spoil: Spoil | undefined,
): unknown[] {
  const { members, stake, work } = world;
  const graph = new Graph({ subnet: SUBNET, members, self: -1, powBits: 0, random });
  graph.weights.setWork(work);
  const here: Vertex[] = [];
  for (const vertex of order) {
    const insertion = graph.insert(vertex.envelope, 'requested');
    if (insertion.kind !== 'inserted') throw new Disagreement(`a vertex of the DAG is ${insertion.kind}`);
    spoil?.(graph, insertion.place);
    here.push(vertex);
    if (here.length % 5 === 0) compareVertices(graph, world, here);
  }
  compareVertices(graph, world, here);
  const said: unknown[] = [];
  let final = new Set<Vertex>();
  for (let sequence = 1; sequence <= 2; sequence += 1) {
    const accepted = world.vertices.filter(
      (vertex) => !final.has(vertex) && weightOf(here, vertex, stake) >= quorumOf(stake).strong,
    );
    // The first checkpoint takes a part, the second the rest.
    const part = sequence === 1 ? accepted.slice(0, Math.ceil(accepted.length / 2)) : accepted;
    const anchors = part
      .filter((vertex) => !part.some((other) => other !== vertex && other.past.has(vertex)))
      .slice(0, LIMITS.anchorsMax)
      .sort((a, b) => compareBytes(a.envelope.hash, b.envelope.hash));
    if (anchors.length === 0) break;
    const evaluation = evaluated(graph, anchors);
    said.push(compareCheckpoint(graph, world, evaluation, anchors, final));
    final = new Set([...final, ...anchors, ...anchors.flatMap((anchor) => [...anchor.past])]);
    const { hash, lanes, order: places, checkpoint } = evaluation;
    graph.advance(lanes, { hash, sequence: checkpoint.sequence, powBits: 0 });
    graph.weights.setWork(work);
    graph.finalise(places, checkpoint.sequence);
    const left = here.filter((vertex) => !final.has(vertex));
    compareVertices(graph, world, left, final);
  }
  return said;
}

function evaluated(graph: Graph, anchors: readonly Vertex[]): Evaluation {
  const places = anchors.map((anchor) => graph.place(anchor.envelope.hash) ?? -1);
  const evaluation = evaluate(graph, { id: SUBNET, powBits: 0, lastTime: 0 }, places);
  if (evaluation === undefined) throw new Disagreement('a small cone is not ordered');
  return evaluation;
}

function approversOf(here: readonly Vertex[], vertex: Vertex): Set<number> {
  const approvers = new Set<number>();
  for (const other of here)
    if (other === vertex || other.past.has(vertex)) approvers.add(other.envelope.issuer);
  return approvers;
}

const sumOf = (members: Iterable<number>, weights: readonly number[]): number => {
  let sum = 0;
  for (const member of members) sum += weights[member] ?? 0;
  return sum;
};

const weightOf = (here: readonly Vertex[], vertex: Vertex, weights: readonly number[]): number =>
  sumOf(approversOf(here, vertex), weights);

function slotOf({ envelope }: Vertex): string {
  return `${envelope.issuer}/${envelope.envelope.lane}/${envelope.envelope.sequence}`;
}

function compareVertices(
  graph: Graph,
  world: World,
  here: readonly Vertex[],
  final?: ReadonlySet<Vertex>,
): void {
  const { stake, work } = world;
  const { strong, total } = quorumOf(stake);
  const all = total + sumOf(work.keys(), work);
  const slots = new Map<string, number>();
  for (const vertex of here) slots.set(slotOf(vertex), (slots.get(slotOf(vertex)) ?? 0) + 1);
  const contested = new Set<number>();
  for (const vertex of here)
    if ((slots.get(slotOf(vertex)) as number) > 1) contested.add(vertex.envelope.issuer);
  const tips: string[] = [];
  for (const vertex of here) {
    const { name, envelope } = vertex;
    const place = graph.place(envelope.hash);
    if (place === undefined) throw new Disagreement('a pending vertex is not in the graph');
    const approvers = approversOf(here, vertex);
    const weight = sumOf(approvers, stake);
    agree('weight', graph.slab.weight[place], weight);
    agree('acceptance', graph.slab.state[place] === ACCEPTED, weight >= strong);
    const whole = weight + sumOf(approvers, work);
    agree('weight with work', graph.weights.weightOf(graph.slab.bits[place] as number), whole);
    const level = weight >= strong ? 2 : 2 * whole > all ? 1 : 0;
    agree('level', graph.weights.levelOf(graph.slab, place), level);
    const children = here.filter(
      (other) => other.parents.includes(vertex) && !contested.has(other.envelope.issuer),
    );
    if (children.length === 0 && !contested.has(envelope.issuer)) tips.push(name);
  }
  // Who mutes a lane when, and what its earlier children took from the pool, depends on the order of arrival.
  if (contested.size === 0)
    agree(
      'tips',
      Array.from(graph.tips.places(), (place) => nameOf(graph.slab.hash(place))).sort(),
      tips.sort(),
    );
  agree('pending', graph.slab.count, here.length);
  for (const vertex of final ?? []) agree('final', graph.locate(vertex.envelope.hash) !== undefined, true);
}

/** Recursion, as the definition has it. */
function orderOf(anchors: readonly Vertex[], final: ReadonlySet<Vertex>): Vertex[] {
  const order: Vertex[] = [];
  const seen = new Set<Vertex>();
  const visit = (vertex: Vertex): void => {
    if (seen.has(vertex) || final.has(vertex)) return;
    seen.add(vertex);
    const sorted = [...vertex.parents].sort((a, b) => compareBytes(a.envelope.hash, b.envelope.hash));
    for (const parent of sorted) visit(parent);
    order.push(vertex);
  };
  for (const anchor of anchors) visit(anchor);
  return order;
}

function compareCheckpoint(
  graph: Graph,
  world: World,
  evaluation: Evaluation,
  anchors: readonly Vertex[],
  final: ReadonlySet<Vertex>,
): unknown {
  const cone = orderOf(anchors, final);
  const names = evaluation.order.map((place) => nameOf(graph.slab.hash(place)));
  agree(
    'canonical order',
    names,
    cone.map(({ name }) => name),
  );
  const heads = new Map<number, string>();
  for (const issuer of world.stake.keys()) {
    const before = graph.lanes.issuerLane(issuer, 0);
    const head = winnerOf(world, cone, issuer, before, graph.anchors.last.hash);
    if (head !== undefined) heads.set(issuer, head);
    const engine = evaluation.lanes.issuerLane(issuer * LIMITS.envelopeLanesMax);
    agree(
      `last counted envelope of issuer ${issuer}`,
      engine === undefined ? undefined : nameOf(engine.hash),
      head,
    );
  }
  return { names, heads: [...heads] };
}

/** Follows a lane through the cone: of each slot's candidates the heaviest, then the smaller salted hash. */
function winnerOf(
  world: World,
  cone: readonly Vertex[],
  issuer: number,
  before: { readonly sequence: number; readonly hash: Hash } | undefined,
  salt: Hash,
): string | undefined {
  let head = before === undefined ? undefined : nameOf(before.hash);
  for (let sequence = (before?.sequence ?? 0) + 1; ; sequence += 1) {
    const rivals = cone.filter(
      ({ envelope, previous }) =>
        envelope.issuer === issuer &&
        envelope.envelope.sequence === sequence &&
        (previous === undefined ? sequence === 1 : previous.name === head),
    );
    if (rivals.length === 0) return head;
    const weighed = rivals.map((vertex) => ({
      vertex,
      weight: approvalInCone(world, cone, vertex),
      salted: hashTagged('envelope', salt, vertex.envelope.hash),
    }));
    weighed.sort((a, b) => b.weight - a.weight || compareBytes(a.salted, b.salted));
    head = weighed[0]?.vertex.name;
  }
}

/** Stake and work of the members one of whose newest envelopes in the cone approves it. */
function approvalInCone({ stake, work }: World, cone: readonly Vertex[], vertex: Vertex): number {
  const newest = new Map<number, number>();
  for (const { envelope } of cone)
    newest.set(envelope.issuer, Math.max(newest.get(envelope.issuer) ?? 0, envelope.envelope.sequence));
  const approvers = new Set<number>();
  for (const other of cone) {
    const { issuer, envelope } = other.envelope;
    if (newest.get(issuer) !== envelope.sequence) continue;
    if (other === vertex || other.past.has(vertex)) approvers.add(issuer);
  }
  return sumOf(approvers, stake) + sumOf(approvers, work);
}

/** Distinct for every seed, to see that the seeds do not draw the same. */
export function oracleFingerprint(seed: number): string {
  const world = drawWorld(seededRandom(Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995));
  return nameOf(sha256(world.vertices.at(-1)?.envelope.encoded ?? new Uint8Array(0)));
}
