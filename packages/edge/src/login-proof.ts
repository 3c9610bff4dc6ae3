/** What a device signs to log in (spec EDGE-5), the same for enhanced authentication and for the signed password. */
import { concatBytes } from '@itc/core/bytes/hex.js';
import { utf8Encode } from '@itc/core/bytes/writer.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { SIGNATURE_DOMAINS } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';

export const LOGIN_METHOD = 'ITC-ED25519';

/** Domain ‖ 0x00 ‖ chain ‖ gateway address ‖ challenge: of no use at another gateway or on another chain. */
export function loginSigningBytes(o: { chain: Hash; gateway: Address; challenge: Uint8Array }): Uint8Array {
  return concatBytes(utf8Encode(SIGNATURE_DOMAINS.login), Uint8Array.of(0), o.chain, o.gateway, o.challenge);
}

/** The password of spec EDGE-5.3 for clients that know only user name and password. */
export function loginPassword(o: { key: Uint8Array; challenge: Uint8Array; signature: Uint8Array }): string {
  return [o.key, o.challenge, o.signature].map((bytes) => Buffer.from(bytes).toString('hex')).join('.');
}
