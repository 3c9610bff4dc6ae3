/** The signatures under a command: of its sender, and of the other keys of the account that give it (spec EDGE-9.3, EDGE-9.5). */
import { verificationCost } from '@itc/core/crypto/cost.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { commandSigningBytes, type Command } from '@itc/core/ledger/command.js';
import { payloadAccount, type Payload } from '@itc/core/ledger/payload.js';

interface SignatureCheck {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** The sender's first: it covers all the others. */
export function commandSignatures(chain: Hash, payload: Payload, command: Command): SignatureCheck[] {
  const { signer, signedBytes, signature, sequence } = payload;
  const own = { key: signer, message: signedBytes, signature };
  if (command.cosigners === undefined) return [own];
  const place = { signer, account: payloadAccount(payload), sequence };
  const message = commandSigningBytes(chain, place, command);
  return [own, ...command.cosigners.map((one) => ({ ...one, message }))];
}

/** In the units of CRYPTO-11. */
export function costOf(checks: readonly Pick<SignatureCheck, 'key'>[]): number {
  return checks.reduce((sum, { key }) => sum + verificationCost(key.algorithm), 0);
}
