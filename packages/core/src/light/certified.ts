/**
 * What every proof begins with: hops from a trusted validator set to that of a header, and the header's certificate
 * (spec LIGHT-7). Strictly, for a document that is judged from genesis; or from where a device has got to by itself.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { ok, refused, type Ok, type Refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { headerHash, readCertificate, readHeader, writeCertificate, writeHeader } from '../ledger/block.ts';
import { genesisHash, type Genesis } from '../ledger/genesis.ts';
import { LIMITS } from '../ledger/limits.ts';
import { listSigners, type SignedWeight } from './certificate.ts';
import { advance, hopsBeyond, readHops, writeHops, type EpochHop, type HopCheck } from './epoch-hop.ts';
import {
  advanceTrust,
  trustGenesis,
  type CertifiedHeader,
  type Conflict,
  type Trust,
  type TrustCheck,
} from './trust.ts';

export interface LinkedHeader extends CertifiedHeader {
  /** In order, none in the epoch that is trusted. */
  readonly hops: readonly EpochHop[];
}

export type LinkCheck = TrustCheck | `hop-${HopCheck}`;
export type LinkRefusal = Refused<LinkCheck> & { readonly conflict?: Conflict };

/** Takes every hop, then the header, which must be of the epoch the hops lead to. */
export function verifyCertified(
  trust: Trust,
  proof: LinkedHeader,
  verify: SignatureVerifier,
): Ok<{ readonly trust: Trust; readonly signed: SignedWeight }> | LinkRefusal {
  const { header, certificate, hops } = proof;
  const reached = advance(trust, hops, verify);
  if (!reached.ok) return reached;
  if (header.epoch !== reached.value.epoch) {
    return refused(
      'epoch',
      `the header is of epoch ${header.epoch}, ${hops.length === 0 ? 'no hops are shown, which leaves' : 'the hops lead to'} epoch ${reached.value.epoch}`,
    );
  }
  const advanced = advanceTrust(reached.value, { header, certificate, verify });
  if (!advanced.ok) return advanced;
  const signed = listSigners(reached.value.validators, certificate.signers);
  if (signed === undefined) throw new RangeError('a verified certificate fits its set');
  return ok({ trust: advanced.value, signed });
}

/**
 * Follows a proof from the trust a client has. Hops that lead no further are passed over unread. The prover may have
 * computed the others for somebody who begins at genesis, so that the set trusted here does not vouch for one of them;
 * who knows the genesis document then begins there as well, and believes what lies above everything believed before.
 */
export function followChain(
  trust: Trust,
  o: LinkedHeader & { readonly verify: SignatureVerifier; readonly genesis?: Genesis },
): Ok<Trust> | LinkRefusal {
  const { header, certificate, verify, genesis } = o;
  if (header.height < trust.last.height)
    return refused('stale', `height ${header.height} lies below ${trust.last.height}`);
  // Believed already: nobody has to sign it again, and a chip is spared a quorum of checks.
  if (equalBytes(headerHash(header), trust.last.hash)) return ok(trust);
  const ahead = verifyCertified(
    trust,
    { header, certificate, hops: hopsBeyond(o.hops, trust.epoch) },
    verify,
  );
  if (ahead.ok) return ok(ahead.value.trust);
  if (ahead.code !== 'hop-known' || genesis === undefined) return ahead;
  if (!equalBytes(genesisHash(genesis), trust.chain))
    throw new RangeError('the genesis document is of another chain than the trust');
  const anew = verifyCertified(trustGenesis(genesis), o, verify);
  if (!anew.ok) return anew;
  const { last, epoch } = anew.value.trust;
  if (epoch <= trust.epoch || last.height <= trust.last.height || last.time <= trust.last.time)
    return refused('stale', `epoch ${epoch}, height ${last.height}: not beyond what is believed`);
  return ok(anew.value.trust);
}

export function writeLinkedHeader(writer: Writer, linked: LinkedHeader): void {
  writeHops(writer, linked.hops);
  writeHeader(writer, linked.header);
  writeCertificate(writer, linked.certificate);
}

export function readLinkedHeader(reader: Reader): LinkedHeader {
  return { hops: readHops(reader), header: readHeader(reader), certificate: readCertificate(reader) };
}

/** What moves a client's trust and proves nothing else. */
export function encodeLinkedHeader(linked: LinkedHeader): Uint8Array {
  const writer = new Writer(1024);
  writeLinkedHeader(writer, linked);
  return writer.finish();
}

export function decodeLinkedHeader(bytes: Uint8Array): Result<LinkedHeader, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode(readLinkedHeader, bytes);
}
