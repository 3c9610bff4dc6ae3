export const KEY_BYTES_MAX = 512;

/** Keys are ours, not a peer's: a wrong length is a bug. */
export function assertKey(key: Uint8Array): void {
  if (key.length === 0 || key.length > KEY_BYTES_MAX)
    throw new RangeError(`a key has 1 to ${KEY_BYTES_MAX} bytes, got ${key.length}`);
}
