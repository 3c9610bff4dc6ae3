/** Calls of the HTTP API that the commands share. */
import { LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';

const ANSWER_MS_MAX = 15_000;

/** Errors: the server's own code; `not-ready` when nobody answers. */
export async function getJson<T>(api: string, path: string): Promise<T> {
  return call<T>(api, path, {});
}

export async function postJson<T>(api: string, path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<T> {
  return call<T>(api, path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });
}

async function call<T>(api: string, path: string, init: RequestInit): Promise<T> {
  let reply: Response;
  try {
    reply = await fetch(`${api}${path}`, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  } catch (error) {
    throw new LedgerError('not-ready', `nothing answers at ${api}; is the devnet running? Start it with: npm start`, { api }, error);
  }
  const answer: unknown = await reply.json().catch(() => undefined);
  if (reply.ok) return answer as T;
  const problem = answer as { code?: ErrorCode; detail?: string } | undefined;
  throw new LedgerError(problem?.code ?? 'internal', problem?.detail ?? `${api}${path} answered ${reply.status}`, { status: reply.status });
}
