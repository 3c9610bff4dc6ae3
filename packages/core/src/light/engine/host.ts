/**
 * The one thing a verifier asks its host for: an Ed25519 check by the rule of spec CRYPTO-3. Native on a chip, libsodium
 * in Node, the portable one in a browser; the WebAssembly build imports it and leaves this file out.
 */
import type { i32 } from './integers.ts';
import type { LightMachine } from './layout.ts';

/** Key (32), message and signature (64) lie in the machine's memory at these places. */
export type HostVerifier = (
  m: LightMachine,
  key: i32,
  message: i32,
  messageBytes: i32,
  signature: i32,
) => boolean;

let verifier: HostVerifier | undefined;

/** Before the first stream. */
export function setVerifier(host: HostVerifier): void {
  verifier = host;
}

export function hostVerify(
  m: LightMachine,
  key: i32,
  message: i32,
  messageBytes: i32,
  signature: i32,
): boolean {
  if (verifier === undefined) throw new Error('no verifier was set');
  return verifier(m, key, message, messageBytes, signature);
}
