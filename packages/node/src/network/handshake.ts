/**
 * The exchange of HELLOs on one TLS session, as values: what to say, what to make of what was said, and the keys of a hybrid channel
 * (spec NODE-2.1, QUANTUM-5). It decides nothing about who may be a peer.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { ok, refused, type Result } from '@itc/core/bytes/result.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import {
  X_WING_RANDOM_BYTES,
  X_WING_SEED_BYTES,
  xWingDecapsulate,
  xWingEncapsulate,
  xWingKeysOf,
} from '@itc/core/crypto/x-wing.js';
import { addressOf } from '@itc/core/ledger/address.js';
import type { KeyPair } from '../crypto/keypair.ts';
import { verifyNative } from '../crypto/native.ts';
import type { Peer, PeerRole, Random } from '../ports.ts';
import {
  decodeHello,
  encodeHello,
  helloSigningBytes,
  PEER_PROTOCOL_VERSION,
  type Hello,
  type HybridShare,
  type Side,
} from './hello.ts';
import { channelKeys, type ChannelKeys, type HybridMode } from './hybrid.ts';

/** `hybrid`: the peer does without, where this end requires it. */
export type HelloRefusal = 'malformed' | 'other-chain' | 'signature' | 'hybrid';

export interface HandshakeOptions {
  readonly chain: Hash;
  readonly keys: KeyPair;
  readonly role: PeerRole;
  /** `host:port` as told to others. */
  readonly listens: string;
  readonly exporter: Uint8Array;
  readonly side: Side;
  /** Default: off. */
  readonly hybrid?: HybridMode;
  readonly random: Random;
}

export interface Heard {
  readonly peer: Peer;
  /** Of a listener. */
  readonly reply: Uint8Array | undefined;
  /** Of a hybrid channel. */
  readonly keys: ChannelKeys | undefined;
}

export class Handshake {
  readonly #o: HandshakeOptions;
  /** What this end said first. */
  #said: Uint8Array | undefined;
  /** Until the answer is there. */
  #secretKey: Uint8Array | undefined;

  constructor(options: HandshakeOptions) {
    this.#o = options;
  }

  get #mode(): HybridMode {
    return this.#o.hybrid ?? 'off';
  }

  /** The dialler's. */
  first(): Uint8Array {
    let share: HybridShare = { kind: 'none' };
    if (this.#mode !== 'off') {
      const { publicKey, secretKey } = xWingKeysOf(this.#o.random.bytes(X_WING_SEED_BYTES));
      this.#secretKey = secretKey;
      share = { kind: 'offer', key: publicKey };
    }
    this.#said = this.#hello(share, undefined);
    return this.#said;
  }

  /**
   * Cheapest checks first, the signature before anything that depends on who it is, and the key exchange last: a stranger
   * causes none.
   */
  hear<R extends string>(
    bytes: Uint8Array,
    judge: (peer: Peer) => R | undefined,
  ): Result<Heard, HelloRefusal | R> {
    const heard = bytes.slice();
    const decoded = decodeHello(heard);
    if (!decoded.ok) return refused('malformed', decoded.message);
    const hello = decoded.value;
    const { chain, exporter, side } = this.#o;
    if (!equalBytes(hello.chain, chain)) return refused('other-chain', 'the peer is of another chain');
    const theirs: Side = side === 'dialler' ? 'listener' : 'dialler';
    const answered = this.#said;
    const signed = helloSigningBytes(hello, { exporter, side: theirs, ...(answered && { answered }) });
    if (!verifyNative(hello.key, signed, hello.signature))
      return refused('signature', 'the HELLO is not signed by its key for this session');
    const peer: Peer = {
      id: toHex(hello.key.bytes),
      key: hello.key,
      address: addressOf(hello.key),
      role: hello.role,
      listen: hello.listen,
    };
    const refusal = judge(peer);
    if (refusal !== undefined) return refused(refusal, 'the peer is not let in');
    return side === 'dialler' ? this.#concluded(peer, hello, heard) : this.#answer(peer, hello, heard);
  }

  #concluded(peer: Peer, { hybrid }: Hello, heard: Uint8Array): Result<Heard, HelloRefusal> {
    const secretKey = this.#secretKey;
    this.#secretKey = undefined;
    if (hybrid.kind === 'offer' || (hybrid.kind === 'answer' && secretKey === undefined))
      return refused('malformed', 'an answer to nothing');
    if (hybrid.kind === 'none')
      return this.#mode === 'require'
        ? refused('hybrid', 'the peer does not answer with ML-KEM-768')
        : ok({ peer, reply: undefined, keys: undefined });
    const secret = secretKey && xWingDecapsulate(secretKey, hybrid.ciphertext);
    if (secret === undefined || this.#said === undefined) return refused('malformed', 'no ciphertext');
    return ok({ peer, reply: undefined, keys: this.#keys(secret, this.#said, heard) });
  }

  #answer(peer: Peer, { hybrid }: Hello, heard: Uint8Array): Result<Heard, HelloRefusal> {
    if (hybrid.kind === 'answer') return refused('malformed', 'an answer to nothing');
    if (hybrid.kind === 'none' && this.#mode === 'require')
      return refused('hybrid', 'the peer does not offer ML-KEM-768');
    if (hybrid.kind === 'none' || this.#mode === 'off')
      return ok({ peer, reply: this.#hello({ kind: 'none' }, heard), keys: undefined });
    const sent = xWingEncapsulate(hybrid.key, this.#o.random.bytes(X_WING_RANDOM_BYTES));
    if (sent === undefined) return refused('malformed', 'the key offered is none');
    const reply = this.#hello({ kind: 'answer', ciphertext: sent.ciphertext }, heard);
    return ok({ peer, reply, keys: this.#keys(sent.secret, heard, reply) });
  }

  #keys(secret: Uint8Array, dialler: Uint8Array, listener: Uint8Array): ChannelKeys {
    const { exporter, side } = this.#o;
    return channelKeys({ secret, exporter, hellos: { dialler, listener }, side });
  }

  #hello(hybrid: HybridShare, answered: Uint8Array | undefined): Uint8Array {
    const { chain, keys, role, listens: listen, exporter, side } = this.#o;
    const content = { version: PEER_PROTOCOL_VERSION, chain, key: keys.publicKey, role, listen, hybrid };
    const signed = helloSigningBytes(content, { exporter, side, ...(answered && { answered }) });
    return encodeHello({ ...content, signature: keys.sign(signed) });
  }
}
