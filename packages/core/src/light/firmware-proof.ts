/**
 * What shows a device the firmware of its product line (spec LIGHT-11): a certified header, the record of its channel, and those of
 * the releases from the newest down, all under one state root: nobody mixes releases of different times, or leaves one out.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type DecodeCode } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, type Hash } from '../crypto/hash.ts';
import { verifyMerklePath } from '../crypto/merkle.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { verifyStateProof, type StateTreeView } from '../crypto/state-tree.ts';
import type { Address } from '../ledger/address.ts';
import { readHash } from '../ledger/fields.ts';
import { attestationLeaf, decodeAttestation, type Attestation } from '../ledger/firmware.ts';
import type { Genesis } from '../ledger/genesis.ts';
import type { Millis } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { parsePayload } from '../ledger/payload.ts';
import type { NumberedRelease } from '../state/firmware-decision.ts';
import { decodeChannelHead, decodeReleaseHead, type ChannelHead } from '../state/firmware-record.ts';
import { countedId, stateKey, stateKeyHash, type StateKey } from '../state/keys.ts';
import { STATE_LIMITS } from '../state/limits.ts';
import type { Trust } from './trust.ts';
import {
  followChain,
  type LinkCheck,
  type LinkedHeader,
  readLinkedHeader,
  writeLinkedHeader,
} from './certified.ts';
import { present, readShownRecord, showIn, writeShownRecord, type ShownRecord } from './shown-record.ts';

export interface FirmwareProof extends LinkedHeader {
  readonly channel: Hash;
  readonly head: ShownRecord;
  /** From the newest down. */
  readonly releases: readonly (ShownRecord & { readonly number: number })[];
}

export type FirmwareCheck = LinkCheck | 'channel' | 'release' | 'age';

export interface ProvenFirmware {
  /** Further along: at the proof's header. */
  readonly trust: Trust;
  readonly head: ChannelHead;
  readonly releases: readonly NumberedRelease[];
}

const channelKey = (channel: Hash): StateKey => stateKey('channel', channel);
const releaseKey = (channel: Hash, number: number): StateKey =>
  stateKey('release', countedId(channel, number));

/** The prover's side: all releases that are remembered, or the newest `count`. Undefined when there is no such channel. */
export function proveFirmware(
  o: LinkedHeader & {
    readonly tree: StateTreeView;
    readonly channel: Hash;
    readonly count?: number;
  },
): FirmwareProof | undefined {
  const { tree, channel, hops, header, certificate } = o;
  if (!equalBytes(tree.root, header.stateRoot)) throw new RangeError('the header commits to another state');
  const show = (key: StateKey): ShownRecord | undefined => present(showIn(tree, key));
  const shown = show(channelKey(channel));
  if (shown === undefined) return undefined;
  const head = decodeChannelHead(shown.record);
  if (!head.ok) throw new RangeError(`stored channel record: ${head.message}`);
  const { newest, oldest } = head.value;
  const last = Math.max(oldest, newest - (o.count ?? STATE_LIMITS.releasesKeptMax) + 1);
  const releases: (ShownRecord & { number: number })[] = [];
  for (let number = newest; number >= last; number -= 1) {
    const release = show(releaseKey(channel, number));
    if (release === undefined) throw new RangeError(`the channel has no release ${number}`);
    releases.push({ number, ...release });
  }
  return { hops, header, certificate, channel, head: shown, releases };
}

export type FirmwareVerdict = { readonly ok: true; readonly value: ProvenFirmware } | Refused<FirmwareCheck>;

/**
 * The device's side: it knows the name of its channel, and believes nobody. Never goes back behind what it has believed before;
 * with a clock of its own it also refuses what is older than `ageMsMax`.
 */
export function verifyFirmware(o: {
  readonly trust: Trust;
  readonly channel: Hash;
  readonly proof: FirmwareProof;
  readonly verify: SignatureVerifier;
  readonly genesis?: Genesis;
  readonly clock?: { readonly now: Millis; readonly ageMsMax: number };
}): FirmwareVerdict {
  const { trust, channel, proof, verify, genesis, clock } = o;
  const { header } = proof;
  // Hashes before signatures: a path that leads elsewhere costs little.
  if (!equalBytes(proof.channel, channel))
    return refused('channel', 'the proof is about another product line');
  const head = opened(header.stateRoot, channelKey(channel), proof.head, decodeChannelHead);
  if (!head.ok) return refused('channel', head.message);
  const releases: NumberedRelease[] = [];
  for (const { number, ...shown } of proof.releases) {
    if (number !== head.value.newest - releases.length)
      return refused('release', `expected release ${head.value.newest - releases.length}, got ${number}`);
    const release = opened(header.stateRoot, releaseKey(channel, number), shown, decodeReleaseHead);
    if (!release.ok) return refused('release', release.message);
    releases.push({ number, release: release.value });
  }
  if (clock !== undefined && header.time + clock.ageMsMax < clock.now)
    return refused('age', `the proof is older than ${clock.ageMsMax} ms`);
  const followed = followChain(trust, { ...proof, verify, ...(genesis && { genesis }) });
  if (!followed.ok) return followed;
  return ok({ trust: followed.value, head: head.value, releases });
}

function opened<T>(
  root: Hash,
  key: StateKey,
  { record, proof }: ShownRecord,
  read: (bytes: Uint8Array) => Result<T, DecodeCode>,
): Result<T> {
  if (!verifyStateProof(root, stateKeyHash(key), record, proof))
    return refused('state', 'a record is not in the certified state');
  return read(record);
}

const VERSION = 1;

export function encodeFirmwareProof(proof: FirmwareProof): Uint8Array {
  const writer = new Writer(4096).u8(VERSION);
  writeLinkedHeader(writer, proof);
  writer.fixed(proof.channel, HASH_BYTES);
  writeShownRecord(writer, proof.head);
  return writer
    .list(proof.releases, (w, release) => writeShownRecord(w.u53(release.number), release))
    .finish();
}

export function decodeFirmwareProof(bytes: Uint8Array): Result<FirmwareProof, DecodeCode> {
  if (bytes.length > LIMITS.proofBytesMax)
    return refused('decode.too-long', `expected at most ${LIMITS.proofBytesMax} bytes, got ${bytes.length}`);
  return decode((reader) => {
    const version = reader.u8();
    if (version !== VERSION)
      reader.refuse('decode.unknown-kind', `expected proof version ${VERSION}, got ${version}`);
    const shown = (): ShownRecord => readShownRecord(reader, RECORD_BYTES_MAX);
    return {
      ...readLinkedHeader(reader),
      channel: readHash(reader),
      head: shown(),
      releases: reader.list(STATE_LIMITS.releasesKeptMax, () => ({ number: reader.u53(), ...shown() })),
    };
  }, bytes);
}

/** Two roles of eight keys, of whichever scheme. */
const RECORD_BYTES_MAX = 24_576;

/** That a device attested what is counted in a report of installs: its own word, and the path to the root of the report. */
export function verifyAttested(o: {
  readonly chain: Hash;
  /** The COSE_Sign1 of the device. */
  readonly payload: Uint8Array;
  readonly report: { readonly root: Hash; readonly count: number };
  readonly index: number;
  readonly path: readonly Hash[];
  readonly verify: SignatureVerifier;
}): Result<{ readonly device: Address; readonly attestation: Attestation }> {
  const payload = parsePayload(o.chain, o.payload);
  if (!payload.ok) return payload;
  const { contentType, content, signer, signedBytes, signature, id, device } = payload.value;
  if (contentType !== 'attestation') return refused('format', 'the payload is no attestation');
  const attestation = decodeAttestation(content);
  if (!attestation.ok) return attestation;
  const { root, count } = o.report;
  if (!verifyMerklePath({ root, leaf: attestationLeaf(id), index: o.index, count, path: o.path }))
    return refused('path', 'the path does not lead to the root of the report');
  if (!o.verify(signer, signedBytes, signature))
    return refused('signature', 'expected the device’s signature of its word');
  return ok({ device, attestation: attestation.value });
}
