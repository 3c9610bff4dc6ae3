/** What shows a device that a signer may command it: a certified header, its owner's record, a grant or none (spec LIGHT-5). */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import {
  readStateProof,
  writeStateProof,
  type StateProof,
  type StateTreeView,
} from '../crypto/state-tree.ts';
import type { Address } from '../ledger/address.ts';
import {
  readCertificate,
  readHeader,
  writeCertificate,
  writeHeader,
  type Certificate,
  type Header,
} from '../ledger/block.ts';
import { LIMITS } from '../ledger/limits.ts';
import { deviceKey, grantKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import { decodeRecord } from '../state/records.ts';
import { readHops, writeHops, type EpochHop } from './epoch-hop.ts';

export interface AccessProof {
  /** From genesis to the set that certified the header; a device that has come further passes over the first ones. */
  readonly hops: readonly EpochHop[];
  readonly header: Header;
  readonly certificate: Certificate;
  /** Record of the device under the header's state root. */
  readonly device: { readonly record: Uint8Array; readonly proof: StateProof };
  /** Not for the owner. For anybody else: the grant's record, or the proof that there is none. */
  readonly grant: { readonly record: Uint8Array | undefined; readonly proof: StateProof } | undefined;
}

/**
 * The prover's side, from the tree whose root stands in the header. Undefined when the device has no record.
 */
export function proveAccess(o: {
  readonly tree: StateTreeView;
  readonly hops?: readonly EpochHop[];
  readonly header: Header;
  readonly certificate: Certificate;
  readonly device: Address;
  readonly subject: Address;
}): AccessProof | undefined {
  if (!equalBytes(o.tree.root, o.header.stateRoot))
    throw new RangeError('the header commits to another state');
  const show = (key: StateKey): { readonly record: Uint8Array | undefined; readonly proof: StateProof } => {
    const hash = stateKeyHash(key);
    return { record: o.tree.get(hash), proof: o.tree.prove(hash) };
  };
  const { record, proof } = show(deviceKey(o.device));
  if (record === undefined) return undefined;
  const device = decodeRecord('device', record);
  if (!device.ok) throw new RangeError(`stored device record: ${device.message}`);
  const isOwner = equalBytes(device.value.owner, o.subject);
  return {
    hops: o.hops ?? [],
    header: o.header,
    certificate: o.certificate,
    device: { record, proof },
    grant: isOwner ? undefined : show(grantKey(o.device, o.subject)),
  };
}

const VERSION = 2;

export function encodeAccessProof(access: AccessProof): Uint8Array {
  const writer = new Writer(2048).u8(VERSION);
  writeHops(writer, access.hops);
  writeHeader(writer, access.header);
  writeCertificate(writer, access.certificate);
  writer.bytes(access.device.record);
  writeStateProof(writer, access.device.proof);
  const { grant } = access;
  // 0 owner, 1 the grant follows, 2 the absence of a grant follows.
  writer.u8(grant === undefined ? 0 : grant.record === undefined ? 2 : 1);
  if (grant?.record !== undefined) writer.bytes(grant.record);
  if (grant !== undefined) writeStateProof(writer, grant.proof);
  return writer.finish();
}

export function decodeAccessProof(bytes: Uint8Array): Result<AccessProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax) {
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  }
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    const hops = readHops(reader);
    const header = readHeader(reader);
    const certificate = readCertificate(reader);
    const device = { record: reader.bytes(LIMITS.recordBytesMax).slice(), proof: readStateProof(reader) };
    const form = reader.u8();
    if (form > 2) reader.refuse('decode.unknown-kind', `expected a grant form from 0 to 2, got ${form}`);
    if (form === 0) return { hops, header, certificate, device, grant: undefined };
    const record = form === 1 ? reader.bytes(LIMITS.recordBytesMax).slice() : undefined;
    return { hops, header, certificate, device, grant: { record, proof: readStateProof(reader) } };
  }, bytes);
}
