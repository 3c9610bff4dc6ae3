/**
 * Bounds of everything that a caller or a peer can make large. They are far above any sensible task
 * and far below what would exhaust a browser tab.
 */

/** Longest encoded measurement, in field elements. */
export const MEASUREMENT_LENGTH_MAX: number = 1 << 20;
/** Most calls of a gadget, so that the largest transform has 2^17 points. */
export const GADGET_CALLS_MAX: number = (1 << 16) - 1;
/** Highest degree of a polynomial gadget. */
export const GADGET_DEGREE_MAX = 16;
/** Most calls of a gadget of degree three or more, whose missing values cost more to prepare. */
export const HIGH_DEGREE_CALLS_MAX = 63;
/** Shares and proofs are counted in one byte by the draft. */
export const SHARES_MAX = 255;
export const PROOFS_MAX = 255;
/** Application context; the domain separation tag has a two-byte length and eight bytes of its own. */
export const CONTEXT_BYTES_MAX: number = 0xffff - 8;
/** Pages (64 KiB) that the arithmetic kernel may ever use: 1 GiB. */
export const KERNEL_PAGES_MAX: number = 1 << 14;
/** Reports in one call of a batch function. */
export const BATCH_REPORTS_MAX: number = 1 << 16;
/** Draws that a rejection sampler may take before it is declared broken (probability below 2^-128). */
export const SAMPLER_DRAWS_MAX: number = 1 << 14;
/** Digits of the numerator and denominator of a noise parameter, in bits. */
export const NOISE_PARAMETER_BITS_MAX = 256;
