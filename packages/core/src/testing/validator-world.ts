/** A world whose validators have bonds: people, votes, evidence at a word. See `state-world.ts` for its fake signatures. */
import { utf8Encode } from '../bytes/writer.ts';
import { sha256, type Hash } from '../crypto/hash.ts';
import { voteSigningBytes } from '../ledger/block.ts';
import type { Evidence, SignedHash, SignedState } from '../ledger/evidence.ts';
import { amount, epoch, height, view } from '../ledger/ids.ts';
import { stableSigningBytes } from '../ledger/stable-certificate.ts';
import { possessionSigningBytes } from '../ledger/bodies/validator.ts';
import type { Body } from '../ledger/body.ts';
import { sortValidators, type ValidatorSet } from '../ledger/validators.ts';
import type { ValidatorRecord } from '../state/validator-record.ts';
import { fakeSign, person, World, type Person } from './state-world.ts';

export const ITC = 1_000_000_000n;
/** What one unit of weight needs. */
export const PER_WEIGHT: bigint = 1000n * ITC;

export interface ValidatorWorldOptions {
  /** Of validators `v0`, `v1`, …; four of weight 1 unless told otherwise. */
  readonly weights?: readonly number[];
  /** People beside them, with 100 000 ITC each like everybody. */
  readonly others?: readonly string[];
  /** 0 unless told otherwise, so that nobody is paid anything. */
  readonly feePerByte?: bigint;
  /** Per validator; as much as the greatest weight needs unless told otherwise. */
  readonly bond?: bigint;
  readonly reserve?: bigint;
  readonly rewardPerCheckpoint?: bigint;
  readonly burnShare?: number;
  readonly depositPerByte?: bigint;
}

export class ValidatorWorld extends World {
  /** In the order of their names, which is not that of their keys. */
  readonly validators: readonly Person[];

  constructor(o: ValidatorWorldOptions = {}) {
    const weights = o.weights ?? [1, 1, 1, 1];
    const validators = weights.map((_, i) => person(`v${i}`));
    super([...validators.map(({ name }) => name), ...(o.others ?? ['alice'])], o.feePerByte ?? 0n, {
      validators: sortValidators(validators.map(({ key }, i) => ({ key, weight: weights[i] as number }))),
      balance: 100n * PER_WEIGHT,
      validatorBond: o.bond ?? BigInt(Math.max(...weights)) * PER_WEIGHT,
      bondPerWeight: PER_WEIGHT,
      reserve: o.reserve ?? 0n,
      rewardPerCheckpoint: o.rewardPerCheckpoint ?? 0n,
      burnShare: o.burnShare ?? 0,
      depositPerByte: o.depositPerByte ?? 0n,
    });
    this.validators = validators;
  }

  /** Weights of the deciding set by the name of the account, without those who have none. */
  weights(set: ValidatorSet = this.state.epoch.validators): Record<string, number> {
    const named = new Map(
      [...this.people, ...this.people.map(consensusOf)].map((who) => [who.key.bytes.join(), who]),
    );
    return Object.fromEntries(
      set
        .map(
          ({ key, weight }) => [named.get(key.bytes.join())?.name.replace(' consensus', ''), weight] as const,
        )
        .toSorted(([a], [b]) => String(a).localeCompare(String(b))),
    ) as Record<string, number>;
  }

  record(who: Person): ValidatorRecord | undefined {
    return this.state.validator(who.address);
  }

  /** `key` is the account's own for a validator of genesis, `consensusOf` it for anybody else. */
  bondBody(who: Person, value: bigint, key: Person = this.#keyOf(who)): Body {
    return {
      kind: 'bond',
      key: key.key,
      amount: amount(value),
      possession: fakeSign(key.key, possessionSigningBytes(this.chain, who.address)),
    };
  }

  bond(who: Person, value: bigint, key: Person = this.#keyOf(who)): string {
    return this.send(who, this.bondBody(who, value, key));
  }

  unbond(who: Person, value: bigint): string {
    return this.send(who, { kind: 'unbond', amount: amount(value) });
  }

  vote(voter: Person, candidate: Person, weight: number): string {
    return this.send(voter, { kind: 'weight-vote', validator: candidate.address, weight });
  }

  /** By the first three of four, or whoever is named. */
  grant(
    candidate: Person,
    weight: number,
    voters: readonly Person[] = this.validators.slice(0, 3),
  ): string[] {
    return voters.map((voter) => this.vote(voter, candidate, weight));
  }

  /** To the next height whose block is followed by an election and over the closing height behind it. */
  nextEpoch(): ReturnType<World['advance']> {
    return this.advance(Math.ceil((this.height + 5) / 32) * 32);
  }

  #keyOf(who: Person): Person {
    return this.validators.includes(who) ? who : consensusOf(who);
  }
}

export function consensusOf(who: Person): Person {
  return person(`${who.name} consensus`);
}

export interface StatementOptions {
  readonly epoch?: number;
  readonly view?: number;
  readonly height?: number;
  /** What the two statements name. */
  readonly hashes?: readonly [string, string];
  readonly chain?: Hash;
}

/** Two statements a culprit really signed. */
export function contradiction(
  w: World,
  culprit: Person,
  kind: Evidence['kind'] = 'prepare',
  o: StatementOptions = {},
): Evidence {
  const [first, second] = (o.hashes ?? ['this', 'that']).map((text) => sha256(utf8Encode(text))) as [
    Hash,
    Hash,
  ];
  const at = { epoch: epoch(o.epoch ?? 0), height: height(o.height ?? 3) };
  const chain = o.chain ?? w.chain;
  if (kind === 'checkpoint') {
    const signed = (hash: Hash): SignedState => ({
      hash,
      stateRoot: first,
      signature: fakeSign(culprit.key, stableSigningBytes(chain, { ...at, hash, stateRoot: first })),
    });
    return { kind, culprit: culprit.key, ...at, first: signed(first), second: signed(second) };
  }
  const round = { ...at, view: view(o.view ?? 0) };
  const domain = kind === 'pre-prepare' ? 'prePrepare' : kind;
  const signed = (hash: Hash): SignedHash => ({
    hash,
    signature: fakeSign(culprit.key, voteSigningBytes(domain, { chain, ...round, hash })),
  });
  return { kind, culprit: culprit.key, ...round, first: signed(first), second: signed(second) };
}
