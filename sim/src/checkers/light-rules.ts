/**
 * Whether a light stream may be believed, up to its newest header: the rules of LIGHT-1, LIGHT-4, LIGHT-7 and LIGHT-9 once
 * more, in whole numbers and apart from the core, asked of what a stream says and not of its bytes.
 */
import { equalBytes, toHex } from '@itc/core/bytes/hex.js';
import { voteSigningBytes, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { indicesOf, validatorSetFlaw, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LightStream } from '@itc/core/light/stream.js';
import { fakeVerify } from '../fake-crypto.ts';
import { hashOf, setHash } from '../pbft/sim-block.ts';
import type { Believed } from '../light/trust.ts';

export interface Clock {
  /** 0: there is none. */
  readonly now: number;
  readonly trustingMs: number;
}

/** How far ahead of a clock a header may be. */
const AHEAD_MS = 5_000;

type Reached = Believed & { readonly members: ValidatorSet };

/** Why it must be refused; undefined when it must be believed. */
export function streamFlaw(trust: Believed, stream: LightStream, clock: Clock): string | undefined {
  const { trusted, hops, header, certificate } = stream;
  if (validatorSetFlaw(trusted) !== undefined) return 'the first set is none';
  if (!equalBytes(setHash(trusted), trust.set)) return 'the first set is not the one that is trusted';
  let at: Reached = { ...trust, members: trusted };
  for (const hop of hops) {
    const flaw = hop.kind === 'adjacent' ? adjacentFlaw(at, hop) : skippingFlaw(at, hop, clock);
    if (flaw !== undefined) return `${hop.kind} hop: ${flaw}`;
    const { epoch } = hop.header;
    at = { ...moved(at, hop.header), members: hop.validators, set: setHash(hop.validators) };
    at = hop.kind === 'adjacent' ? { ...at, epoch: epoch + 1, ended: false } : { ...at, epoch };
  }
  return ownFlaw(at, header, certificate);
}

function moved(at: Reached, header: Header): Reached {
  const { height, time, stateRoot, flags } = header;
  if (height === at.height) return at;
  return { ...at, height, time, stateRoot, hash: hashOf(header), ended: flags === 1 };
}

/** A header of the trusted epoch, certified by its set. */
function ownFlaw(at: Reached, header: Header, certificate: Certificate): string | undefined {
  if (header.version !== 1 || header.flags > 1 || header.height < 1) return 'no header';
  if (header.height < at.height) return 'older';
  if (header.epoch !== at.epoch) return 'another epoch';
  if (!equalBytes(header.validatorsHash, at.set)) return 'another set';
  if (header.height > at.height && at.ended) return 'beyond the end of its epoch';
  if (header.height > at.height && header.time <= at.time) return 'not later';
  if (header.height === at.height && !equalBytes(hashOf(header), at.hash)) return 'another one was believed';
  return certificateFlaw(at, header, certificate, at.members);
}

type Hop = LightStream['hops'][number];

function adjacentFlaw(at: Reached, { header, certificate, validators }: Hop): string | undefined {
  if (validatorSetFlaw(validators) !== undefined) return 'no set';
  if (header.flags !== 1) return 'closes nothing';
  if (!equalBytes(header.nextValidatorsHash, setHash(validators))) return 'another next set';
  return ownFlaw(at, header, certificate);
}

function skippingFlaw(at: Reached, hop: Hop, { now, trustingMs }: Clock): string | undefined {
  const { header, certificate, validators } = hop;
  if (validatorSetFlaw(validators) !== undefined) return 'no set';
  if (header.version !== 1 || header.flags > 1) return 'no header';
  if (header.epoch <= at.epoch) return 'leads nowhere';
  if (header.height <= at.height || header.time <= at.time) return 'older';
  if (!equalBytes(header.validatorsHash, setHash(validators))) return 'another set';
  const isWithin =
    now !== 0 && trustingMs !== 0 && now < at.time + trustingMs && header.time <= now + AHEAD_MS;
  const signers = new Set(
    (indicesOf(certificate.signers, validators.length) ?? []).map((i) => nameOf(validators, i)),
  );
  let known = 0n;
  let total = 0n;
  for (const [i, { weight }] of at.members.entries()) {
    total += BigInt(weight);
    if (signers.has(nameOf(at.members, i))) known += BigInt(weight);
  }
  if (3n * known <= (isWithin ? 1n : 2n) * total) return `known weight ${known} of ${total}`;
  return certificateFlaw(at, header, certificate, validators);
}

const nameOf = (set: ValidatorSet, i: number): string => toHex(set[i]?.key.bytes ?? new Uint8Array(0));

function certificateFlaw(
  { chain }: Believed,
  header: Header,
  certificate: Certificate,
  set: ValidatorSet,
): string | undefined {
  const hash = hashOf(header);
  const { epoch, height, view, signers, signatures } = certificate;
  if (epoch !== header.epoch || height !== header.height || !equalBytes(certificate.hash, hash))
    return 'the certificate is for another header';
  const indices = indicesOf(signers, set.length);
  if (indices === undefined || indices.length !== signatures.length) return 'signers that are not of the set';
  let signed = 0n;
  for (const index of indices) signed += BigInt(set[index]?.weight ?? 0);
  const total = set.reduce((sum, { weight }) => sum + BigInt(weight), 0n);
  if (3n * signed <= 2n * total) return `weight ${signed} of ${total} signed`;
  const bytes = voteSigningBytes('commit', { chain, epoch: header.epoch, view, height: header.height, hash });
  const isSigned = indices.every((index, i) => {
    const [member, signature] = [set[index], signatures[i]];
    return member !== undefined && signature !== undefined && fakeVerify(member.key, bytes, signature);
  });
  return isSigned ? undefined : 'a signature does not verify';
}
