/**
 * What the bytes of a stream say. A field that follows from its place is not in them (LIGHT-9.1), so nobody can lie about it:
 * whatever was composed, the reader takes the value the place asks for.
 */
import { closesEpoch, HEADER_VERSION, type Certificate, type Header } from '@itc/core/ledger/block.js';
import { epoch } from '@itc/core/ledger/ids.js';
import { indicesOf, type ValidatorSet } from '@itc/core/ledger/validators.js';
import type { LightStream } from '@itc/core/light/stream.js';
import { hashOf, setHash } from '../pbft/sim-block.ts';
import type { Believed } from './trust.ts';

/** Undefined where bitmap and signatures do not fit, so that everything behind them is read out of place. */
export function asRead(trust: Pick<Believed, 'epoch'>, stream: LightStream): LightStream | undefined {
  let { trusted: set } = stream;
  let at = trust.epoch;
  let isWhole = true;
  const certified = (header: Header, certificate: Certificate, by: ValidatorSet): Certificate => {
    if (indicesOf(certificate.signers, by.length)?.length !== certificate.signatures.length) isWhole = false;
    return { ...certificate, epoch: header.epoch, height: header.height, hash: hashOf(header) };
  };
  const hops = stream.hops.map((hop) => {
    const shown = setHash(hop.validators);
    const isAdjacent = hop.kind === 'adjacent';
    const header: Header = {
      ...hop.header,
      version: HEADER_VERSION,
      epoch: isAdjacent ? epoch(at) : hop.header.epoch,
      validatorsHash: isAdjacent ? setHash(set) : shown,
      nextValidatorsHash: isAdjacent || !closesEpoch(hop.header) ? shown : hop.header.nextValidatorsHash,
    };
    const certificate = certified(header, hop.certificate, isAdjacent ? set : hop.validators);
    at = isAdjacent ? at + 1 : header.epoch;
    set = hop.validators;
    return { ...hop, header, certificate };
  });
  const own = setHash(set);
  const header: Header = {
    ...stream.header,
    version: HEADER_VERSION,
    epoch: epoch(at),
    validatorsHash: own,
    nextValidatorsHash: closesEpoch(stream.header) ? stream.header.nextValidatorsHash : own,
  };
  const certificate = certified(header, stream.certificate, set);
  return isWhole ? { ...stream, hops, header, certificate } : undefined;
}
