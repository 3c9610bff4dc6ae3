/**
 * Where a device comes from and whose it is, shown to somebody who trusts nobody (spec LIGHT-13): a certified header, and under
 * its state the records of the device, its batch, the maker and the model.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { verifyStateProof, type StateTreeView } from '../crypto/state-tree.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import { readAddress, readHash } from '../ledger/fields.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { Height, Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { deviceKey, stateKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import { decodeRecord, type Batch, type Device, type Maker, type Model } from '../state/records.ts';
import { trustGenesis, type Conflict, type Trust } from './trust.ts';
import {
  followChain,
  type LinkCheck,
  type LinkedHeader,
  readLinkedHeader,
  writeLinkedHeader,
} from './certified.ts';
import { readShown, showIn, writeShown, type Shown } from './shown-record.ts';

const PARTS = ['device', 'batch', 'maker', 'model'] as const;
type Part = (typeof PARTS)[number];

export type ProvenanceProof = LinkedHeader & {
  readonly address: Address;
  /** Of the device; of one that nobody has claimed, where its birth certificate says it is from. */
  readonly batchId: Hash;
} & { readonly [P in Part]: Shown };

const VERSION = 1;

/**
 * The prover's side, from the tree whose root stands in the header. Undefined when the device has no record and no batch is
 * named, and for a batch that is not there.
 */
export function proveProvenance(
  o: LinkedHeader & { readonly tree: StateTreeView; readonly address: Address; readonly batchId?: Hash },
): ProvenanceProof | undefined {
  const { tree, address, header, certificate, hops } = o;
  if (!equalBytes(tree.root, header.stateRoot)) throw new RangeError('the header commits to another state');
  const show = (key: StateKey): Shown => showIn(tree, key);
  const device = show(deviceKey(address));
  const batchId = stored('device', device)?.batch ?? o.batchId;
  if (batchId === undefined) return undefined;
  const batch = show(stateKey('batch', batchId));
  const record = stored('batch', batch);
  if (record === undefined) return undefined;
  return {
    header,
    certificate,
    hops,
    address,
    batchId,
    device,
    batch,
    maker: show(stateKey('maker', record.maker)),
    model: show(stateKey('model', record.maker, record.model)),
  };
}

function stored<K extends 'device' | 'batch'>(
  kind: K,
  { record }: Shown,
): (K extends 'device' ? Device : Batch) | undefined {
  if (record === undefined) return undefined;
  const decoded = decodeRecord(kind, record);
  if (!decoded.ok) throw new RangeError(`stored record: ${decoded.message}`);
  return decoded.value as K extends 'device' ? Device : Batch;
}

export function encodeProvenanceProof(proof: ProvenanceProof): Uint8Array {
  const writer = new Writer(4096).u8(VERSION);
  writeLinkedHeader(writer, proof);
  writer.fixed(proof.address, HASH_BYTES).fixed(proof.batchId, HASH_BYTES);
  for (const part of PARTS) writeShown(writer, proof[part]);
  return writer.finish();
}

export function decodeProvenanceProof(bytes: Uint8Array): Result<ProvenanceProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    const shown = (): Shown => readShown(reader, LIMITS.recordBytesMax);
    return {
      ...readLinkedHeader(reader),
      address: readAddress(reader),
      batchId: readHash(reader),
      device: shown(),
      batch: shown(),
      maker: shown(),
      model: shown(),
    };
  }, bytes);
}

export interface Provenance {
  /** Undefined: nobody has claimed it. */
  readonly device: Device | undefined;
  readonly batchId: Hash;
  readonly batch: Batch;
  readonly maker: Maker;
  /** Undefined: the maker has registered none of this hash. */
  readonly model: Model | undefined;
  /** Of the header; the state is that of `pipelineDepth` blocks before. */
  readonly height: Height;
  readonly time: Millis;
  /** To go on from. */
  readonly trust: Trust;
}

export type ProvenanceCheck = LinkCheck | Part | 'address';

/** Judged offline, from genesis or from trust. It is true of the height it names. */
export function verifyProvenance(
  proof: ProvenanceProof,
  o: {
    readonly device: Address;
    readonly genesis: Genesis;
    readonly trust?: Trust;
    readonly verify: SignatureVerifier;
  },
): Result<Provenance, ProvenanceCheck> | (Refused<LinkCheck> & { readonly conflict?: Conflict }) {
  const { genesis, verify } = o;
  if (!equalBytes(proof.address, o.device)) return refused('address', 'the proof is about another device');
  const { header, certificate, hops, batchId } = proof;
  const link = { header, certificate, hops, verify, genesis };
  const followed = followChain(o.trust ?? trustGenesis(genesis), link);
  if (!followed.ok) return followed;
  const device = shownRecord(proof, 'device', deviceKey(o.device));
  if (!device.ok) return device;
  // The address is the key's, so a record under it can name no other; this says so whoever wrote it.
  if (device.value !== undefined && !equalBytes(addressOf(device.value.key), o.device))
    return refused('device', 'the record is of another key');
  if (device.value !== undefined && !equalBytes(device.value.batch, batchId))
    return refused('batch', 'the device is of another batch');
  const batch = shownRecord(proof, 'batch', stateKey('batch', batchId));
  if (!batch.ok) return batch;
  if (batch.value === undefined) return refused('batch', 'there is no such batch');
  const maker = shownRecord(proof, 'maker', stateKey('maker', batch.value.maker));
  if (!maker.ok) return maker;
  if (maker.value === undefined) return refused('maker', 'there is no such maker');
  const model = shownRecord(proof, 'model', stateKey('model', batch.value.maker, batch.value.model));
  if (!model.ok) return model;
  return ok({
    device: device.value,
    batchId,
    batch: batch.value,
    maker: maker.value,
    model: model.value,
    height: header.height,
    time: header.time,
    trust: followed.value,
  });
}

interface Records {
  device: Device;
  batch: Batch;
  maker: Maker;
  model: Model;
}

function shownRecord<P extends Part>(
  proof: ProvenanceProof,
  part: P,
  key: StateKey,
): Result<Records[P] | undefined, Part> {
  const { record, proof: path } = proof[part];
  if (!verifyStateProof(proof.header.stateRoot, stateKeyHash(key), record, path))
    return refused(part, 'the record is not in the certified state as shown');
  if (record === undefined) return ok(undefined);
  const decoded = decodeRecord<Part>(part, record);
  return decoded.ok ? ok(decoded.value as Records[P]) : refused(part, decoded.message);
}
