/** Everything anybody could have learned by listening: votes, proposals nobody decided on, answers given before. */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { idText } from '@itc/core/bytes/id-text.js';
import { voteSigningBytes, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { view } from '@itc/core/ledger/ids.js';
import { bitmapOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { Message } from '@itc/core/pbft/messages.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';
import { hashOf, type BlockTree } from '../pbft/sim-block.ts';
import type { Random } from '../random.ts';
import type { Archive } from './archive.ts';

interface HeardVote {
  readonly kind: 'prepare' | 'commit';
  readonly view: number;
  /** Number of the key. */
  readonly key: number;
  readonly signature: Uint8Array;
}

/** What a forged certificate is made of. */
export interface Padding {
  /** PREPARE votes are passed off as COMMIT votes. */
  readonly prepares: boolean;
  /** Votes of all views under the number of one. */
  readonly mixesViews: boolean;
  /** Signatures of faulty validators are made as needed. */
  readonly villains: boolean;
  /** Whoever is missing is said to have signed, with somebody else's signature. */
  readonly junk: boolean;
}

const ANSWERS_MAX = 64;

export class Knowledge {
  readonly truth: Archive;
  /** Key numbers of faulty validators: their keys are the liar's. */
  readonly villains: ReadonlySet<number>;
  readonly answers: Uint8Array[] = [];
  readonly #tree: BlockTree;
  readonly #votes: Map<string, HeardVote[]> = new Map();

  constructor(o: {
    readonly truth: Archive;
    readonly tree: BlockTree;
    readonly villains: ReadonlySet<number>;
  }) {
    this.truth = o.truth;
    this.villains = o.villains;
    this.#tree = o.tree;
  }

  hears(message: Message): void {
    if (message.kind !== 'prepare' && message.kind !== 'commit') return;
    const key = this.truth.setOf(message.epoch)?.[message.sender]?.key.bytes[0];
    if (key === undefined) return;
    const name = idText(message.hash);
    const { kind, view: at, signature } = message;
    const heard = this.#votes.get(name);
    const one: HeardVote = { kind, view: at, key, signature };
    if (heard === undefined) this.#votes.set(name, [one]);
    else if (!heard.some((other) => other.kind === kind && other.view === at && other.key === key))
      heard.push(one);
  }

  remembers(answer: Uint8Array, random: Random): void {
    if (this.answers.length < ANSWERS_MAX) this.answers.push(answer);
    else this.answers[random.below(ANSWERS_MAX)] = answer;
  }

  /** Headers that were proposed at heights where another one, or none, was committed. */
  forks(): Header[] {
    const forks: Header[] = [];
    for (const { header, hash } of this.#tree.headers()) {
      const kept = this.truth.at(header.height);
      if (kept === undefined || !equalBytes(kept.hash, hash)) forks.push(header);
    }
    return forks;
  }

  /** For any header, by whatever can be had. */
  certify(header: Header, set: ValidatorSet, padding: Padding, random: Random): Certificate {
    const hash = hashOf(header);
    const heard = (this.#votes.get(idText(hash)) ?? []).filter(
      ({ kind }) => padding.prepares || kind === 'commit',
    );
    const of = heard.length === 0 ? random.below(3) : random.pick(heard).view;
    const vote = {
      chain: this.truth.chain,
      epoch: header.epoch,
      view: view(of),
      height: header.height,
      hash,
    };
    const bytes = voteSigningBytes('commit', vote);
    const spare = heard[0]?.signature ?? fakeSign(fakeKey(99), bytes);
    const signed = set.flatMap(({ key }, index): { index: number; signature: Uint8Array }[] => {
      const number = key.bytes[0] as number;
      const own = heard.find((one) => one.key === number && (padding.mixesViews || one.view === of));
      if (own !== undefined && !(padding.villains && this.villains.has(number)))
        return [{ index, signature: own.signature }];
      if (padding.villains && this.villains.has(number)) return [{ index, signature: fakeSign(key, bytes) }];
      return padding.junk ? [{ index, signature: spare }] : [];
    });
    return {
      epoch: header.epoch,
      view: view(of),
      height: header.height,
      hash,
      signers: bitmapOf(
        signed.map(({ index }) => index),
        set.length,
      ),
      signatures: signed.map(({ signature }) => signature),
    };
  }
}
