/** Calls to the node that served this page. A refusal arrives as an `ApiError` with the node's code and words. */
export class ApiError extends Error {
  /** A code of ledger/errors.ts, or `unreachable` when no node answered. */
  readonly code: string;
  readonly status: number;
  readonly detail: string;

  constructor(code: string, status: number, title: string, detail: string) {
    super(title);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.detail = detail;
  }
}

export const API_BASE = '/api/v1';
const TIMEOUT_MS = 10_000;

export function apiGet<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>(path, signal === undefined ? {} : { signal });
}

export function apiPost<T>(path: string, body: unknown = {}): Promise<T> {
  return call<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new DOMException('timeout', 'TimeoutError')), TIMEOUT_MS);
  const outer = init.signal ?? undefined;
  const forward = (): void => abort.abort(outer?.reason);
  outer?.addEventListener('abort', forward, { once: true });
  if (outer?.aborted === true) forward();
  try {
    const response = await fetch(`${API_BASE}${path}`, { ...init, signal: abort.signal, cache: 'no-store' });
    if (!response.ok) throw await refusalOf(response);
    return (await response.json()) as T;
  } catch (error) {
    if (error instanceof ApiError || outer?.aborted === true) throw error;
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(
      'unreachable',
      0,
      late ? 'The node did not answer in time' : 'The node cannot be reached',
      late
        ? 'It may be busy or stopping. The page tries again.'
        : 'Check that it is running. The page tries again.',
    );
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', forward);
  }
}

/** application/problem+json (RFC 9457), or what can be said without one. */
async function refusalOf(response: Response): Promise<ApiError> {
  try {
    const problem = (await response.json()) as { code?: string; title?: string; detail?: string };
    return new ApiError(
      problem.code ?? 'internal',
      response.status,
      problem.title ?? response.statusText,
      problem.detail ?? '',
    );
  } catch {
    const gateway = response.status >= 502 && response.status <= 504;
    return new ApiError(
      gateway ? 'unreachable' : 'internal',
      response.status,
      gateway ? 'No node answers behind the front' : `The node answered with status ${response.status}`,
      '',
    );
  }
}
