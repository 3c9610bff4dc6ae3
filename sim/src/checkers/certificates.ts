/**
 * Each delivered block has a certificate that anyone can check who knows the set of its epoch (background §6 A4): by the
 * light client's rules, and by arithmetic written apart from the core, on purpose.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { verifySignedWeight } from '@itc/core/light/certificate.js';
import type { CommittedBlock } from '@itc/core/pbft/effects.js';
import { fakeVerify } from '../fake-crypto.ts';
import { Violation } from './checker.ts';

export class Certificates {
  readonly #chain: Hash;
  readonly #known: WeakSet<object> = new WeakSet();

  constructor(chain: Hash) {
    this.#chain = chain;
  }

  /** @param epoch what the ledger says of this height, and the set that decides there */
  delivered(node: number, { block, certificate }: CommittedBlock, epoch: number, set: ValidatorSet): void {
    const fail = (why: string): never => {
      throw new Violation('certificates', `the certificate of height ${block.height} at node ${node} ${why}`);
    };
    if (certificate.height !== block.height || !equalBytes(certificate.hash, block.hash))
      fail('is for another block');
    if (certificate.epoch !== epoch) fail(`is of epoch ${certificate.epoch}, not ${epoch}`);
    // Nodes that learned of it from one another hold the same one.
    if (this.#known.has(certificate)) return;
    this.#known.add(certificate);
    const bytes = voteSigningBytes('commit', { ...certificate, chain: this.#chain });
    let signed = 0n;
    let total = 0n;
    let used = 0;
    for (const [index, validator] of set.entries()) {
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
    const { signers, signatures } = certificate;
    const light = verifySignedWeight({
      members: set,
      signers,
      signatures,
      message: bytes,
      verify: fakeVerify,
    });
    if (!light.ok) fail(`is refused by the light client: ${light.message}`);
  }
}
