/**
 * What a member of a subnet can be shown to have done against its rules, by its own signatures (spec STATE-24.12): no member
 * that follows them ever signs any of this, however often it crashes.
 */
import type { Reader } from '../bytes/reader.ts';
import { equalBytes } from '../bytes/hex.ts';
import type { Writer } from '../bytes/writer.ts';
import type { Hash } from '../crypto/hash.ts';
import { readForgeryEvidence, writeForgeryEvidence, type ForgeryEvidence } from './accusation.ts';
import {
  envelopeBodyHash,
  envelopeHash,
  envelopeSigningBytes,
  readEnvelope,
  writeEnvelope,
  type Envelope,
} from './envelope.ts';

export type MemberFault =
  /** Two envelopes in one slot under one anchor: behind a turn, slots are filled again, but under other anchors. */
  | { readonly kind: 'equivocation'; readonly first: Envelope; readonly second: Envelope }
  /** A payload whose device did not sign it: members issue only what they have checked. */
  | ({ readonly kind: 'forgery' } & ForgeryEvidence);

const KINDS = ['equivocation', 'forgery'] as const satisfies readonly MemberFault['kind'][];

/** Signed by the culprit: it names the subnet, and the culprit by its key. */
export function faultyEnvelope(fault: MemberFault): Envelope {
  return fault.kind === 'equivocation' ? fault.first : fault.envelope;
}

/** What the issuer of an envelope has signed. */
export function signedByIssuer(chain: Hash, envelope: Envelope): Uint8Array {
  return envelopeSigningBytes(chain, envelopeHash(envelopeBodyHash(envelope), envelope.nonce));
}

/** Why two envelopes do not contradict each other, in a sentence; undefined when they do. */
export function equivocationFlaw(first: Envelope, second: Envelope): string | undefined {
  const isSame = (a: Envelope, b: Envelope, field: 'subnet' | 'anchor'): boolean =>
    equalBytes(a[field], b[field]);
  if (!equalBytes(first.issuer.bytes, second.issuer.bytes)) return 'expected two envelopes of one issuer';
  if (!isSame(first, second, 'subnet')) return 'expected two envelopes of one subnet';
  if (first.lane !== second.lane || first.sequence !== second.sequence)
    return 'expected two envelopes in one slot';
  if (!isSame(first, second, 'anchor')) return 'expected two envelopes under one anchor';
  // Nobody can tell a member that begins from one that has lost its disk while there was no checkpoint yet (DAG-10.3).
  if (equalBytes(first.anchor, first.subnet)) return 'expected an anchor that is a checkpoint';
  const hashes = [first, second].map((one) => envelopeHash(envelopeBodyHash(one), one.nonce)) as [Hash, Hash];
  // The signature is not in the hash: one envelope signed twice is one envelope.
  return equalBytes(...hashes) ? 'expected two envelopes that differ, got one of them twice' : undefined;
}

export function writeMemberFault(writer: Writer, fault: MemberFault): void {
  writer.u8(KINDS.indexOf(fault.kind) + 1);
  if (fault.kind === 'forgery') {
    writeForgeryEvidence(writer, fault);
    return;
  }
  writeEnvelope(writer, fault.first);
  writeEnvelope(writer, fault.second);
}

export function readMemberFault(reader: Reader): MemberFault {
  const kind = KINDS[reader.u8() - 1];
  if (kind === undefined)
    return reader.refuse('decode.unknown-kind', `expected a kind of fault from 1 to ${KINDS.length}`);
  return kind === 'equivocation'
    ? { kind, first: readEnvelope(reader), second: readEnvelope(reader) }
    : { kind, ...readForgeryEvidence(reader) };
}
