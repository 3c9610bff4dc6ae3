/** A member with its shell: a log, segments of final envelopes, a vault of payloads, a view of the main chain. */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import type { Delivery, Draft, Effects, Input } from '@itc/core/dag/effects.js';
import { Member } from '@itc/core/dag/member.js';
import { decodeMessage, encodeMessage, verifyMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import { powSearch } from '@itc/core/dag/proof-of-work.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import { verifyEnvelope, type VerifiedEnvelope, type VerifyContext } from '@itc/core/dag/verify.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Disk } from '../disk.ts';
import { fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import type { Action, Actor, World } from '../world.ts';
import type { MainChain } from './main-chain.ts';

/** The virtual clock starts here, so that times look like times. */
export const EPOCH_MS = 1_700_000_000_000;

export interface NodeOptions {
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly members: ValidatorSet;
  readonly powBits: number;
  readonly mainChain: MainChain;
  /** Whether this node reaches the main chain now. */
  readonly isConnected: (node: number) => boolean;
  readonly onDelivery: (node: number, delivery: Delivery) => void;
  readonly onEvidence: () => void;
  /** Signs twice in a slot and tells different stories to different members. */
  readonly byzantine: boolean;
  readonly random: Random;
  readonly sabotage: Sabotage | undefined;
}

/** Known faults in the shell, to see that the checkers see. */
export const SABOTAGES = ['send-before-persist', 'forget-votes'] as const;
export type Sabotage = (typeof SABOTAGES)[number];

interface Segment {
  readonly sequence: number;
  readonly envelopes: readonly VerifiedEnvelope[];
}

type Message = Uint8Array;

/** Delays of the shell's own work: searching a nonce, a transaction's way into a block. */
const WORK_MS = 20;
const COMMIT_MS = 200;
/** A new envelope at most this often per node. */
const PACK_MS = 150;
const PACK_MAX = 20;

export class DagNode implements Actor<Message> {
  readonly member: Member;
  readonly #index: number;
  readonly #options: NodeOptions;
  readonly #world: World<Message>;
  readonly #disk: Disk;
  #fed: number;
  #working = false;
  #packedAt = 0;
  /** Payloads that are in an own envelope since start; after a restart everything not applied is packed again. */
  readonly #packed = new Set<string>();

  constructor(index: number, options: NodeOptions, disk: Disk, world: World<Message>) {
    this.#index = index;
    this.#options = options;
    this.#world = world;
    this.#disk = disk;
    const key = options.members[index]?.key;
    if (key === undefined) throw new RangeError(`there is no member ${index}`);
    const records = disk.file<LogRecord>('log').durable;
    this.member = new Member({
      chain: options.chain,
      subnet: options.subnet,
      members: options.members,
      self: index,
      powBits: options.powBits,
      random: () => options.random.next(),
      sign: (bytes) => fakeSign(key, bytes),
      restore: records.filter((record) => options.sabotage !== 'forget-votes' || record.kind !== 'vote'),
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
    const status = this.member.status();
    if (status.state === 'diverged') throw new Error(`member ${this.#index}: ${status.reason}`);
    if (now - this.#packedAt >= PACK_MS) this.#pack(now, false);
    return actions;
  }

  receive(now: number, from: number, bytes: Message): Action<Message>[] {
    const message = decodeMessage(bytes);
    if (!message.ok) throw new Error(`member ${from} sent ${message.message}`);
    const { value } = message;
    if (value.kind === 'envelope') return this.#hand(now, from, value.encoded, false);
    if (value.kind === 'envelopes')
      return value.encoded.flatMap((encoded) => this.#hand(now, from, encoded, true));
    const { chain, subnet, members } = this.#options;
    const verified = verifyMessage({ chain, subnet, members, verify: fakeVerify }, from, value);
    if (!verified.ok) throw new Error(`member ${from}: ${verified.message}`);
    return this.#step({ kind: 'message', from, message: verified.value, now: this.#time(now) });
  }

  #context(): VerifyContext {
    const { chain, subnet, members, powBits } = this.#options;
    return { chain, subnet, members, powBits, anchors: this.member.anchors };
  }

  #hand(now: number, from: number, encoded: Uint8Array, reply: boolean): Action<Message>[] {
    const requested = reply && this.member.expectsFrom(from);
    const verified = verifyEnvelope(this.#context(), encoded, fakeVerify, requested);
    if (!verified.ok) return [];
    return this.#step({ kind: 'envelope', from, envelope: verified.value, reply, now: this.#time(now) });
  }

  #step(input: Input): Action<Message>[] {
    return this.#actions(this.member.step(input));
  }

  /** In the order the type asks for, unless sabotaged. */
  #actions(effects: Effects): Action<Message>[] {
    const log = this.#disk.file<LogRecord>('log');
    const persist: Action<Message>[] = effects.persist.map((record) => ({
      kind: 'do',
      what: `append ${record.kind}`,
      run: () => log.append(record),
    }));
    if (persist.length > 0) persist.push({ kind: 'do', what: 'sync', run: () => log.sync() });
    const send = effects.send.map(({ to, message }) => this.#send(to, message));
    const actions =
      this.#options.sabotage === 'send-before-persist' ? [...send, ...persist] : [...persist, ...send];
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
        case 'committed':
          actions.push({ kind: 'do', what: 'rewind', run: () => void (this.#fed = want.from - 1) });
          break;
        case 'lookup':
          actions.push({ kind: 'do', what: 'look up', run: () => this.#lookUp(want.hashes) });
          break;
        case 'serve-envelopes':
          actions.push(this.#serveEnvelopes(want.to, want.hashes));
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
    const everyone = Array.from({ length: this.#options.members.length }, (_, i) => i);
    const others = everyone.filter((node) => node !== this.#index);
    return { kind: 'send', to: to === 'all' ? others : [to], message: encodeMessage(message) };
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

  #pack(now: number, evenEmpty: boolean): void {
    if (this.#working) return;
    const payloads: Payload[] = [];
    const vault = this.#disk.file<Payload>('vault').all;
    for (const payload of vault) {
      if (payloads.length === PACK_MAX) break;
      const name = toHex(payload.id);
      if (this.#packed.has(name)) continue;
      if (this.member.payloadOutcome(payload) !== 'new') this.#packed.add(name);
      else payloads.push(payload);
    }
    if (payloads.length === 0 && !evenEmpty) return;
    const draft = this.member.draft(payloads, this.#time(now));
    if (draft === undefined) return;
    this.#packedAt = now;
    this.#working = true;
    this.#world.later(this.#index, WORK_MS, (later) => this.#finish(draft, later));
  }

  #finish(draft: Draft, now: number): Action<Message>[] {
    this.#working = false;
    const envelope = this.#seal(draft);
    const before = this.member.status().pending;
    const effects = this.member.step({ kind: 'own', envelope, now: this.#time(now) });
    if (effects.refused.length === 0 && this.member.status().pending >= before)
      for (const payload of draft.payloads) this.#packed.add(toHex(payload.id));
    if (!this.#options.byzantine || !this.#options.random.chance(0.3)) return this.#actions(effects);
    return this.#lie(draft, effects);
  }

  #seal(draft: Draft): VerifiedEnvelope {
    const { bodyHash, bits } = draft;
    const nonce = powSearch({ bodyHash, bits, start: 0, tries: 1 << 22 });
    if (nonce === undefined) throw new Error('no nonce found');
    const key = draft.body.issuer;
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(key, bytes);
    return sealDraft(draft, { chain: this.#options.chain, self: this.#index, nonce, sign });
  }

  /** The same slot once more with other content, each version to a part of the members. */
  #lie(draft: Draft, effects: Effects): Action<Message>[] {
    const { bodyHash, bits } = draft;
    const first = powSearch({ bodyHash, bits, start: 0, tries: 1 << 22 }) ?? 0;
    const other = powSearch({ bodyHash, bits, start: first + 1, tries: 1 << 22 }) ?? first;
    const key = draft.body.issuer;
    const twin = sealDraft(draft, {
      chain: this.#options.chain,
      self: this.#index,
      nonce: other,
      sign: (bytes) => fakeSign(key, bytes),
    });
    const message = encodeMessage({ kind: 'envelope', encoded: twin.encoded });
    const actions: Action<Message>[] = [];
    for (const action of this.#actions(effects)) {
      if (action.kind === 'do') {
        actions.push(action);
        continue;
      }
      const fooled = action.to.filter(() => this.#options.random.chance(0.5));
      const rest = action.to.filter((node) => !fooled.includes(node));
      actions.push({ ...action, to: rest }, { kind: 'send', to: fooled, message });
    }
    return actions;
  }
}
