/**
 * A server that lies: it begins with an honest answer and bends it, with all it has heard and with the keys of the faulty
 * validators. What it composes is kept as it was composed, so that checkers can judge it without its bytes.
 */
import { sha256 } from '@itc/core/crypto/hash.js';
import {
  indicesOf,
  bitmapOf,
  quorumOf,
  sortValidators,
  type ValidatorSet,
} from '@itc/core/ledger/validators.js';
import type { Certificate, Header } from '@itc/core/ledger/block.js';
import { epoch, height, millis, view } from '@itc/core/ledger/ids.js';
import { encodeLightStream, type LightStream } from '@itc/core/light/stream.js';
import { fakeKey } from '../fake-crypto.ts';
import { setHash } from '../pbft/sim-block.ts';
import type { Random } from '../random.ts';
import { asRead } from './as-read.ts';
import { bendItems } from './bent-items.ts';
import type { Knowledge, Padding } from './knowledge.ts';

export interface Lie {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What was composed; undefined where bytes were bent that mean something else, or nothing. */
  readonly stream: LightStream | undefined;
}

/** As often as a faulty validator names itself: enough to pass for two thirds of any set. */
const MEMBERS_TWICE = 100;

type Hop = LightStream['hops'][number];
type Bend = (of: LightStream, liar: Liar) => LightStream | undefined;

export class Liar {
  readonly knowledge: Knowledge;
  readonly random: Random;
  /** Epoch of the client's trust. */
  trusted = 0;

  constructor(knowledge: Knowledge, random: Random) {
    this.knowledge = knowledge;
    this.random = random;
  }

  /**
   * Undefined where this chain offers nothing for the kind of lie that was drawn.
   *
   * @param trusted epoch of the client's trust
   */
  lie(honest: LightStream, trusted: number): Lie | undefined {
    const { random } = this;
    this.trusted = trusted;
    if (random.chance(0.2)) return this.#bytes(honest);
    const name = random.pick(NAMES);
    const stream = BENDS[name](honest, this);
    return stream && { name, stream, bytes: encodeLightStream(stream) };
  }

  #bytes(honest: LightStream): Lie | undefined {
    const { random, knowledge } = this;
    const bytes = encodeLightStream(honest);
    const lie = (name: string, bent: Uint8Array): Lie => ({ name, bytes: bent, stream: undefined });
    switch (random.below(4)) {
      case 0:
        return lie('truncated', bytes.subarray(0, random.below(bytes.length)));
      case 1: {
        const extended = new Uint8Array(bytes.length + random.between(1, 300));
        extended.set(bytes);
        if (random.chance(0.5)) extended.set(bytes.subarray(0, extended.length - bytes.length), bytes.length);
        return lie('extended', extended);
      }
      case 2: {
        const at = random.below(bytes.length);
        return lie('flipped', bytes.with(at, (bytes[at] as number) ^ (1 << random.below(8))));
      }
      default:
        return knowledge.answers.length === 0 ? undefined : lie('replayed', random.pick(knowledge.answers));
    }
  }

  padding(): Padding {
    const { random } = this;
    return {
      prepares: random.chance(0.3),
      mixesViews: random.chance(0.4),
      villains: random.chance(0.8),
      junk: random.chance(0.3),
    };
  }

  certify(header: Header, set: ValidatorSet, padding: Padding = this.padding()): Certificate {
    return this.knowledge.certify(header, set, padding, this.random);
  }

  /** A certificate nobody has signed. */
  blank(set: ValidatorSet): Certificate {
    const { chain } = this.knowledge.truth;
    const signers = bitmapOf([], set.length);
    return { epoch: epoch(0), view: view(0), height: height(0), hash: chain, signers, signatures: [] };
  }

  /** The newest header of a stream is certified as the client will read it. */
  signed(of: LightStream, padding: Padding = this.padding()): LightStream {
    const set = lastSet(of);
    const read = asRead({ epoch: this.trusted }, { ...of, certificate: this.blank(set) });
    return { ...of, certificate: this.certify(read?.header ?? of.header, set, padding) };
  }

  /** Only faulty validators, as many and as heavy as it takes. */
  ownSet(): ValidatorSet {
    const { villains } = this.knowledge;
    const keys = [...(villains.size === 0 ? [99] : villains)];
    return sortValidators(
      keys.slice(0, 3).map((number) => ({ key: fakeKey(number), weight: 1 + this.random.below(5) })),
    );
  }

  /** A header that was never proposed. */
  madeUp({ header }: Pick<LightStream, 'header'>): Header {
    const { random } = this;
    const root = sha256(Uint8Array.of(random.below(256)));
    const changed: Partial<Header> = random.pick<Partial<Header>>([
      { stateRoot: root },
      { txRoot: root },
      { historyRoot: root },
      { time: millis(header.time + 1), stateRoot: root },
      { height: height(header.height + 1), time: millis(header.time + 1), stateRoot: root },
      { height: height(header.height + 1_000), time: millis(header.time + 9_000) },
      { nextValidatorsHash: setHash(this.ownSet()), flags: header.flags ^ 1 },
    ]);
    return { ...header, ...changed };
  }
}

const BENDS = {
  'a proposal nobody decided on': (of, liar) => {
    const { knowledge, random } = liar;
    const forks = knowledge.forks();
    if (forks.length === 0) return undefined;
    const near = forks.filter(({ epoch: at }) => at === of.header.epoch);
    const header = random.pick(near.length > 0 && random.chance(0.7) ? near : forks);
    const set = knowledge.truth.setOf(header.epoch);
    return set && { ...of, header, certificate: liar.certify(header, set), items: [] };
  },
  'a header made up': (of, liar) => {
    const forged = { ...of, header: liar.madeUp(of) };
    // With the signatures of the real one, or with what can be had.
    return liar.random.chance(0.3) ? forged : liar.signed(forged);
  },
  'too few signers': (of, liar) => {
    const at = liar.random.below(of.hops.length + 1);
    const hop = of.hops[at];
    const set = signersOf(of, at);
    const thin = (certificate: Certificate): Certificate => thinned(certificate, set, liar.random);
    return hop === undefined
      ? { ...of, certificate: thin(of.certificate) }
      : withHop(of, at, { ...hop, certificate: thin(hop.certificate) });
  },
  'views mixed': (of, liar) => {
    const { knowledge, random } = liar;
    const set = lastSet(of);
    const mixed = {
      prepares: random.chance(0.5),
      mixesViews: true,
      villains: random.chance(0.5),
      junk: false,
    };
    const certificate = random.chance(0.3)
      ? { ...of.certificate, view: view(of.certificate.view + 1) }
      : knowledge.certify(of.header, set, mixed, random);
    return { ...of, certificate };
  },
  'a signer twice': (of, liar) => {
    const { certificate } = of;
    const [first] = certificate.signatures;
    if (first === undefined) return undefined;
    const thin = thinned(certificate, lastSet(of), liar.random);
    return { ...of, certificate: { ...thin, signatures: [...thin.signatures, first] } };
  },
  'a member twice': (of, liar) => {
    // The set after the trusted one, with a faulty validator as often as it takes.
    const { random, knowledge } = liar;
    const villain = of.trusted.find(({ key }) => knowledge.villains.has(key.bytes[0] as number));
    if (villain === undefined) return undefined;
    const validators = Array.from({ length: MEMBERS_TWICE }, () => villain);
    const header = { ...liar.madeUp(of), flags: 0, version: 1 };
    return skipTo(of, liar, { ...header, epoch: epoch(of.header.epoch + random.between(1, 2)) }, validators);
  },
  'another set as the trusted one': (of, liar) => {
    const { random, knowledge } = liar;
    const own = random.chance(0.5);
    const trusted = own ? liar.ownSet() : knowledge.truth.setOf(random.below(knowledge.truth.epoch + 1));
    if (trusted === undefined || !own) return trusted && { ...of, trusted };
    const header = { ...liar.madeUp(of), validatorsHash: setHash(of.trusted) };
    const real = random.chance(0.5) ? { epoch: (of.hops[0]?.header ?? of.header).epoch } : {};
    const forged = { ...header, ...real };
    return {
      ...of,
      trusted,
      hops: [],
      header: forged,
      certificate: liar.certify(forged, trusted),
      items: [],
    };
  },
  'other weights': (of, liar) => {
    const { random } = liar;
    const heavier = (set: ValidatorSet): ValidatorSet =>
      set.map((member) =>
        random.chance(0.5) ? { ...member, weight: member.weight + random.between(1, 9) } : member,
      );
    const at = random.below(of.hops.length + 1);
    const hop = of.hops[at];
    return hop === undefined
      ? { ...of, trusted: heavier(of.trusted) }
      : withHop(of, at, { ...hop, validators: heavier(hop.validators) });
  },
  'a hop left out': (of, liar) => {
    if (of.hops.length === 0) return undefined;
    const left = liar.random.below(of.hops.length);
    return { ...of, hops: of.hops.filter((_, i) => i !== left) };
  },
  'a hop that skips too far': (of, liar) => {
    if (of.hops.length === 0) return undefined;
    const kept = of.hops.slice(0, liar.random.below(of.hops.length));
    const { header, certificate } = of;
    return { ...of, hops: [...kept, { kind: 'skipping', header, certificate, validators: lastSet(of) }] };
  },
  'a hop of the other kind': (of, liar) => {
    const at = liar.random.below(of.hops.length + 1);
    const hop = of.hops[at];
    if (hop === undefined) return undefined;
    return withHop(of, at, { ...hop, kind: hop.kind === 'adjacent' ? 'skipping' : 'adjacent' });
  },
  'a hop to a set of its own': (of, liar) => {
    const { random, knowledge } = liar;
    const validators = liar.ownSet();
    const closing = of.hops.find(({ kind }) => kind === 'adjacent');
    const forged: Header = {
      ...liar.madeUp(of),
      epoch: epoch((closing?.header.epoch ?? of.header.epoch) + 1),
      height: height(of.header.height + 5),
      time: millis(of.header.time + 5_000),
      flags: 0,
      validatorsHash: setHash(validators),
      nextValidatorsHash: setHash(validators),
    };
    if (random.chance(0.5) || closing === undefined) return skipTo(of, liar, forged, validators);
    const before = of.hops.slice(0, of.hops.indexOf(closing));
    const named = { ...closing.header, nextValidatorsHash: setHash(validators) };
    const header = random.chance(0.5) ? closing.header : named;
    const set = knowledge.truth.setOf(header.epoch) ?? of.trusted;
    const certificate = header === named ? liar.certify(named, set) : closing.certificate;
    const hop: Hop = { kind: 'adjacent', header, certificate, validators };
    return {
      ...of,
      hops: [...before, hop],
      header: forged,
      certificate: liar.certify(forged, validators),
      items: [],
    };
  },
  'an open header for a closing one': (of, liar) => {
    // What a set signs in the middle of its epoch, said to end it.
    const { knowledge, random } = liar;
    const kept = knowledge.truth.at(random.between(1, Math.max(1, of.header.height)));
    if (kept === undefined) return undefined;
    const validators = liar.ownSet();
    const { header, certificate } = kept;
    const hop: Hop = { kind: 'adjacent', header, certificate, validators };
    const forged = {
      ...liar.madeUp(of),
      epoch: epoch(header.epoch + 1),
      validatorsHash: setHash(validators),
      nextValidatorsHash: setHash(validators),
    };
    return liar.signed({ ...of, hops: [hop], header: forged, items: [] });
  },
  'another epoch': (of, liar) => {
    const moved = epoch(Math.max(0, of.header.epoch + (liar.random.chance(0.5) ? 1 : -1)));
    const header = { ...of.header, epoch: moved };
    const certificate = liar.random.chance(0.5)
      ? { ...of.certificate, epoch: moved }
      : liar.certify(header, lastSet(of));
    return { ...of, header, certificate };
  },
  'a real header of another time': (of, liar) => {
    // Of any epoch, after hops that may lead elsewhere.
    const { knowledge, random } = liar;
    const kept = knowledge.truth.at(random.between(1, Math.max(1, knowledge.truth.height)));
    if (kept === undefined) return undefined;
    const hops = random.chance(0.5) ? of.hops : [];
    return { ...of, hops, header: kept.header, certificate: kept.certificate, items: [] };
  },
  'items bent': (of, liar) => bendItems(of, liar),
} as const satisfies Readonly<Record<string, Bend>>;

type Name = keyof typeof BENDS;
const NAMES: readonly Name[] = [
  ...(Object.keys(BENDS) as Name[]),
  // The likeliest place of a mistake that no certificate shows.
  'items bent',
  'items bent',
  'items bent',
];

function lastSet({ hops, trusted }: LightStream): ValidatorSet {
  return hops.at(-1)?.validators ?? trusted;
}

/** Who certifies the header of a hop, or the newest one. */
function signersOf({ hops, trusted }: LightStream, at: number): ValidatorSet {
  const before = hops[at - 1]?.validators ?? trusted;
  const hop = hops[at];
  return hop?.kind === 'skipping' ? hop.validators : before;
}

function withHop(of: LightStream, at: number, hop: Hop): LightStream {
  return { ...of, hops: of.hops.map((other, i) => (i === at ? hop : other)) };
}

/** From the trusted epoch to a header of its own making in one leap. */
function skipTo(of: LightStream, liar: Liar, forged: Header, validators: ValidatorSet): LightStream {
  const named = { ...forged, validatorsHash: setHash(validators), nextValidatorsHash: setHash(validators) };
  const header = { ...named, height: height(of.header.height + 5), time: millis(of.header.time + 5_000) };
  const certificate = liar.certify(header, validators, ALONE);
  return liar.signed(
    { ...of, hops: [{ kind: 'skipping', header, certificate, validators }], header, items: [] },
    ALONE,
  );
}

/** Faulty validators sign by themselves. */
const ALONE: Padding = { prepares: false, mixesViews: false, villains: true, junk: false };

/** Signers are left out until too little weight is left, or exactly two thirds where the weights allow it. */
function thinned(certificate: Certificate, set: ValidatorSet, random: Random): Certificate {
  const indices = indicesOf(certificate.signers, set.length);
  if (indices === undefined) return certificate;
  const { strong } = quorumOf(set.map(({ weight }) => weight));
  const weigh = (some: readonly number[]): number => some.reduce((sum, i) => sum + (set[i]?.weight ?? 0), 0);
  let kept = indices;
  for (const index of random.shuffle(indices)) {
    if (weigh(kept) < strong) break;
    kept = kept.filter((other) => other !== index);
  }
  return {
    ...certificate,
    signers: bitmapOf(kept, set.length),
    signatures: kept.map((index) => certificate.signatures[indices.indexOf(index)] as Uint8Array),
  };
}
