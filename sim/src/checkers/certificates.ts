/** Each delivered block has a certificate anyone can check (background §6 A4). Written apart from the core, on purpose. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { CommittedBlock } from '@itc/core/pbft/effects.js';
import { fakeVerify } from '../fake-crypto.ts';
import { Violation } from './checker.ts';

export class Certificates {
  readonly #chain: Hash;
  readonly #validators: ValidatorSet;

  constructor(chain: Hash, validators: ValidatorSet) {
    this.#chain = chain;
    this.#validators = validators;
  }

  delivered(node: number, { block, certificate }: CommittedBlock): void {
    const fail = (why: string): never => {
      throw new Violation('certificates', `the certificate of height ${block.height} at node ${node} ${why}`);
    };
    if (certificate.height !== block.height || !equalBytes(certificate.hash, block.hash))
      fail('is for another block');
    const bytes = voteSigningBytes('commit', { ...certificate, chain: this.#chain });
    let signed = 0n;
    let total = 0n;
    let used = 0;
    for (const [index, validator] of this.#validators.entries()) {
      total += BigInt(validator.weight);
      if ((((certificate.signers[index >> 3] ?? 0) >> (index & 7)) & 1) === 0) continue;
      const signature = certificate.signatures[used];
      used += 1;
      if (signature === undefined || !fakeVerify(validator.key, bytes, signature))
        fail(`has no valid signature of validator ${index}`);
      signed += BigInt(validator.weight);
    }
    if (used !== certificate.signatures.length) fail('has signatures of nobody');
    // More than two thirds, in whole numbers.
    if (3n * signed <= 2n * total) fail(`has weight ${signed} of ${total}`);
  }
}
