/**
 * A stream without the signatures nobody needs (spec LIGHT-9.8): validators go on signing after a quorum has, and each
 * signature costs a chip 64 bytes and a check of some ten milliseconds. What is left is still a quorum, and for a
 * skipping hop as much of the trusted weight as its client wants.
 */
import { idText } from '../bytes/id-text.ts';
import type { Certificate } from '../ledger/block.ts';
import { bitmapOf, indicesOf, quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import type { Thirds } from './hop-index.ts';
import type { LightStream } from './stream.ts';

/** Signers are left out, nothing else; certificates that hold for a client hold for it afterwards. */
export function leanStream<T extends Omit<LightStream, 'items'>>(stream: T, thirds: Thirds): T {
  let trusted = stream.trusted;
  const hops = stream.hops.map((hop) => {
    const before = trusted;
    trusted = hop.validators;
    const certificate =
      hop.kind === 'skipping'
        ? leanCertificate(hop.certificate, hop.validators, { trusted: before, thirds })
        : leanCertificate(hop.certificate, before);
    return { ...hop, certificate };
  });
  return { ...stream, hops, certificate: leanCertificate(stream.certificate, trusted) };
}

/** The heaviest signers first, those that are known before others. A certificate that is not enough stays as it is. */
export function leanCertificate(
  certificate: Certificate,
  set: ValidatorSet,
  vouching?: { readonly trusted: ValidatorSet; readonly thirds: Thirds },
): Certificate {
  const indices = indicesOf(certificate.signers, set.length);
  if (indices?.length !== certificate.signatures.length) return certificate;
  const known = new Map(vouching?.trusted.map(({ key, weight }) => [idText(key.bytes), weight]));
  const knownTotal = vouching?.trusted.reduce((sum, { weight }) => sum + weight, 0) ?? 0;
  const signers = indices.map((index, place) => {
    const { key, weight } = set[index] as ValidatorSet[number];
    return { index, place, weight, known: known.get(idText(key.bytes)) ?? 0 };
  });
  signers.sort((a, b) => b.known - a.known || b.weight - a.weight || a.index - b.index);
  const quorum = quorumOf(set.map(({ weight }) => weight)).strong;
  let signed = 0;
  let vouched = 0;
  const isEnough = (): boolean =>
    signed >= quorum && (vouching === undefined || vouched * 3 > knownTotal * vouching.thirds);
  const kept = signers.filter((signer) => {
    if (isEnough()) return false;
    signed += signer.weight;
    vouched += signer.known;
    return true;
  });
  if (!isEnough()) return certificate;
  kept.sort((a, b) => a.index - b.index);
  return {
    ...certificate,
    signers: bitmapOf(
      kept.map(({ index }) => index),
      set.length,
    ),
    signatures: kept.map(({ place }) => certificate.signatures[place] as Uint8Array),
  };
}
