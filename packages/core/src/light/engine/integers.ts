/**
 * Names of machine types. Here they are all `number`; the WebAssembly compiler knows them itself, and the build leaves
 * this file out. Everything in this folder is written in what both languages share: plain functions, typed arrays, no
 * closures, no strings, nothing allocated after the start.
 */
export type u8 = number;
export type i32 = number;
/** Counters and weights up to 2^53: whole numbers in a double. */
export type f64 = number;
