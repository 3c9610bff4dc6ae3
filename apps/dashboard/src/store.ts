/** The page's state as signals, and the loops that keep it fresh. Effects live here; what they mean, in live-state.ts. */
import { computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { API_BASE, apiGet } from './api.ts';
import { decodeFrame, FrameParser, retryDelayMs } from './event-stream.ts';
import {
  EMPTY_STATE,
  reduce,
  withBlocks,
  withCheckpoints,
  withCommands,
  withDevices,
  withStatus,
  withVertices,
  type LiveState,
} from './live-state.ts';
import { parseRoute, type Route } from './route.ts';
import type { BlockSummary, Checkpoint, CommandState, Device, LiveEvent, Status, Vertex } from './wire.ts';

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | {
      readonly kind: 'retrying';
      readonly since: number;
      readonly attempt: number;
      readonly nextAt: number;
      readonly polling: boolean;
    };

export const live: Signal<LiveState> = signal(EMPTY_STATE);
export const connection: Signal<Connection> = signal({ kind: 'connecting' });
/** The last failure of `/status`; undefined while it answers. */
export const statusError: Signal<Error | undefined> = signal(undefined);
/** A devnet's front answers, but no node behind it. */
export const nodeless: Signal<boolean> = signal(false);
/** Milliseconds the node's clock is ahead of this browser's. */
export const skewMs: Signal<number> = signal(0);
/** This browser's clock, once a second: what relative times are computed from. */
export const clock: Signal<number> = signal(Date.now());
export const route: Signal<Route> = signal(parseRoute(typeof location === 'undefined' ? '' : location.hash));

/** The node's time. Relative times use it, so that a wrong clock of this computer does no harm. */
export const nodeNow: ReadonlySignal<number> = computed(() => clock.value + skewMs.value);
export const currentNodeTime = (): number => Date.now() + skewMs.value;

export const status: ReadonlySignal<Status | undefined> = computed(() => live.value.status);
export const blocks: ReadonlySignal<readonly BlockSummary[]> = computed(() => live.value.blocks);
export const devices: ReadonlySignal<ReadonlyMap<string, Device>> = computed(() => live.value.devices);
export const commands: ReadonlySignal<readonly CommandState[]> = computed(() => live.value.commands);

const STATUS_EVERY_MS = 3_000;
const LISTS_EVERY_MS = 15_000;
/** The node sends something at least this often (status at the latest); longer silence means the line is dead. */
const SILENCE_MS = 30_000;

let lastEventId: string | undefined;
let queue: { event: LiveEvent; at: number }[] = [];
let flushing = false;
let wakeStream = (): void => undefined;

/**
 * Events are applied ten times a second at most: a burst costs one render, and numbers stay readable. What
 * moves smoothly (the DAG) is drawn by the frame, apart from this.
 */
const FLUSH_MS = 100;
const FLUSH_HIDDEN_MS = 1_000;

function enqueue(event: LiveEvent): void {
  queue.push({ event, at: Date.now() });
  if (flushing) return;
  flushing = true;
  setTimeout(flush, document.hidden ? FLUSH_HIDDEN_MS : FLUSH_MS);
}

function flush(): void {
  flushing = false;
  const batch = queue;
  queue = [];
  live.value = batch.reduce((state, { event, at }) => reduce(state, event, at, skewMs.value), live.value);
}

export async function refreshStatus(): Promise<void> {
  const asked = Date.now();
  try {
    const answer = await apiGet<Status>('/status');
    const middle = (asked + Date.now()) / 2;
    // Small differences are the travel time; only a real offset is corrected.
    const offset = answer.time - middle;
    // A front without a living node has no time to tell.
    if (answer.time > 0) skewMs.value = Math.abs(offset) < 250 ? 0 : Math.round(offset);
    live.value = withStatus(live.value, answer);
    statusError.value = undefined;
    nodeless.value = answer.chain === '';
    // Where a node answers, the stream need not wait out its pause.
    if (!nodeless.value) wakeStream();
  } catch (error) {
    statusError.value = error instanceof Error ? error : new Error(String(error));
  }
}

/** Lists that the stream keeps current; fetched at start, after a gap, and slowly in between. */
async function refreshLists(): Promise<void> {
  await Promise.allSettled([
    apiGet<{ blocks: BlockSummary[] }>('/blocks?limit=60').then((answer) => {
      live.value = withBlocks(live.value, answer.blocks);
    }),
    apiGet<{ devices: Device[] }>('/devices').then((answer) => {
      live.value = withDevices(live.value, answer.devices);
    }),
    apiGet<{ commands: CommandState[] }>('/commands?limit=50').then((answer) => {
      live.value = withCommands(live.value, answer.commands);
    }),
    ...(status.value?.subnets ?? []).map((subnet) => refreshSubnet(subnet.id)),
  ]);
}

async function refreshSubnet(id: string): Promise<void> {
  const [graph, list] = await Promise.all([
    apiGet<{ vertices: Vertex[] }>(`/subnets/${id}/graph?limit=300`),
    apiGet<{ checkpoints: Checkpoint[] }>(`/subnets/${id}/checkpoints?limit=40`),
  ]);
  live.value = withCheckpoints(
    withVertices(live.value, id, graph.vertices, Date.now()),
    id,
    list.checkpoints,
  );
}

/** One connection, until it breaks; resolves then. */
async function stream(signal: AbortSignal, onOpen: () => void): Promise<void> {
  const silence = new AbortController();
  const stop = (): void => silence.abort();
  signal.addEventListener('abort', stop, { once: true });
  let watchdog = setTimeout(stop, SILENCE_MS);
  try {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
    const response = await fetch(`${API_BASE}/events`, {
      headers,
      signal: silence.signal,
      cache: 'no-store',
    });
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    onOpen();
    const parser = new FrameParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const piece = await reader.read();
      if (piece.done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
      for (const frame of parser.push(piece.value)) {
        if (frame.id !== undefined) lastEventId = frame.id;
        const event = decodeFrame(frame);
        if (event !== undefined) enqueue(event);
      }
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener('abort', stop);
  }
}

async function keepStreaming(signal: AbortSignal): Promise<void> {
  let attempt = 0;
  let lostAt = 0;
  while (!signal.aborted) {
    try {
      await stream(signal, () => {
        // What happened while we were away is beyond the resume window at times: fetch the lists again.
        if (attempt > 0) void refreshStatus().then(refreshLists);
        attempt = 0;
        connection.value = { kind: 'live' };
      });
    } catch {
      // Why does not matter here: the banner says that it is lost, `/status` says why if it can.
    }
    if (signal.aborted) return;
    attempt += 1;
    if (attempt === 1) lostAt = Date.now();
    const delay = retryDelayMs(attempt, Math.random());
    connection.value = {
      kind: 'retrying',
      since: lostAt,
      attempt,
      nextAt: Date.now() + delay,
      polling: statusError.value === undefined,
    };
    const early = new AbortController();
    const end = (): void => early.abort();
    // Not at the first pause: a node that closes streams at once is not asked again and again.
    if (attempt > 1) wakeStream = end;
    signal.addEventListener('abort', end, { once: true });
    await sleep(delay, early.signal);
    signal.removeEventListener('abort', end);
    wakeStream = () => undefined;
  }
}

/** Without a stream the lists are fetched as often as the status: slower, but never stale without saying so. */
async function keepPolling(signal: AbortSignal): Promise<void> {
  let lists = 0;
  while (!signal.aborted) {
    await refreshStatus();
    const every = connection.value.kind === 'live' ? LISTS_EVERY_MS : STATUS_EVERY_MS;
    if (statusError.value === undefined && Date.now() - lists >= every) {
      await refreshLists();
      lists = Date.now();
    }
    await sleep(document.hidden ? 4 * STATUS_EVERY_MS : STATUS_EVERY_MS, signal);
  }
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Starts everything; the page runs until it is closed, so only tests stop it. */
export function start(signal: AbortSignal): void {
  const onHash = (): void => {
    route.value = parseRoute(location.hash);
  };
  window.addEventListener('hashchange', onHash);
  const ticking = setInterval(() => {
    clock.value = Date.now();
  }, 1000);
  signal.addEventListener('abort', () => {
    window.removeEventListener('hashchange', onHash);
    clearInterval(ticking);
  });
  void keepPolling(signal);
  void keepStreaming(signal);
}
