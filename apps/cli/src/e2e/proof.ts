/** Changes of a proof file for tests: one byte each. */

/** A text that differs in one byte; `step` picks which other byte, never the same. */
export function withOneByteChanged(text: string, at: number, step: number): string {
  const bytes = Buffer.from(text, 'utf8');
  bytes[at] = ((bytes[at] as number) + step) & 0xff;
  return bytes.toString('utf8');
}
