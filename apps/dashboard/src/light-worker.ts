/** Runs beside the page, so that checking signatures never holds it up. It keeps its trust in IndexedDB of this origin. */
import { lightAnswers } from './light-answers.ts';
import { indexedLightStore } from './light-indexed.ts';
import type { FromWorker, LightReply, ToWorker } from './light-protocol.ts';

/** The part of a worker's global scope that is used here. */
interface Scope {
  readonly location: { readonly origin: string; readonly search: string };
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  postMessage(message: FromWorker): void;
}

const scope = globalThis as unknown as Scope;
const genesis = new URLSearchParams(scope.location.search).get('genesis') ?? undefined;
const answer = lightAnswers({
  gateway: scope.location.origin,
  store: indexedLightStore(),
  now: () => Date.now(),
  ...(genesis !== undefined && { genesis }),
});

scope.addEventListener('message', ({ data }) => {
  const { id, question } = data as ToWorker;
  answer(question).then(
    (reply) => scope.postMessage({ id, reply }),
    (error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      const reply: LightReply = { kind: 'failed', code: 'internal', message };
      scope.postMessage({ id, reply });
    },
  );
});
