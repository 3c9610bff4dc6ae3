/** A machine with much else to do keeps one waiting for seconds; what never comes is worth a minute. */
const WAIT_MS_MAX = 60_000;
const POLL_MS = 10;

/** Polls until the condition holds; fails with what was waited for. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS_MAX} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The condition says for itself what is waited for. */
export function holds(condition: () => boolean): Promise<void> {
  return until(condition.toString(), condition);
}
