import type { VNode } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { currentNodeTime } from '../store.ts';
import { appearance, prefersReducedMotion } from '../theme.ts';
import {
  frontiers,
  futureCone,
  nearest,
  pastCone,
  stepFrom,
  type GraphModel,
  type Step,
  type Viewport,
} from './layout.ts';
import { paint, readPalette, type Palette, type Scene, type Selection } from './painter.ts';

export interface GraphCanvasProps {
  readonly model: GraphModel;
  readonly labels: readonly string[];
  readonly spanMs: number;
  /** The right edge while paused (node time); undefined while live. */
  readonly pausedAt: number | undefined;
  readonly selected: string | undefined;
  readonly onHover: (hash: string | undefined) => void;
  readonly onSelect: (hash: string | undefined) => void;
  readonly onTogglePause: () => void;
  /** Id of the text about the selection; without it the canvas is a picture only. */
  readonly describedBy?: string;
}

const NOTHING = (): void => undefined;

/** Only the picture, for a page that has it beside other things: nothing to point at, nothing to read out. */
export function GraphPicture({
  model,
  labels,
  spanMs,
}: Pick<GraphCanvasProps, 'model' | 'labels' | 'spanMs'>): VNode {
  return (
    <GraphCanvas
      model={model}
      labels={labels}
      spanMs={spanMs}
      pausedAt={undefined}
      selected={undefined}
      onHover={NOTHING}
      onSelect={NOTHING}
      onTogglePause={NOTHING}
    />
  );
}

const STEPS: Readonly<Record<string, Step>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
  Home: 'first',
  End: 'last',
};

/** Thirty pictures a second, or fewer where nothing would move by a pixel: smooth, and half the work. */
const FRAME_MS_MIN = 30;
/** The same beside other things. */
const PICTURE_FRAME_MS_MIN = 47;

/** Without smooth motion the window moves on in steps of this length. */
const STILL_STEP_MS = 2_000;

/** The animation reads the latest props from a ref: a frame never waits for a render, nor a render for a frame. */
export function GraphCanvas(props: GraphCanvasProps): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const view = useRef<Viewport>({ end: 0, spanMs: props.spanMs, width: 0, height: 0 });
  const boundaries = useMemo(() => frontiers(props.model), [props.model]);
  const selection = useMemo<Selection | undefined>(() => {
    const index = props.selected === undefined ? undefined : props.model.indexOf.get(props.selected);
    return index === undefined
      ? undefined
      : { index, past: pastCone(props.model, index), future: futureCone(props.model, index) };
  }, [props.model, props.selected]);
  const scene = useRef<Omit<Scene, 'now'>>({
    model: props.model,
    labels: props.labels,
    frontiers: boundaries,
    selection,
  });
  scene.current = { model: props.model, labels: props.labels, frontiers: boundaries, selection };

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (element === null || context === null || context === undefined) return undefined;
    let palette: Palette | undefined;
    let seenAppearance = -1;
    let size = { width: element.clientWidth, height: element.clientHeight };
    let drawn: { end: number; scene: unknown; size: unknown; at: number } | undefined;
    const observer = new ResizeObserver(() => {
      size = { width: element.clientWidth, height: element.clientHeight };
      const ratio = Math.min(3, window.devicePixelRatio);
      element.width = Math.round(size.width * ratio);
      element.height = Math.round(size.height * ratio);
    });
    observer.observe(element);
    let visible = true;
    const watch = new IntersectionObserver((entries) => {
      visible = entries[entries.length - 1]?.isIntersecting ?? true;
    });
    watch.observe(element);
    let frame = requestAnimationFrame(function draw() {
      frame = requestAnimationFrame(draw);
      if (!visible) return;
      const still = prefersReducedMotion();
      const { pausedAt, spanMs, describedBy } = latest.current;
      const least = describedBy === undefined ? PICTURE_FRAME_MS_MIN : FRAME_MS_MIN;
      const at = performance.now();
      const pixelMs = spanMs / Math.max(1, size.width);
      const due = drawn === undefined ? 0 : drawn.at + Math.max(least, Math.min(100, pixelMs));
      // A little early is on time: frames come every 16.7 ms, not when they are due.
      if (drawn?.size === size && at < due - 4) return;
      const current = currentNodeTime();
      const end = pausedAt ?? (still ? Math.ceil(current / STILL_STEP_MS) * STILL_STEP_MS : current);
      if (seenAppearance !== appearance.value || palette === undefined) {
        palette = readPalette(element);
        seenAppearance = appearance.value;
        drawn = undefined;
      }
      // A paused or still picture is only drawn again when something about it changed.
      if (drawn !== undefined && drawn.end === end && drawn.scene === scene.current && drawn.size === size)
        return;
      drawn = { end, scene: scene.current, size, at };
      view.current = { end, spanMs, ...size };
      const ratio = size.width === 0 ? 1 : element.width / size.width;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      paint(context, view.current, palette, {
        ...scene.current,
        now: still || pausedAt !== undefined ? undefined : Date.now(),
      });
    });
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      watch.disconnect();
    };
  }, []);

  const hashUnder = (event: MouseEvent, reach: number): string | undefined => {
    const index = nearest(props.model, view.current, event.offsetX, event.offsetY, reach);
    return index === undefined ? undefined : props.model.vertices[index]?.hash;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === ' ') {
      event.preventDefault();
      props.onTogglePause();
      return;
    }
    if (event.key === 'Escape') {
      props.onSelect(undefined);
      return;
    }
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const from = props.selected === undefined ? undefined : props.model.indexOf.get(props.selected);
    const index = stepFrom(props.model, from, step);
    if (index !== undefined) props.onSelect(props.model.vertices[index]?.hash);
  };
  if (props.describedBy === undefined) return <canvas ref={canvas} class="graph-canvas" aria-hidden="true" />;
  return (
    <canvas
      ref={canvas}
      class="graph-canvas"
      tabIndex={0}
      role="application"
      aria-roledescription="graph of envelopes"
      aria-label="Live DAG. Arrow keys move between envelopes, space pauses, escape clears."
      aria-describedby={props.describedBy}
      onMouseMove={(event) => props.onHover(hashUnder(event, 18))}
      onMouseLeave={() => props.onHover(undefined)}
      onClick={(event) => props.onSelect(hashUnder(event, 24))}
      onKeyDown={onKeyDown}
    />
  );
}
