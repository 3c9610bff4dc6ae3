/**
 * What a light client keeps between proofs (spec LIGHT-4): the chain, its validator set, and the last header it
 * believed. It moves forward only. Signatures do not prove freshness; the monotone height is what stops an old
 * proof from undoing a newer one.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import type { Certificate, Header } from '../ledger/block.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { epoch, height, millis, type Epoch, type Height, type Millis } from '../ledger/ids.ts';
import { readHash } from '../ledger/transaction.ts';
import { validatorsHash, type ValidatorSet } from '../ledger/validators.ts';
import { verifyHeaderCertificate, type CertificateCheck } from './certificate.ts';

export interface Trust {
  /** Genesis hash. */
  readonly chain: Hash;
  readonly epoch: Epoch;
  /** The set that certifies the next header. */
  readonly validators: ValidatorSet;
  readonly last: TrustedHeader;
}

export interface TrustedHeader {
  /** 0 stands for genesis. */
  readonly height: Height;
  readonly time: Millis;
  readonly hash: Hash;
  /** What `nextValidatorsHash` promised. */
  readonly nextValidatorsHash: Hash;
  /** State after the block `pipelineDepth` below; zeros at genesis. */
  readonly stateRoot: Hash;
}

/** `stale`: below the last one. `conflict`: two certified headers at one height, which is evidence of misbehaviour. */
export type TrustCheck = CertificateCheck | 'stale' | 'conflict' | 'time' | 'epoch';

export function trustGenesis(genesis: Genesis): Trust {
  const chain = genesisHash(genesis);
  const nextValidatorsHash = validatorsHash(genesis.validators);
  const last = {
    height: height(0),
    time: genesis.time,
    hash: chain,
    nextValidatorsHash,
    stateRoot: ZERO_HASH,
  };
  return { chain, epoch: epoch(0), validators: genesis.validators, last };
}

/** Believes a header certified by the trusted set; the one it has already is accepted again and changes nothing. */
export function advanceTrust(
  trust: Trust,
  o: { readonly header: Header; readonly certificate: Certificate; readonly verify: SignatureVerifier },
): Result<Trust, TrustCheck> {
  const { header } = o;
  const { chain, validators, last } = trust;
  // The cheap conditions first; a conflict is named only once the other header is proven too.
  if (header.height < last.height)
    return refused('stale', `height ${header.height} lies below ${last.height}`);
  if (header.epoch !== trust.epoch)
    return refused('epoch', `expected epoch ${trust.epoch}, got ${header.epoch}`);
  const certified = verifyHeaderCertificate({
    chain,
    validators,
    header,
    certificate: o.certificate,
    verify: o.verify,
  });
  if (!certified.ok) return certified;
  const { hash } = certified.value;
  if (header.height === last.height) {
    return equalBytes(hash, last.hash)
      ? ok(trust)
      : refused('conflict', `two certified headers at height ${last.height}`);
  }
  if (header.time <= last.time) return refused('time', 'a higher header does not have a later time');
  const { time, stateRoot, nextValidatorsHash } = header;
  return ok({ ...trust, last: { height: header.height, time, hash, nextValidatorsHash, stateRoot } });
}

/**
 * Follows a change of validators: the last believed header, certified by the old set, promised the hash of
 * the new one. Views restart, the epoch counts up.
 */
export function enterEpoch(trust: Trust, validators: ValidatorSet): Result<Trust, 'validators'> {
  if (!equalBytes(validatorsHash(validators), trust.last.nextValidatorsHash)) {
    return refused('validators', 'the last believed header promises another validator set');
  }
  if (equalBytes(validatorsHash(trust.validators), trust.last.nextValidatorsHash)) {
    return refused('validators', 'the last believed header ends no epoch');
  }
  return ok({ ...trust, epoch: epoch(trust.epoch + 1), validators });
}

/** What must survive a restart, 180 bytes; the set itself is fetched again and checked against its hash. */
export function encodeTrust(trust: Trust): Uint8Array {
  const { last } = trust;
  return new Writer(160)
    .fixed(trust.chain, HASH_BYTES)
    .u32(trust.epoch)
    .fixed(validatorsHash(trust.validators), HASH_BYTES)
    .u53(last.height)
    .u53(last.time)
    .fixed(last.hash, HASH_BYTES)
    .fixed(last.nextValidatorsHash, HASH_BYTES)
    .fixed(last.stateRoot, HASH_BYTES)
    .finish();
}

export function decodeTrust(bytes: Uint8Array, validators: ValidatorSet): Result<Trust, DecodeCode> {
  return decode((reader) => {
    const chain = readHash(reader);
    const trusted = epoch(reader.u32());
    if (!equalBytes(readHash(reader), validatorsHash(validators))) {
      reader.refuse('decode.not-canonical', 'the validator set is not the one that was trusted');
    }
    const last = {
      height: height(reader.u53()),
      time: millis(reader.u53()),
      hash: readHash(reader),
      nextValidatorsHash: readHash(reader),
      stateRoot: readHash(reader),
    };
    return { chain, epoch: trusted, validators, last };
  }, bytes);
}
