/**
 * Why something that came from outside was refused. Wrong arguments of the caller's own making
 * (a measurement out of range, a nonce of the wrong size) throw RangeError instead.
 */
export type RefusalCode =
  /** A share, message or state has the wrong number of bytes, or their number of shares is wrong. */
  | 'malformed-length'
  /** An encoded element is not below the modulus. */
  | 'element-overflow'
  /** The proof does not verify: the report is not well-formed, or was changed on the way. */
  | 'proof-invalid'
  /** The joint randomness that the parties computed is not the one the client used. */
  | 'joint-randomness-mismatch'
  /** The random test point fell on a root of unity (probability below 2^-40): refusing avoids a leak. */
  | 'test-point-is-root'
  /** A ping-pong message of another kind than this step awaits. */
  | 'message-unexpected';

export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly code: RefusalCode };

export const ok = <T>(value: T): Outcome<T> => ({ kind: 'ok', value });
export const refused = (code: RefusalCode): { readonly kind: 'refused'; readonly code: RefusalCode } => ({
  kind: 'refused',
  code,
});

/** The value of an outcome, for callers that treat a refusal as an error: then it throws, with the code. */
export function accepted<T>(outcome: Outcome<T>): T {
  if (outcome.kind === 'refused') throw new Error(`vdaf: refused: ${outcome.code}`);
  return outcome.value;
}
