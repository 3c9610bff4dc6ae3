/** A main chain as the subnet sees it: the first certificate of the next sequence is executed, everybody learns of it. */
import { toHex } from '@itc/core/bytes/hex.js';
import { checkpointHash, type CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import { height } from '@itc/core/ledger/ids.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Committed } from '@itc/core/dag/effects.js';
import { voteSigningBytes } from '@itc/core/dag/messages.js';
import { indicesOf, quorumOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { fakeVerify } from '../fake-crypto.ts';

export class MainChain {
  readonly committed: Committed[] = [];
  readonly #chain: Hash;
  readonly #subnet: Hash;
  readonly #members: ValidatorSet;

  constructor(options: { readonly chain: Hash; readonly subnet: Hash; readonly members: ValidatorSet }) {
    this.#chain = options.chain;
    this.#subnet = options.subnet;
    this.#members = options.members;
  }

  /** The rules of the state machine for a checkpoint transaction; what breaks one changes nothing. */
  submit(certificate: CheckpointCertificate): void {
    const { checkpoint } = certificate;
    const last = this.committed.at(-1)?.certificate.checkpoint;
    if (checkpoint.sequence !== this.committed.length + 1) return;
    const previous = last === undefined ? this.#subnet : checkpointHash(last);
    if (toHex(checkpoint.previous) !== toHex(previous)) return;
    const signers = indicesOf(certificate.signers, this.#members.length) ?? [];
    const bytes = voteSigningBytes(this.#chain, checkpointHash(checkpoint));
    let stake = 0;
    for (const [i, signer] of signers.entries()) {
      const member = this.#members[signer];
      const signature = certificate.signatures[i];
      if (member === undefined || signature === undefined) return;
      if (!fakeVerify(member.key, bytes, signature)) return;
      stake += member.weight;
    }
    if (stake < quorumOf(this.#members.map((member) => member.weight)).strong) return;
    this.committed.push({ certificate, height: height(this.committed.length + 1), txIndex: 0 });
  }
}
