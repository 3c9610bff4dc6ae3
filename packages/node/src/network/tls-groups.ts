/** Where OpenSSL has ML-KEM (3.5, Node 24) TLS itself agrees by X25519MLKEM768 with peers that have it, too (draft-ietf-tls-ecdhe-mlkem). */
import { createSecureContext } from 'node:tls';

const GROUPS = 'X25519MLKEM768:X25519:P-256:P-384';

/** For `tls.connect` and `createServer`; nothing where the hybrid group is not known: the list of OpenSSL stays. */
export function tlsGroups(knows: (groups: string) => boolean = isKnown): { readonly ecdhCurve?: string } {
  return knows(GROUPS) ? { ecdhCurve: GROUPS } : {};
}

function isKnown(groups: string): boolean {
  try {
    createSecureContext({ ecdhCurve: groups });
    return true;
  } catch {
    return false;
  }
}
