/** Longer runs are copied by the engine. */
const SHORT_BYTES = 128;

/**
 * Copies `bytes` from `from` to `to` to where `at` is, and returns where the next goes. A short run is copied by hand: a view of it, or
 * calling out, would cost more than the copy.
 */
export function lay(
  into: Uint8Array,
  at: number,
  bytes: Uint8Array,
  from = 0,
  to: number = bytes.length,
): number {
  if (to - from > SHORT_BYTES) into.set(bytes.subarray(from, to), at);
  else for (let i = from; i < to; i += 1) into[at + i - from] = bytes[i] as number;
  return at + to - from;
}
