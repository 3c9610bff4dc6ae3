/**
 * The vectors every light client must agree on (`spec/vectors/light-streams.json`): streams that hold, and for each way of
 * cheating one that does not. Keys and chains are those of the tests, so the file can be made again at any time.
 */
import { toHex } from '../bytes/hex.ts';
import { epoch, height, millis } from '../ledger/ids.ts';
import { LightReader, type LightEvent } from '../light/light-reader.ts';
import { encodeLightStream, type LightStream } from '../light/stream.ts';
import { encodeTrust, type Trust } from '../light/trust.ts';
import { certify, type CertifiedBlock, type Group } from './chain.ts';
import { groupOf } from './epochs.ts';
import { rememberingVerifier, verifyQuickly } from './keys.ts';
import { earlierHeader, NONCE, sliding, streamFrom, streamWorld, type StreamWorld } from './light-streams.ts';

export interface LightVector {
  readonly name: string;
  /** Hex, 149 bytes: what the client trusts before. */
  readonly trust: string;
  /** Milliseconds by the client's clock, 0 for none; and its trusting period. */
  readonly now: number;
  readonly trusting: number;
  readonly nonce: string;
  readonly stream: string;
  /** Codes in order, as `codes.ts` has them; a negative one is the refusal and the last. */
  readonly codes: readonly number[];
  /** Hex: what the client trusts after. */
  readonly after: string;
}

interface Case {
  readonly name: string;
  readonly trust: Trust;
  readonly stream: LightStream | Uint8Array;
  readonly now?: number;
  readonly trusting?: number;
}

/** Drives the machine and tells its codes: what an engine must come to. */
export type Drive = (
  vector: Omit<LightVector, 'codes' | 'after' | 'name'>,
) => Pick<LightVector, 'codes' | 'after'>;

export function lightVectors(drive: Drive): LightVector[] {
  return cases().map(({ name, trust, stream, now = 0, trusting = 0 }) => {
    const vector = {
      trust: toHex(encodeTrust(trust)),
      now,
      trusting,
      nonce: toHex(NONCE),
      stream: toHex(stream instanceof Uint8Array ? stream : encodeLightStream(stream)),
    };
    return { name, ...vector, ...drive(vector) };
  });
}

function cases(): Case[] {
  const of = streamWorld([1, 2, 3].map(sliding));
  return [
    ...accepted(of),
    ...forgedHops(of),
    ...forgedCertificates(of),
    ...forgedItems(of),
    ...forgedBytes(of),
    ...thirds(),
  ];
}

/** Trust of a client that followed to the first block of an epoch. */
function trustAt(of: StreamWorld, at: number): Trust {
  if (at === 0) return of.start;
  const { block, certificate } = (of.chain.first[at] ?? of.tip) as CertifiedBlock;
  const hops = Array.from({ length: at }, (_, i) => of.chain.adjacent(i));
  const stream = { trusted: of.start.validators, hops, header: block.header, certificate, items: [] };
  const reader = new LightReader({
    trust: encodeTrust(of.start),
    verify: rememberingVerifier(verifyQuickly),
  });
  const event = reader.push(encodeLightStream(stream))[0] as LightEvent;
  if (event.kind !== 'believed') throw new Error('the way to an epoch does not hold');
  const { header } = block;
  return {
    chain: of.start.chain,
    epoch: epoch(at),
    validators: (of.chain.groups[at] as Group).set,
    last: { height: header.height, time: header.time, hash: certificate.hash, stateRoot: header.stateRoot },
    ended: false,
    certificate: undefined,
  };
}

function accepted(of: StreamWorld): Case[] {
  const from = (at: number): Case => ({
    name: `from epoch ${at}: hops, header and one item of each kind`,
    trust: trustAt(of, at),
    stream: streamFrom(of, at),
  });
  const closing = of.chain.closing[0] as CertifiedBlock;
  const ended = { ...of.start, ended: true, last: { ...of.start.last, ...lastOf(closing) } };
  return [
    from(0),
    from(1),
    from(3),
    {
      name: 'nothing but the newest header',
      trust: trustAt(of, 3),
      stream: streamFrom(of, 3, { items: [] }),
    },
    { name: 'from the header that closed an epoch', trust: ended, stream: streamFrom(of, 0) },
    {
      name: 'earlier headers of other epochs, one of which closed its own',
      trust: trustAt(of, 3),
      stream: streamFrom(of, 3, {
        items: [of.chain.first[1], closing].map((block) =>
          earlierHeader(of.chain, block as CertifiedBlock, of.tip),
        ),
      }),
    },
    {
      name: 'a newest header that closes its epoch',
      trust: of.start,
      stream: streamFrom(of, 0, { to: closing, items: [] }),
    },
    uneven(),
  ];
}

/** Weights that differ are behind their keys. */
function uneven(): Case {
  const weights = [1, 2, 3, 3, 2];
  const of = streamWorld([groupOf(weights.map((weight, i) => [1000 + i, weight]))]);
  return { name: 'a set of different weights', trust: of.start, stream: streamFrom(of, 0) };
}

function lastOf({ block: { header }, certificate }: CertifiedBlock): Trust['last'] {
  return { height: header.height, time: header.time, hash: certificate.hash, stateRoot: header.stateRoot };
}

function forgedHops(of: StreamWorld): Case[] {
  const base = streamFrom(of, 0);
  const [first, ...rest] = base.hops as [LightStream['hops'][number], ...LightStream['hops'][number][]];
  const open = of.chain.first[0] as CertifiedBlock;
  const newest = streamFrom(of, 3, { items: [] });
  /** Trust in a header so many heights above the tip, at the time of the tip. */
  const lastAt = (above: number, trust: Trust): Trust => {
    const { header } = of.tip.block;
    return { ...trust, last: { ...trust.last, height: height(header.height + above), time: header.time } };
  };
  const with_ = (name: string, change: Partial<LightStream>, trust: Trust = of.start): Case => ({
    name,
    trust,
    stream: { ...base, ...change },
  });
  return [
    with_('a hop left out', { hops: rest }),
    with_('a hop over more than the trusted weight vouches for', { hops: [of.chain.skipping(of.tip)] }),
    with_('an adjacent hop with a set the header does not name', {
      hops: [{ ...first, validators: sliding(2).set }, ...rest],
    }),
    with_('an adjacent hop by a header that closes nothing', {
      hops: [{ ...first, header: open.block.header, certificate: open.certificate }, ...rest],
    }),
    with_('the set of another epoch shown as the trusted one', { trusted: sliding(3).set }),
    with_('trust of a later epoch with hops from an earlier one', {}, { ...trustAt(of, 1), epoch: epoch(2) }),
    with_('a set in which one has a third of the weight', {
      hops: [{ ...first, validators: groupOf([1, 1, 1, 2].map((w, i) => [1000 + i, w])).set }, ...rest],
    }),
    with_('a skipping hop that leads nowhere', {
      hops: [{ ...of.chain.skipping(of.tip), header: { ...of.tip.block.header, epoch: epoch(0) } }],
    }),
    with_('a header below the last believed one', newest, lastAt(1, trustAt(of, 3))),
    with_('a header that is not later than the last believed one', newest, lastAt(-1, trustAt(of, 3))),
    with_('a header above the one that ended the epoch', newest, {
      ...lastAt(-1, trustAt(of, 3)),
      ended: true,
    }),
    with_(
      'an old stream to a client that is further',
      streamFrom(of, 0, { to: of.chain.first[1] as CertifiedBlock, items: [] }),
      trustAt(of, 3),
    ),
  ];
}

function forgedCertificates(of: StreamWorld): Case[] {
  const trust = trustAt(of, 3);
  const base = streamFrom(of, 3);
  const { header } = of.tip.block;
  const validators = of.chain.groups[3] as Group;
  const signed = (o: {
    signers?: readonly number[];
    view?: number;
    header?: typeof header;
  }): LightStream['certificate'] =>
    certify({ chain: trust.chain, validators, header: o.header ?? header, ...o });
  const { certificate } = of.tip;
  const later = { ...header, time: millis(header.time + 1) };
  const with_ = (name: string, change: Partial<LightStream>): Case => ({
    name,
    trust,
    stream: { ...base, ...change },
  });
  return [
    with_('less than a quorum', { certificate: signed({ signers: [0, 1] }) }),
    with_('exactly a quorum', { certificate: signed({ signers: [0, 2, 3] }) }),
    with_('certificates of two views mixed', {
      certificate: {
        ...certificate,
        signatures: [...certificate.signatures.slice(0, 3), ...signed({ view: 1 }).signatures.slice(3)],
      },
    }),
    with_('one signature twice', {
      certificate: {
        ...certificate,
        signatures: [...certificate.signatures, certificate.signatures[0] as Uint8Array],
      },
    }),
    with_('a certificate of another header', { header: later }),
    with_('a signer that is not in the set', {
      certificate: { ...certificate, signers: Uint8Array.of(0x1f) },
    }),
    with_('signers that are not the set', {
      certificate: certify({
        chain: trust.chain,
        validators: groupOf([0, 1, 2, 3].map((i) => [3000 + i, 1])),
        header,
      }),
    }),
    {
      name: 'another certified header at the trusted height',
      trust,
      stream: { ...base, header: later, certificate: signed({ header: later }), items: [] },
    },
    { name: 'another chain', trust: { ...trust, chain: of.home.subnet }, stream: base },
  ];
}

function forgedItems(of: StreamWorld): Case[] {
  const trust = trustAt(of, 3);
  const with_ = (
    name: string,
    change: (item: LightStream['items'][number]) => LightStream['items'][number],
  ): Case => ({
    name,
    trust,
    stream: streamFrom(of, 3, { items: of.items.map(change) }),
  });
  return [
    with_('a history path too short', (item) =>
      item.kind === 'history' ? { ...item, siblings: item.siblings.slice(1) } : item,
    ),
    with_('a transaction at another place', (item) =>
      item.kind === 'transaction' ? { ...item, index: 0 } : item,
    ),
    with_('a transaction of another count', (item) =>
      item.kind === 'transaction' ? { ...item, count: 4 } : item,
    ),
    with_('a payload at another place', (item) => (item.kind === 'applied' ? { ...item, index: 0 } : item)),
    with_('absence of a record that is there', (item) =>
      item.kind === 'state' && item.value !== undefined
        ? { kind: 'state', key: item.key, proof: item.proof }
        : item,
    ),
    with_('a record with another value', (item) =>
      item.kind === 'state' && item.value !== undefined ? { ...item, value: item.value.with(7, 99) } : item,
    ),
    with_('freshness for another nonce', (item) =>
      item.kind === 'fresh' ? { ...item, signature: item.signature.with(0, 1) } : item,
    ),
    with_('a payload of another checkpoint', (item) =>
      item.kind === 'applied' ? { ...item, range: { ...item.range, index: 3 } } : item,
    ),
    with_('a payload of a checkpoint with another count', (item) =>
      item.kind === 'applied' ? { ...item, checkpoint: { ...item.checkpoint, payloadCount: 4 } } : item,
    ),
    with_('a payload of a checkpoint of another time', (item) =>
      item.kind === 'applied' ? { ...item, checkpoint: { ...item.checkpoint, time: millis(1) } } : item,
    ),
    with_('a payload of more checkpoints than there are', (item) =>
      item.kind === 'applied' ? { ...item, range: { ...item.range, count: 6 } } : item,
    ),
    with_('a payload of another subnet', (item) =>
      item.kind === 'applied' ? { ...item, checkpoint: { ...item.checkpoint, subnet: of.home.chain } } : item,
    ),
  ];
}

function forgedBytes(of: StreamWorld): Case[] {
  const trust = trustAt(of, 1);
  const bytes = encodeLightStream(streamFrom(of, 1));
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  const [first] = of.chain.first;
  const other = encodeLightStream(
    streamFrom(of, 3, { items: [earlierHeader(of.chain, first as CertifiedBlock, of.tip)] }),
  );
  const plain = encodeLightStream(streamFrom(of, 3, { items: [] }));
  const flags = plain.length;
  const { validatorsHash } = of.tip.block.header;
  // Flags, epoch, height, time and four hashes come before the set.
  const set = flags + 1 + 4 + 6 + 6 + 4 * 32;
  const same = other.slice();
  same.set(validatorsHash, set);
  const weights = Uint8Array.from([...bytes.subarray(0, 2), 0, ...evenWeights(bytes)]);
  return [
    { name: 'equal weights shown one by one', trust, stream: weights },
    { name: 'the newest set shown as another one', trust: trustAt(of, 3), stream: same },
    { name: 'cut off in a signature', trust, stream: bytes.subarray(0, 1000) },
    { name: 'a byte behind the end', trust, stream: longer },
    { name: 'another version', trust, stream: bytes.with(0, 1) },
    { name: 'nothing', trust, stream: new Uint8Array(0) },
  ];
}

/** The first set of four with each weight behind its key, and what follows. */
function evenWeights(stream: Uint8Array): number[] {
  const weight = stream.subarray(3, 7);
  const members = [0, 1, 2, 3].map((i) => stream.subarray(7 + 32 * i, 7 + 32 * (i + 1)));
  return [...members.flatMap((key) => [...key, ...weight]), ...stream.subarray(7 + 128)];
}

/** Two of the four that are trusted vouch for a later set. */
function thirds(): Case[] {
  const of = streamWorld([groupOf([0, 1, 4, 5].map((i) => [1000 + i, 1]))]);
  const stream = { ...streamFrom(of, 0), hops: [of.chain.skipping(of.tip)], items: [] };
  const now = of.tip.block.header.time;
  const trusting = 60_000;
  const with_ = (name: string, o: Pick<Case, 'now' | 'trusting'>): Case => ({
    name,
    trust: of.start,
    stream,
    ...o,
  });
  return [
    with_('half of the trusted weight within the trusting period', { now, trusting }),
    with_('half of the trusted weight without a clock', {}),
    with_('half of the trusted weight after the trusting period', { now: now + trusting, trusting }),
    with_('half of the trusted weight for a header from the future', { now: now - 5001, trusting }),
  ];
}
