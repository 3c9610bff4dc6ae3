/**
 * From one validator set to a later one (spec LIGHT-7). An adjacent hop is the header that closes an epoch, signed by
 * that epoch's set, with the set it promises. A skipping hop is any header of a later epoch, signed by a quorum of its
 * own set, among them more than two thirds of the weight that is trusted already.
 *
 * Two thirds of the trusted weight sign nothing that the honest third among them does not follow, so a skipping hop
 * holds as long as less than a third of the *trusted* set misbehaves, also with keys it should have erased.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { ok, refused, type Ok, type Refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { closesEpoch, readCertificate, readHeader, writeCertificate, writeHeader } from '../ledger/block.ts';
import { epoch, type Epoch } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import {
  indicesOf,
  readValidatorSet,
  validatorSetFlaw,
  validatorsHash,
  writeValidatorSet,
  type Validator,
  type ValidatorSet,
} from '../ledger/validators.ts';
import { verifyHeaderCertificate } from './certificate.ts';
import { advanceTrust, type CertifiedHeader, type Conflict, type Trust, type TrustCheck } from './trust.ts';

export interface EpochHop extends CertifiedHeader {
  readonly kind: 'adjacent' | 'skipping';
  /** Adjacent: of the epoch after the header's. Skipping: of the header's own epoch. */
  readonly validators: ValidatorSet;
}

/** `closing`: the header ends no epoch. `known`: too little of the trusted weight signed. */
export type HopCheck = TrustCheck | 'closing' | 'known';
export type HopRefusal = Refused<`hop-${HopCheck}`> & {
  /** Position in the list. */
  readonly hop: number;
  readonly conflict?: Conflict;
};

type Step = Ok<Trust> | (Refused<HopCheck> & { readonly conflict?: Conflict });

/** Epoch whose validators are trusted once the hop is taken. */
export function leadsTo(hop: EpochHop): Epoch {
  return hop.kind === 'adjacent' ? epoch(hop.header.epoch + 1) : hop.header.epoch;
}

/** Without the hops at the front that lead no further than the trust that is there already. */
export function hopsBeyond(hops: readonly EpochHop[], trusted: Epoch): readonly EpochHop[] {
  const first = hops.findIndex((hop) => leadsTo(hop) > trusted);
  return first < 0 ? [] : hops.slice(first);
}

/** Takes every hop in order, each from where the one before has led; one that does not hold refuses them all. */
export function advance(
  trust: Trust,
  hops: readonly EpochHop[],
  verify: SignatureVerifier,
): Ok<Trust> | HopRefusal {
  let reached = trust;
  for (const [i, hop] of hops.entries()) {
    const step = hop.kind === 'adjacent' ? stepNext(reached, hop, verify) : skip(reached, hop, verify);
    if (!step.ok) {
      return {
        ...refused(`hop-${step.code}`, `hop ${i + 1} of ${hops.length}: ${step.message}`),
        hop: i,
        ...(step.conflict && { conflict: step.conflict }),
      };
    }
    reached = step.value;
  }
  return ok(reached);
}

/** The trusted set closes its own epoch and names its successors. */
function stepNext(trust: Trust, hop: EpochHop, verify: SignatureVerifier): Step {
  const { header, certificate, validators } = hop;
  if (header.epoch === trust.epoch && !closesEpoch(header))
    return refused('closing', `the header at height ${header.height} does not close epoch ${header.epoch}`);
  const flaw = setFlaw(validators);
  if (flaw !== undefined) return flaw;
  if (!equalBytes(header.nextValidatorsHash, validatorsHash(validators)))
    return refused('validators', 'the header promises another validator set than the one shown');
  const advanced = advanceTrust(trust, { header, certificate, verify });
  if (!advanced.ok) return advanced;
  return ok({ ...advanced.value, epoch: epoch(header.epoch + 1), validators, ended: false });
}

/** The set of a later epoch, vouched for by those of its signers who are trusted already. */
function skip(trust: Trust, hop: EpochHop, verify: SignatureVerifier): Step {
  const { header, certificate, validators } = hop;
  const { chain, last } = trust;
  if (header.epoch <= trust.epoch) {
    return refused(
      'epoch',
      `the header is of epoch ${header.epoch}; it must lead beyond epoch ${trust.epoch}`,
    );
  }
  if (header.height <= last.height)
    return refused('stale', `height ${header.height} does not lie above ${last.height}`);
  if (header.time <= last.time) return refused('time', 'a higher header does not have a later time');
  const flaw = setFlaw(validators);
  if (flaw !== undefined) return flaw;
  // The small set first: the new one may be large, and costs signature checks.
  const known = knownWeight(trust.validators, validators, certificate.signers);
  if (known === undefined)
    return refused('certificate-signers', `the bitmap does not fit ${validators.length} members`);
  if (known.signed * 3 <= known.total * 2) {
    return refused(
      'known',
      `weight ${known.signed} of ${known.total} that is trusted signed, more than two thirds are needed`,
    );
  }
  const certified = verifyHeaderCertificate({ chain, validators, header, certificate, verify });
  if (!certified.ok) return certified;
  const { height, time, stateRoot } = header;
  return ok({
    chain,
    epoch: header.epoch,
    validators,
    last: { height, time, hash: certified.value.hash, stateRoot },
    ended: closesEpoch(header),
    certificate,
  });
}

/** Sets come from decoders, which refuse the same; here a caller may have put one together himself. */
function setFlaw(set: ValidatorSet): Refused<'validators'> | undefined {
  const flaw = validatorSetFlaw(set);
  return flaw === undefined ? undefined : refused('validators', `the set shown: ${flaw}`);
}

/** Weight in the trusted set of those whose keys signed in the shown one. Undefined when the bitmap does not fit. */
export function knownWeight(
  trusted: ValidatorSet,
  shown: ValidatorSet,
  signers: Uint8Array,
): { readonly signed: number; readonly total: number } | undefined {
  const indices = indicesOf(signers, shown.length);
  if (indices === undefined) return undefined;
  let total = 0;
  let signed = 0;
  // Both sets are sorted by key, so one walk over both finds who is in both.
  let at = 0;
  for (const { key, weight } of trusted) {
    total += weight;
    for (; at < indices.length; at += 1) {
      const signer = (shown[indices[at] as number] as Validator).key;
      const order = compareBytes(signer.bytes, key.bytes);
      if (order === 0 && signer.algorithm === key.algorithm) signed += weight;
      if (order >= 0) break;
    }
  }
  return { signed, total };
}

export function writeHops(writer: Writer, hops: readonly EpochHop[]): void {
  writer.list(hops, (w, hop) => {
    w.u8(hop.kind === 'adjacent' ? 0 : 1);
    writeHeader(w, hop.header);
    writeCertificate(w, hop.certificate);
    writeValidatorSet(w, hop.validators);
  });
}

export function readHops(reader: Reader): EpochHop[] {
  return reader.list(LIMITS.hopsMax, (r) => {
    const form = r.u8();
    if (form > 1) r.refuse('decode.unknown-kind', `expected a hop form of 0 or 1, got ${form}`);
    return {
      kind: form === 0 ? 'adjacent' : 'skipping',
      header: readHeader(r),
      certificate: readCertificate(r),
      validators: readValidatorSet(r),
    };
  });
}

export function encodeHops(hops: readonly EpochHop[]): Uint8Array {
  const writer = new Writer(2048);
  writeHops(writer, hops);
  return writer.finish();
}

export function decodeHops(bytes: Uint8Array): Result<EpochHop[], DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode(readHops, bytes);
}
