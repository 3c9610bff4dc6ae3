/** What shows a device that a signer may command it: a certified header, its owner's record, a grant or none (spec LIGHT-5). */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode, type Reader } from '../bytes/reader.ts';
import { refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { readStateProof, writeStateProof, type StateTreeView } from '../crypto/state-tree.ts';
import { KEYS_RECORD_BYTES_MAX } from '../ledger/account-keys.ts';
import type { Address } from '../ledger/address.ts';
import { type Certificate, type Header } from '../ledger/block.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import { LIMITS } from '../ledger/limits.ts';
import { type StateKey, delegationKey, deviceKey, grantKey, groupKey, keysKey } from '../state/keys.ts';
import { decodeRecord } from '../state/records.ts';
import { type EpochHop } from './epoch-hop.ts';
import { readLinkedHeader, writeLinkedHeader } from './certified.ts';
import {
  present,
  readShown,
  readShownRecord,
  showIn,
  writeShown,
  writeShownRecord,
  type Shown,
  type ShownRecord,
} from './shown-record.ts';

export interface AccessProof {
  /** From genesis to the set that certified the header; a device that has come further passes over the first ones. */
  readonly hops: readonly EpochHop[];
  readonly header: Header;
  readonly certificate: Certificate;
  /** Record of the device under the header's state root. */
  readonly device: ShownRecord;
  /** The subject's record of keys, or that it has none: a key that was rotated away commands nothing. */
  readonly keys: Shown;
  /** Not for the owner. For anybody else: the owner's grant, or the proof that the subject has none for this device. */
  readonly grant: Shown | undefined;
  /** Where the grant is for a group: its record, under the device's owner and this id. */
  readonly group?: ShownRecord & { readonly id: Hash };
  /** From the holder of the grant down to the subject; each is to the next one's granter. */
  readonly delegations: readonly ShownDelegation[];
}

export interface ShownDelegation extends ShownRecord {
  readonly granter: Address;
}

/** Which of a subject's grants a proof shows. */
export interface AccessPath {
  /** The group it is for; absent: this device. */
  readonly group?: Hash;
  /** Who delegated, from the holder of the owner's grant down; nobody: the owner granted to the subject. */
  readonly granters: readonly Address[];
}

const OWN_GRANT: AccessPath = { granters: [] };

/**
 * The prover's side, from the tree whose root stands in the header. Undefined when the device has no record, and when the path
 * names a group or a delegation that is not there; `findAccess` finds one that is. Without a path: the subject's own grant for
 * this device, or that there is none.
 */
export function proveAccess(o: {
  readonly tree: StateTreeView;
  readonly hops?: readonly EpochHop[];
  readonly header: Header;
  readonly certificate: Certificate;
  readonly device: Address;
  readonly subject: Address;
  readonly path?: AccessPath;
}): AccessProof | undefined {
  if (!equalBytes(o.tree.root, o.header.stateRoot))
    throw new RangeError('the header commits to another state');
  const show = (key: StateKey): Shown => showIn(o.tree, key);
  const shown = present(show(deviceKey(o.device)));
  if (shown === undefined) return undefined;
  const device = decodeRecord('device', shown.record);
  if (!device.ok) throw new RangeError(`stored device record: ${device.message}`);
  const { header, certificate, hops = [] } = o;
  const base = { hops, header, certificate, device: shown, keys: show(keysKey(o.subject)) };
  if (equalBytes(device.value.owner, o.subject)) return { ...base, grant: undefined, delegations: [] };

  const { group, granters } = o.path ?? OWN_GRANT;
  const scope = group ?? o.device;
  const grant = show(grantKey(scope, granters[0] ?? o.subject));
  if (group === undefined && granters.length === 0) return { ...base, grant, delegations: [] };
  if (grant.record === undefined) return undefined;
  const groupShown = group === undefined ? undefined : present(show(groupKey(device.value.owner, group)));
  if (group !== undefined && groupShown === undefined) return undefined;
  const delegations: ShownDelegation[] = [];
  for (const [i, granter] of granters.entries()) {
    const link = present(show(delegationKey(scope, granters[i + 1] ?? o.subject, granter)));
    if (link === undefined) return undefined;
    delegations.push({ granter, ...link });
  }
  return {
    ...base,
    grant,
    ...(group && groupShown && { group: { id: group, ...groupShown } }),
    delegations,
  };
}

/** Version 2 had neither groups nor delegations, version 3 no keys. */
const VERSION = 4;

/** What follows the device: nothing, the absence of a grant, a grant for the device, a grant for a group. */
const FORM = { owner: 0, grant: 1, absence: 2, group: 3 } as const;

export function encodeAccessProof(access: AccessProof): Uint8Array {
  const writer = new Writer(2048).u8(VERSION);
  writeLinkedHeader(writer, access);
  writeShownRecord(writer, access.device);
  writeShown(writer, access.keys);
  const { grant, group, delegations } = access;
  if (grant === undefined) return writer.u8(FORM.owner).finish();
  if (grant.record === undefined) {
    writeStateProof(writer.u8(FORM.absence), grant.proof);
    return writer.finish();
  }
  writer.u8(group === undefined ? FORM.grant : FORM.group);
  if (group !== undefined) writeShownRecord(writer.fixed(group.id, HASH_BYTES), group);
  writeShownRecord(writer, { record: grant.record, proof: grant.proof });
  writer.list(delegations, (w, link) => writeShownRecord(w.fixed(link.granter, HASH_BYTES), link));
  return writer.finish();
}

function readRecord(reader: Reader): ShownRecord {
  return readShownRecord(reader, LIMITS.recordBytesMax);
}

export function decodeAccessProof(bytes: Uint8Array): Result<AccessProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax) {
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  }
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    const base = {
      ...readLinkedHeader(reader),
      device: readRecord(reader),
      keys: readShown(reader, KEYS_RECORD_BYTES_MAX),
    };
    const form = reader.u8();
    switch (form) {
      case FORM.owner:
        return { ...base, grant: undefined, delegations: [] };
      case FORM.absence:
        return { ...base, grant: { record: undefined, proof: readStateProof(reader) }, delegations: [] };
      case FORM.grant:
        return { ...base, ...readChain(reader) };
      case FORM.group:
        return { ...base, group: { id: readHash(reader), ...readRecord(reader) }, ...readChain(reader) };
      default:
        return reader.refuse('decode.unknown-kind', `expected a form from 0 to ${FORM.group}, got ${form}`);
    }
  }, bytes);
}

function readChain(reader: Reader): { grant: Shown; delegations: ShownDelegation[] } {
  return {
    grant: readRecord(reader),
    delegations: reader.list(LIMITS.delegationsMax, (r) => ({ granter: readAddress(r), ...readRecord(r) })),
  };
}
