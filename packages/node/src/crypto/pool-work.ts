/** What a thread of `VerifyPool` can be asked for. */
import { signMlDsa } from '@itc/core/crypto/ml-dsa.js';
import { verifyPacked } from './verify-batch.ts';

export interface VerifyWork {
  readonly kind: 'verify';
  /** As `packBatch` makes it. */
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly count: number;
}

export interface SignWork {
  readonly kind: 'sign';
  /** Of ML-DSA-44. */
  readonly secretKey: Uint8Array;
  readonly message: Uint8Array;
  /** 32 fresh bytes. */
  readonly random: Uint8Array;
}

export type Work = VerifyWork | SignWork;

/** One byte per item, 1 when its signature holds; or the signature. */
export function resultOf(work: Work): Uint8Array<ArrayBuffer> {
  switch (work.kind) {
    case 'verify':
      return verifyPacked(work.packed, work.count);
    case 'sign': {
      const { secretKey, message, random } = work;
      return Uint8Array.from(signMlDsa(secretKey, message, { random }));
    }
  }
}
