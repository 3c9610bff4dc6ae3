/**
 * What leads from view to view (spec PBFT-6.3, PBFT-6.5): a NEW-VIEW that a correct node believes follows from the messages inside it,
 * worked out here once more and apart from the core; and nobody leaps far ahead because one validator says so.
 */
import { compareBytes, equalBytes } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { voteSigningBytes } from '@itc/core/ledger/block.js';
import { quorumOf } from '@itc/core/ledger/validators.js';
import { verifySignedWeight } from '@itc/core/light/certificate.js';
import type { LogRecord } from '@itc/core/pbft/log.js';
import type { Message, NewView, PreparedCertificate, ViewChange } from '@itc/core/pbft/messages.js';
import { checkpointBytes, viewChangeBytes } from '@itc/core/pbft/signing.js';
import { fakeVerify } from '../fake-crypto.ts';
import type { SimLedger } from '../pbft/sim-ledger.ts';
import { Violation } from './checker.ts';

interface Block {
  readonly height: number;
  readonly hash: Hash;
}

export class NewViews {
  readonly #chain: Hash;
  readonly #ledger: SimLedger;
  /** Epoch and author → the latest view it asked for, as far as anyone could have heard. */
  readonly #asked: Map<string, number> = new Map();
  /** Node and epoch → the latest view it was in or asked for. */
  readonly #views: Map<string, number> = new Map();
  readonly #checked: WeakSet<NewView> = new WeakSet();

  constructor(chain: Hash, ledger: SimLedger) {
    this.#chain = chain;
    this.#ledger = ledger;
  }

  /** Anyone's message, faulty or not. */
  said(message: Message): void {
    if (message.kind !== 'view-change') return;
    const place = `${message.epoch}/${message.sender}`;
    this.#asked.set(place, Math.max(message.view, this.#asked.get(place) ?? 0));
  }

  /** Of a correct node. */
  persists(node: number, record: LogRecord): void {
    if (record.kind !== 'view-change' && record.kind !== 'new-view') return;
    const { message } = record;
    const place = `${node}/${message.epoch}`;
    const before = this.#views.get(place) ?? 0;
    this.#views.set(place, Math.max(before, message.view));
    if (message.kind === 'view-change') this.#leap(node, before, message);
    else this.#follows(node, message);
  }

  /** Further than the validators there are, nobody goes by itself. */
  #leap(node: number, before: number, { epoch, view, sender }: ViewChange): void {
    const weights = this.#weightsOf(epoch);
    if (view <= before + weights.length) return;
    const { faulty } = quorumOf(weights);
    let asking = 0;
    for (const [index, weight] of weights.entries())
      if (index !== sender && (this.#asked.get(`${epoch}/${index}`) ?? 0) >= view) asking += weight;
    if (asking <= faulty)
      throw new Violation(
        'new-views',
        `node ${node} leaps from view ${before} to ${view} because weight ${asking} asks for it`,
      );
  }

  #follows(node: number, message: NewView): void {
    if (this.#checked.has(message)) return;
    this.#checked.add(message);
    const fail = (why: string): never => {
      throw new Violation('new-views', `node ${node} believes a NEW-VIEW for view ${message.view} ${why}`);
    };
    const weights = this.#weightsOf(message.epoch);
    const set = this.#sound(message);
    const weight = set.reduce((sum, { sender }) => sum + (weights[sender] ?? 0), 0);
    if (weight < quorumOf(weights).strong) return fail(`with VIEW-CHANGE of weight ${weight}`);
    const base = this.#base(message, set);
    if (base.height !== message.base.height || !equalBytes(base.hash, message.base.hash))
      return fail(`that begins above ${message.base.height}, not ${base.height}`);
    const list = this.#list(base.height, message, set);
    if (
      list.length !== message.reproposals.length ||
      list.some((hash, i) => !equalBytes(hash, message.reproposals[i]?.hash ?? new Uint8Array(0)))
    )
      fail(
        `whose list of ${message.reproposals.length} blocks is not the one its proofs give, of ${list.length}`,
      );
  }

  #sound(message: NewView): ViewChange[] {
    const set: ViewChange[] = [];
    const seen = new Set<number>();
    const members = this.#ledger.validatorsOf(message.epoch) ?? [];
    for (const inner of message.viewChanges) {
      const key = members[inner.sender]?.key;
      if (key === undefined || seen.has(inner.sender)) continue;
      if (inner.view !== message.view || inner.epoch !== message.epoch) continue;
      if (!fakeVerify(key, viewChangeBytes(this.#chain, inner), inner.signature)) continue;
      seen.add(inner.sender);
      set.push(inner);
    }
    return set;
  }

  #base(message: NewView, set: readonly ViewChange[]): Block {
    const bottom = this.#ledger.baseOf(message.epoch) ?? 0;
    let base: Block = { height: bottom, hash: this.#ledger.hashAt(bottom) };
    for (const { stable, committed } of set) {
      if (
        stable !== undefined &&
        stable.height > base.height &&
        this.#holds(stable, checkpointBytes(this.#chain, stable))
      )
        base = stable;
      if (
        committed !== undefined &&
        committed.height > base.height &&
        this.#holds(committed, voteSigningBytes('commit', { ...committed, chain: this.#chain }))
      )
        base = committed;
    }
    return base;
  }

  #list(above: number, message: NewView, set: readonly ViewChange[]): Hash[] {
    const list: Hash[] = [];
    for (;;) {
      let best: PreparedCertificate | undefined;
      for (const held of set.flatMap(({ prepared }) => prepared)) {
        if (held.height !== above + list.length + 1 || held.view >= message.view) continue;
        if (best !== undefined && !isHigher(held, best)) continue;
        const bytes = voteSigningBytes('prepare', { ...held, hash: held.digest, chain: this.#chain });
        if (this.#holds(held, bytes)) best = held;
      }
      // No replica prepares further ahead than its window.
      if (best === undefined || list.length >= 8) return list;
      list.push(best.digest);
    }
  }

  #holds(
    certificate: {
      readonly epoch: number;
      readonly signers: Uint8Array;
      readonly signatures: readonly Uint8Array[];
    },
    message: Uint8Array,
  ): boolean {
    const members = this.#ledger.validatorsOf(certificate.epoch) ?? [];
    const { signers, signatures } = certificate;
    return verifySignedWeight({ members, signers, signatures, message, verify: fakeVerify }).ok;
  }

  #weightsOf(epoch: number): number[] {
    return (this.#ledger.validatorsOf(epoch) ?? []).map(({ weight }) => weight);
  }
}

function isHigher(a: PreparedCertificate, b: PreparedCertificate): boolean {
  return a.view !== b.view ? a.view > b.view : compareBytes(a.digest, b.digest) < 0;
}
