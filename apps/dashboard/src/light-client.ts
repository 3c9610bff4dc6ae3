/** The page's line to the worker that verifies. The worker starts with the first question. */
import type { FromWorker, LightQuestion, LightReply, ToWorker } from './light-protocol.ts';

/** A first sync over a slow line, signatures in plain JavaScript. */
const TIMEOUT_MS = 60_000;

let worker: Worker | undefined;
let questions = 0;
const open = new Map<number, (reply: LightReply) => void>();

export function askLight(question: LightQuestion): Promise<LightReply> {
  return new Promise((resolve) => {
    questions += 1;
    const id = questions;
    const timer = setTimeout(() => settle(id, failed('the verification took too long')), TIMEOUT_MS);
    open.set(id, (reply) => {
      clearTimeout(timer);
      resolve(reply);
    });
    try {
      worker ??= startWorker();
      worker.postMessage({ id, question } satisfies ToWorker);
    } catch (error) {
      settle(id, failed(error instanceof Error ? error.message : 'this browser starts no workers'));
    }
  });
}

/** A link may name the genesis hash to trust: `/?genesis=HASH#/devices`. */
function startWorker(): Worker {
  const genesis = new URLSearchParams(location.search).get('genesis');
  const query = genesis !== null && /^[0-9a-f]{64}$/.test(genesis) ? `?genesis=${genesis}` : '';
  const started = new Worker(`light-worker.js${query}`, { type: 'module' });
  started.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => settle(data.id, data.reply));
  started.addEventListener('error', () => {
    worker = undefined;
    for (const id of open.keys()) settle(id, failed('the part of this page that verifies did not start'));
  });
  return started;
}

function settle(id: number, reply: LightReply): void {
  const resolve = open.get(id);
  open.delete(id);
  resolve?.(reply);
}

const failed = (message: string): LightReply => ({ kind: 'failed', code: 'internal', message });
