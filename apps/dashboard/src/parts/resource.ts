import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export interface Resource<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  readonly reload: () => void;
}

interface Held<T> {
  readonly key: string;
  readonly value: T | undefined;
  readonly error: Error | undefined;
}

/**
 * Loads what `key` names, again whenever the key changes and every `everyMs` (0: once) while it is shown.
 * An error after a first answer keeps the old value beside it: stale is better than gone, if it says so.
 */
export function useResource<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs = 0,
): Resource<T> {
  const [held, setHeld] = useState<Held<T>>({ key, value: undefined, error: undefined });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async (): Promise<void> => {
      try {
        const value = await latest.current(abort.signal);
        if (!abort.signal.aborted) setHeld({ key, value, error: undefined });
      } catch (error) {
        if (abort.signal.aborted) return;
        const failure = error instanceof Error ? error : new Error(String(error));
        setHeld((old) => ({ key, value: old.key === key ? old.value : undefined, error: failure }));
      }
      if (everyMs > 0 && !abort.signal.aborted) timer = setTimeout(() => void run(), everyMs);
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  // The answer to another key must not flash up under this one.
  return held.key === key
    ? { value: held.value, error: held.error, reload }
    : { value: undefined, error: undefined, reload };
}
