/**
 * Co-signatures of checkpoints (spec QUANTUM-2): made, gathered, kept and passed on beside consensus, which knows nothing of them. What
 * fails here costs a client that demands co-signatures a checkpoint, and the chain nothing.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import { decode } from '@itc/core/bytes/reader.js';
import { ML_DSA_44 } from '@itc/core/crypto/signature.js';
import { verifyStateProof } from '@itc/core/crypto/state-tree.js';
import { closesEpoch, headerHash, type Header } from '@itc/core/ledger/block.js';
import {
  coSignerOf,
  coSignersQuorum,
  hasCoSigner,
  readCoSigners,
  type CoSigners,
} from '@itc/core/ledger/co-signers.js';
import { epoch, height, type Height } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { coSigningBytes } from '@itc/core/ledger/stable-certificate.js';
import { trustCoSigned } from '@itc/core/light/co-signed.js';
import { enoughOf, type CoSignature } from '@itc/core/light/co-signed-stream.js';
import { present, showIn } from '@itc/core/light/shown-record.js';
import { CO_SIGNERS_KEY, stateKeyHash } from '@itc/core/state/keys.js';
import type { CoSigningKey } from '../crypto/co-signing-key.ts';
import type { VerifyPool } from '../crypto/verify-pool.ts';
import type { Clock, Peer, PeerId, Random, Tables, Timer, Transport } from '../ports.ts';
import type { Chain } from './chain.ts';
import { CHANNELS } from './channels.ts';
import {
  decodeCoSigningMessage,
  decodeSent,
  encodeCoSigningMessage,
  encodeSent,
  type CoSignedEntry,
  type SentEntry,
} from './co-signing-messages.ts';
import { CoSigningStore } from './co-signing-store.ts';
import type { Logger } from './logger.ts';

/** What of a chain is needed here. */
export type CoSignedChain = Pick<
  Chain,
  | 'id'
  | 'genesis'
  | 'height'
  | 'state'
  | 'epoch'
  | 'floor'
  | 'stateUnder'
  | 'headerAt'
  | 'hashAt'
  | 'closingHeight'
  | 'onCommitted'
  | 'onReplaced'
>;

export interface CoSigningOptions {
  readonly chain: CoSignedChain;
  readonly tables: Tables;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: Pick<VerifyPool, 'verifyBatch' | 'signMlDsa'>;
  readonly logger: Logger;
  /** Of this node; read again when an epoch begins, because a successor may have been made. */
  readonly keys: () => Promise<readonly CoSigningKey[]>;
}

/** A checkpoint of this chain whose signatures are coming. */
interface Gathering extends CoSignedEntry {
  readonly coSigners: CoSigners;
  /** By the text of the signer's address. */
  readonly signatures: Map<string, CoSignature>;
}

const K = LIMITS.checkpointInterval;
const TICK_MS = 3_000;
/** An answer may have half a megabyte: a peer gets so many and no more. */
const ANSWER_MS = 100;
/** How often the end of an epoch is asked for: perhaps nobody has it. */
const TRIES_MAX = 64;
/** Checkpoints gathered for at a time. */
const GATHERING_MAX = 8;
/** What a validator may be ahead of this node. */
const AHEAD = 2 * K;

export class CoSigning {
  readonly store: CoSigningStore;
  readonly #o: CoSigningOptions;
  readonly #gathering = new Map<number, Gathering>();
  /** Said before this node had executed it: the latest of each peer. */
  readonly #early = new Map<PeerId, Uint8Array>();
  /** What was asked of a peer; an answer to nothing is not looked at. */
  readonly #asked = new Map<PeerId, number>();
  readonly #answeredMs = new Map<PeerId, number>();
  #keys: readonly CoSigningKey[] | undefined;
  /** One thing at a time, in order. */
  #turn: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #round = 0;
  #isNewestNext = false;
  /** By the epoch that ended. */
  readonly #tries = new Map<number, number>();
  /** Of all epochs below, the end is here. */
  #settled = 0;
  #isStopped = false;

  constructor(options: CoSigningOptions) {
    this.#o = options;
    const { chain, tables, transport } = options;
    this.store = new CoSigningStore(tables);
    transport.open({ ...CHANNELS.coSignature, receive: (peer, bytes) => this.#receive(peer, bytes) });
    transport.open({ ...CHANNELS.coSigned, receive: (peer, bytes) => this.#receiveEntry(peer, bytes) });
    transport.listen({
      disconnected: ({ id }) => {
        this.#early.delete(id);
        this.#asked.delete(id);
        this.#answeredMs.delete(id);
      },
    });
    chain.onReplaced(() => (this.#keys = undefined));
    chain.onCommitted(({ block: { header } }) => {
      if (header.height % K === 0) this.#executed(header);
    });
  }

  start(): void {
    const { chain, clock } = this.#o;
    // The listener was not there when the last blocks were executed again.
    const last = chain.height - (chain.height % K);
    const header = last > 0 ? chain.headerAt(last)?.header : undefined;
    if (header !== undefined) this.#executed(header);
    const tick = (): void => {
      if (this.#isStopped) return;
      this.#askForMissing();
      this.#timer = clock.after(TICK_MS, tick);
    };
    tick();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#turn;
  }

  /** Who may co-sign in an epoch; undefined where nobody may, or where it is not known here. */
  coSignersOf(of: number): CoSigners | undefined {
    const { chain } = this.#o;
    const present_ = chain.state.coSigners;
    if (present_?.epoch === of) return present_;
    if (of === 0) return trustCoSigned(chain.genesis)?.coSigners;
    return this.store.successorsOf(of - 1);
  }

  /** The newest checkpoint that enough have co-signed, for those of its epoch. */
  newest(): { readonly header: Header; readonly coSigners: CoSigners } | undefined {
    for (const { header, signatures } of this.store.newest()) {
      const coSigners = this.coSignersOf(header.epoch);
      if (coSigners !== undefined && weightOf(coSigners, signatures) >= coSignersQuorum(coSigners))
        return { header, coSigners };
    }
    return undefined;
  }

  #executed(header: Header): void {
    const { chain } = this.#o;
    const of = header.height;
    const coSigners = chain.stateUnder(height(of - 1 + LIMITS.pipelineDepth))?.coSigners;
    const listed = coSigners?.epoch === header.epoch ? coSigners : this.coSignersOf(header.epoch);
    const entry = this.#entryOf(header);
    if (listed === undefined || entry === undefined) return;
    const kept = this.store.checkpoint(of)?.coSignatures ?? [];
    const signatures = new Map(kept.map((one) => [idText(one.signer), one]));
    this.#gathering.set(of, { ...entry, coSigners: listed, signatures });
    for (const old of [...this.#gathering.keys()].slice(0, -GATHERING_MAX)) this.#gathering.delete(old);
    if (closesEpoch(header)) this.#keys = undefined;
    this.#then(async () => {
      // The path to the next epoch's record is here now, and not for long.
      if (entry.successors !== undefined) await this.#keep(of);
      await this.#coSign(of);
    });
    const early = [...this.#early];
    this.#early.clear();
    for (const [id, bytes] of early) this.#receive({ id }, bytes);
  }

  /** What is signed at a height; undefined where the state after it is not known here. */
  #entryOf(header: Header): CoSignedEntry | undefined {
    const { chain } = this.#o;
    const later = height(header.height + LIMITS.pipelineDepth);
    const state = chain.stateUnder(later);
    const stateRoot = state?.root ?? chain.headerAt(later)?.header.stateRoot;
    if (stateRoot === undefined) return undefined;
    const kept = this.store.entry(header.height)?.successors;
    const shown =
      closesEpoch(header) && state !== undefined ? present(showIn(state.tree, CO_SIGNERS_KEY)) : kept;
    return { header, stateRoot, successors: shown };
  }

  async #coSign(of: number): Promise<void> {
    const { chain, pool, random, transport } = this.#o;
    const gathering = this.#gathering.get(of);
    if (gathering === undefined || this.#isStopped) return;
    const { header, stateRoot, coSigners, signatures } = gathering;
    // Whoever catches up would sign what everybody has signed long ago.
    if (of < chain.height - (chain.height % K) && !closesEpoch(header)) return;
    this.#keys ??= await this.#o.keys();
    const key = this.#keys.find(({ address }) =>
      coSigners.members.some((one) => equalBytes(one.key, address)),
    );
    if (key === undefined || signatures.has(idText(key.address)) || this.store.signedUpTo(key.address) >= of)
      return;
    const checkpoint = { epoch: header.epoch, height: header.height, hash: headerHash(header), stateRoot };
    const message = coSigningBytes(chain.id, checkpoint);
    const signature = await key.signIn(pool, message, random.bytes(32));
    await this.store.promise(key.address, of);
    await this.#add(of, [{ signer: key.address, key: key.publicKey.bytes, signature }]);
    const said = encodeCoSigningMessage({
      kind: 'co-signature',
      height: header.height,
      key: key.publicKey.bytes,
      signature,
    });
    for (const { id } of transport.peers()) transport.send(id, CHANNELS.coSignature.number, said);
  }

  #receive({ id }: Pick<Peer, 'id'>, bytes: Uint8Array): void {
    if (this.#isStopped) return;
    const decoded = decodeCoSigningMessage(bytes);
    if (!decoded.ok) return this.#blame(id, decoded.message);
    const message = decoded.value;
    const { chain } = this.#o;
    if (message.kind === 'request') return this.#answer(id, message.height);
    if (message.height > chain.height) {
      if (message.height <= chain.height + AHEAD) this.#early.set(id, bytes.slice());
      return;
    }
    const { key, signature } = message;
    const gathering = this.#gathering.get(message.height);
    if (gathering === undefined || isComplete(gathering) || !isNews(gathering, coSignerOf(key))) return;
    this.#then(() => this.#judge(id, gathering, [{ key, signature }]));
  }

  #answer(peer: PeerId, of: Height): void {
    const now = this.#o.clock.monotonicMs();
    if (now - (this.#answeredMs.get(peer) ?? Number.NEGATIVE_INFINITY) < ANSWER_MS) return;
    this.#answeredMs.set(peer, now);
    const entry = this.store.entry(of);
    const checkpoint = entry && this.store.checkpoint(of);
    if (entry === undefined || checkpoint === undefined) return;
    const sent = encodeSent({ ...entry, signatures: checkpoint.coSignatures });
    this.#o.transport.send(peer, CHANNELS.coSigned.number, sent);
  }

  #receiveEntry({ id }: Peer, bytes: Uint8Array): void {
    const asked = this.#asked.get(id);
    if (this.#isStopped || asked === undefined) return;
    this.#asked.delete(id);
    const decoded = decodeSent(bytes);
    if (!decoded.ok) return this.#blame(id, decoded.message);
    const entry = decoded.value;
    const { header } = entry;
    const hash = this.#o.chain.hashAt(header.height);
    if (header.height !== asked || hash === undefined || !equalBytes(headerHash(header), hash)) return;
    this.#then(async () => {
      const known = this.#gathering.get(asked);
      if (known !== undefined) await this.#judge(id, known, entry.signatures);
      else await this.#adopt(id, entry);
      // No sooner than the peer answers again.
      this.#o.clock.after(2 * ANSWER_MS, () => this.#askForMissing());
    });
  }

  /**
   * A checkpoint from before this node began to execute: who may have signed it is known from the one before, or, where that is not to be
   * had, from the last that is. It counts once enough of those have signed.
   */
  async #adopt(peer: PeerId, entry: SentEntry): Promise<void> {
    const { header, stateRoot } = entry;
    const own = this.#entryOf(header);
    if (own !== undefined && !equalBytes(own.stateRoot, stateRoot)) return;
    const successors = own?.successors ?? entry.successors;
    let coSigners: CoSigners | undefined;
    for (let at: number = header.epoch; coSigners === undefined && at >= 0; at -= 1)
      coSigners = this.coSignersOf(at);
    if (coSigners === undefined) return;
    if (successors !== undefined && !areSuccessors({ header, stateRoot, successors })) return;
    const kept = this.store.checkpoint(header.height)?.coSignatures ?? [];
    const signatures = new Map(kept.map((one) => [idText(one.signer), one]));
    const found = { header, stateRoot, successors, coSigners, signatures };
    const fresh = await this.#verified(peer, found, entry.signatures);
    const all = [...kept, ...fresh];
    if (fresh.length === 0 || enoughOf(coSigners, all) === undefined) return;
    await this.store.put({ header, stateRoot, successors }, all, this.#o.chain.floor);
  }

  async #judge(peer: PeerId, gathering: Gathering, shown: SentEntry['signatures']): Promise<void> {
    if (isComplete(gathering)) return;
    const fresh = await this.#verified(peer, gathering, shown);
    if (fresh.length > 0) await this.#add(gathering.header.height, fresh);
  }

  /** What is new and by a co-signer; nothing where one does not hold, and whoever showed it is not heard any more. */
  async #verified(
    peer: PeerId,
    gathering: Gathering,
    shown: SentEntry['signatures'],
  ): Promise<readonly CoSignature[]> {
    const { header, stateRoot } = gathering;
    const fresh = shown
      .map((one): CoSignature => ({ ...one, signer: coSignerOf(one.key) }))
      .filter(({ signer }) => isNews(gathering, signer));
    if (fresh.length === 0) return [];
    const checkpoint = { epoch: header.epoch, height: header.height, hash: headerHash(header), stateRoot };
    const message = coSigningBytes(this.#o.chain.id, checkpoint);
    const verdicts = await this.#o.pool.verifyBatch(
      fresh.map(({ key, signature }) => ({ algorithm: ML_DSA_44, key, message, signature })),
    );
    if (!verdicts.includes(false)) return fresh;
    this.#blame(peer, 'a co-signature does not hold');
    return [];
  }

  async #add(of: number, fresh: readonly CoSignature[]): Promise<void> {
    const gathering = this.#gathering.get(of);
    if (gathering === undefined) return;
    for (const one of fresh) gathering.signatures.set(idText(one.signer), one);
    // A checkpoint that closes an epoch and was not executed here counts only with enough signatures.
    await this.#keep(of);
  }

  async #keep(of: number): Promise<void> {
    const gathering = this.#gathering.get(of);
    if (gathering === undefined) return;
    const { header, stateRoot, successors, signatures } = gathering;
    await this.store.put({ header, stateRoot, successors }, [...signatures.values()], this.#o.chain.floor);
  }

  /** The newest checkpoint, and ends of epochs of which too little is here: one question at a time, to one peer after the other. */
  #askForMissing(): void {
    const { transport } = this.#o;
    if (this.#isStopped) return;
    const peers = transport.peers();
    const peer = peers[this.#round % Math.max(1, peers.length)];
    this.#round += 1;
    if (peer === undefined) return;
    // An answer that never came is not waited for any longer than a round.
    if (this.#asked.delete(peer.id)) return;
    const missing = this.#missing();
    if (missing === undefined) return;
    this.#asked.set(peer.id, missing);
    transport.send(
      peer.id,
      CHANNELS.coSignature.number,
      encodeCoSigningMessage({ kind: 'request', height: height(missing) }),
    );
  }

  /** The newest, as long as too few have signed it, in turn with the first end of an epoch: what comes later is judged by what came before. */
  #missing(): number | undefined {
    const newest = Math.max(0, ...this.#gathering.keys());
    const gathering = this.#gathering.get(newest);
    const isWanting = gathering !== undefined && !isComplete(gathering);
    this.#isNewestNext = !this.#isNewestNext;
    if (isWanting && this.#isNewestNext) return newest;
    return this.#missingEnd() ?? (isWanting ? newest : undefined);
  }

  #missingEnd(): number | undefined {
    const { chain } = this.#o;
    for (let at = this.#settled; at < chain.epoch.epoch; at += 1) {
      const isHere = this.#isEndHere(at);
      if (isHere && at === this.#settled) this.#settled += 1;
      const closing = chain.closingHeight(epoch(at));
      const tries = this.#tries.get(at) ?? 0;
      if (isHere || closing === undefined || tries >= TRIES_MAX || !this.#mayBe(at)) continue;
      this.#tries.set(at, tries + 1);
      return closing;
    }
    return undefined;
  }

  /** Whether enough have co-signed the end of an epoch, as far as it is here. */
  #isEndHere(of: number): boolean {
    const coSigners = this.coSignersOf(of);
    const boundary = this.store.boundary(of);
    if (boundary === undefined) return false;
    return coSigners === undefined || enoughOf(coSigners, boundary.coSignatures) !== undefined;
  }

  /** Whether enough can have: of an epoch whose co-signers are not known here, too. */
  #mayBe(of: number): boolean {
    const coSigners = this.coSignersOf(of);
    if (coSigners === undefined) return this.store.boundary(of) === undefined && of > 0;
    return (
      weightOf(
        coSigners,
        coSigners.members.filter(hasCoSigner).map(({ key }) => ({ signer: key })),
      ) >= coSignersQuorum(coSigners)
    );
  }

  #then(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      if (!this.#isStopped) this.#o.logger.warn({ err: error }, 'a co-signature is left out');
    });
  }

  #blame(peer: PeerId, message: string): void {
    this.#o.logger.warn({ peer }, `a peer is disconnected: ${message}`);
    this.#o.transport.disconnect(peer);
  }
}

/** Whether a co-signer of the epoch has not been heard. */
function isNews({ coSigners, signatures }: Gathering, signer: CoSignature['signer']): boolean {
  return !signatures.has(idText(signer)) && coSigners.members.some(({ key }) => equalBytes(key, signer));
}

function isComplete({ coSigners, signatures }: Gathering): boolean {
  return weightOf(coSigners, [...signatures.values()]) >= coSignersQuorum(coSigners);
}

function weightOf(
  coSigners: CoSigners,
  signatures: readonly { readonly signer: CoSignature['signer'] }[],
): number {
  const signed = new Set(signatures.map(({ signer }) => idText(signer)));
  let weight = 0;
  for (const member of coSigners.members) if (signed.has(idText(member.key))) weight += member.weight;
  return weight;
}

/** Whether a record is the one of the epoch that begins, in the state after the block. */
function areSuccessors({ header, stateRoot, successors }: CoSignedEntry): boolean {
  if (successors === undefined || !closesEpoch(header)) return false;
  const { record, proof } = successors;
  const coSigners = decode(readCoSigners, record);
  if (!coSigners.ok || coSigners.value.epoch !== header.epoch + 1) return false;
  return verifyStateProof(stateRoot, stateKeyHash(CO_SIGNERS_KEY), record, proof);
}
