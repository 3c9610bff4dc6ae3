/** Gateways somebody named for comparison: kept in this browser, believed in nothing. */
import { OTHERS_MAX } from './light-protocol.ts';

const KEY = 'itc-other-gateways';

/** Scheme, host and port of what was typed; undefined when it is no address of the web. */
export function originOf(text: string): string | undefined {
  try {
    const { protocol, origin } = new URL(text.trim());
    return protocol === 'http:' || protocol === 'https:' ? origin : undefined;
  } catch {
    return undefined;
  }
}

export function otherGateways(): readonly string[] {
  try {
    return readOthers(localStorage.getItem(KEY));
  } catch {
    // A browser may refuse to keep anything.
    return [];
  }
}

export function rememberOthers(others: readonly string[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(others));
  } catch {
    // They are asked as long as the page is open.
  }
}

/** Whatever lies there, at most `OTHERS_MAX` origins, each once. */
export function readOthers(stored: string | null): string[] {
  let listed: unknown;
  try {
    listed = JSON.parse(stored ?? '[]');
  } catch {
    return [];
  }
  if (!Array.isArray(listed)) return [];
  const origins = listed.flatMap((one) => (typeof one === 'string' ? (originOf(one) ?? []) : []));
  return [...new Set(origins)].slice(0, OTHERS_MAX);
}
