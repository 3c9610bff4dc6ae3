/**
 * What a light client believes about a header: only what signatures of enough weight prove (spec LIGHT-1).
 * The prover chose the signers, so one bad signature refuses the whole proof: there is nothing to tolerate.
 */
import { equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import type { PublicKey, SignatureVerifier } from '../crypto/signature.ts';
import { headerHash, voteSigningBytes, type Certificate, type Header } from '../ledger/block.ts';
import {
  indicesOf,
  quorumOf,
  validatorsHash,
  type Validator,
  type ValidatorSet,
} from '../ledger/validators.ts';

/** The step that failed. */
export type CertificateCheck =
  | 'validators'
  | 'certificate-header'
  | 'certificate-signers'
  | 'certificate-weight'
  | 'certificate-signature';

export interface Signer {
  /** Position in the set. */
  readonly index: number;
  readonly key: PublicKey;
  readonly weight: number;
}

export interface SignedWeight {
  readonly signers: readonly Signer[];
  /** Weight that signed, of `total`. */
  readonly weight: number;
  readonly total: number;
}

/**
 * Checks a header's commit certificate against the set that is trusted for it: the header names that set, the
 * certificate is for this header, and every listed signature of a strong quorum holds.
 */
export function verifyHeaderCertificate(o: {
  readonly chain: Hash;
  readonly validators: ValidatorSet;
  readonly header: Header;
  readonly certificate: Certificate;
  readonly verify: SignatureVerifier;
}): Result<SignedWeight & { readonly hash: Hash }, CertificateCheck> {
  const { chain, header, certificate } = o;
  if (!equalBytes(header.validatorsHash, validatorsHash(o.validators))) {
    return refused('validators', 'the header names another validator set than the trusted one');
  }
  const hash = headerHash(header);
  if (
    certificate.height !== header.height ||
    certificate.epoch !== header.epoch ||
    !equalBytes(certificate.hash, hash)
  ) {
    return refused('certificate-header', 'the certificate is for another header');
  }
  const { epoch, view, height } = certificate;
  const signed = verifySignedWeight({
    members: o.validators,
    signers: certificate.signers,
    signatures: certificate.signatures,
    message: voteSigningBytes('commit', { chain, epoch, view, height, hash }),
    verify: o.verify,
  });
  if (!signed.ok) return refused(`certificate-${signed.code}`, signed.message);
  return ok({ ...signed.value, hash });
}

/**
 * A strong quorum of `members` signed `message`. Bitmap and count are judged before any signature is verified,
 * so that a worthless certificate costs nothing.
 */
export function verifySignedWeight(o: {
  readonly members: readonly Validator[];
  readonly signers: Uint8Array;
  readonly signatures: readonly Uint8Array[];
  readonly message: Uint8Array;
  readonly verify: SignatureVerifier;
}): Result<SignedWeight, 'signers' | 'weight' | 'signature'> {
  const listed = listSigners(o.members, o.signers);
  if (listed === undefined) return refused('signers', `the bitmap does not fit ${o.members.length} members`);
  const { signers, weight, total } = listed;
  if (signers.length !== o.signatures.length) {
    return refused(
      'signers',
      `${signers.length} signers are listed, ${o.signatures.length} signatures are there`,
    );
  }
  const { strong } = quorumOf(o.members.map((member) => member.weight));
  if (weight < strong) return refused('weight', `weight ${weight} of ${total} signed, ${strong} is needed`);
  for (const [i, signer] of signers.entries()) {
    if (!o.verify(signer.key, o.message, o.signatures[i] as Uint8Array)) {
      return refused('signature', `the signature of member ${signer.index} does not verify`);
    }
  }
  return ok(listed);
}

/** Whom a bitmap names, signatures not looked at. Undefined when it does not fit the set. */
export function listSigners(members: readonly Validator[], bitmap: Uint8Array): SignedWeight | undefined {
  const indices = indicesOf(bitmap, members.length);
  if (indices === undefined) return undefined;
  const signers = indices.map((index) => ({ index, ...(members[index] as Validator) }));
  let weight = 0;
  for (const signer of signers) weight += signer.weight;
  return { signers, weight, total: quorumOf(members.map((member) => member.weight)).total };
}
