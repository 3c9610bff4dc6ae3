/** Fixtures of the DAG's tests: members with toy signatures, payloads, DAGs written as text, a small lossless subnet. */
import { compareBytes, concatBytes } from '../bytes/hex.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { ED25519, type PublicKey } from '../crypto/signature.ts';
import { utf8Encode } from '../bytes/writer.ts';
import {
  decodeMessage,
  encodeMessage,
  verifyMessage,
  type MemberMessage,
  type ProposalMessage,
} from '../dag/messages.ts';
import { accusationPayload } from '../ledger/accusation.ts';
import { isAlwaysChecked } from '../dag/audit.ts';
import { sealDraft } from '../dag/draft.ts';
import type { Committed, Delivery, Draft, Effects, Input, MemberOptions } from '../dag/effects.ts';
import { envelopeBodyHash, payloadRootOf, type EnvelopeBody } from '../ledger/envelope.ts';
import { Graph } from '../dag/graph.ts';
import { Member } from '../dag/member.ts';
import { powSearch } from '../dag/proof-of-work.ts';
import type { LogRecord } from '../dag/records.ts';
import {
  accusationIn,
  envelopeSignatures,
  judgeEnvelope,
  screenEnvelope,
  type VerifiedEnvelope,
  type VerifyContext,
} from '../dag/verify.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { Deposit } from '../ledger/escrow.ts';
import { amount, height, millis, type Millis } from '../ledger/ids.ts';
import {
  encodePayload,
  parsePayload,
  payloadSigningBytes,
  type Payload,
  type UnsignedPayload,
} from '../ledger/payload.ts';
import { encodeValueOrder, type ValueOrder } from '../ledger/value-order.ts';
import { sortValidators, type ValidatorSet } from '../ledger/validators.ts';

export const CHAIN: Hash = sha256(utf8Encode('a test chain'));
export const SUBNET: Hash = sha256(utf8Encode('a test subnet'));
export const START: Millis = millis(1_700_000_000_000);

/** Not a signature scheme: fast, and good enough to tell right from wrong. */
export function toySign(key: PublicKey, message: Uint8Array): Uint8Array {
  const half = sha256(concatBytes(key.bytes, message));
  return concatBytes(half, sha256(half));
}

export function toyVerify(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return compareBytes(toySign(key, message), signature) === 0;
}

export function keyNamed(name: string): PublicKey {
  return { algorithm: ED25519, bytes: sha256(utf8Encode(name)) };
}

export function membersOf(weights: readonly number[]): ValidatorSet {
  return sortValidators(weights.map((weight, i) => ({ key: keyNamed(`member ${i}`), weight })));
}

export const equalMembers = (count: number): ValidatorSet =>
  membersOf(Array.from({ length: count }, () => 10));

/** xorshift32: small, seeded, uniform enough. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

/** A reading; `forged`: with a signature that is not its device's. */
export function payloadOf(device: string, sequence: number, content = 'x', forged = false): Payload {
  const signer = keyNamed(`device ${device}`);
  const unsigned: UnsignedPayload = {
    signer,
    device: addressOf(signer),
    sequence,
    contentType: 'senml+json',
    content: utf8Encode(content),
  };
  const by = forged ? keyNamed('a forger') : signer;
  const bytes = encodePayload(unsigned, toySign(by, payloadSigningBytes(CHAIN, unsigned)));
  const parsed = parsePayload(CHAIN, bytes);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

/** An order about value, signed by the key of this name; the sequence is the number of a voucher. */
export function orderOf(holder: string, sequence: number, order: ValueOrder, subnet: Hash = SUBNET): Payload {
  const signer = keyNamed(holder);
  const content = encodeValueOrder(subnet, order);
  const unsigned: UnsignedPayload = {
    signer,
    device: addressOf(signer),
    sequence,
    contentType: 'value',
    content,
  };
  const bytes = encodePayload(unsigned, toySign(signer, payloadSigningBytes(CHAIN, unsigned)));
  const parsed = parsePayload(CHAIN, bytes);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

export const holder = (name: string): Address => addressOf(keyNamed(name));

export interface EnvelopeFields extends Partial<Omit<EnvelopeBody, 'issuer' | 'parents' | 'time'>> {
  readonly issuer: number;
  readonly parents: readonly Hash[];
  readonly time?: number;
  readonly payloads?: readonly Payload[];
  readonly bits?: number;
}

/** An envelope that is well formed and signed; everything can be chosen. */
export function envelopeOf(members: ValidatorSet, fields: EnvelopeFields): VerifiedEnvelope {
  const { issuer, parents, payloads = [], bits = 0, time, ...rest } = fields;
  const key = members[issuer]?.key as PublicKey;
  const body: EnvelopeBody = {
    subnet: SUBNET,
    lane: 0,
    sequence: 1,
    previous: SUBNET,
    anchor: SUBNET,
    payloadRoot: payloadRootOf(payloads.map((payload) => payload.bytes)),
    payloadCount: payloads.length,
    ...rest,
    issuer: key,
    parents: [...parents].sort(compareBytes),
    time: millis(time ?? START),
  };
  const accusation = accusationIn({ chain: CHAIN, subnet: SUBNET, members }, payloads);
  if (!accusation.ok && payloads.length === 1) throw new Error(accusation.message);
  const draft = { body, bodyHash: envelopeBodyHash(body), bits, payloads };
  return sealToy(accusation.ok ? { ...draft, accusation: accusation.value } : draft, issuer, key);
}

export function sealToy(draft: Draft, self: number, key: PublicKey): VerifiedEnvelope {
  const nonce = powSearch({ bodyHash: draft.bodyHash, bits: draft.bits, start: 0, tries: 1 << 24 });
  if (nonce === undefined) throw new Error('no nonce found');
  return sealDraft(draft, { chain: CHAIN, self, nonce, sign: (bytes) => toySign(key, bytes) });
}

/**
 * A DAG as text: one vertex per word group, `B2<B1,A1+3`: issuer B, sequence 2, parents B1 and A1, three payloads. A
 * trailing apostrophe names another envelope in the same slot (`A2'`). No parents: the root. The predecessor is
 * the parent of the same letter with the sequence before.
 */
export function parseDag(members: ValidatorSet, text: string): Map<string, VerifiedEnvelope> {
  const vertices = new Map<string, VerifiedEnvelope>();
  let payloadNumber = 0;
  for (const [i, word] of text.trim().split(/\s+/).entries()) {
    const match = /^([A-Z])(\d+)('*)(?:<([^+]+))?(?:\+(\d+))?$/.exec(word);
    if (match === null) throw new Error(`not a vertex: ${word}`);
    const [, letter = '', digits = '', marks = '', parentList, payloadCount = '0'] = match;
    const sequence = Number(digits);
    const names = parentList?.split(',') ?? [];
    const parents = names.map((name) => {
      const parent = vertices.get(name);
      if (parent === undefined) throw new Error(`no vertex ${name} before ${word}`);
      return parent;
    });
    const own = names.findIndex((name) => name.replaceAll("'", '') === `${letter}${sequence - 1}`);
    const payloads: Payload[] = [];
    for (let n = 0; n < Number(payloadCount); n += 1) {
      payloadNumber += 1;
      payloads.push(payloadOf(`${letter}`, payloadNumber, `${word} ${n}`));
    }
    const envelope = envelopeOf(members, {
      issuer: letter.charCodeAt(0) - 65,
      sequence,
      previous: parents[own]?.hash ?? SUBNET,
      parents: parents.length === 0 ? [SUBNET] : parents.map((parent) => parent.hash),
      time: START + i + marks.length,
      payloads,
    });
    vertices.set(`${letter}${digits}${marks}`, envelope);
  }
  return vertices;
}

export function graphOf(members: ValidatorSet, self = -1, powBits = 0): Graph {
  return new Graph({ subnet: SUBNET, members, self, powBits });
}

/** Inserts and gives the place; anything but an insertion throws. */
export function place(graph: Graph, envelope: VerifiedEnvelope): number {
  const insertion = graph.insert(envelope, 'gossip');
  if (insertion.kind !== 'inserted') throw new Error(`${insertion.kind}: ${JSON.stringify(insertion)}`);
  return insertion.place;
}

export interface TestNode {
  member: Member;
  readonly index: number;
  readonly log: LogRecord[];
  readonly deliveries: Delivery[];
  readonly effects: Effects[];
  readonly waiting: Payload[];
  /** Deposits of the main chain that it was told. */
  depositsTold: number;
  up: boolean;
}

/**
 * Members that talk without loss or delay, each with a log, and a main chain that commits the first certificate of
 * every sequence. Scenarios with faults live in the simulator; here every step is visible.
 */
export class TestSubnet {
  readonly members: ValidatorSet;
  readonly nodes: TestNode[] = [];
  readonly chain: Committed[] = [];
  /** On the main chain, in order of number. */
  readonly deposits: Deposit[] = [];
  now: number = START;
  /** While cut, certificates are dropped and nothing is fed back. */
  chainCut = false;
  readonly powBits: number;
  /** Whether a member checks the signature of payload `index` of an envelope that comes to it. */
  audits: (member: number, index: number) => boolean = () => true;
  /** Returns false for messages that are lost. */
  passes: (from: number, to: number) => boolean = () => true;
  readonly #queue: { from: number; to: number; bytes: Uint8Array }[] = [];
  readonly #fed: number[] = [];

  constructor(members: ValidatorSet, powBits = 0) {
    this.members = members;
    this.powBits = powBits;
    for (let index = 0; index < members.length; index += 1) {
      const log: LogRecord[] = [];
      this.nodes.push({
        member: this.create(index, []),
        index,
        log,
        deliveries: [],
        effects: [],
        waiting: [],
        depositsTold: 0,
        up: true,
      });
      this.#fed.push(0);
    }
  }

  create(index: number, restore: readonly LogRecord[]): Member {
    const key = this.members[index]?.key as PublicKey;
    const options: MemberOptions = {
      chain: CHAIN,
      subnet: SUBNET,
      members: this.members,
      self: index,
      powBits: this.powBits,
      random: seededRandom(index + 77),
      sign: (bytes) => toySign(key, bytes),
      restore,
    };
    return new Member(options);
  }

  node(index: number): TestNode {
    return this.nodes[index] as TestNode;
  }

  restart(index: number, log: readonly LogRecord[] = this.node(index).log): void {
    const node = this.node(index);
    node.member = this.create(index, log);
    node.up = true;
    this.#fed[index] = node.member.status().checkpoint;
  }

  context(node: TestNode): VerifyContext {
    const { anchors } = node.member;
    return { chain: CHAIN, subnet: SUBNET, members: this.members, powBits: this.powBits, anchors };
  }

  /** `Input` without the time, which the subnet knows. */
  step(
    index: number,
    input: Input extends infer I ? (I extends Input ? Omit<I, 'now'> : never) : never,
  ): Effects {
    const node = this.node(index);
    const effects = node.member.step({ ...input, now: millis(this.now) } as Input);
    node.effects.push(effects);
    node.log.push(...effects.persist);
    node.deliveries.push(...effects.deliver);
    for (const { to, message } of effects.send) {
      const bytes = encodeMessage(message);
      for (const other of this.nodes)
        if (other.index !== index && (to === 'all' || to === other.index))
          this.#queue.push({ from: index, to: other.index, bytes });
    }
    if (!this.chainCut) {
      for (const certificate of effects.submit) {
        if (certificate.checkpoint.sequence !== this.chain.length + 1) continue;
        this.chain.push({ certificate, height: height(this.chain.length + 1), txIndex: 0 });
      }
    }
    for (const want of effects.want) {
      if (want.kind === 'envelope') this.issue(index, []);
      else if (want.kind === 'accuse') this.issue(index, [this.accusation(index, want.content)]);
      else if (want.kind === 'committed') this.#fed[index] = want.from - 1;
      else if (want.kind === 'deposits') node.depositsTold = want.from - 1;
      else if (want.kind === 'serve-checkpoint') {
        const delivery = node.deliveries[want.sequence - 1];
        if (delivery === undefined) continue;
        const ids = delivery.envelopes.map((envelope) => envelope.hash);
        const bytes = encodeMessage({ kind: 'checkpoint-ids', sequence: want.sequence, ids });
        this.#queue.push({ from: index, to: want.to, bytes });
      } else if (want.kind === 'serve-envelopes') {
        const asked = new Set(want.hashes.map(String));
        const stored = node.deliveries.flatMap((delivery) => delivery.envelopes);
        const encoded = stored.filter((envelope) => asked.has(String(envelope.hash))).map((e) => e.encoded);
        this.#queue.push({ from: index, to: want.to, bytes: encodeMessage({ kind: 'envelopes', encoded }) });
      }
    }
    return effects;
  }

  /** Packs payloads into an envelope of the member, if it can issue. */
  issue(index: number, payloads: readonly Payload[], lane = 0): VerifiedEnvelope | undefined {
    const node = this.node(index);
    const draft = node.member.draft(payloads, millis(this.now), lane);
    if (draft === undefined) return undefined;
    const envelope = sealToy(draft, index, this.members[index]?.key as PublicKey);
    this.step(index, { kind: 'own', envelope });
    return envelope;
  }

  /** An accusation by a member, as its shell signs it. */
  accusation(index: number, content: Uint8Array): Payload {
    const signer = this.members[index]?.key as PublicKey;
    const sign = (bytes: Uint8Array): Uint8Array => toySign(signer, bytes);
    return accusationPayload({ chain: CHAIN, signer, sign, number: 1, content });
  }

  /** Everything that is on the way, until nothing is. */
  settle(): void {
    for (let n = 0; this.#queue.length > 0; n += 1) {
      if (n > 200_000) throw new Error('the subnet does not come to rest');
      const { from, to, bytes } = this.#queue.shift() as { from: number; to: number; bytes: Uint8Array };
      const node = this.node(to);
      if (!node.up || !this.passes(from, to)) continue;
      const message = decodeMessage(bytes);
      if (!message.ok) throw new Error(message.message);
      if (message.value.kind === 'envelope') this.hand(to, from, message.value.encoded, false);
      else if (message.value.kind === 'envelopes')
        for (const encoded of message.value.encoded) this.hand(to, from, encoded, true);
      else this.tell(to, from, message.value);
    }
  }

  tell(to: number, from: number, message: MemberMessage): void {
    const context = { chain: CHAIN, subnet: SUBNET, members: this.members, verify: toyVerify };
    const verified = verifyMessage(context, from, message);
    if (!verified.ok) throw new Error(verified.message);
    this.step(to, { kind: 'message', from, message: verified.value });
  }

  hand(to: number, from: number, encoded: Uint8Array, reply: boolean): Effects | undefined {
    const node = this.node(to);
    const requested = reply && node.member.expectsFrom(from);
    const screened = screenEnvelope(this.context(node), encoded, requested);
    if (!screened.ok) return undefined;
    const { payloads } = screened.value;
    const chosen = [...payloads.keys()].filter(
      (i) => isAlwaysChecked(payloads[i] as Payload) || this.audits(to, i),
    );
    const verdicts = envelopeSignatures(screened.value, chosen).map(({ key, message, signature }) =>
      toyVerify(key, message, signature),
    );
    const judged = judgeEnvelope(screened.value, verdicts, chosen);
    if (judged.kind === 'refused') return undefined;
    const { envelope } = judged;
    if (judged.kind === 'forged') {
      this.step(to, { kind: 'forged', envelope, index: judged.index });
      if (judged.isInvalid || !requested) return undefined;
    }
    return this.step(to, { kind: 'envelope', from, envelope, reply });
  }

  /** Lets time pass in steps of 50 ms. */
  run(durationMs: number): void {
    const end = this.now + durationMs;
    while (this.now < end) {
      this.now += 50;
      for (const node of this.nodes) {
        if (!node.up) continue;
        this.step(node.index, { kind: 'tick' });
        if (this.chainCut) continue;
        this.tellDeposits(node);
        for (
          let next = this.chain[this.#fed[node.index] as number];
          next !== undefined;
          next = this.chain[this.#fed[node.index] as number]
        ) {
          this.#fed[node.index] = (this.#fed[node.index] as number) + 1;
          this.step(node.index, { kind: 'committed', committed: next });
        }
      }
      this.settle();
    }
  }

  readonly chainId: Hash = CHAIN;

  /** Whether a member votes for a proposal, asked of it directly: nothing of what it says is sent on. */
  propose(member: Member, from: number, message: ProposalMessage): boolean {
    const context = { chain: CHAIN, subnet: SUBNET, members: this.members, verify: toyVerify };
    const verified = verifyMessage(context, from, message);
    if (!verified.ok) throw new Error(verified.message);
    const effects = member.step({ kind: 'message', from, message: verified.value, now: millis(this.now) });
    return effects.send.some((sent) => sent.message.kind === 'vote');
  }

  /** ITC for a holder inside, executed by the main chain. */
  deposit(to: Address, value: bigint): void {
    this.deposits.push({ number: this.deposits.length + 1, to, amount: amount(value) });
  }

  tellDeposits(node: TestNode): void {
    const deposits = this.deposits.slice(node.depositsTold);
    if (deposits.length === 0) return;
    node.depositsTold = this.deposits.length;
    this.step(node.index, { kind: 'deposits', deposits });
  }

  /** Ids of applied payloads in order, as one member delivered them. */
  applied(index: number): string[] {
    return this.node(index).deliveries.flatMap((delivery) =>
      delivery.applied.map(({ payload }) => String(payload.id)),
    );
  }
}
