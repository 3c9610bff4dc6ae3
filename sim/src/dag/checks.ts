/** What must hold in every run of a subnet, looked at with every message, delivery and state. */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import type { Member } from '@itc/core/dag/member.js';
import { voteSigningBytes } from '@itc/core/dag/messages.js';
import { checkpointHash, type CheckpointCertificate } from '@itc/core/ledger/checkpoint.js';
import type { Withdrawal } from '@itc/core/ledger/escrow.js';
import type { Payload } from '@itc/core/ledger/payload.js';
import { indicesOf, quorumOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import { isVoucher, valueOrderOf, voucherLaneOf } from '@itc/core/ledger/value-order.js';
import { fakeVerify } from '../fake-crypto.ts';
import type { MainChain } from './main-chain.ts';
import { nodeOfKey } from './node.ts';
import type { Post } from './post.ts';

export class Violation extends Error {}

interface Expected {
  readonly payload: Payload;
  readonly at: number;
  /** Who has taken it; another when the device had to send it again. */
  gateway: number;
}

/** Why an order of an honest gateway is final all the same: it was judged. */
const NOT_JUDGED: ReadonlySet<string> = new Set(['slot-lost', 'issuer-barred']);

export class Checks {
  readonly #chain: MainChain;
  readonly #post: Post;
  readonly #isByzantine: (node: number) => boolean;
  readonly #reference: { readonly ids: string; readonly applied: string }[] = [];
  /** Payloads that an honest gateway has taken. */
  readonly expected: Map<string, Expected> = new Map();
  /** By payload: the checkpoint that decided it. */
  readonly #decided = new Map<string, number>();
  readonly #appliedOnce = new Set<string>();
  readonly #finalEnvelopes = new Set<string>();
  #undecided = 0;
  /** The last checkpoint that anybody waits for. */
  #awaited = 0;
  readonly #slots = new Map<string, string>();
  readonly #votes = new Map<string, string>();
  /** Of honest members, with payloads. */
  readonly #issued = new Set<string>();
  /** Of those, which were told to be accepted, and in which turn. */
  readonly #accepted = new Map<string, number>();
  /** Lost their disks: what they signed before nobody told them. */
  readonly wiped: Set<number> = new Set();
  readonly #cashed = new Map<string, Set<number>>();
  readonly withdrawals: Map<number, readonly Withdrawal[]> = new Map();
  #withdrawn = 0;
  readonly finality: number[] = [];
  forged = 0;

  constructor(options: {
    readonly chain: MainChain;
    readonly post: Post;
    readonly isByzantine: (node: number) => boolean;
  }) {
    this.#chain = options.chain;
    this.#post = options.post;
    this.#isByzantine = options.isByzantine;
  }

  expect(payload: Payload, gateway: number, at: number): void {
    const id = toHex(payload.id);
    // A voucher whose number is cashed already is not issued any more.
    if (this.expected.has(id) || this.#isCashed(payload)) return;
    this.expected.set(id, { payload, gateway, at });
    const decided = this.#decided.get(id);
    if (decided === undefined) this.#undecided += 1;
    else this.#awaited = Math.max(this.#awaited, decided);
  }

  isDecided(id: string): boolean {
    return this.#decided.has(id);
  }

  get undecided(): number {
    return this.#undecided;
  }

  /** The checkpoint by which all that is expected was decided. */
  get awaited(): number {
    return this.#awaited;
  }

  /** Accepted and not final, though nothing has made it void: envelopes by hash. */
  get unkept(): string[] {
    const { first } = this.#chain.setOf(this.#chain.committed.length + 1);
    return [...this.#accepted].flatMap(([hash, turn]) =>
      turn === first && !this.#finalEnvelopes.has(hash) ? [hash] : [],
    );
  }

  /** An honest member never signs twice in a slot of one turn, nor two checkpoints in one round, however often it crashed. */
  onSend(from: number, bytes: Uint8Array, members: ValidatorSet): void {
    if (this.#isByzantine(from)) return;
    const message = this.#post.open(bytes);
    if (message === undefined) throw new Violation(`member ${from} sent what cannot be read`);
    if (message.kind === 'envelope') {
      const made = this.#post.verify(members, message.encoded);
      if (made === undefined) throw new Violation(`member ${from} sent an envelope that is refused`);
      const { envelope, hash, payloads } = made.envelope;
      const name = toHex(hash);
      if (payloads.length > 0 && made.envelope.accusation === undefined) this.#issued.add(name);
      const slot = `${from}/${envelope.lane}/${envelope.sequence}`;
      // Who has lost its disk may fill a slot again, but never under one checkpoint: that is punished.
      const isWiped = this.wiped.has(from);
      if (!isWiped || !equalBytes(envelope.anchor, envelope.subnet))
        this.#once(this.#slots, `${slot} under ${toHex(envelope.anchor)}`, name, 'equivocates');
      if (!isWiped)
        this.#once(this.#slots, `${slot} of ${this.#turnOf(envelope.anchor)}`, name, 'equivocates');
    } else if (message.kind === 'vote' && !this.wiped.has(from))
      this.#once(
        this.#votes,
        `${from}/${message.sequence}/${message.round}`,
        toHex(message.hash),
        'votes twice',
      );
  }

  #turnOf(anchor: Hash): number {
    const at = this.#chain.committed.findLastIndex(({ certificate }) =>
      equalBytes(checkpointHash(certificate.checkpoint), anchor),
    );
    return this.#chain.setOf(at + 2).first;
  }

  #once(table: Map<string, string>, key: string, hash: string, what: string): void {
    const before = table.get(key);
    if (before !== undefined && before !== hash) throw new Violation(`an honest member ${what} in ${key}`);
    table.set(key, hash);
  }

  onAccepted(node: number, member: Member, hashes: readonly Hash[]): void {
    if (this.#isByzantine(node)) return;
    const { first } = this.#chain.setOf(member.anchors.head + 1);
    for (const hash of hashes) {
      const name = toHex(hash);
      if (this.#issued.has(name)) this.#accepted.set(name, first);
    }
  }

  /** Same order, same roots at everyone; nothing applied twice; no envelope of an honest member lost to a conflict. */
  onDelivery(node: number, delivery: Delivery, now: number): void {
    const { certificate } = delivery.committed;
    const { sequence } = certificate.checkpoint;
    const ids = delivery.envelopes.map((envelope) => toHex(envelope.hash)).join();
    const applied = delivery.applied.map(({ payload }) => toHex(payload.id));
    const reference = this.#reference[sequence - 1];
    if (reference === undefined) {
      if (this.#reference.length !== sequence - 1)
        throw new Violation(`checkpoint ${sequence} is delivered before ${this.#reference.length + 1}`);
      this.#reference.push({ ids, applied: applied.join() });
      this.#checkSigners(sequence, certificate);
      this.#takeFirst(delivery, applied);
    } else if (reference.ids !== ids || reference.applied !== applied.join())
      throw new Violation(`member ${node} orders checkpoint ${sequence} differently`);
    for (const id of applied) {
      const expected = this.expected.get(id);
      if (expected?.gateway === node && this.#decided.get(id) === sequence)
        this.finality.push(now - expected.at);
    }
  }

  #takeFirst(delivery: Delivery, applied: readonly string[]): void {
    const { sequence } = delivery.committed.certificate.checkpoint;
    for (const { hash } of delivery.envelopes) this.#finalEnvelopes.add(toHex(hash));
    for (const { payload } of delivery.applied) {
      if (!fakeVerify(payload.signer, payload.signedBytes, payload.signature)) this.forged += 1;
      if (payload.contentType === 'value') this.#checkVoucher(payload, sequence);
    }
    for (const id of applied) {
      if (this.#appliedOnce.has(id)) throw new Violation(`a payload is applied twice, again in ${sequence}`);
      this.#appliedOnce.add(id);
      this.#decide(id, sequence);
    }
    for (const { payload, reason } of delivery.ignored)
      if (payload.contentType === 'value' && !NOT_JUDGED.has(reason))
        this.#decide(toHex(payload.id), sequence);
    this.#checkLosers(delivery);
    this.#checkWithdrawals(delivery);
  }

  #decide(id: string, sequence: number): void {
    if (this.#decided.has(id)) return;
    this.#decided.set(id, sequence);
    if (!this.expected.has(id)) return;
    this.#undecided -= 1;
    this.#awaited = Math.max(this.#awaited, sequence);
  }

  /** White flag: whatever conflicts are in the cone, nobody who did not equivocate has to issue again. */
  #checkLosers(delivery: Delivery): void {
    const members = this.#chain.setOf(delivery.committed.certificate.checkpoint.sequence).members;
    const lost = delivery.ignored.filter(({ reason }) => reason === 'slot-lost');
    for (const { envelope } of lost) {
      const issuer = delivery.envelopes.find(({ hash }) => hash === envelope)?.issuer ?? -1;
      const key = members[issuer]?.key;
      const node = key === undefined ? -1 : nodeOfKey(key);
      if (!this.#isByzantine(node) && !this.wiped.has(node))
        throw new Violation(`an envelope of honest member ${node} lost its slot`);
    }
  }

  /** Two thirds of those who were elected for this checkpoint have signed it, each with its own key. */
  #checkSigners(sequence: number, { checkpoint, signers, signatures }: CheckpointCertificate): void {
    const { members } = this.#chain.setOf(sequence);
    const indices = indicesOf(signers, members.length);
    const bytes = voteSigningBytes(this.#chain.id, checkpointHash(checkpoint));
    let weight = 0;
    for (const [i, index] of (indices ?? []).entries()) {
      const member = members[index];
      const signature = signatures[i];
      if (member === undefined || signature === undefined || !fakeVerify(member.key, bytes, signature))
        throw new Violation(`checkpoint ${sequence} is not signed by those who decide it`);
      weight += member.weight;
    }
    if (weight < quorumOf(members.map((member) => member.weight)).strong)
      throw new Violation(`checkpoint ${sequence} has weight ${weight} of its own set`);
  }

  /** A number of a voucher lane is paid once, however often and by whomever it is brought, as long as the lane is there. */
  #checkVoucher(payload: Payload, sequence: number): void {
    const order = valueOrderOf(this.#chain.subnet, payload);
    if (!order.ok || (order.value.kind !== 'voucher' && order.value.kind !== 'release')) return;
    const lane = laneOf(payload, order.value.lane);
    if (!isVoucher(payload)) {
      this.#cashed.delete(lane);
      return;
    }
    const cashed = this.#cashed.get(lane) ?? new Set<number>();
    this.#cashed.set(lane, cashed);
    if (cashed.has(payload.sequence))
      throw new Violation(`voucher ${payload.sequence} is cashed twice, again in ${sequence}`);
    cashed.add(payload.sequence);
    // Another one of the same number has come to nothing by that, whether anybody issues it or not.
    for (const [id, { payload: other }] of this.expected)
      if (
        other.sequence === payload.sequence &&
        isVoucher(other) &&
        equalBytes(other.signer.bytes, payload.signer.bytes)
      )
        this.#decide(id, sequence);
  }

  #isCashed(payload: Payload): boolean {
    if (!isVoucher(payload)) return false;
    return this.#cashed.get(laneOf(payload, voucherLaneOf(payload)))?.has(payload.sequence) === true;
  }

  #checkWithdrawals({ committed, withdrawals }: Delivery): void {
    const { sequence } = committed.certificate.checkpoint;
    for (const { number } of withdrawals) {
      if (number !== this.#withdrawn + 1)
        throw new Violation(`withdrawal ${number} follows ${this.#withdrawn} in ${sequence}`);
      this.#withdrawn = number;
    }
    if (withdrawals.length > 0) this.withdrawals.set(sequence, withdrawals);
  }

  /** What a member holds is what its last checkpoint says, what the main chain holds for it, and by the members it was elected. */
  onState(node: number, member: Member): void {
    if (this.#isByzantine(node)) return;
    const { checkpoint: sequence, stateRoot } = member.status();
    const committed = this.#chain.committed[sequence - 1];
    const at = this.#chain.atCommit[sequence - 1];
    if (committed === undefined || at === undefined) return;
    if (!equalBytes(stateRoot, committed.certificate.checkpoint.stateRoot))
      throw new Violation(`member ${node} holds another state than checkpoint ${sequence} says`);
    const { members } = this.#chain.setOf(sequence + 1);
    if (nameOf(members) !== nameOf(member.members))
      throw new Violation(`member ${node} goes by other members behind checkpoint ${sequence}`);
    this.#checkSupply(node, member, sequence);
  }

  #checkSupply(node: number, { ledger }: Member, sequence: number): void {
    const escrow = this.#chain.atCommit[sequence - 1]?.escrow;
    if (escrow === undefined) return;
    const { inside, deposits: credited } = ledger.totals;
    let held = 0n;
    for (const { balance } of ledger.balances.values()) held += balance;
    for (const { left } of ledger.lanes.values()) held += left;
    if (held !== inside)
      throw new Violation(`at member ${node} holders have ${held} of ${inside} in checkpoint ${sequence}`);
    const waiting = this.#chain.deposits
      .slice(credited, escrow.deposits)
      .reduce((sum, deposit) => sum + deposit.amount, 0n);
    if (escrow.held !== inside + waiting + escrow.claimable)
      throw new Violation(
        `checkpoint ${sequence}: the escrow holds ${escrow.held}, inside are ${inside}, on the way in ${waiting}, out ${escrow.claimable}`,
      );
  }
}

const laneOf = ({ signer }: Payload, lane: number): string => `${toHex(signer.bytes)}/${lane}`;

const nameOf = (members: ValidatorSet): string =>
  members.map(({ key, weight }) => `${key.bytes[0]}:${weight}`).join();
