/** Draws a prepared graph on a 2D canvas. Only this file knows pixels and colours of the DAG. */
import type { SeenVertex } from '../live-state.ts';
import { formatClock } from '../format.ts';
import {
  gridTimes,
  MARGIN,
  radiusOf,
  xOf,
  yOf,
  type Frontier,
  type GraphModel,
  type Viewport,
} from './layout.ts';

export interface Palette {
  readonly surface: string;
  readonly grid: string;
  readonly text: string;
  readonly edge: string;
  readonly pending: string;
  readonly accepted: string;
  readonly final: string;
  readonly past: string;
  readonly future: string;
  readonly focus: string;
  readonly font: string;
}

/** Colours come from the style sheet, so that light and dark are decided in one place. */
export function readPalette(element: Element): Palette {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    surface: token('surface'),
    grid: token('line'),
    text: token('text-muted'),
    edge: token('edge'),
    pending: token('pending'),
    accepted: token('accepted'),
    final: token('final'),
    past: token('past'),
    future: token('future'),
    focus: token('text'),
    font: `11px ${style.fontFamily}`,
  };
}

export interface Selection {
  readonly index: number;
  readonly past: ReadonlySet<number>;
  readonly future: ReadonlySet<number>;
}

export interface Scene {
  readonly model: GraphModel;
  readonly frontiers: readonly Frontier[];
  readonly labels: readonly string[];
  readonly selection: Selection | undefined;
  /** This page's clock, for what has just appeared or changed; undefined without motion. */
  readonly now: number | undefined;
}

const APPEAR_MS = 260;
const CHANGE_MS = 700;

export function paint(
  context: CanvasRenderingContext2D,
  view: Viewport,
  palette: Palette,
  scene: Scene,
): void {
  const { model, selection } = scene;
  context.clearRect(0, 0, view.width, view.height);
  context.font = palette.font;
  paintGrid(context, view, palette);
  paintRows(context, view, palette, scene);
  paintFrontiers(context, view, palette, scene);
  paintEdges(context, view, palette, model, selection);
  // Dimmed ones first, so that a cone is never hidden behind what does not belong to it.
  model.vertices.forEach((vertex, i) => {
    if (selection !== undefined && !touches(selection, i))
      paintVertex(context, view, palette, scene, vertex, i);
  });
  model.vertices.forEach((vertex, i) => {
    if (selection === undefined || touches(selection, i))
      paintVertex(context, view, palette, scene, vertex, i);
  });
  paintLabels(context, view, palette, scene);
}

function touches(selection: Selection, i: number): boolean {
  return i === selection.index || selection.past.has(i) || selection.future.has(i);
}

function paintGrid(context: CanvasRenderingContext2D, view: Viewport, palette: Palette): void {
  const { stepMs, times } = gridTimes(view);
  context.lineWidth = 1;
  context.textBaseline = 'top';
  context.textAlign = 'left';
  for (const time of times) {
    const x = Math.round(xOf(view, time)) + 0.5;
    context.strokeStyle = palette.grid;
    context.globalAlpha = 0.7;
    line(context, x, MARGIN.top - 6, x, view.height);
    context.globalAlpha = 1;
    context.fillStyle = palette.text;
    const clock = formatClock(time);
    if (x + 56 < view.width) context.fillText(stepMs >= 1000 ? clock.slice(0, 8) : clock, x + 4, 6);
  }
}

function paintRows(context: CanvasRenderingContext2D, view: Viewport, palette: Palette, scene: Scene): void {
  const count = scene.model.rows.length;
  context.strokeStyle = palette.grid;
  for (let row = 0; row < count; row += 1) {
    const y = Math.round(yOf(view, count, row)) + 0.5;
    line(context, 0, y, view.width, y);
  }
}

function paintLabels(
  context: CanvasRenderingContext2D,
  view: Viewport,
  palette: Palette,
  scene: Scene,
): void {
  const count = scene.model.rows.length;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  scene.labels.forEach((label, row) => {
    const y = yOf(view, count, row) - Math.min(26, (view.height - MARGIN.top) / Math.max(1, count) / 2 - 8);
    const width = context.measureText(label).width;
    context.globalAlpha = 0.88;
    context.fillStyle = palette.surface;
    context.fillRect(6, y - 9, width + 10, 18);
    context.globalAlpha = 1;
    context.fillStyle = palette.text;
    context.fillText(label, 11, y + 0.5);
  });
}

/** A dashed boundary through the rows per checkpoint, with its number at the foot. */
function paintFrontiers(
  context: CanvasRenderingContext2D,
  view: Viewport,
  palette: Palette,
  scene: Scene,
): void {
  const { model } = scene;
  const count = model.rows.length;
  context.strokeStyle = palette.final;
  context.fillStyle = palette.final;
  context.lineWidth = 1.25;
  context.textBaseline = 'bottom';
  context.textAlign = 'right';
  let lastLabel = Number.NEGATIVE_INFINITY;
  for (const frontier of scene.frontiers) {
    const known = frontier.times.filter((time): time is number => time !== undefined);
    if (known.length === 0) continue;
    const fallback = Math.min(...known);
    const xs = frontier.times.map((time) => xOf(view, time ?? fallback) + 9);
    if (Math.max(...xs) < -40) continue;
    context.globalAlpha = 0.55;
    context.setLineDash([3, 4]);
    context.beginPath();
    const ys = xs.map((_, row) => yOf(view, count, row));
    context.moveTo(xs[0] ?? 0, MARGIN.top - 4);
    xs.forEach((x, row) => {
      const y = ys[row] ?? 0;
      const previousX = row === 0 ? x : (xs[row - 1] ?? x);
      const previousY = row === 0 ? MARGIN.top - 4 : (ys[row - 1] ?? 0);
      const middle = (previousY + y) / 2;
      context.bezierCurveTo(previousX, middle, x, middle, x, y);
    });
    const foot = xs[xs.length - 1] ?? 0;
    context.lineTo(foot, view.height - 2);
    context.stroke();
    context.setLineDash([]);
    if (foot - lastLabel > 58) {
      context.globalAlpha = 0.9;
      context.fillText(`#${frontier.checkpoint}`, foot - 4, view.height - 2);
      lastLabel = foot;
    }
  }
  context.globalAlpha = 1;
}

function paintEdges(
  context: CanvasRenderingContext2D,
  view: Viewport,
  palette: Palette,
  model: GraphModel,
  selection: Selection | undefined,
): void {
  const rows = model.rows.length;
  const draw = (wanted: (child: number, parent: number) => boolean): void => {
    context.beginPath();
    model.parents.forEach((parents, child) => {
      const to = model.vertices[child];
      if (to === undefined) return;
      const x1 = xOf(view, to.time);
      if (x1 < -200) return;
      const y1 = yOf(view, rows, model.rowOf[child] ?? 0);
      for (const parent of parents) {
        const from = model.vertices[parent];
        if (from === undefined || !wanted(child, parent)) continue;
        const x0 = xOf(view, from.time);
        const y0 = yOf(view, rows, model.rowOf[parent] ?? 0);
        const bend = Math.max(6, (x1 - x0) * 0.45);
        context.moveTo(x0, y0);
        context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
      }
    });
    context.stroke();
  };
  context.lineWidth = 1;
  context.strokeStyle = palette.edge;
  if (selection === undefined) {
    // What is final recedes; what is being decided stands out.
    const settled = (child: number): boolean => model.vertices[child]?.state === 'final';
    context.globalAlpha = 0.55;
    draw((child) => settled(child));
    context.globalAlpha = 1;
    draw((child) => !settled(child));
    return;
  }
  const { index, past, future } = selection;
  const inPast = (child: number): boolean => child === index || past.has(child);
  const inFuture = (parent: number): boolean => parent === index || future.has(parent);
  context.globalAlpha = 0.3;
  draw((child, parent) => !inPast(child) && !(future.has(child) && inFuture(parent)));
  context.globalAlpha = 0.6;
  context.lineWidth = 1.25;
  context.strokeStyle = palette.past;
  draw((child) => inPast(child));
  context.strokeStyle = palette.future;
  draw((child, parent) => future.has(child) && inFuture(parent));
  context.globalAlpha = 1;
}

function paintVertex(
  context: CanvasRenderingContext2D,
  view: Viewport,
  palette: Palette,
  scene: Scene,
  vertex: SeenVertex,
  i: number,
): void {
  const { model, selection, now } = scene;
  const x = xOf(view, vertex.time);
  if (x < -20 || x > view.width + 20) return;
  const y = yOf(view, model.rows.length, model.rowOf[i] ?? 0);
  const colour = palette[vertex.state];
  const age = now === undefined ? APPEAR_MS : now - vertex.seenAt;
  const grown = Math.min(1, Math.max(0.2, age / APPEAR_MS));
  const radius = radiusOf(vertex) * grown;
  const selected = selection?.index === i;
  context.globalAlpha = selection === undefined || touches(selection, i) ? 1 : 0.28;

  const changed = now === undefined ? CHANGE_MS : now - vertex.changedAt;
  if (changed < CHANGE_MS && vertex.state !== 'pending') {
    const share = changed / CHANGE_MS;
    const before = context.globalAlpha;
    context.globalAlpha = before * (1 - share) * 0.5;
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    circle(context, x, y, radius + 10 * share);
    context.stroke();
    context.globalAlpha = before;
  }
  // State by form as well as by colour: a ring, a ring with a core, a disc.
  circle(context, x, y, radius);
  context.fillStyle = vertex.state === 'final' ? colour : palette.surface;
  context.fill();
  context.strokeStyle = colour;
  context.lineWidth = 2;
  if (vertex.state !== 'final') context.stroke();
  if (vertex.state === 'accepted') {
    circle(context, x, y, Math.max(1.4, radius - 3));
    context.fillStyle = colour;
    context.fill();
  }
  if (selection !== undefined && (selected || touches(selection, i))) {
    circle(context, x, y, radius + (selected ? 5 : 2.5));
    context.strokeStyle = selected ? palette.focus : selection.past.has(i) ? palette.past : palette.future;
    context.lineWidth = selected ? 2 : 1.5;
    context.stroke();
  }
  context.globalAlpha = 1;
}

function line(context: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function circle(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}
