/**
 * Places the DAG: time on x, one row per issuer (and per lane of it) on y. The graph is append-only and
 * every vertex knows its time, so nothing ever moves but the window over it. Pure.
 */
import type { SeenVertex } from '../live-state.ts';

export interface Row {
  readonly issuer: number;
  readonly lane: number;
}

export interface GraphModel {
  /** In order of time. */
  readonly vertices: readonly SeenVertex[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** Known parents and children of each vertex, as indices. */
  readonly parents: readonly (readonly number[])[];
  readonly children: readonly (readonly number[])[];
  readonly rows: readonly Row[];
  readonly rowOf: readonly number[];
}

/** What part of time is drawn where. Lengths in CSS pixels. */
export interface Viewport {
  readonly end: number;
  readonly spanMs: number;
  readonly width: number;
  readonly height: number;
}

/** Space kept free: time labels above, a margin at the right so that new vertices are seen whole. */
export const MARGIN = { top: 26, bottom: 12, right: 14 } as const;

/** `members` have a row even before they issued anything. */
export function buildGraph(vertices: readonly SeenVertex[], members: readonly number[] = []): GraphModel {
  const indexOf = new Map(vertices.map((vertex, i) => [vertex.hash, i]));
  const parents = vertices.map((vertex) =>
    vertex.parents.map((hash) => indexOf.get(hash)).filter((i): i is number => i !== undefined),
  );
  const children: number[][] = vertices.map(() => []);
  parents.forEach((list, i) => {
    for (const parent of list) children[parent]?.push(i);
  });
  const keys = new Map<string, Row>();
  for (const { issuer, lane } of vertices) keys.set(`${issuer}:${lane}`, { issuer, lane });
  const seen = new Set(vertices.map((vertex) => vertex.issuer));
  for (const issuer of members) if (!seen.has(issuer)) keys.set(`${issuer}:0`, { issuer, lane: 0 });
  const rows = [...keys.values()].sort((a, b) => a.issuer - b.issuer || a.lane - b.lane);
  const place = new Map(rows.map((row, i) => [`${row.issuer}:${row.lane}`, i]));
  const rowOf = vertices.map(({ issuer, lane }) => place.get(`${issuer}:${lane}`) ?? 0);
  return { vertices, indexOf, parents, children, rows, rowOf };
}

export function xOf(view: Viewport, time: number): number {
  return view.width - MARGIN.right - ((view.end - time) / view.spanMs) * view.width;
}

export function timeAt(view: Viewport, x: number): number {
  return view.end - ((view.width - MARGIN.right - x) / view.width) * view.spanMs;
}

export function yOf(view: Viewport, rows: number, row: number): number {
  const room = view.height - MARGIN.top - MARGIN.bottom;
  return MARGIN.top + (room * (row + 0.5)) / Math.max(1, rows);
}

/** More payloads, larger; area grows with the count, within what stays readable. */
export function radiusOf(vertex: { readonly payloads: number }): number {
  return Math.min(9, 3.5 + Math.sqrt(vertex.payloads) * 0.55);
}

/** Everything the vertex approves, directly or not. Without itself. */
export function pastCone(model: GraphModel, start: number): Set<number> {
  return reach(model.parents, start);
}

/** Everything that approves the vertex, directly or not. Without itself. */
export function futureCone(model: GraphModel, start: number): Set<number> {
  return reach(model.children, start);
}

function reach(edges: readonly (readonly number[])[], start: number): Set<number> {
  const reached = new Set<number>();
  const stack = [...(edges[start] ?? [])];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (reached.has(next)) continue;
    reached.add(next);
    stack.push(...(edges[next] ?? []));
  }
  return reached;
}

/** The vertex under a pointer, if one is near enough. */
export function nearest(
  model: GraphModel,
  view: Viewport,
  x: number,
  y: number,
  reachPx: number,
): number | undefined {
  let best: number | undefined;
  let bestDistance = reachPx * reachPx;
  model.vertices.forEach((vertex, i) => {
    const dx = xOf(view, vertex.time) - x;
    const dy = yOf(view, model.rows.length, model.rowOf[i] ?? 0) - y;
    const distance = dx * dx + dy * dy;
    if (distance <= bestDistance) {
      best = i;
      bestDistance = distance;
    }
  });
  return best;
}

export type Step = 'left' | 'right' | 'up' | 'down' | 'first' | 'last';

/** Keyboard: left and right along the row, up and down to the vertex nearest in time in the next row that has one. */
export function stepFrom(model: GraphModel, from: number | undefined, step: Step): number | undefined {
  const last = model.vertices.length - 1;
  if (last < 0) return undefined;
  if (from === undefined || step === 'last') return last;
  if (step === 'first') return 0;
  const row = model.rowOf[from] ?? 0;
  if (step === 'left' || step === 'right') {
    const direction = step === 'left' ? -1 : 1;
    for (let i = from + direction; i >= 0 && i <= last; i += direction) if (model.rowOf[i] === row) return i;
    return from;
  }
  const direction = step === 'up' ? -1 : 1;
  const time = model.vertices[from]?.time ?? 0;
  for (let wanted = row + direction; wanted >= 0 && wanted < model.rows.length; wanted += direction) {
    let best: number | undefined;
    let distance = Number.POSITIVE_INFINITY;
    model.vertices.forEach((vertex, i) => {
      const away = Math.abs(vertex.time - time);
      if (model.rowOf[i] === wanted && away < distance) {
        best = i;
        distance = away;
      }
    });
    if (best !== undefined) return best;
  }
  return from;
}

export interface Frontier {
  readonly checkpoint: number;
  /** Per row, the time of the last vertex the checkpoint covers; undefined where it covers none known. */
  readonly times: readonly (number | undefined)[];
}

/** The boundary each checkpoint draws through the rows: all to its left is final by it or an earlier one. */
export function frontiers(model: GraphModel): Frontier[] {
  const sequences = new Set<number>();
  for (const vertex of model.vertices) if (vertex.checkpoint !== undefined) sequences.add(vertex.checkpoint);
  return [...sequences]
    .sort((a, b) => a - b)
    .map((checkpoint) => {
      const times: (number | undefined)[] = model.rows.map(() => undefined);
      model.vertices.forEach((vertex, i) => {
        const final = vertex.state === 'final' && (vertex.checkpoint ?? 0) <= checkpoint;
        const row = model.rowOf[i] ?? 0;
        if (final) times[row] = Math.max(times[row] ?? 0, vertex.time);
      });
      return { checkpoint, times };
    });
}

const GRID_STEPS = [1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000];

/** Times of the vertical grid lines: round numbers, at least 80 pixels apart. */
export function gridTimes(view: Viewport): { readonly stepMs: number; readonly times: readonly number[] } {
  const pixels = (ms: number): number => (ms / view.spanMs) * view.width;
  const stepMs = GRID_STEPS.find((step) => pixels(step) >= 80) ?? 600_000;
  const times: number[] = [];
  for (let time = Math.ceil(timeAt(view, 0) / stepMs) * stepMs; time <= view.end; time += stepMs)
    times.push(time);
  return { stepMs, times };
}
