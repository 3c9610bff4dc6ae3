/**
 * The verifier of light streams for programs: bytes in as they come, what they prove out. Each reader has a machine of
 * its own, so many can be at work at once. Chips use the machine as it is.
 */
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { ED25519, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type SignatureVerifier } from '../crypto/signature.ts';
import { height, millis, type Height, type Millis } from '../ledger/ids.ts';
import * as codes from './engine/codes.ts';
import { setVerifier } from './engine/host.ts';
import { ITEM_APPLIED, ITEM_FRESH, ITEM_HISTORY, ITEM_STATE, ITEM_TRANSACTION } from './engine/items.ts';
import {
  H_HEIGHT,
  H_TIME,
  I_HOPS,
  I_ITEM,
  I_KEY_BYTES,
  I_READ,
  I_VALUE_BYTES,
  ID,
  KEY,
  LightMachine,
  NONCE,
  TARGET,
  TRUST,
  TRUST_BYTES,
  u48At,
  u53At,
  VALUE,
} from './engine/layout.ts';
import { begin, isDone, push } from './engine/machine.ts';
import type { TrustCheck } from './trust.ts';

/** The step that failed; the first ones as LIGHT-3 and LIGHT-7 name them. */
export type StreamCheck =
  | TrustCheck
  | 'format'
  | 'trusted-set'
  | 'closing'
  | 'known'
  | 'history'
  | 'transaction'
  | 'state'
  | 'applied'
  | 'freshness';

export type LightEvent =
  | {
      readonly kind: 'believed';
      /** As `encodeTrust` writes it: to be kept. */
      readonly trust: Uint8Array;
      readonly height: Height;
      readonly time: Millis;
      readonly hops: number;
    }
  | { readonly kind: 'history'; readonly height: Height; readonly time: Millis }
  | { readonly kind: 'transaction'; readonly id: Hash; readonly height: Height }
  | {
      readonly kind: 'state';
      readonly key: Uint8Array;
      /** Undefined: the key provably holds nothing. */
      readonly value: Uint8Array | undefined;
      /** Of the header it was proved under; the state is that of `pipelineDepth` blocks before. */
      readonly height: Height;
    }
  | {
      readonly kind: 'applied';
      readonly id: Hash;
      readonly subnet: Hash;
      /** Of the checkpoint that applied it, which all later ones build on. */
      readonly sequence: number;
      readonly time: Millis;
    }
  | { readonly kind: 'fresh'; readonly gateway: Uint8Array }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly check: StreamCheck; readonly reason: string };

const REFUSALS: Readonly<Record<number, readonly [check: StreamCheck, reason: string]>> = {
  [codes.BAD_FORMAT]: ['format', 'the bytes are not a light stream'],
  [codes.BAD_TRUST_SET]: ['trusted-set', 'the set shown first is not the one that is trusted'],
  [codes.BAD_VALIDATORS]: [
    'validators',
    'a validator set is not the one its header names, or not acceptable',
  ],
  [codes.BAD_CERTIFICATE_SIGNERS]: ['certificate-signers', 'a certificate does not fit its set'],
  [codes.BAD_CERTIFICATE_WEIGHT]: ['certificate-weight', 'too little weight signed a header'],
  [codes.BAD_CERTIFICATE_SIGNATURE]: ['certificate-signature', 'a signature does not verify'],
  [codes.STALE]: ['stale', 'a header lies below what is believed'],
  [codes.CONFLICT]: ['conflict', 'another header was believed at this height: more than a third misbehaved'],
  [codes.BAD_TIME]: ['time', 'a higher header does not have a later time'],
  [codes.BAD_EPOCH]: ['epoch', 'a header is of another epoch than the hops lead to'],
  [codes.NOT_CLOSING]: ['closing', 'an adjacent hop whose header closes no epoch'],
  [codes.TOO_LITTLE_KNOWN]: ['known', 'too little of the trusted weight vouches for a later set'],
  [codes.BAD_HISTORY]: ['history', 'the newest header does not hold an earlier one that was shown'],
  [codes.BAD_TRANSACTION]: ['transaction', 'a path does not lead to the transactions of its header'],
  [codes.BAD_STATE]: ['state', 'a record is not in the certified state as shown'],
  [codes.BAD_APPLIED]: ['applied', 'the subnet did not apply the payload as shown'],
  [codes.BAD_FRESHNESS]: ['freshness', 'the gateway’s statement does not verify'],
};

export interface LightReaderOptions {
  /** 149 bytes, see `encodeTrust`. */
  readonly trust: Uint8Array;
  readonly verify: SignatureVerifier;
  /** The client's clock; without one, two thirds of the trusted weight are wanted always. */
  readonly now?: Millis;
  /** For how long after the last believed header one third is enough; must be less than bonds stay punishable. */
  readonly trustingMs?: number;
  /** 32 bytes of the request, for statements of freshness. */
  readonly nonce?: Uint8Array;
}

export class LightReader {
  readonly #machine = new LightMachine();
  readonly #verify: SignatureVerifier;

  constructor(o: LightReaderOptions) {
    if (o.trust.length !== TRUST_BYTES) throw new RangeError(`trust has ${TRUST_BYTES} bytes`);
    this.#verify = o.verify;
    this.#machine.bytes.set(o.trust, TRUST);
    if (o.nonce !== undefined) this.#machine.bytes.set(o.nonce.subarray(0, HASH_BYTES), NONCE);
    begin(this.#machine, o.now ?? 0, o.trustingMs ?? 0);
  }

  /** What these bytes prove, in order; after a refusal, which is the last event, everything is refused. */
  push(input: Uint8Array): LightEvent[] {
    const m = this.#machine;
    // One thread, and no call returns before it is done: the verifier is this reader's for as long as it matters.
    setVerifier((machine, key, message, messageBytes, signature) => {
      const { bytes } = machine;
      return this.#verify(
        { algorithm: ED25519, bytes: bytes.subarray(key, key + PUBLIC_KEY_BYTES) },
        bytes.subarray(message, message + messageBytes),
        bytes.subarray(signature, signature + SIGNATURE_BYTES),
      );
    });
    const events: LightEvent[] = [];
    let at = 0;
    while (at < input.length) {
      const code = push(m, input, at, input.length);
      if (code === codes.MORE) break;
      events.push(this.#event(code));
      if (code < 0) break;
      at += m.ints[I_READ] as number;
    }
    return events;
  }

  /** Whether everything was read that the stream announced. */
  get isDone(): boolean {
    return isDone(this.#machine);
  }

  #event(code: number): LightEvent {
    const m = this.#machine;
    if (code < 0) {
      const [check, reason] = REFUSALS[code] as (typeof REFUSALS)[number] & object;
      return { kind: 'refused', check, reason };
    }
    if (code === codes.DONE) return { kind: 'done' };
    const at = height(u53At(m, TARGET + H_HEIGHT));
    const time = millis(u53At(m, TARGET + H_TIME));
    if (code === codes.BELIEVED) {
      const trust = m.bytes.slice(TRUST, TRUST + TRUST_BYTES);
      return { kind: 'believed', trust, height: at, time, hops: m.ints[I_HOPS] as number };
    }
    return this.#item(m.ints[I_ITEM] as number, at, time);
  }

  #item(item: number, at: Height, time: Millis): LightEvent {
    const m = this.#machine;
    const id = asHash(m.bytes.slice(ID, ID + HASH_BYTES));
    switch (item) {
      case ITEM_HISTORY:
        return { kind: 'history', height: at, time };
      case ITEM_TRANSACTION:
        return { kind: 'transaction', id, height: at };
      case ITEM_STATE: {
        const length = m.ints[I_VALUE_BYTES] as number;
        return {
          kind: 'state',
          key: m.bytes.slice(KEY, KEY + (m.ints[I_KEY_BYTES] as number)),
          value: length < 0 ? undefined : m.bytes.slice(VALUE, VALUE + length),
          height: at,
        };
      }
      case ITEM_APPLIED:
        return {
          kind: 'applied',
          id,
          subnet: asHash(m.bytes.slice(KEY + 1, KEY + 1 + HASH_BYTES)),
          time: millis(u48At(m, VALUE)),
          sequence: u48At(m, VALUE + 6),
        };
      case ITEM_FRESH:
        return { kind: 'fresh', gateway: id };
      default:
        throw new Error(`the machine proved an item of kind ${item}`);
    }
  }
}
