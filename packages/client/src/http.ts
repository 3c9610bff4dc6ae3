/** One HTTP request with a JSON answer, and every way it can fail as a `LedgerError`. */
import { ERROR_CODES, LedgerError, type ErrorCode } from '@itc/core/ledger/errors.js';

/** The part of the Fetch API that is used here; `globalThis.fetch` fits. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
  readonly body: { getReader(): ByteReader } | null;
}

export interface ByteReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

/**
 * Throws `LedgerError`: with the server's code when it sent problem details (RFC 9457), `peer.gone` when there
 * was no answer, `peer.message` when the answer is not what this API sends. An abort keeps its own reason.
 */
export async function requestText(fetch: Fetch, url: string, init: FetchInit): Promise<string> {
  const response = await open(fetch, url, init);
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw failure(error, url, init);
  }
  if (!response.ok) throw problem(response.status, text, url);
  return text;
}

export async function requestJson(fetch: Fetch, url: string, init: FetchInit): Promise<unknown> {
  const text = await requestText(fetch, url, init);
  const value = parseJson(text);
  if (value === undefined) throw new LedgerError('peer.message', 'the answer is not JSON', { url });
  return value;
}

/** The response itself, whatever its status. */
export async function open(fetch: Fetch, url: string, init: FetchInit): Promise<FetchResponse> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw failure(error, url, init);
  }
}

/** An abort is the caller's own doing and passes; everything else is the connection. */
function failure(error: unknown, url: string, init: FetchInit): unknown {
  if (init.signal?.aborted === true) return error;
  return new LedgerError('peer.gone', `no answer from ${url}`, { url }, error);
}

export function problem(status: number, text: string, url: string): LedgerError {
  const details = parseJson(text);
  if (typeof details === 'object' && details !== null) {
    const { code, title, detail } = details as { code?: unknown; title?: unknown; detail?: unknown };
    const message = [detail, title].find((part) => typeof part === 'string' && part !== '') as
      | string
      | undefined;
    if (isErrorCode(code)) return new LedgerError(code, message ?? ERROR_CODES[code], { status, url });
  }
  return new LedgerError('peer.message', `the node answered with status ${status}`, { status, url });
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
