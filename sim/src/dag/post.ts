/**
 * What every receiver would work out for itself and all would find alike: a message decoded, an envelope's form, work and
 * signatures. Done once per message, it leaves the time of a run to the protocol.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { decodeMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import { verifyEnvelope, type VerifiedEnvelope } from '@itc/core/dag/verify.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { fakeVerify } from '../fake-crypto.ts';
import { quickHash } from './quick-hash.ts';

export class Post {
  readonly #context: {
    readonly chain: Hash;
    readonly subnet: Hash;
    readonly members: ValidatorSet;
    readonly powBits: number;
  };
  readonly #messages = new WeakMap<Uint8Array, SubnetMessage | 'unreadable'>();
  /** By content: an answer carries the same bytes in another array. */
  readonly #envelopes = new Map<string, VerifiedEnvelope | 'refused'>();

  constructor(context: {
    readonly chain: Hash;
    readonly subnet: Hash;
    readonly members: ValidatorSet;
    readonly powBits: number;
  }) {
    this.#context = context;
  }

  open(bytes: Uint8Array): SubnetMessage | undefined {
    let message = this.#messages.get(bytes);
    if (message === undefined) {
      const decoded = decodeMessage(bytes);
      message = decoded.ok ? decoded.value : 'unreadable';
      this.#messages.set(bytes, message);
    }
    return message === 'unreadable' ? undefined : message;
  }

  /** Without anchors, whose age and bits each member judges by its own view when it inserts. */
  verify(encoded: Uint8Array): VerifiedEnvelope | undefined {
    const key = Buffer.from(quickHash(encoded)).toString('latin1');
    let envelope = this.#envelopes.get(key);
    if (envelope === undefined) {
      const verified = verifyEnvelope(this.#context, encoded, fakeVerify, true);
      envelope = verified.ok ? verified.value : 'refused';
      this.#envelopes.set(key, envelope);
    }
    return envelope === 'refused' ? undefined : envelope;
  }
}
