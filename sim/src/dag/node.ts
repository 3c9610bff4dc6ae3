/**
 * A member with its shell: a log, segments of final envelopes, a vault of payloads, a view of the main chain. Nodes go by
 * number, members by their index in the set that decides: behind a turn it is another.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey } from '@itc/core/crypto/signature.js';
import { accusationPayload, decodeAccusation } from '@itc/core/ledger/accusation.js';
import { Auditor } from '@itc/core/dag/audit.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import type { Delivery, Draft, Effects, Input } from '@itc/core/dag/effects.js';
import { Member } from '@itc/core/dag/member.js';
import { encodeMessage, verifyMessage, type SubnetMessage } from '@itc/core/dag/messages.js';
import type { LogRecord } from '@itc/core/dag/records.js';
import { indexOfMember } from '@itc/core/dag/turn.js';
import { lanesOf, trustEnvelope, type VerifiedEnvelope } from '@itc/core/dag/verify.js';
import type { Withdrawal } from '@itc/core/ledger/escrow.js';
import { millis } from '@itc/core/ledger/ids.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { Disk } from '../disk.ts';
import { fakeKey, fakeSign, fakeVerify } from '../fake-crypto.ts';
import type { Action, Actor, World } from '../world.ts';
import { ChainView } from './chain-view.ts';
import { isForgotten, thin, type NodeOptions } from './node-options.ts';
import { Vault } from './vault.ts';
import { workSearch } from './work-search.ts';

/** The virtual clock starts here, so that times look like times. */
export const EPOCH_MS = 1_700_000_000_000;

/** Members have the keys above their numbers. */
export const keyOfNode = (node: number): PublicKey => fakeKey(node + 1);
export const nodeOfKey = (key: PublicKey): number => (key.bytes[0] as number) - 1;

export interface Segment {
  readonly sequence: number;
  readonly envelopes: readonly VerifiedEnvelope[];
  readonly withdrawals: readonly Withdrawal[];
}

/** What a member has to know of itself when its log does not tell it. */
interface Past {
  readonly uncertain: boolean;
  readonly burntLanes: number;
}

export type Message = Uint8Array;

/** Delays of the shell's own work: searching a nonce, a transaction's way into a block. */
const WORK_MS = 20;
const COMMIT_MS = 200;
/** A new envelope at most this often per node. */
const PACK_MS = 150;
/** Of payloads in others' envelopes that nobody has to look at. */
const AUDIT_SHARE = 0.1;
const SNAPSHOT_MS = 100;

export class DagNode implements Actor<Message> {
  readonly #index: number;
  readonly #options: NodeOptions;
  readonly #auditor: Auditor;
  readonly #world: World<Message>;
  readonly #disk: Disk;
  readonly #view: ChainView;
  readonly #vault: Vault;
  #member: Member;
  #fed: number;
  #working = false;
  #packedAt = 0;
  #past: Past;
  #progress = { checkpoint: -1, at: 0 };
  #isInstalling = false;

  constructor(index: number, options: NodeOptions, disk: Disk, world: World<Message>) {
    this.#index = index;
    this.#options = options;
    this.#world = world;
    this.#disk = disk;
    this.#view = new ChainView(options.mainChain, disk);
    this.#vault = new Vault(disk);
    this.#auditor = new Auditor({
      share: AUDIT_SHARE,
      perSecond: 0,
      random: () => options.audits.next(),
      laneHigh: (payload) => this.member.laneHigh(payload),
    });
    const records = options.sabotage === 'start-over' ? [] : disk.file<LogRecord>('log').durable;
    const past = this.#storedPast;
    this.#past = records.length === 0 ? { ...past, uncertain: true } : past;
    this.#member = this.#newMember(records);
    if (options.sabotage === 'start-over') this.#startOver();
    this.#fed = this.member.status().checkpoint;
  }

  get member(): Member {
    return this.#member;
  }

  /** What is not final is left out, and the next lane is used. */
  #startOver(): void {
    const log = this.#disk.file<LogRecord>('log');
    if (log.durable.length === 0) return;
    this.#past = { uncertain: false, burntLanes: this.#past.burntLanes * 2 + 1 };
    this.#writePast();
    const whole = this.#newMember(log.durable).snapshot();
    log.restore(whole.filter(({ kind }) => kind !== 'envelope'));
    this.#member = this.#newMember(log.durable);
  }

  #newMember(records: readonly LogRecord[]): Member {
    const { mainChain, members, powBits, timing, random, sabotage } = this.#options;
    const key = keyOfNode(this.#index);
    return new Member({
      chain: mainChain.id,
      subnet: mainChain.subnet,
      members,
      self: indexOfMember(members, key),
      powBits,
      timing,
      random: () => random.next(),
      sign: (bytes) => fakeSign(key, bytes),
      ...(sabotage === 'ignore-turns' ? {} : this.#view.turns(key)),
      restore: records.filter(({ kind }) => !isForgotten(sabotage, kind)),
      pastUncertain: this.#past.uncertain,
    });
  }

  #time(now: number): ReturnType<typeof millis> {
    return millis(EPOCH_MS + now);
  }

  tick(now: number): Action<Message>[] {
    if (this.#options.isConnected(this.#index)) this.#view.refresh();
    const actions = this.#notePast();
    const deposits = this.#view.depositsAbove(this.member.depositsKnown);
    if (deposits.length > 0)
      actions.push(...this.#step({ kind: 'deposits', deposits, now: this.#time(now) }));
    actions.push(...this.#step({ kind: 'tick', now: this.#time(now) }));
    const next = this.#options.mainChain.committed[this.#fed];
    if (next !== undefined && this.#fed < this.#view.committed) {
      this.#fed += 1;
      actions.push(...this.#step({ kind: 'committed', committed: next, now: this.#time(now) }));
    }
    const { divergence } = this.member;
    if (divergence !== undefined) throw new Error(`member ${this.#index}: ${divergence}`);
    this.#lookForSnapshot(now);
    if (now - this.#packedAt >= PACK_MS) this.#pack(now, false);
    const { liar } = this.#options;
    if (liar !== undefined) actions.push(...liar.tick(this.member, this.#time(now)));
    return actions;
  }

  receive(now: number, node: number, bytes: Message): Action<Message>[] {
    const { post, mainChain, liar } = this.#options;
    const { members } = this.member;
    const from = indexOfMember(members, keyOfNode(node));
    const message = post.open(bytes);
    // A real shell disconnects where it cannot read, and does not hear who is no member.
    if (message === undefined || from < 0) return [];
    liar?.overhears(bytes);
    if (message.kind === 'envelope') return this.#hand(now, from, message.encoded, false);
    if (message.kind === 'envelopes')
      return message.encoded.flatMap((encoded) => this.#hand(now, from, encoded, true));
    const { id: chain, subnet } = mainChain;
    const verified = verifyMessage({ chain, subnet, members, verify: fakeVerify }, from, message);
    if (!verified.ok) return [];
    return this.#step({ kind: 'message', from, message: verified.value, now: this.#time(now) });
  }

  #hand(now: number, from: number, encoded: Uint8Array, reply: boolean): Action<Message>[] {
    const opened = this.#options.post.verify(this.member.members, encoded);
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
    for (const { payloads } of effects.givenUp) this.#packAgain(payloads);
    const told = this.#options.liar === undefined ? send : this.#options.liar.distort(send);
    if (this.#options.sabotage === 'send-before-persist') actions.unshift(...told);
    else actions.push(...told);
    for (const { first, second } of effects.evidence)
      this.#options.onFault({ kind: 'equivocation', first: first.envelope, second: second.envelope });
    for (const { accusation, payloads } of effects.joined) {
      const shown = accusation && decodeAccusation((payloads[0] as Payload).content);
      if (shown?.ok === true) this.#options.onFault({ kind: 'forgery', ...shown.value });
    }
    for (const delivery of effects.deliver) {
      actions.push({ kind: 'do', what: 'deliver', run: () => this.#deliver(delivery) });
    }
    if (effects.deliver.length > 0)
      actions.push({
        kind: 'do',
        what: 'look at the state',
        run: () => this.#options.onState(this.#index, this.member),
      });
    if (effects.accepted.length > 0)
      actions.push({
        kind: 'do',
        what: 'tell what is accepted',
        run: () => this.#options.onAccepted(this.#index, effects.accepted),
      });
    for (const certificate of effects.submit) {
      actions.push({
        kind: 'do',
        what: 'submit',
        run: () =>
          this.#world.later(this.#index, COMMIT_MS, () => {
            const { mainChain, isConnected, sabotage } = this.#options;
            const sent = sabotage === 'thin-certificates' ? thin(certificate) : certificate;
            if (isConnected(this.#index)) mainChain.submit(sent, keyOfNode(this.#index));
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
        case 'deposits': // Each tick tells what is new.
          break;
        case 'lookup':
          actions.push({ kind: 'do', what: 'look up', run: () => this.#lookUp(want.hashes) });
          break;
        case 'serve-envelopes':
          if (!mute) actions.push(this.#serveEnvelopes(want.to, want.hashes));
          break;
        case 'serve-checkpoint': {
          const segment = this.segments().find(({ sequence }) => sequence === want.sequence);
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
    const nodes: number[] = [];
    for (const [index, { key }] of this.member.members.entries()) {
      const node = nodeOfKey(key);
      if (to === 'all' ? node !== this.#index : index === to) nodes.push(node);
    }
    return { kind: 'send', to: nodes, message: encodeMessage(message) };
  }

  segments(): readonly Segment[] {
    return this.#disk.file<Segment>('segments').all;
  }

  #deliver(delivery: Delivery): void {
    const { sequence } = delivery.committed.certificate.checkpoint;
    const file = this.#disk.file<Segment>('segments');
    if (sequence > (file.all.at(-1)?.sequence ?? 0)) {
      const { envelopes, withdrawals } = delivery;
      file.append({ sequence, envelopes, withdrawals });
      file.sync();
    }
    this.#options.onDelivery(this.#index, delivery);
  }

  #lookUp(hashes: readonly Hash[]): void {
    const wanted = new Set(hashes.map((hash) => toHex(hash)));
    for (const segment of this.segments()) {
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
    const encoded = this.segments()
      .flatMap((segment) => segment.envelopes)
      .filter((envelope) => wanted.has(toHex(envelope.hash)))
      .map((envelope) => envelope.encoded);
    return this.#send(to, { kind: 'envelopes', encoded });
  }

  /** A device hands over a payload; it is in the vault before the device is told. */
  accept(payload: Payload): void {
    this.#vault.keep(payload);
  }

  /** When one is being worked on already, it is wanted again in a moment. */
  #accuse(content: Uint8Array): void {
    if (this.#working) return;
    const chain = this.#options.mainChain.id;
    const signer = keyOfNode(this.#index);
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(signer, bytes);
    const payload = accusationPayload({ chain, signer, sign, number: 1, content });
    const draft = this.member.draft([payload], this.#time(this.#world.now), this.#lane);
    if (draft === undefined) return;
    this.#working = true;
    this.#world.later(this.#index, WORK_MS, (later) => this.#finish(draft, later));
  }

  /** The first in which no envelope of ours was given up. */
  get #lane(): number {
    if (this.#options.sabotage === 'reuse-lanes') return 0;
    const lanes = lanesOf(this.member.members, Math.max(0, this.member.self));
    for (let lane = 0; lane < lanes; lane += 1) if (((this.#past.burntLanes >>> lane) & 1) === 0) return lane;
    return 0;
  }

  #packAgain(payloads: readonly Payload[]): void {
    if (this.#options.sabotage !== 'drop-void') this.#vault.packAgain(payloads);
  }

  get #storedPast(): Past {
    return this.#disk.file<Past>('past').durable.at(-1) ?? { uncertain: false, burntLanes: 0 };
  }

  /** Before anything that others tell is written: with records and without this a restart would take them for its own. */
  #notePast(): Action<Message>[] {
    const uncertain = !this.member.isCertainOfPast;
    if (uncertain === this.#storedPast.uncertain) return [];
    this.#past = { ...this.#past, uncertain };
    return [{ kind: 'do', what: 'note the past', run: () => this.#writePast() }];
  }

  #writePast(): void {
    const file = this.#disk.file<Past>('past');
    file.append(this.#past);
    file.sync();
  }

  /** When it cannot follow from where it is: its way back is gone, or those it follows decide no longer. */
  #lookForSnapshot(now: number): void {
    const { checkpoint } = this.member.status();
    if (checkpoint !== this.#progress.checkpoint || this.#view.committed <= checkpoint)
      this.#progress = { checkpoint, at: now };
    const isMember = this.#view.members.some(({ key }) =>
      equalBytes(key.bytes, keyOfNode(this.#index).bytes),
    );
    const isLost = this.member.self < 0 && this.#options.mainChain.sets.length > 1;
    const isStuck = now - this.#progress.at > this.#options.stuckMs;
    if (!isMember || this.#isInstalling || !(isLost || isStuck)) return;
    this.#isInstalling = true;
    this.#world.later(this.#index, SNAPSHOT_MS, () => {
      this.#isInstalling = false;
      return this.#install();
    });
  }

  /** Own envelopes that are not final are given up, and their lanes are not used again, lest a slot be filled twice. */
  #install(): Action<Message>[] {
    const { mainChain, powBits, snapshot } = this.#options;
    const applied = this.member.status().checkpoint;
    const record = snapshot(this.#index, applied);
    if (record === undefined) return [];
    const { members, self } = this.member;
    const context = { chain: mainChain.id, subnet: mainChain.subnet, members, powBits };
    const own = this.member
      .snapshot()
      .flatMap(({ kind, bytes }) => (kind === 'envelope' ? [trustEnvelope(context, bytes)] : []))
      .filter(({ issuer }) => issuer === self);
    const burntLanes = own.reduce((mask, { envelope }) => mask | (1 << envelope.lane), this.#past.burntLanes);
    const run = (): void => {
      this.#past = { uncertain: !this.member.isCertainOfPast, burntLanes };
      this.#writePast();
      this.#disk.file<LogRecord>('log').restore([record]);
      this.#member = this.#newMember([record]);
      this.#fed = this.member.status().checkpoint;
      this.#world.tally.add('snapshot');
      for (const { payloads } of own) this.#packAgain(payloads);
      this.#options.onState(this.#index, this.member);
    };
    return [{ kind: 'do', what: 'take a snapshot over', run }];
  }

  #pack(now: number, evenEmpty: boolean): void {
    if (this.#working) return;
    const payloads = this.#vault.next(this.member);
    if (payloads.length === 0 && !evenEmpty) return;
    // Who may not issue payloads may approve.
    const draft =
      this.member.draft(payloads, this.#time(now), this.#lane) ??
      (evenEmpty ? this.member.draft([], this.#time(now), this.#lane) : undefined);
    if (draft === undefined) return;
    this.#packedAt = now;
    this.#working = true;
    this.#world.later(this.#index, WORK_MS, (later) => this.#finish(draft, later));
  }

  #finish(draft: Draft, now: number): Action<Message>[] {
    this.#working = false;
    const { mainChain, liar } = this.#options;
    // Made before a turn, for an index that is another's by now.
    if (this.member.self < 0) return [];
    const nonce = workSearch({ bodyHash: draft.bodyHash, bits: draft.bits, start: 0, tries: 1 << 22 });
    if (nonce === undefined) throw new Error('no nonce found');
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(draft.body.issuer, bytes);
    const envelope = sealDraft(draft, { chain: mainChain.id, self: this.member.self, nonce, sign });
    const effects = this.member.step({ kind: 'own', envelope, now: this.#time(now) });
    if (effects.refused.length === 0) this.#vault.packed(draft.payloads);
    const actions = this.#actions(effects);
    return liar === undefined ? actions : liar.twin(draft, nonce, actions);
  }
}
