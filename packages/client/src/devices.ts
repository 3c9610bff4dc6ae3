/** A device's life: what makers and owners send, and what a node tells with what a client can check of it (spec STATE-16). */
import { equalBytes, fromHex, toHex } from '@itc/core/bytes/hex.js';
import { asHash, ZERO_HASH, type Hash } from '@itc/core/crypto/hash.js';
import type { PublicKey, SignatureVerifier } from '@itc/core/crypto/signature.js';
import { formatAddress, parseAddress, type Address } from '@itc/core/ledger/address.js';
import {
  attestationKeySigningBytes,
  attestationSigningBytes,
  OWNERSHIP_CHANGES,
  ownershipLink,
  recoverySigningBytes,
  type Mark,
  type Model,
  type Offer,
  type OwnershipChange,
} from '@itc/core/ledger/bodies/device-life.js';
import type { DeviceBatch } from '@itc/core/ledger/bodies/device.js';
import type { Body } from '@itc/core/ledger/body.js';
import { LedgerError } from '@itc/core/ledger/errors.js';
import type { Genesis } from '@itc/core/ledger/genesis.js';
import { millis, type Amount, type Millis } from '@itc/core/ledger/ids.js';
import { ACTIONS, type ModelLimits } from '@itc/core/ledger/terms.js';
import {
  decodeProvenanceProof,
  verifyProvenance,
  type Provenance,
} from '@itc/core/light/provenance-proof.js';
import type { Trust } from '@itc/core/light/trust.js';
import { fromBase64Url } from './base64url.ts';
import type { Client } from './client.ts';
import { seedSigner, type Signer } from './keys.ts';
import type { Voucher } from './voucher.ts';

/** With an attestation key the maker registers only batches that key has signed, of models it has registered. */
export function registerCertifiedMaker(name: string, attestation: PublicKey): Body {
  return { kind: 'register-maker', name, attestation };
}

export function registerModel(model: Model): Body {
  return { kind: 'register-model', model };
}

/** `signer`: the attestation key so far; the new one itself where the maker has none. */
export async function setAttestation(o: {
  readonly chain: Hash;
  readonly maker: Address;
  readonly key: PublicKey;
  readonly signer: Signer;
}): Promise<Body> {
  const proof = await o.signer.sign(attestationKeySigningBytes(o.chain, o.maker, o.key));
  return { kind: 'set-attestation', key: o.key, proof };
}

/** The batch with the signature of the maker's attestation key. */
export async function attestBatch(
  batch: DeviceBatch,
  o: { readonly chain: Hash; readonly maker: Address; readonly attestation: Signer },
): Promise<DeviceBatch> {
  const attestation = await o.attestation.sign(attestationSigningBytes(o.chain, o.maker, batch));
  return { ...batch, attestation };
}

/** To one account, at a price that is paid when it accepts; 0 for a gift. */
export function offerDevice(o: { readonly device: Address } & Offer): Body {
  return { kind: 'offer-device', ...o };
}

/** `transfers` and `price` as read from the node: if the owner changed either, nothing happens. */
export function acceptDevice(o: {
  readonly device: Address;
  readonly price: Amount;
  readonly transfers: number;
}): Body {
  return { kind: 'accept-device', ...o };
}

/** By the owner; by the one it was offered to, who declines. */
export function withdrawDevice(device: Address): Body {
  return { kind: 'withdraw-device', device };
}

export function markDevice(device: Address, mark: Mark): Body {
  return { kind: 'mark-device', device, mark };
}

/** What the device signs when its button is pressed: whoever asks for it has it in hand. */
export function confirmPresence(
  signer: Pick<Signer, 'sign'>,
  o: { readonly chain: Hash } & Parameters<typeof recoverySigningBytes>[1],
): Promise<Uint8Array> | Uint8Array {
  return signer.sign(recoverySigningBytes(o.chain, o));
}

/** Asks for a device whose owner lost every key: `claimant` must be the sender, and owns it when the owner lets the delay pass. */
export function recoverDevice(o: {
  readonly chain: Hash;
  readonly voucher: Voucher;
  readonly device: Address;
  readonly claimant: Address;
  readonly transfers: number;
  /** By the device, see `confirmPresence`. */
  readonly presence: Uint8Array;
}): Body {
  const { chain, device, claimant, transfers, presence, voucher } = o;
  const claimSigner = seedSigner(voucher.claimSeed);
  const signed = claimSigner.sign(recoverySigningBytes(chain, { device, claimant, transfers }));
  const { publicKey: claimKey } = claimSigner;
  const { index, path } = voucher;
  return { kind: 'recover-device', recovery: { device, claimKey, index, path, voucher: signed, presence } };
}

/** By the owner: how long recoveries wait, 0 for none at all. Ends the one under way, so it is the veto as well. */
export function setDeviceRecovery(device: Address, delayMs: number): Body {
  return { kind: 'set-device-recovery', device, delay: delayMs };
}

/** What a node says of a device on the ledger. Amounts are decimal texts, times ms since 1970. */
export interface DeviceRecordAnswer {
  readonly address: string;
  readonly key: string;
  readonly owner: string;
  readonly state: 'owned' | 'stolen' | 'retired';
  readonly transfers: number;
  readonly ownedSince: number;
  readonly claimedAt: number;
  /** Last link of the history of owners. */
  readonly history: string;
  /** 0: none is possible. */
  readonly recoveryDelay: number;
  readonly deposit: string;
  readonly batch: string;
  readonly model: string;
  readonly modelName?: string;
  /** Of the model, where the maker has registered it. */
  readonly limits?: {
    readonly actions: readonly string[];
    readonly levelMax: number;
    readonly colour?: { readonly min: number; readonly max: number };
  };
  readonly maker: string;
  readonly makerName: string;
  /** The maker's attestation key signed the batch. */
  readonly attested: boolean;
  readonly offer?: { readonly to: string; readonly price: string; readonly expiresAt: number };
  readonly recovery?: {
    readonly claimant: string;
    readonly readyAt: number;
    readonly expiresAt: number;
  };
}

export function deviceRecord(client: Client, device: Address): Promise<DeviceRecordAnswer> {
  return client.get(`/ledger/devices/${formatAddress(device)}`);
}

/** What grants for a device stay within (`beyondModel`); undefined where the maker has not registered its model. */
export function limitsOf({ limits }: DeviceRecordAnswer): ModelLimits | undefined {
  if (limits === undefined) return undefined;
  const bits = Object.entries({ ...ACTIONS, 'on-off': ACTIONS.onOff });
  const actions = limits.actions.reduce(
    (sum, name) => sum | (bits.find(([one]) => one === name)?.[1] ?? 0),
    0,
  );
  return { ...limits, actions };
}

/** The proof of a device's provenance, judged from genesis or from trust: `peer.message` when it does not hold. */
export async function deviceProvenance(
  client: Client,
  device: Address,
  o: {
    readonly genesis: Genesis;
    readonly verify: SignatureVerifier;
    readonly trust?: Trust;
    /** Of a device that nobody has claimed yet: where its birth certificate says it is from. */
    readonly batch?: Hash;
  },
): Promise<Provenance & { readonly proof: Uint8Array }> {
  const query = o.batch === undefined ? {} : { batch: toHex(o.batch) };
  const answer = await client.get<{ proof: string }>(`/proofs/provenance/${formatAddress(device)}`, query);
  const bytes = fromBase64Url(answer.proof);
  const decoded = bytes.ok ? decodeProvenanceProof(bytes.value) : bytes;
  if (!bytes.ok || !decoded.ok)
    throw new LedgerError('peer.message', `the proof is malformed: ${decoded.ok ? '' : decoded.message}`);
  const { genesis, verify, trust } = o;
  const judged = verifyProvenance(decoded.value, { device, genesis, verify, ...(trust && { trust }) });
  if (!judged.ok)
    throw new LedgerError('peer.message', `the proof does not hold: ${judged.message}`, {
      check: judged.code,
    });
  return { ...judged.value, proof: bytes.value };
}

/** One owner after the other, oldest first. */
export interface OwnerEntry {
  readonly owner: Address;
  readonly how: OwnershipChange;
  readonly at: Millis;
}

/** Whether this is the whole list of owners, in order: what anybody says of a device's past is held against its record. */
export function isHistoryOf(
  record: { readonly history: Hash; readonly transfers: number },
  owners: readonly OwnerEntry[],
): boolean {
  let link: Hash = ZERO_HASH;
  for (const [transfers, entry] of owners.entries()) link = ownershipLink(link, { transfers, ...entry });
  return owners.length === record.transfers + 1 && equalBytes(link, record.history);
}

/** One entry of the log about a device. */
export interface DeviceLogEntry {
  readonly cursor: string;
  readonly height: number;
  readonly time: number;
  readonly transaction?: string;
  readonly sender?: string;
  readonly event?: { readonly kind: string } & Readonly<Record<string, unknown>>;
}

const OWNER_EVENTS: Readonly<Record<string, readonly [how: OwnershipChange, owner: string]>> = {
  'device-claimed': [OWNERSHIP_CHANGES[0], 'owner'],
  'device-transferred': [OWNERSHIP_CHANGES[1], 'to'],
  'device-recovered': [OWNERSHIP_CHANGES[2], 'to'],
};

const PAGE = 100;
/** Of one device: what is older than so many entries is asked for by hand. */
const ENTRIES_MAX = 10_000;

/** What happened to a device, newest first, from the log of a node that keeps one (`not-found` otherwise). */
export async function deviceLog(client: Client, device: Address): Promise<readonly DeviceLogEntry[]> {
  const entries: DeviceLogEntry[] = [];
  let before: string | undefined;
  do {
    const page: { entries: readonly DeviceLogEntry[]; next?: string } = await client.get('/log', {
      about: formatAddress(device),
      limit: PAGE,
      before,
    });
    entries.push(...page.entries);
    before = page.next;
  } while (before !== undefined && entries.length < ENTRIES_MAX);
  return entries;
}

/** The owners that a log tells of, oldest first; `isHistoryOf` says whether to believe it. */
export function ownersIn(log: readonly DeviceLogEntry[]): readonly OwnerEntry[] {
  const owners: OwnerEntry[] = [];
  for (const { event, time } of log.toReversed()) {
    const change = event && OWNER_EVENTS[event.kind];
    if (event === undefined || change === undefined) continue;
    const owner = parseAddress(String(event[change[1]]));
    if (owner.ok) owners.push({ owner: owner.value, how: change[0], at: millis(time) });
  }
  return owners;
}

/** A hash as the API writes it, or undefined. */
export function hashOf(text: string): Hash | undefined {
  const bytes = fromHex(text);
  return bytes.ok && bytes.value.length === ZERO_HASH.length ? asHash(bytes.value) : undefined;
}
