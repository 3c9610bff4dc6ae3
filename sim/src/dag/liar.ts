/**
 * Members that lie. Each has some of the ways below, drawn from the seed; whatever it does, it signs with its own key only
 * and shows the work the rules ask for, so that its lies get past the door. In lane 0 it carries payloads like
 * everybody (and equivocates there, if that is one of its ways); the rest happens in its other lanes.
 */
import { compareBytes } from '@itc/core/bytes/hex.js';
import { asHash, type Hash } from '@itc/core/crypto/hash.js';
import { sealDraft } from '@itc/core/dag/draft.js';
import type { Draft } from '@itc/core/dag/effects.js';
import { envelopeBodyHash, payloadRootOf, type EnvelopeBody } from '@itc/core/ledger/envelope.js';
import type { Member } from '@itc/core/dag/member.js';
import { encodeMessage, voteSigningBytes, type SubnetMessage } from '@itc/core/dag/messages.js';
import { workSearch } from './work-search.ts';
import { bitsNeeded } from '@itc/core/dag/standing.js';
import { lanesOf, type VerifiedEnvelope } from '@itc/core/dag/verify.js';
import { checkpointHash } from '@itc/core/ledger/checkpoint.js';
import { millis, type Millis } from '@itc/core/ledger/ids.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import type { ValidatorSet } from '@itc/core/ledger/validators.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';
import type { Random } from '../random.ts';
import type { Tally } from '../tally.ts';
import type { Action } from '../world.ts';
import { payloadOf } from './payloads.ts';
import type { Post } from './post.ts';

type Message = Uint8Array;
type Send = Extract<Action<Message>, { kind: 'send' }>;

export const LIES = [
  /** The same slot twice, each version to a part of the members; also trees of such pairs in another lane. */
  'equivocation',
  /** Children are sent, their parents are not, nor are they given on request. */
  'withheld parents',
  /** A chain grown in private, then shown at once with its end stitched to honest tips. */
  'parasite chain',
  /** Parents as old as the rules allow, under the newest anchor. */
  'lazy tips',
  /** As many envelopes as the rate leaves free, in every lane. */
  'spam at the cap',
  /** Work on anchors long past, or on checkpoints that do not exist. */
  'stale anchors',
  /** Two votes in one round; proposals that differ by receiver or do not follow from their anchors. */
  'conflicting votes',
  /** Heads, parents, lists and answers made up. */
  'poisoned ids',
  /** Envelopes nobody will approve, again and again, each to one member alone. */
  'evicted floods',
  /** Times at the edge of what others take, and beyond. */
  'times ahead',
  /** Says nothing to some, or to all. */
  'silence',
  /** Payloads their devices did not sign, one among good ones. */
  'forged payloads',
  /** Bytes that mean nothing, and what others said before. */
  'garbage and echoes',
] as const;
export type Lie = (typeof LIES)[number];

/** Work is asked for by rate too; liars that do not count pay for the worst of it in the simulator's few bits. */
const SEARCH_MAX = 1 << 18;
const PARASITE_LENGTH = 25;
const ECHOES_MAX = 32;
/** Devices there are, and numbers none of them gets to. */
export const DEVICES = 6;
const FORGED_NUMBERS = [400, 500] as const;

interface Chain {
  readonly lane: number;
  sequence: number;
  head: Hash;
  time: number;
}

interface Shape {
  readonly parents: readonly Hash[];
  readonly anchor?: Hash;
  readonly time?: number;
  readonly payloads?: readonly Payload[];
  /** Does not become the head of the lane: the next takes the same slot. */
  readonly aside?: boolean;
}

export interface LiarOptions {
  /** Of its node. */
  readonly index: number;
  /** Of nodes, members or not. */
  readonly count: number;
  readonly lies: readonly Lie[];
  readonly chain: Hash;
  readonly subnet: Hash;
  readonly powBits: number;
  readonly random: Random;
  readonly tally: Tally;
  readonly post: Post;
}

export class Liar {
  readonly #o: LiarOptions;
  readonly #others: readonly number[];
  readonly #chains = new Map<number, Chain>();
  readonly #private: VerifiedEnvelope[] = [];
  readonly #echoes: Message[] = [];
  /** Members it never answers. */
  readonly #shunned: ReadonlySet<number>;
  /** A tip of each checkpoint's time, to stand on when it is old. */
  readonly #past: { readonly checkpoint: number; readonly hash: Hash }[] = [];
  #anchor: Hash;
  #member: Member | undefined;
  #now: number = 0;
  /** Those it has lied to so far. */
  #set: ValidatorSet | undefined;

  constructor(options: LiarOptions) {
    this.#o = options;
    const { random, count, index, subnet } = options;
    this.#others = Array.from({ length: count }, (_, node) => node).filter((node) => node !== index);
    this.#shunned = new Set(this.#others.filter(() => random.chance(0.5)));
    this.#anchor = subnet;
  }

  has(lie: Lie): boolean {
    return this.#o.lies.includes(lie);
  }

  #did(lie: Lie): void {
    this.#o.tally.add(`lie: ${lie}`);
  }

  overhears(message: Message): void {
    if (!this.has('garbage and echoes') || !this.#o.random.chance(0.05)) return;
    this.#echoes.push(message);
    if (this.#echoes.length > ECHOES_MAX) this.#echoes.shift();
  }

  /** What it says of its own accord, beside what its member says. */
  tick(member: Member, now: Millis): Action<Message>[] {
    this.#member = member;
    this.#now = now;
    this.#remember(member);
    if (member.self < 0) return [];
    this.#followTurn(member);
    const { random } = this.#o;
    const actions: Action<Message>[] = [];
    for (const lie of this.#o.lies) {
      // In bursts with pauses: what recovers between them has to work, too.
      if (!random.chance(0.25)) continue;
      for (const action of this.#tell(lie)) actions.push(action);
    }
    return actions;
  }

  get #self(): number {
    return this.#member?.self ?? -1;
  }

  get #members(): ValidatorSet {
    return this.#member?.members ?? [];
  }

  /** What was not final is void for its own lanes, too: it goes on from what is. */
  #followTurn(member: Member): void {
    if (this.#set === member.members) return;
    if (this.#set !== undefined) {
      this.#private.length = 0;
      for (const [lane, chain] of this.#chains) {
        const next = member.draft([], millis(this.#now), lane)?.body;
        if (next === undefined) return;
        Object.assign(chain, { sequence: next.sequence - 1, head: next.previous });
      }
    }
    this.#set = member.members;
  }

  #tell(lie: Lie): Action<Message>[] {
    switch (lie) {
      case 'equivocation':
        return this.#fork();
      case 'withheld parents':
        return this.#withhold();
      case 'parasite chain':
        return this.#parasite();
      case 'lazy tips':
        return this.#lazy(4, this.#others);
      case 'spam at the cap':
        return this.#spam();
      case 'stale anchors':
        return this.#stale();
      case 'conflicting votes':
        return this.#strayVote();
      case 'poisoned ids':
        return this.#poison();
      case 'evicted floods':
        return this.#lazy(6, [this.#o.random.pick(this.#others)], 3);
      case 'times ahead':
        return this.#ahead();
      case 'forged payloads':
        return this.#forge();
      case 'garbage and echoes':
        return this.#noise();
      case 'silence':
        return [];
    }
  }

  #remember(member: Member): void {
    const { checkpoint, checkpointHash: hash } = member.status();
    this.#anchor = hash;
    if (this.#past.at(-1)?.checkpoint === checkpoint) return;
    const [tip] = this.#tips(1);
    if (tip !== undefined) this.#past.push({ checkpoint, hash: tip });
    if (this.#past.length > LIMITS.parentDepthMax) this.#past.shift();
  }

  /** Changes what its own member wants to say. */
  distort(sends: readonly Action<Message>[]): Action<Message>[] {
    let told = sends.flatMap((action) => (action.kind === 'send' ? this.#distortOne(action) : [action]));
    if (this.has('silence')) {
      told = told.map((action) =>
        action.kind === 'send' ? { ...action, to: action.to.filter((to) => !this.#shunned.has(to)) } : action,
      );
      this.#did('silence');
    }
    return told;
  }

  #distortOne(action: Send): Action<Message>[] {
    const { random } = this.#o;
    const message = this.#o.post.open(action.message);
    if (message === undefined) return [action];
    if (this.has('withheld parents') && message.kind === 'envelopes' && random.chance(0.7)) {
      this.#did('withheld parents');
      return [];
    }
    if (!this.has('conflicting votes') || !random.chance(0.6)) return [action];
    const fooled = action.to.filter(() => random.chance(0.5));
    const rest = action.to.filter((to) => !fooled.includes(to));
    if (message.kind === 'vote') {
      this.#did('conflicting votes');
      return [
        { ...action, to: rest },
        this.#say(fooled, this.#voteFor(message.sequence, message.round, this.#invented())),
      ];
    }
    if (message.kind === 'proposal') {
      this.#did('conflicting votes');
      const { checkpoint, round } = message;
      const changed = random.pick([
        { ...checkpoint, stateRoot: this.#invented() },
        { ...checkpoint, time: millis(checkpoint.time + 1) },
        { ...checkpoint, anchors: checkpoint.anchors.slice(0, 1) },
        { ...checkpoint, anchors: [this.#invented()] },
        { ...checkpoint, powBits: checkpoint.powBits + 1 },
      ]);
      const { signature } = this.#voteFor(checkpoint.sequence, round, checkpointHash(changed));
      return [
        { ...action, to: rest },
        this.#say(fooled, { kind: 'proposal', round, checkpoint: changed, signature }),
      ];
    }
    return [action];
  }

  /** The slot of an own envelope once more with other content, for a part of the members. */
  twin(draft: Draft, nonce: number, actions: Action<Message>[]): Action<Message>[] {
    const { random, chain } = this.#o;
    if (!this.has('equivocation') || !random.chance(0.3)) return actions;
    const { bodyHash, bits, body } = draft;
    const other = workSearch({ bodyHash, bits, start: nonce + 1, tries: SEARCH_MAX });
    if (other === undefined) return actions;
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(body.issuer, bytes);
    const twin = sealDraft(draft, { chain, self: this.#self, nonce: other, sign });
    const message = encodeMessage({ kind: 'envelope', encoded: twin.encoded });
    this.#did('equivocation');
    return actions.flatMap((action): Action<Message>[] => {
      if (action.kind === 'do') return [action];
      const fooled = action.to.filter(() => random.chance(0.5));
      const rest = action.to.filter((node) => !fooled.includes(node));
      return [
        { ...action, to: rest },
        { kind: 'send', to: fooled, message },
      ];
    });
  }

  // Envelopes beside those of its member.

  #chain(lane: number): Chain {
    const { subnet } = this.#o;
    // Never lane 0, which is its member's.
    const held = 1 + ((lane - 1) % (lanesOf(this.#members, this.#self) - 1));
    let chain = this.#chains.get(held);
    if (chain === undefined) {
      chain = { lane: held, sequence: 0, head: subnet, time: 0 };
      this.#chains.set(held, chain);
    }
    return chain;
  }

  /** The next envelope of a lane, with work and signature; undefined when it would cost too much. */
  #make(chain: Chain, shape: Shape): VerifiedEnvelope | undefined {
    const { subnet, powBits, chain: network } = this.#o;
    const self = this.#self;
    const issuer = this.#members[self]?.key;
    const member = this.#member;
    if (issuer === undefined || member === undefined) return undefined;
    const { payloads = [] } = shape;
    const anchor = shape.anchor ?? this.#anchor;
    const known = member.anchors.find(anchor) ?? { powBits };
    const time = Math.max(chain.time, shape.time ?? this.#now);
    const own = chain.sequence === 0 ? [] : [chain.head];
    const named = [...own, ...shape.parents].filter(
      (hash) => chain.sequence === 0 || compareBytes(hash, subnet) !== 0,
    );
    const distinct = [...new Map(named.map((hash) => [String(hash), hash])).values()].slice(0, 8);
    const body: EnvelopeBody = {
      subnet,
      issuer,
      lane: chain.lane,
      sequence: chain.sequence + 1,
      previous: chain.sequence === 0 ? subnet : chain.head,
      parents: (distinct.length === 0 ? [subnet] : distinct).sort(compareBytes),
      time: millis(time),
      anchor,
      payloadRoot: payloadRootOf(payloads.map(({ bytes }) => bytes)),
      payloadCount: payloads.length,
    };
    const bodyHash = envelopeBodyHash(body);
    const bits = bitsNeeded(known, self, 0, powBits);
    const start = this.#o.random.below(1 << 20);
    const nonce = workSearch({ bodyHash, bits, start, tries: SEARCH_MAX });
    if (nonce === undefined) return undefined;
    const sign = (bytes: Uint8Array): Uint8Array => fakeSign(issuer, bytes);
    const made = sealDraft({ body, bodyHash, bits, payloads }, { chain: network, self, nonce, sign });
    if (shape.aside !== true) {
      chain.sequence += 1;
      chain.head = made.hash;
      chain.time = time;
    }
    return made;
  }

  #send(to: readonly number[], made: VerifiedEnvelope | undefined): Action<Message>[] {
    return made === undefined || to.length === 0
      ? []
      : [this.#say(to, { kind: 'envelope', encoded: made.encoded })];
  }

  #say(to: readonly number[], message: SubnetMessage): Send {
    return { kind: 'send', to, message: encodeMessage(message) };
  }

  /** Honest tips as its member sees them. */
  #tips(count: number): Hash[] {
    const seen = this.#member?.graph(64) ?? [];
    const tips = seen.filter((vertex) => vertex.tip).map((vertex) => vertex.hash);
    return this.#o.random.shuffle(tips).slice(0, count);
  }

  #some(): number[] {
    return this.#others.filter(() => this.#o.random.chance(0.5));
  }

  #invented(): Hash {
    return asHash(Uint8Array.from({ length: 32 }, () => this.#o.random.below(256)));
  }

  /** Two children in one slot, each for others to see; the lane goes on from either, so that trees of pairs arise. */
  #fork(): Action<Message>[] {
    this.#did('equivocation');
    const chain = this.#chain(1);
    const first = this.#make(chain, { parents: this.#tips(2), aside: true });
    const second = this.#make(chain, { parents: this.#tips(2) });
    return [...this.#send(this.#some(), first), ...this.#send(this.#some(), second)];
  }

  #withhold(): Action<Message>[] {
    this.#did('withheld parents');
    const chain = this.#chain(2);
    const parent = this.#make(chain, { parents: this.#tips(2) });
    const child = this.#make(chain, { parents: this.#tips(2) });
    // Perhaps one member has it: then the others can get it there.
    const to = this.#o.random.chance(0.5) ? [this.#o.random.pick(this.#others)] : [];
    return [...this.#send(to, parent), ...this.#send(this.#others, child)];
  }

  #parasite(): Action<Message>[] {
    const chain = this.#chain(3);
    for (let i = 0; i < 3; i += 1) {
      const made = this.#make(chain, { parents: [] });
      if (made !== undefined) this.#private.push(made);
    }
    if (this.#private.length < PARASITE_LENGTH) return [];
    this.#did('parasite chain');
    const end = this.#make(chain, { parents: this.#tips(7) });
    const released = this.#private.splice(0);
    return [...released, ...(end === undefined ? [] : [end])].flatMap((made) =>
      this.#send(this.#others, made),
    );
  }

  /** Numbers ahead of what the devices of a run come to, and near enough that nobody has to look. */
  #forge(): Action<Message>[] {
    this.#did('forged payloads');
    const { random, chain } = this.#o;
    const payload = payloadOf(chain, random.below(DEVICES), random.between(...FORGED_NUMBERS), true);
    return this.#send(
      this.#others,
      this.#make(this.#chain(5), { parents: this.#tips(2), payloads: [payload] }),
    );
  }

  #lazy(lane: number, to: readonly number[], count = 1): Action<Message>[] {
    this.#did(count === 1 ? 'lazy tips' : 'evicted floods');
    const chain = this.#chain(lane);
    const parents = [this.#past[0]?.hash ?? this.#o.subnet];
    const made: Action<Message>[] = [];
    for (let i = 0; i < count; i += 1) made.push(...this.#send(to, this.#make(chain, { parents })));
    return made;
  }

  #spam(): Action<Message>[] {
    this.#did('spam at the cap');
    const made: Action<Message>[] = [];
    for (let lane = 7; lane < 13; lane += 1)
      made.push(...this.#send(this.#others, this.#make(this.#chain(lane), { parents: this.#tips(1) })));
    return made;
  }

  #stale(): Action<Message>[] {
    this.#did('stale anchors');
    const { random, subnet } = this.#o;
    const anchor = random.chance(0.5) ? subnet : this.#invented();
    return this.#send(
      this.#others,
      this.#make(this.#chain(13), { parents: this.#tips(1), anchor, aside: true }),
    );
  }

  #voteFor(
    sequence: number,
    round: number,
    hash: Hash,
  ): { kind: 'vote'; sequence: number; round: number; hash: Hash; signature: Uint8Array } {
    const { chain, index } = this.#o;
    const signature = fakeSign(fakeKey(index + 1), voteSigningBytes(chain, hash));
    return { kind: 'vote', sequence, round, hash, signature };
  }

  #strayVote(): Action<Message>[] {
    this.#did('conflicting votes');
    const { random } = this.#o;
    const sequence = (this.#member?.anchors.head ?? 0) + random.below(3);
    const round = random.pick([0, 0, 1, random.below(70), 0xffff_ffff]);
    return [this.#say(this.#some(), this.#voteFor(sequence, round, this.#invented()))];
  }

  #poison(): Action<Message>[] {
    this.#did('poisoned ids');
    const { random, count } = this.#o;
    const to = this.#some();
    const head = (this.#member?.anchors.head ?? 0) + 1;
    const many = (count: number): Hash[] => Array.from({ length: count }, () => this.#invented());
    const invented = many(40).map((hash, i) => ({
      issuer: i % (count + 2),
      lane: random.below(18),
      sequence: random.pick([1, 5, 100, Number.MAX_SAFE_INTEGER]),
      hash,
    }));
    switch (random.below(5)) {
      case 0:
        // Now and then it pretends to have lost everything, so that the others make checkpoints for it.
        return [
          this.#say(to, {
            kind: 'heads',
            checkpoint: head - 1,
            uncertain: head % 2 === 0,
            heads: invented,
          }),
        ];
      case 1:
        return [this.#say(to, { kind: 'checkpoint-ids', sequence: head, ids: many(10) })];
      case 2:
        return [this.#say(to, { kind: 'envelope-request', hashes: many(64), heads: invented })];
      case 3: {
        // An answer nobody asked for, with what may be anything.
        const made = this.#make(this.#chain(14), { parents: many(3), aside: true });
        return made === undefined ? [] : [this.#say(to, { kind: 'envelopes', encoded: [made.encoded] })];
      }
      default:
        return this.#send(to, this.#make(this.#chain(14), { parents: many(7), aside: true }));
    }
  }

  #ahead(): Action<Message>[] {
    this.#did('times ahead');
    const { random } = this.#o;
    const time = this.#now + random.pick([2_000, 4_900, 6_000, 20_000]);
    return this.#send(
      this.#others,
      this.#make(this.#chain(15), { parents: this.#tips(2), time, aside: time > this.#now + 5_000 }),
    );
  }

  #noise(): Action<Message>[] {
    this.#did('garbage and echoes');
    const { random } = this.#o;
    const junk = Uint8Array.from({ length: random.below(200) }, () => random.below(256));
    const made: Action<Message>[] = [{ kind: 'send', to: this.#some(), message: junk }];
    if (this.#echoes.length > 0)
      made.push({ kind: 'send', to: this.#some(), message: random.pick(this.#echoes) });
    return made;
  }
}
