/** What applying a block needs to know beside the state. */
import type { Refused } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import type { Height, Millis } from '../ledger/ids.ts';

export interface BlockContext {
  readonly chain: Hash;
  readonly height: Height;
  /** Of the block's header. */
  readonly time: Millis;
  /** For the signatures inside bodies: claims, checkpoints, proofs of possession, evidence. */
  readonly verify: SignatureVerifier;
}

/** Why a body cannot be accepted in any state, or undefined. */
export type Flaw = Refused<ErrorCode> | undefined;

/** What a pool of waiting transactions knows: which height comes next, not when. */
export type PoolContext = Pick<BlockContext, 'chain' | 'height' | 'verify'>;
