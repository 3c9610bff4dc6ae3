/**
 * A run of consensus crosses a few epochs; clients sleep through many. So the chain goes on without consensus, as honest
 * validators would have made it: sets change again and again, and in each of them the faulty ones stay below a third.
 */
import { closesEpoch, voteSigningBytes, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { epoch, view } from '@itc/core/ledger/ids.js';
import {
  bitmapOf,
  quorumOf,
  sortValidators,
  validatorSetFlaw,
  type ValidatorSet,
} from '@itc/core/ledger/validators.js';
import { fakeKey, fakeSign } from '../fake-crypto.ts';
import { readBlock, type BlockTree } from '../pbft/sim-block.ts';
import type { Random } from '../random.ts';
import type { Archive } from './archive.ts';

/** Keys there are in all: those of the run, and newcomers. */
const KEYS = 16;
const BLOCK_MS = 1_000;
const MEMBERS_MAX = 9;

interface Sleep {
  readonly truth: Archive;
  readonly tree: BlockTree;
  /** Key numbers. */
  readonly villains: ReadonlySet<number>;
  readonly random: Random;
  readonly epochs: number;
}

export function goOn(o: Sleep): void {
  for (let left = o.epochs; left > 0; left -= 1) {
    if (o.random.chance(0.3)) append(o, undefined);
    append(o, changed(o));
  }
  append(o, undefined);
}

/** One block, which closes its epoch where another set is to follow. */
function append({ truth, tree, random }: Sleep, next: ValidatorSet | undefined): void {
  const tip = truth.newest;
  if (tip === undefined) throw new Error('a chain without blocks has nothing to go on from');
  const validators = truth.setOf(truth.epoch) as ValidatorSet;
  const { state } = tip;
  const { bytes, hash } = tree.propose({
    height: tip.header.height + 1,
    epoch: epoch(tip.header.epoch + (closesEpoch(tip.header) ? 1 : 0)),
    parentHash: tip.hash,
    stateRoot: state.root,
    now: tip.header.time + BLOCK_MS,
    transactions: [],
    closes: next !== undefined,
    validators,
    nextValidators: next ?? validators,
  });
  const { header, ids } = readBlock(bytes);
  truth.add({ header, hash, ids, state, certificate: signed(truth, header, hash, validators, random) }, next);
}

function signed(
  truth: Archive,
  header: Header,
  hash: Header['parentHash'],
  set: ValidatorSet,
  random: Random,
): Certificate {
  const { strong } = quorumOf(set.map(({ weight }) => weight));
  const all = random.chance(0.3);
  const signers: number[] = [];
  let weight = 0;
  for (const index of random.shuffle([...set.keys()])) {
    if (weight >= strong && !all) break;
    signers.push(index);
    weight += set[index]?.weight ?? 0;
  }
  signers.sort((a, b) => a - b);
  const at = view(random.below(3));
  const bytes = voteSigningBytes('commit', {
    chain: truth.chain,
    epoch: header.epoch,
    view: at,
    height: header.height,
    hash,
  });
  return {
    epoch: header.epoch,
    view: at,
    height: header.height,
    hash,
    signers: bitmapOf(signers, set.length),
    signatures: signers.map((index) => fakeSign((set[index] as ValidatorSet[number]).key, bytes)),
  };
}

/** Somebody joins, leaves or weighs differently; the same set again where nothing fits. */
function changed({ truth, villains, random }: Sleep): ValidatorSet {
  const set = truth.setOf(truth.epoch) as ValidatorSet;
  for (let attempt = 0; attempt < 8; attempt += 1) {
    let next: ValidatorSet = set;
    for (let changes = random.between(1, 2); changes > 0; changes -= 1) next = changeOne(next, random);
    const { faulty } = quorumOf(next.map(({ weight }) => weight));
    let bad = 0;
    for (const { key, weight } of next) if (villains.has(key.bytes[0] as number)) bad += weight;
    if (
      next.length >= 4 &&
      next.length <= MEMBERS_MAX &&
      bad <= faulty &&
      validatorSetFlaw(next) === undefined
    )
      return next;
  }
  return set;
}

function changeOne(set: ValidatorSet, random: Random): ValidatorSet {
  const out = random.pick(set);
  const others = set.filter((member) => member !== out);
  const strangers = Array.from({ length: KEYS }, (_, n) => n).filter(
    (n) => !set.some(({ key }) => key.bytes[0] === n),
  );
  const newcomer = { key: fakeKey(random.pick(strangers)), weight: random.pick(set).weight };
  switch (random.below(4)) {
    case 0:
      return sortValidators([...set, newcomer]);
    case 1:
      return others;
    case 2:
      return sortValidators([...others, { ...out, weight: random.between(1, 2 * out.weight) }]);
    default:
      return sortValidators([...others, newcomer]);
  }
}
