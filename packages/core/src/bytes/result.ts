/**
 * A value, or why there is none. Bad input from outside is returned, never thrown, so that a peer's
 * bytes cannot look like a bug of ours.
 */
export type Result<T, C extends string = string> = Ok<T> | Refused<C>;

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

/** `code` is what callers switch on; `message` says what was expected and what came instead. */
export interface Refused<C extends string = string> {
  readonly ok: false;
  readonly code: C;
  readonly message: string;
}

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function refused<C extends string>(code: C, message: string): Refused<C> {
  return { ok: false, code, message };
}

/** Nominal types for values that could be swapped by mistake (a height for a view). */
export type Brand<T, Name extends string> = T & { readonly __brand: Name };
