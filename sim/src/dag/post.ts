/**
 * What every receiver would work out for itself and all would find alike: a message decoded, an envelope's form, work and
 * signatures. Done once per message, it leaves the time of a run to the protocol.
 */
import type { Hash } from '@itc/core/crypto/hash.js';
import { decodeMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import {
  envelopeSignatures,
  judgeEnvelope,
  screenEnvelope,
  type VerifiedEnvelope,
} from '@itc/core/dag/verify.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { fakeVerify } from '../fake-crypto.ts';
import { quickHash } from './quick-hash.ts';

/** An envelope every member may take, and which of its payloads are forged: who looks at one of these sees it. */
export interface Opened {
  readonly envelope: VerifiedEnvelope;
  readonly forged: readonly number[];
}

export class Post {
  readonly #context: { readonly chain: Hash; readonly subnet: Hash; readonly powBits: number };
  readonly #messages = new WeakMap<Uint8Array, SubnetMessage | 'unreadable'>();
  /** By content and members: an answer carries the same bytes in another array, and behind a turn issuers have other indices. */
  readonly #envelopes = new Map<string, Opened | 'refused'>();
  readonly #names = new WeakMap<ValidatorSet, string>();

  constructor(context: { readonly chain: Hash; readonly subnet: Hash; readonly powBits: number }) {
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
  verify(members: ValidatorSet, encoded: Uint8Array): Opened | undefined {
    const key = this.#nameOf(members) + Buffer.from(quickHash(encoded)).toString('latin1');
    let opened = this.#envelopes.get(key);
    if (opened === undefined) {
      opened = this.#judge(members, encoded);
      this.#envelopes.set(key, opened);
    }
    return opened === 'refused' ? undefined : opened;
  }

  /** Lanes go by weight, so it counts, too. */
  #nameOf(members: ValidatorSet): string {
    let name = this.#names.get(members);
    if (name === undefined) {
      name = members.map(({ key, weight }) => `${key.bytes[0]}:${weight}`).join();
      this.#names.set(members, name);
    }
    return name;
  }

  #judge(members: ValidatorSet, encoded: Uint8Array): Opened | 'refused' {
    const screened = screenEnvelope({ ...this.#context, members }, encoded, true);
    if (!screened.ok) return 'refused';
    const verdicts = envelopeSignatures(screened.value).map(({ key, message, signature }) =>
      fakeVerify(key, message, signature),
    );
    const judged = judgeEnvelope(screened.value, verdicts);
    if (judged.kind === 'refused' || (judged.kind === 'forged' && judged.isInvalid)) return 'refused';
    const { payloads } = screened.value;
    const forged =
      judged.kind === 'admitted' ? [] : [...payloads.keys()].filter((i) => isForged(payloads[i]));
    return { envelope: judged.envelope, forged };
  }
}

function isForged(payload: Payload | undefined): boolean {
  return payload !== undefined && !fakeVerify(payload.signer, payload.signedBytes, payload.signature);
}
