/** A subnet whose members change: nodes go by name, indices are whatever each node's set says at the moment. */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey } from '../crypto/signature.ts';
import type { Committed, Effects, Input, Outgoing, Want } from '../dag/effects.ts';
import { Member } from '../dag/member.ts';
import { decodeMessage, encodeMessage, verifyMessage } from '../dag/messages.ts';
import type { LogRecord } from '../dag/records.ts';
import { indexOfMember } from '../dag/turn.ts';
import {
  envelopeSignatures,
  judgeEnvelope,
  screenEnvelope,
  type VerifiedEnvelope,
  type VerifyContext,
} from '../dag/verify.ts';
import { height, millis } from '../ledger/ids.ts';
import type { Payload } from '../ledger/payload.ts';
import { sortValidators, type ValidatorSet } from '../ledger/validators.ts';
import { CHAIN, keyNamed, sealToy, seededRandom, START, SUBNET, toySign, toyVerify } from './dag.ts';

export interface TurningNode {
  readonly name: string;
  readonly key: PublicKey;
  member: Member;
  log: LogRecord[];
  /** Ids of applied payloads in order. */
  applied: string[];
  /** Envelopes of each checkpoint in order, as a store keeps them. */
  readonly stored: Map<number, readonly VerifiedEnvelope[]>;
  /** State root by checkpoint. */
  readonly roots: Map<number, Hash>;
  /** Payloads that are in no envelope of its own. */
  waiting: Payload[];
  fed: number;
  up: boolean;
}

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly bytes: Uint8Array;
}

/** Members by name and weight. */
export function setOf(weights: Readonly<Record<string, number>>): ValidatorSet {
  return sortValidators(Object.entries(weights).map(([name, weight]) => ({ key: keyNamed(name), weight })));
}

export class TurningSubnet {
  readonly nodes: Map<string, TurningNode> = new Map();
  readonly chain: Committed[] = [];
  /** By the checkpoint behind which a set begins. */
  readonly turns: Map<number, ValidatorSet> = new Map();
  readonly first: ValidatorSet;
  now: number = START;
  awaited = false;
  loss = 0;
  readonly #random: () => number;
  readonly #queue: Sent[] = [];

  constructor(first: ValidatorSet, names: readonly string[], seed = 1) {
    this.first = first;
    this.#random = seededRandom(seed);
    for (const name of names) this.start(name, []);
  }

  /** With its own log, or with the state of others, as one that never took part. */
  start(name: string, log: readonly LogRecord[], pastUncertain = false): TurningNode {
    const key = keyNamed(name);
    const member = new Member({
      chain: CHAIN,
      subnet: SUBNET,
      members: this.first,
      self: indexOfMember(this.first, key),
      own: key,
      powBits: 0,
      random: seededRandom(name.length + 7 * name.charCodeAt(name.length - 1)),
      sign: (bytes) => toySign(key, bytes),
      restore: log,
      pastUncertain,
      turnAfter: (sequence) => this.turns.get(sequence),
      isAwaited: () => this.awaited,
    });
    const before = this.nodes.get(name);
    const node: TurningNode = {
      name,
      key,
      member,
      log: [...log],
      applied: before?.applied ?? [],
      stored: before?.stored ?? new Map<number, readonly VerifiedEnvelope[]>(),
      roots: before?.roots ?? new Map<number, Hash>(),
      waiting: before?.waiting ?? [],
      fed: member.status().checkpoint,
      up: true,
    };
    this.nodes.set(name, node);
    return node;
  }

  node(name: string): TurningNode {
    return this.nodes.get(name) as TurningNode;
  }

  /** Who decides no longer is told nothing any more. */
  leave(name: string): void {
    this.node(name).up = false;
  }

  /** A newcomer with the state of another's last checkpoint. */
  join(name: string, from: string): TurningNode {
    const [snapshot] = this.node(from).member.snapshot();
    return this.start(name, snapshot === undefined ? [] : [snapshot], true);
  }

  context({ member }: TurningNode): VerifyContext {
    return { chain: CHAIN, subnet: SUBNET, members: member.members, powBits: 0, anchors: member.anchors };
  }

  step(
    node: TurningNode,
    input: Input extends infer I ? (I extends Input ? Omit<I, 'now'> : never) : never,
  ): Effects {
    const effects = node.member.step({ ...input, now: millis(this.now) } as Input);
    node.log.push(...effects.persist);
    for (const { committed, applied, envelopes } of effects.deliver) {
      const { sequence, stateRoot } = committed.certificate.checkpoint;
      if (node.roots.has(sequence)) continue;
      node.roots.set(sequence, stateRoot);
      node.stored.set(sequence, envelopes);
      node.applied.push(...applied.map(({ payload }) => String(payload.id)));
    }
    for (const { payloads } of effects.givenUp)
      node.waiting.push(...payloads.filter((payload) => node.member.payloadOutcome(payload) === 'new'));
    for (const outgoing of effects.send) this.#send(node, outgoing);
    for (const certificate of effects.submit) {
      if (certificate.checkpoint.sequence !== this.chain.length + 1) continue;
      this.chain.push({ certificate, height: height(this.chain.length + 1), txIndex: 0 });
    }
    for (const want of effects.want) {
      if (want.kind === 'envelope') this.issue(node, []);
      else if (want.kind === 'committed') node.fed = want.from - 1;
      else this.#serve(node, want);
    }
    return effects;
  }

  #send(node: TurningNode, { to, message }: Outgoing): void {
    const bytes = encodeMessage(message);
    for (const [index, { key }] of node.member.members.entries()) {
      const other = [...this.nodes.values()].find((one) => equalBytes(one.key.bytes, key.bytes));
      if (other === undefined || other === node || (to !== 'all' && to !== index)) continue;
      this.#queue.push({ from: node.name, to: other.name, bytes });
    }
  }

  #serve(node: TurningNode, want: Want): void {
    if (want.kind === 'serve-checkpoint') {
      const { to, sequence } = want;
      const ids = node.stored.get(sequence)?.map(({ hash }) => hash);
      if (ids !== undefined) this.#send(node, { to, message: { kind: 'checkpoint-ids', sequence, ids } });
    } else if (want.kind === 'serve-envelopes') {
      const asked = new Set(want.hashes.map(String));
      const encoded = [...node.stored.values()]
        .flat()
        .filter(({ hash }) => asked.has(String(hash)))
        .map((envelope) => envelope.encoded);
      this.#send(node, { to: want.to, message: { kind: 'envelopes', encoded } });
    }
  }

  issue(node: TurningNode, payloads: readonly Payload[]): boolean {
    const { member } = node;
    const draft = member.draft(payloads, millis(this.now));
    if (draft === undefined) return false;
    const envelope = sealToy(draft, member.self, node.key);
    this.step(node, { kind: 'own', envelope });
    return member.holds(envelope.hash);
  }

  settle(): void {
    for (let n = 0; this.#queue.length > 0; n += 1) {
      if (n > 200_000) throw new Error('the subnet does not come to rest');
      const { from, to, bytes } = this.#queue.shift() as Sent;
      const node = this.node(to);
      const peer = indexOfMember(node.member.members, keyNamed(from));
      if (!node.up || peer < 0 || (this.loss > 0 && this.#random() < this.loss)) continue;
      const decoded = decodeMessage(bytes);
      if (!decoded.ok) throw new Error(decoded.message);
      const message = decoded.value;
      if (message.kind === 'envelope') this.hand(node, peer, message.encoded, false);
      else if (message.kind === 'envelopes')
        for (const encoded of message.encoded) this.hand(node, peer, encoded, true);
      else {
        const context = { chain: CHAIN, subnet: SUBNET, members: node.member.members, verify: toyVerify };
        const verified = verifyMessage(context, peer, message);
        // A vote of another turn is by somebody else's index: dropped, as a shell does.
        if (verified.ok) this.step(node, { kind: 'message', from: peer, message: verified.value });
      }
    }
  }

  hand(node: TurningNode, from: number, encoded: Uint8Array, reply: boolean): Effects | undefined {
    const requested = reply && node.member.expectsFrom(from);
    const screened = screenEnvelope(this.context(node), encoded, requested);
    if (!screened.ok) return undefined;
    const verdicts = envelopeSignatures(screened.value).map(({ key, message, signature }) =>
      toyVerify(key, message, signature),
    );
    const judged = judgeEnvelope(screened.value, verdicts);
    if (judged.kind !== 'admitted') return undefined;
    return this.step(node, { kind: 'envelope', from, envelope: judged.envelope, reply });
  }

  /** Steps of 50 ms. */
  run(durationMs: number): void {
    for (const end = this.now + durationMs; this.now < end;) {
      this.now += 50;
      for (const node of this.nodes.values()) {
        if (!node.up) continue;
        this.step(node, { kind: 'tick' });
        for (let next = this.chain[node.fed]; next !== undefined; next = this.chain[node.fed]) {
          node.fed += 1;
          this.step(node, { kind: 'committed', committed: next });
        }
        const { waiting } = node;
        if (waiting.length > 0 && node.member.self >= 0) {
          node.waiting = [];
          if (!this.issue(node, waiting)) node.waiting.push(...waiting);
        }
      }
      this.settle();
    }
  }

  /** Until the main chain has this checkpoint and everybody up has applied it; more is offered on the way. */
  until(sequence: number, offer: () => void = () => undefined): void {
    const behind = (): boolean =>
      [...this.nodes.values()].some(({ up, member }) => up && member.status().checkpoint < sequence);
    for (let n = 0; behind(); n += 1) {
      if (n > 2_000) throw new Error(`checkpoint ${sequence} does not come`);
      if (n % 4 === 0) offer();
      this.run(50);
    }
  }
}
