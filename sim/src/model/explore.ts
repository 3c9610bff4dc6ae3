/** Breadth first over every reachable state, so that the first flaw found has a shortest trace. */
import { label, Pipeline, type Bounds, type Certificates, type State, type Variant } from './pipeline.ts';

export interface Exploration {
  readonly variant: string;
  readonly heights: number;
  readonly views: number;
  readonly states: number;
  readonly steps: number;
  readonly depth: number;
  /** False when `statesMax` ended the search; nothing is proved then. */
  readonly complete: boolean;
  readonly flaw: string | undefined;
  /** What leads to the flaw, from the first state on. */
  readonly trace: readonly string[];
}

interface Visit {
  readonly from: Visit | undefined;
  readonly what: () => string;
}

interface Place {
  readonly state: State;
  readonly certificates: Certificates;
  readonly visit: Visit | undefined;
}

export function explore(
  bounds: Bounds,
  variant: Variant,
  statesMax: number = Number.POSITIVE_INFINITY,
): Exploration {
  const pipeline = new Pipeline(bounds, variant);
  const seen = new Set<string>();
  let level: Place[] = [];
  for (const state of pipeline.starts()) {
    const certificates = pipeline.certificates(state);
    seen.add(pipeline.key(state, certificates));
    level.push({ state, certificates, visit: { from: undefined, what: () => beginning(state) } });
  }
  let steps = 0;
  let depth = 0;
  const result = (complete: boolean, flaw?: string, visit?: Visit): Exploration => ({
    variant: variant.name,
    ...bounds,
    states: seen.size,
    steps,
    depth,
    complete,
    flaw,
    trace: traceOf(visit),
  });
  while (level.length > 0) {
    const above: Place[] = [];
    for (const { state, certificates: known, visit } of level) {
      for (const { what, next, flaw: wrong } of pipeline.steps(state, known)) {
        steps += 1;
        const here = { from: visit, what };
        if (wrong !== undefined) return result(false, wrong, here);
        const certificates = pipeline.certificates(next);
        const key = pipeline.key(next, certificates);
        if (seen.has(key)) continue;
        seen.add(key);
        const flaw = pipeline.flaw(certificates);
        if (flaw !== undefined) return result(false, flaw, here);
        if (seen.size >= statesMax) return result(false);
        above.push({ state: next, certificates, visit: here });
      }
    }
    level = above;
    if (level.length > 0) depth += 1;
  }
  return result(true);
}

function beginning(state: State): string {
  const sent = state.map(({ prepares }, self) => {
    const blocks = (prepares[0] ?? []).filter((block) => block !== 0).map(label);
    return `replica ${self} sends PREPARE ${blocks.join(' and ')}`;
  });
  return `in view 0 ${sent.join(', ')}`;
}

function traceOf(visit: Visit | undefined): string[] {
  const lines: string[] = [];
  for (let at = visit; at !== undefined; at = at.from) lines.push(at.what());
  return lines.reverse();
}
