/**
 * Who acts for an account or a device, shown to somebody who trusts nobody (spec DID-2): a certified header, and under its state
 * the records of keys, guardians and device, or that there are none.
 */
import { equalBytes, toHex } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { verifyStateProof, type StateTreeView } from '../crypto/state-tree.ts';
import { KEYS_RECORD_BYTES_MAX } from '../ledger/account-keys.ts';
import type { Address } from '../ledger/address.ts';
import type { DidRecords } from '../ledger/did.ts';
import { readAddress } from '../ledger/fields.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { Height, Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { deviceKey, guardiansKey, keysKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import { decodeRecord } from '../state/records.ts';
import { trustGenesis, type Conflict, type Trust } from './trust.ts';
import {
  followChain,
  type LinkCheck,
  type LinkedHeader,
  readLinkedHeader,
  writeLinkedHeader,
} from './certified.ts';
import { readShown, showIn, writeShown, type Shown } from './shown-record.ts';

export interface IdentityProof extends LinkedHeader {
  readonly address: Address;
  readonly keys: Shown;
  readonly guardians: Shown;
  readonly device: Shown;
}

const VERSION = 1;

/** The prover's side, from the tree whose root stands in the header. */
export function proveIdentity(
  o: LinkedHeader & { readonly tree: StateTreeView; readonly address: Address },
): IdentityProof {
  const { tree, address, header, certificate, hops } = o;
  if (!equalBytes(tree.root, header.stateRoot)) throw new RangeError('the header commits to another state');
  const show = (key: StateKey): Shown => showIn(tree, key);
  const keys = show(keysKey(address));
  return {
    header,
    certificate,
    hops,
    address,
    keys,
    guardians: show(guardiansKey(address)),
    device: show(deviceKey(address)),
  };
}

export function encodeIdentityProof(proof: IdentityProof): Uint8Array {
  const writer = new Writer(2048).u8(VERSION);
  writeLinkedHeader(writer, proof);
  writer.fixed(proof.address, HASH_BYTES);
  for (const shown of [proof.keys, proof.guardians, proof.device]) writeShown(writer, shown);
  return writer.finish();
}

export function decodeIdentityProof(bytes: Uint8Array): Result<IdentityProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    return {
      ...readLinkedHeader(reader),
      address: readAddress(reader),
      keys: readShown(reader, KEYS_RECORD_BYTES_MAX),
      guardians: readShown(reader, KEYS_RECORD_BYTES_MAX),
      device: readShown(reader, KEYS_RECORD_BYTES_MAX),
    };
  }, bytes);
}

export interface Identity {
  readonly records: DidRecords;
  /** Of the header; the state is that of `pipelineDepth` blocks before. */
  readonly height: Height;
  readonly time: Millis;
  /** To go on from. */
  readonly trust: Trust;
}

export type IdentityCheck = LinkCheck | 'address' | 'keys' | 'guardians' | 'device';

/**
 * Judges a proof for an address: offline, from genesis or from what a client has come to trust. The answer holds for the height it
 * names; a proof from the past stays true of the past.
 */
export function verifyIdentity(
  proof: IdentityProof,
  o: {
    readonly address: Address;
    readonly genesis: Genesis;
    readonly trust?: Trust;
    readonly verify: SignatureVerifier;
  },
): Result<Identity, IdentityCheck> | (Refused<LinkCheck> & { readonly conflict?: Conflict }) {
  const { address, genesis, verify } = o;
  if (!equalBytes(proof.address, address)) return refused('address', 'the proof is about another address');
  const { header, certificate, hops } = proof;
  const followed = followChain(o.trust ?? trustGenesis(genesis), {
    header,
    certificate,
    hops,
    verify,
    genesis,
  });
  if (!followed.ok) return followed;
  const shown = [
    ['keys', keysKey(address), proof.keys],
    ['guardians', guardiansKey(address), proof.guardians],
    ['device', deviceKey(address), proof.device],
  ] as const;
  for (const [check, key, { record, proof: path }] of shown)
    if (!verifyStateProof(header.stateRoot, stateKeyHash(key), record, path))
      return refused(check, 'the record is not in the certified state as shown');
  const read = <K extends 'keys' | 'guardians' | 'device'>(
    kind: K,
  ): ReturnType<typeof decodeRecord<K>> | undefined => {
    const { record } = proof[kind];
    return record === undefined ? undefined : decodeRecord(kind, record);
  };
  const [keys, guardians, device] = [read('keys'), read('guardians'), read('device')];
  // The validators certify what their own code wrote, so this is a newer form than the reader knows.
  if (keys?.ok === false) return refused('keys', keys.message);
  if (guardians?.ok === false) return refused('guardians', guardians.message);
  if (device?.ok === false) return refused('device', device.message);
  const records: DidRecords = {
    address,
    chain: toHex(followed.value.chain),
    keys: keys?.value,
    guardians: guardians?.value,
    device: device?.value,
  };
  return ok({ records, height: header.height, time: header.time, trust: followed.value });
}
