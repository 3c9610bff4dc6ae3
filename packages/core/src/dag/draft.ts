/** Making an own envelope: parents, sequence, time, work to be found; the shell works, signs and seals it. */
import { compareBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { millis, type Millis } from '../ledger/ids.ts';
import type { Payload } from '../ledger/payload.ts';
import type { ValidatorSet } from '../ledger/validators.ts';
import type { Draft } from './effects.ts';
import {
  encodeEnvelopeWithPayloads,
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  payloadRootOf,
  sealedEnvelope,
  type EnvelopeBody,
} from '../ledger/envelope.ts';
import type { Graph } from './graph.ts';
import { rateSurcharge, workBits } from './proof-of-work.ts';
import { finalRef, NONE } from './slab.ts';
import { bitsNeeded } from './standing.ts';
import { parentsWanted, selectTips } from './tips.ts';
import { accusationIn, type VerifiedEnvelope } from './verify.ts';

export function makeDraft(
  graph: Graph,
  own: {
    readonly chain: Hash;
    readonly subnet: Hash;
    readonly members: ValidatorSet;
    readonly self: number;
    /** Anchors of the last checkpoint: parents when there are no tips. */
    readonly lastAnchors: readonly Hash[];
    readonly random: () => number;
  },
  what: { readonly payloads: readonly Payload[]; readonly now: Millis; readonly lane: number },
): Draft {
  const { slab } = graph;
  const { lane } = what;
  const newest = graph.newestOf(own.self, lane);
  const last = graph.lanes.issuerLane(own.self, lane);
  const previous = newest === NONE ? (last?.hash ?? own.subnet) : slab.hash(newest);
  const sequence = graph.sequenceOf(own.self, lane) + 1;

  let time: number = Math.max(what.now, newest === NONE ? (last?.time ?? 0) : (slab.time[newest] as number));
  const parents: Hash[] = sequence === 1 ? [] : [previous];
  const count = parentsWanted(graph.tips.size) - parents.length;
  const { tips: pool, fresh } = graph;
  for (const tip of selectTips({ pool, fresh, count, skip: newest, random: own.random })) {
    parents.push(slab.hash(tip));
    time = Math.max(time, slab.time[tip] as number);
  }
  // Nothing new by others: stand on the last checkpoint, so that the own chain alone does not look lazy.
  if (parents.length <= 1) {
    for (const anchor of own.lastAnchors.slice(0, 2)) {
      if (compareBytes(anchor, previous) === 0) continue;
      parents.push(anchor);
      time = Math.max(time, graph.finals.find(anchor)?.time ?? 0);
    }
  }
  if (parents.length === 0) parents.push(own.subnet);
  parents.sort(compareBytes);

  const { chain, subnet, members } = own;
  const accusation = accusationIn({ chain, subnet, members }, what.payloads);
  if (!accusation.ok) throw new Error(`our own accusation does not hold: ${accusation.message}`);
  const anchor = graph.anchors.last;
  const payloads = what.payloads.map((payload) => payload.bytes);
  const issuer = own.members[own.self];
  if (issuer === undefined) throw new RangeError('a follower issues nothing');
  const body: EnvelopeBody = {
    subnet: own.subnet,
    issuer: issuer.key,
    lane,
    sequence,
    previous,
    parents,
    time: millis(time),
    anchor: anchor.hash,
    payloadRoot: payloadRootOf(payloads),
    payloadCount: payloads.length,
  };
  const self = newest === NONE ? finalRef(0) : newest;
  const level = graph.levelAfter({ issuer: own.self, lane, previous, time, self });
  const bits = bitsNeeded(anchor, own.self, rateSurcharge(level), graph.powBits);
  return {
    body,
    bodyHash: envelopeBodyHash(body),
    bits,
    payloads: what.payloads,
    accusation: accusation.value,
  };
}

/**
 * A finished own envelope. `sign` receives what the issuer signs; the nonce comes from `powSearch` and is asserted.
 * The result counts as verified: it is our own.
 */
export function sealDraft(
  draft: Draft,
  seal: {
    readonly chain: Hash;
    readonly self: number;
    readonly nonce: number;
    readonly sign: (bytes: Uint8Array) => Uint8Array;
  },
): VerifiedEnvelope {
  const work = workBits(draft.bodyHash, seal.nonce);
  if (work < draft.bits) throw new RangeError(`the nonce shows ${work} bits of work, not ${draft.bits}`);
  const hash = envelopeHash(draft.bodyHash, seal.nonce);
  const signingBytes = envelopeSigningBytes(seal.chain, hash);
  const envelope = sealedEnvelope(draft.body, seal.nonce, seal.sign(signingBytes));
  const encoded = encodeEnvelopeWithPayloads({
    envelope,
    payloads: draft.payloads.map((payload) => payload.bytes),
  });
  return {
    envelope,
    hash,
    issuer: seal.self,
    payloads: draft.payloads,
    encoded,
    workBits: work,
    signingBytes,
    accusation: draft.accusation,
  } as VerifiedEnvelope;
}
