/** A member with its shell: a log, segments of final envelopes, a vault of payloads, a view of the main chain. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { accusationPayload } from '@itc/core/dag/accusation.js';
import { Auditor } from '@itc/core/dag/audit.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import type { Delivery, Draft, Effects, Input, Timing } from '@itc/core/dag/effects.js';
import { Member } from '@itc/core/dag/member.js';
import { encodeMessage, verifyMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import { workSearch } from './work-search.ts';
import type { LogRecord } from '@itc/core/dag/records.js';
import type { VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Disk } from '../disk.ts';
import { fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import type { Action, Actor, World } from '../world.ts';
import type { Liar } from './liar.ts';
import type { MainChain } from './main-chain.ts';
import type { Post } from './post.ts';

/** The virtual clock starts here, so that times look like times. */
export const EPOCH_MS = 1_700_000_000_000;

export interface NodeOptions {
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  readonly powBits: number;
  readonly timing: Partial<Timing>;
  readonly mainChain: MainChain;
  readonly post: Post;
  /** Whether this node reaches the main chain now. */
  readonly isConnected: (node: number) => boolean;
  readonly onDelivery: (node: number, delivery: Delivery) => void;
  readonly onEvidence: () => void;
  /** What it does against the rules; absent for an honest one. */
  readonly liar: Liar | undefined;
  readonly random: Random;
  /** What a member audits, so that the rest of a run does not depend on how much that is. */
  readonly audits: Random;
  readonly sabotage: Sabotage | undefined;
}

/** Known faults in the shell, to see that the checkers see. */
export const SABOTAGES = [
  'send-before-persist',
  'forget-votes',
  /** The log of envelopes is not read after a crash. */
  'forget-envelopes',
  /** Requests go unanswered: what was lost once stays lost. */
  'answer-nothing',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];

interface Segment {
  readonly sequence: number;
  readonly envelopes: readonly VerifiedEnvelope[];
}

export type Message = Uint8Array;

/** Delays of the shell's own work: searching a nonce, a transaction's way into a block. */
const WORK_MS = 20;
const COMMIT_MS = 200;
/** A new envelope at most this often per node. */
const PACK_MS = 150;
const PACK_MAX = 20;
/** Of payloads in others' envelopes that nobody has to look at. */
const AUDIT_SHARE = 0.1;

export class DagNode implements Actor<Message> {
  readonly member: Member;
  readonly #index: number;
  readonly #options: NodeOptions;
  readonly #auditor: Auditor;
  readonly #world: World<Message>;
  readonly #disk: Disk;
  readonly #others: readonly number[];
  #fed: number;
  #working = false;
  #packedAt = 0;
  /** Payloads that are in an own envelope since start; after a restart everything not applied is packed again. */
  readonly #packed = new Set<Payload>();
  /** Payloads before this one are applied or packed. */
  #vaultFrom = 0;

  constructor(index: number, options: NodeOptions, disk: Disk, world: World<Message>) {
    this.#index = index;
    this.#options = options;
    this.#world = world;
    this.#disk = disk;
    this.#auditor = new Auditor({
      share: AUDIT_SHARE,
      perSecond: 0,
      random: () => options.audits.next(),
      laneHigh: (payload) => this.member.laneHigh(payload),
    });
    this.#others = options.members.flatMap((_, node) => (node === index ? [] : [node]));
    const key = options.members[index]?.key;
    if (key === undefined) throw new RangeError(`there is no member ${index}`);
    const records = disk.file<LogRecord>('log').durable;
    this.member = new Member({
      chain: options.chain,
      subnet: options.subnet,
      members: options.members,
      self: index,
      powBits: options.powBits,
      timing: options.timing,
      random: () => options.random.next(),
      sign: (bytes) => fakeSign(key, bytes),
      restore: records.filter(({ kind }) => !isForgotten(options.sabotage, kind)),
    });
    this.#fed = this.member.status().checkpoint;
  }

  #time(now: number): ReturnType<typeof millis> {
    return millis(EPOCH_MS + now);
  }

  tick(now: number): Action<Message>[] {
    const actions = this.#step({ kind: 'tick', now: this.#time(now) });
    if (this.#options.isConnected(this.#index)) {
      const next = this.#options.mainChain.committed[this.#fed];
      if (next !== undefined) {
        this.#fed += 1;
        actions.push(...this.#step({ kind: 'committed', committed: next, now: this.#time(now) }));
      }
    }
    const { divergence } = this.member;
    if (divergence !== undefined) throw new Error(`member ${this.#index}: ${divergence}`);
    if (now - this.#packedAt >= PACK_MS) this.#pack(now, false);
    const { liar } = this.#options;
    if (liar !== undefined) actions.push(...liar.tick(this.member, this.#time(now)));
    return actions;
  }

  receive(now: number, from: number, bytes: Message): Action<Message>[] {
    const { post, chain, subnet, members, liar } = this.#options;
    const message = post.open(bytes);
    // A real shell disconnects here.
    if (message === undefined) return [];
    liar?.overhears(bytes);
    if (message.kind === 'envelope') return this.#hand(now, from, message.encoded, false);
    if (message.kind === 'envelopes')
      return message.encoded.flatMap((encoded) => this.#hand(now, from, encoded, true));
    const verified = verifyMessage({ chain, subnet, members, verify: fakeVerify }, from, message);
    if (!verified.ok) return [];
    return this.#step({ kind: 'message', from, message: verified.value, now: this.#time(now) });
  }

  #hand(now: number, from: number, encoded: Uint8Array, reply: boolean): Action<Message>[] {
    const opened = this.#options.post.verify(encoded);
    if (opened === undefined) return [];
    const { envelope, forged } = opened;
    const take = (): Action<Message>[] =>
      this.#step({ kind: 'envelope', from, envelope, reply, now: this.#time(now) });
    if (forged.length === 0) return take();
    const chosen = this.#auditor.choose(envelope.payloads, now);
    const index = chosen.find((i) => forged.includes(i));
    if (index === undefined) return take();
    const isWanted = reply && this.member.expectsFrom(from);
    const accused = this.#step({ kind: 'forged', envelope, index, now: this.#time(now) });
    return isWanted ? [...accused, ...take()] : accused;
  }

  #step(input: Input): Action<Message>[] {
    return this.#actions(this.member.step(input));
  }

  /** In the order the type asks for, unless sabotaged. */
  #actions(effects: Effects): Action<Message>[] {
    const log = this.#disk.file<LogRecord>('log');
    const actions: Action<Message>[] = effects.persist.map((record) => ({
      kind: 'do',
      what: `append ${record.kind}`,
      run: () => log.append(record),
    }));
    if (actions.length > 0) actions.push({ kind: 'do', what: 'sync', run: () => log.sync() });
    const mute = this.#options.sabotage === 'answer-nothing';
    const said = mute ? effects.send.filter(({ message }) => message.kind !== 'envelopes') : effects.send;
    const send = said.map(({ to, message }) => this.#send(to, message));
    const told = this.#options.liar === undefined ? send : this.#options.liar.distort(send);
    if (this.#options.sabotage === 'send-before-persist') actions.unshift(...told);
    else actions.push(...told);
    for (let i = 0; i < effects.evidence.length; i += 1) this.#options.onEvidence();
    for (const delivery of effects.deliver) {
      actions.push({ kind: 'do', what: 'deliver', run: () => this.#deliver(delivery) });
    }
    for (const certificate of effects.submit) {
      actions.push({
        kind: 'do',
        what: 'submit',
        run: () =>
          this.#world.later(this.#index, COMMIT_MS, () => {
            if (this.#options.isConnected(this.#index)) this.#options.mainChain.submit(certificate);
            return [];
          }),
      });
    }
    for (const want of effects.want) {
      switch (want.kind) {
        case 'envelope':
          actions.push({ kind: 'do', what: 'draft', run: () => this.#pack(this.#world.now, true) });
          break;
        case 'accuse': {
          const { content } = want;
          actions.push({ kind: 'do', what: 'accuse', run: () => this.#accuse(content) });
          break;
        }
        case 'committed':
          actions.push({ kind: 'do', what: 'rewind', run: () => void (this.#fed = want.from - 1) });
          break;
        case 'deposits':
          // The main chain of these scenarios holds no value.
          break;
        case 'lookup':
          actions.push({ kind: 'do', what: 'look up', run: () => this.#lookUp(want.hashes) });
          break;
        case 'serve-envelopes':
          if (!mute) actions.push(this.#serveEnvelopes(want.to, want.hashes));
          break;
        case 'serve-checkpoint': {
          const segment = this.#segments()[want.sequence - 1];
          if (segment === undefined) break;
          const ids = segment.envelopes.map((envelope) => envelope.hash);
          actions.push(this.#send(want.to, { kind: 'checkpoint-ids', sequence: want.sequence, ids }));
          break;
        }
      }
    }
    return actions;
  }

  #send(to: number | 'all', message: SubnetMessage): Action<Message> {
    return { kind: 'send', to: to === 'all' ? this.#others : [to], message: encodeMessage(message) };
  }

  #segments(): readonly Segment[] {
    return this.#disk.file<Segment>('segments').all;
  }

  #deliver(delivery: Delivery): void {
    const { sequence } = delivery.committed.certificate.checkpoint;
    const file = this.#disk.file<Segment>('segments');
    if (sequence > file.length) {
      file.append({ sequence, envelopes: delivery.envelopes });
      file.sync();
    }
    this.#options.onDelivery(this.#index, delivery);
  }

  #lookUp(hashes: readonly Hash[]): void {
    const wanted = new Set(hashes.map((hash) => toHex(hash)));
    for (const segment of this.#segments()) {
      for (const { hash, envelope } of segment.envelopes) {
        if (!wanted.has(toHex(hash))) continue;
        const { time } = envelope;
        this.#world.later(this.#index, 1, (now) =>
          this.#step({ kind: 'located', hash, checkpoint: segment.sequence, time, now: this.#time(now) }),
        );
      }
    }
  }

  #serveEnvelopes(to: number, hashes: readonly Hash[]): Action<Message> {
    const wanted = new Set(hashes.map((hash) => toHex(hash)));
    const encoded = this.#segments()
      .flatMap((segment) => segment.envelopes)
      .filter((envelope) => wanted.has(toHex(envelope.hash)))
      .map((envelope) => envelope.encoded);
    return this.#send(to, { kind: 'envelopes', encoded });
  }

  /** A device hands over a payload; it is in the vault before the device is told. */
  accept(payload: Payload): void {
    const vault = this.#disk.file<Payload>('vault');
    vault.append(payload);
    vault.sync();
  }

  /** When one is being worked on already, it is wanted again in a moment. */
  #accuse(content: Uint8Array): void {
    const { chain, members } = this.#options;
    const signer = members[this.#index]?.key;
    if (signer === undefined || this.#working) return;
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(signer, bytes);
    const payload = accusationPayload({ chain, signer, sign, number: 1, content });
    const draft = this.member.draft([payload], this.#time(this.#world.now));
    if (draft === undefined) return;
    this.#working = true;
    this.#world.later(this.#index, WORK_MS, (later) => this.#finish(draft, later));
  }

  #pack(now: number, evenEmpty: boolean): void {
    if (this.#working) return;
    const payloads: Payload[] = [];
    const vault = this.#disk.file<Payload>('vault').all;
    for (let i = this.#vaultFrom; i < vault.length && payloads.length < PACK_MAX; i += 1) {
      const payload = vault[i] as Payload;
      const isNew = !this.#packed.has(payload) && this.member.payloadOutcome(payload) === 'new';
      if (isNew) payloads.push(payload);
      else if (i === this.#vaultFrom) this.#vaultFrom += 1;
    }
    if (payloads.length === 0 && !evenEmpty) return;
    // Who may not issue payloads may approve.
    const draft =
      this.member.draft(payloads, this.#time(now)) ??
      (evenEmpty ? this.member.draft([], this.#time(now)) : undefined);
    if (draft === undefined) return;
    this.#packedAt = now;
    this.#working = true;
    this.#world.later(this.#index, WORK_MS, (later) => this.#finish(draft, later));
  }

  #finish(draft: Draft, now: number): Action<Message>[] {
    this.#working = false;
    const { chain, liar } = this.#options;
    const nonce = workSearch({ bodyHash: draft.bodyHash, bits: draft.bits, start: 0, tries: 1 << 22 });
    if (nonce === undefined) throw new Error('no nonce found');
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(draft.body.issuer, bytes);
    const envelope = sealDraft(draft, { chain, self: this.#index, nonce, sign });
    const effects = this.member.step({ kind: 'own', envelope, now: this.#time(now) });
    if (effects.refused.length === 0) for (const payload of draft.payloads) this.#packed.add(payload);
    const actions = this.#actions(effects);
    return liar === undefined ? actions : liar.twin(draft, nonce, actions);
  }
}

function isForgotten(sabotage: Sabotage | undefined, kind: LogRecord['kind']): boolean {
  return (
    (sabotage === 'forget-votes' && kind === 'vote') ||
    (sabotage === 'forget-envelopes' && kind === 'envelope')
  );
}
