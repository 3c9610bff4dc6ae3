/**
 * What a light client keeps between proofs (spec LIGHT-4): the chain, the epoch with its validator set, and the last
 * header it believed. It moves forward only. Signatures do not prove freshness; the monotone height is what stops an
 * old proof from undoing a newer one.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Ok, type Refused, type Result } from '../bytes/result.ts';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { closesEpoch, type Certificate, type Header } from '../ledger/block.ts';
import type { Evidence } from '../ledger/evidence.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { epoch, height, type Epoch, type Height, type Millis } from '../ledger/ids.ts';
import { readHash } from '../ledger/fields.ts';
import { validatorsHash, type ValidatorSet } from '../ledger/validators.ts';
import { verifyHeaderCertificate, type CertificateCheck } from './certificate.ts';
import { doubleVotes } from './double-vote.ts';
import { encodeTrusted, readBelieved } from './trust-bytes.ts';

export interface Trust {
  /** Genesis hash. */
  readonly chain: Hash;
  readonly epoch: Epoch;
  /** The set of the epoch. */
  readonly validators: ValidatorSet;
  readonly last: TrustedHeader;
  /** The last header closed the epoch: only a hop leads on. */
  readonly ended: boolean;
  /** Of the last header, while in memory: with it, whoever signs another header at that height is convicted. */
  readonly certificate: Certificate | undefined;
}

export interface TrustedHeader {
  /** 0 stands for genesis. */
  readonly height: Height;
  readonly time: Millis;
  readonly hash: Hash;
  /** State after the block `pipelineDepth` below; zeros at genesis. */
  readonly stateRoot: Hash;
}

export interface CertifiedHeader {
  readonly header: Header;
  readonly certificate: Certificate;
}

/** `stale`: below the last one. `conflict`: two certified headers at one height, which is evidence of misbehaviour. */
export type TrustCheck = CertificateCheck | 'stale' | 'conflict' | 'time' | 'epoch';

/** Two certified headers at one height: a third of the weight or more signed both, so others should see it. */
export interface Conflict {
  readonly height: Height;
  /** Hash of the header that was believed first. */
  readonly believed: Hash;
  readonly other: CertifiedHeader;
  /** Who voted for both in one view; none when the views differ, or the first certificate is not in memory any more. */
  readonly doubleVotes: readonly Evidence[];
}

export type TrustRefusal = Refused<TrustCheck> & { readonly conflict?: Conflict };
export type TrustResult = Ok<Trust> | TrustRefusal;

export function trustGenesis(genesis: Genesis): Trust {
  const chain = genesisHash(genesis);
  return {
    chain,
    epoch: epoch(0),
    validators: genesis.validators,
    last: { height: height(0), time: genesis.time, hash: chain, stateRoot: ZERO_HASH },
    ended: false,
    certificate: undefined,
  };
}

/** Believes a header certified by the trusted set; the one it has already is accepted again and changes nothing. */
export function advanceTrust(
  trust: Trust,
  o: CertifiedHeader & { readonly verify: SignatureVerifier },
): TrustResult {
  const { header, certificate, verify } = o;
  const { chain, validators, last } = trust;
  // The cheap conditions first; a conflict is named only once the other header is proven too.
  if (header.height < last.height)
    return refused('stale', `height ${header.height} lies below ${last.height}`);
  if (header.epoch !== trust.epoch) {
    return refused(
      'epoch',
      `the header is of epoch ${header.epoch}, the trusted validators are those of epoch ${trust.epoch}`,
    );
  }
  const certified = verifyHeaderCertificate({ chain, validators, header, certificate, verify });
  if (!certified.ok) return certified;
  const { hash } = certified.value;
  if (header.height === last.height) return sameHeight(trust, { header, certificate }, hash);
  if (trust.ended)
    return refused('epoch', `epoch ${trust.epoch} ended at height ${last.height}, below this header`);
  if (header.time <= last.time) return refused('time', 'a higher header does not have a later time');
  return ok({
    ...trust,
    last: { height: header.height, time: header.time, hash, stateRoot: header.stateRoot },
    ended: closesEpoch(header),
    certificate,
  });
}

function sameHeight(trust: Trust, other: CertifiedHeader, hash: Hash): TrustResult {
  const { last, certificate, validators } = trust;
  if (equalBytes(hash, last.hash)) return ok(trust);
  const votes = certificate === undefined ? [] : doubleVotes(validators, certificate, other.certificate);
  return {
    ...refused('conflict', `two certified headers at height ${last.height}`),
    conflict: { height: last.height, believed: last.hash, other, doubleVotes: votes },
  };
}

/** What must survive a restart, 149 bytes; the set itself is kept apart or fetched again, and checked against its hash. */
export function encodeTrust(trust: Trust): Uint8Array {
  return encodeTrusted({ ...trust, trusted: validatorsHash(trust.validators) });
}

export function decodeTrust(bytes: Uint8Array, validators: ValidatorSet): Result<Trust, DecodeCode> {
  return decode((reader) => {
    const chain = readHash(reader);
    const trusted = epoch(reader.u32());
    if (!equalBytes(readHash(reader), validatorsHash(validators))) {
      reader.refuse('decode.not-canonical', 'the validator set is not the one that was trusted');
    }
    return { chain, epoch: trusted, validators, ...readBelieved(reader), certificate: undefined };
  }, bytes);
}
