/** Firmware on the ledger: what makers and release engineers sign, what a device attests, and what a node must show (spec STATE-23). */
import { toHex } from '@itc/core/bytes/hex.js';
import type { Hash } from '@itc/core/crypto/hash.js';
import { MerkleTree } from '@itc/core/crypto/merkle.js';
import { compareKeys, type SignatureVerifier } from '@itc/core/crypto/signature.js';
import type { Address } from '@itc/core/ledger/address.js';
import type { Body } from '@itc/core/ledger/body.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import {
  attestationLeaf,
  channelId,
  channelSigningBytes,
  encodeAttestation,
  releaseSigningBytes,
  rolloutSigningBytes,
  type Attestation,
  type ChannelForm,
  type ReleaseForm,
  type Role,
  type RoleSignature,
  type RolloutStep,
} from '@itc/core/ledger/firmware.js';
import { encodePayload, payloadId, payloadSigningBytes } from '@itc/core/ledger/payload.js';
import {
  decodeFirmwareProof,
  verifyFirmware,
  type FirmwareProof,
  type ProvenFirmware,
} from '@itc/core/light/firmware-proof.js';
import type { Trust } from '@itc/core/light/trust.js';
import { fromBase64Url } from './base64url.ts';
import type { Client } from './client.ts';
import type { Signer } from './keys.ts';

/** By signers that are of the role, each under its place there. Throws `firmware.signature` for one who is not. */
export async function signAs(
  role: Role,
  signers: readonly Signer[],
  bytes: Uint8Array,
): Promise<readonly RoleSignature[]> {
  const signatures = await Promise.all(
    signers.map(async (signer) => {
      const index = role.keys.findIndex((key) => compareKeys(key, signer.publicKey) === 0);
      if (index < 0) throw new LedgerError('firmware.signature', 'the signer has no key of the role');
      return { index, signature: await signer.sign(bytes) };
    }),
  );
  return mergeSignatures(signatures);
}

/** Of several who signed apart; each key once, in order. */
export function mergeSignatures(...parts: readonly (readonly RoleSignature[])[]): readonly RoleSignature[] {
  const byPlace = new Map(parts.flat().map((one) => [one.index, one]));
  return [...byPlace.values()].toSorted((a, b) => a.index - b.index);
}

/** By a maker; `signers` are of the root role. */
export async function createChannel(o: {
  readonly chain: Hash;
  readonly maker: Address;
  readonly model: Hash;
  readonly board: string;
  readonly form: ChannelForm;
  readonly signers: readonly Signer[];
}): Promise<Body> {
  const { model, board, form } = o;
  const signed = channelSigningBytes(o.chain, channelId(o), form);
  return {
    kind: 'create-channel',
    model,
    board,
    form,
    signatures: await signAs(form.root, o.signers, signed),
  };
}

/** Other keys, or the same for longer. `signers` are of the root role as it was, `accepting` of the one to come. */
export async function rotateChannel(o: {
  readonly chain: Hash;
  readonly channel: Hash;
  readonly root: Role;
  readonly form: ChannelForm;
  readonly signers: readonly Signer[];
  readonly accepting: readonly Signer[];
}): Promise<Body> {
  const { channel, form } = o;
  const signed = channelSigningBytes(o.chain, channel, form);
  const signatures = await signAs(o.root, o.signers, signed);
  return {
    kind: 'rotate-channel',
    channel,
    form,
    signatures,
    accepted: await signAs(form.root, o.accepting, signed),
  };
}

export interface NamedRelease {
  readonly chain: Hash;
  readonly channel: Hash;
  /** The release role of today. */
  readonly role: Role;
  readonly number: number;
  readonly signers: readonly Signer[];
}

export async function releaseFirmware(o: NamedRelease & { readonly form: ReleaseForm }): Promise<Body> {
  const { channel, number, form } = o;
  const signed = releaseSigningBytes(o.chain, channel, number, form);
  return {
    kind: 'release-firmware',
    channel,
    number,
    form,
    signatures: await signAs(o.role, o.signers, signed),
  };
}

/** `form` as the ledger has it: what is signed is the release itself. */
export async function approveRelease(o: NamedRelease & { readonly form: ReleaseForm }): Promise<Body> {
  const { channel, number, form } = o;
  const signed = releaseSigningBytes(o.chain, channel, number, form);
  return { kind: 'approve-release', channel, number, signatures: await signAs(o.role, o.signers, signed) };
}

/** The next step of a rollout; one signer is enough to halt. `form` as the ledger has it: the step is one of that release alone. */
export async function rollOut(
  o: NamedRelease & { readonly form: ReleaseForm; readonly step: RolloutStep },
): Promise<Body> {
  const { channel, number, form, step } = o;
  const signed = rolloutSigningBytes(o.chain, channel, { number, form }, step);
  return { kind: 'roll-out', channel, number, step, signatures: await signAs(o.role, o.signers, signed) };
}

/** For devices: what they tried and what runs now, signed. */
export async function buildAttestation(o: {
  readonly chain: Hash;
  /** The device's own key. */
  readonly signer: Signer;
  readonly attestation: Attestation;
  readonly sequence: number;
}): Promise<{ readonly id: Hash; readonly bytes: Uint8Array }> {
  const { publicKey, address: device } = o.signer;
  const content = encodeAttestation(o.attestation);
  const unsigned = {
    signer: publicKey,
    device,
    sequence: o.sequence,
    contentType: 'attestation' as const,
    content,
  };
  const signed = payloadSigningBytes(o.chain, unsigned);
  return { id: payloadId(publicKey, signed), bytes: encodePayload(unsigned, await o.signer.sign(signed)) };
}

/** The report of a member, and the tree that hands out the path of each attestation. `payloads` ascend by device. */
export function reportInstalls(o: {
  readonly channel: Hash;
  readonly number: number;
  readonly subnet: Hash;
  readonly payloads: readonly Hash[];
  readonly failures: number;
}): { readonly body: Body; readonly tree: MerkleTree } {
  const { channel, number, subnet, payloads, failures } = o;
  const tree = new MerkleTree(payloads.map(attestationLeaf));
  const count = payloads.length;
  return {
    body: { kind: 'report-installs', channel, number, subnet, count, failures, root: tree.root },
    tree,
  };
}

/** As a node tells them; what to believe comes by `provenFirmware`. */
export interface ChannelStatus {
  readonly channel: string;
  readonly maker: string;
  readonly model: string;
  readonly board: string;
  readonly version: number;
  readonly root: RoleStatus;
  readonly release: RoleStatus;
  readonly expiresAt: number;
  readonly newest: number;
  readonly oldest: number;
  readonly counter: number;
}

export interface RoleStatus {
  readonly keys: readonly { readonly algorithm: number; readonly key: string }[];
  readonly threshold: number;
}

export interface ReleaseStatus {
  readonly number: number;
  readonly version: string;
  readonly manifest: string;
  readonly image: string;
  readonly size: number;
  readonly counter: number;
  readonly minimum: string;
  readonly dependencies: readonly { readonly channel: string; readonly minimum: string }[];
  /** Places of the keys that signed for it. */
  readonly signed: readonly number[];
  readonly approved: boolean;
  readonly approvedAt?: number;
  readonly step: number;
  readonly share: number;
  readonly halted: boolean;
  readonly installs: { readonly count: number; readonly failures: number; readonly reports: number };
}

export type ChannelDetail = ChannelStatus & { readonly releases: readonly ReleaseStatus[] };

export async function firmwareChannels(
  client: Client,
  o: { readonly after?: string; readonly limit?: number } = {},
): Promise<readonly ChannelStatus[]> {
  return (await client.get<{ channels: readonly ChannelStatus[] }>('/firmware/channels', o)).channels;
}

/** Throws `firmware.unknown`. */
export function firmwareChannel(client: Client, channel: Hash): Promise<ChannelDetail> {
  return client.get<ChannelDetail>(`/firmware/channels/${toHex(channel)}`);
}

/** Undecided: `provenFirmware` judges it. Throws `firmware.unknown`. */
export async function firmwareProof(client: Client, channel: Hash): Promise<FirmwareProof> {
  const answer = await client.get<{ proof: string }>(`/firmware/channels/${toHex(channel)}/proof`);
  const bytes = fromBase64Url(answer.proof);
  if (!bytes.ok) throw new LedgerError('peer.message', `the proof: ${bytes.message}`);
  const proof = decodeFirmwareProof(bytes.value);
  if (!proof.ok) throw new LedgerError('peer.message', `the proof: ${proof.message}`);
  return proof.value;
}

/** The product line and its releases, as validators certified them. Throws `peer.message` when the node cannot show that. */
export async function provenFirmware(
  client: Client,
  o: { readonly trust: Trust; readonly channel: Hash; readonly verify: SignatureVerifier },
): Promise<ProvenFirmware> {
  const verdict = verifyFirmware({ ...o, proof: await firmwareProof(client, o.channel) });
  if (!verdict.ok) throw new LedgerError('peer.message', `the proof of the firmware: ${verdict.message}`);
  return verdict.value;
}
