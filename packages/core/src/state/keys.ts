/**
 * Where a record lives (spec STATE-1): one kind byte, then the id. The state tree is keyed by the hash of
 * that, so that nobody can choose where in the tree a record falls.
 */
import type { Brand } from '../bytes/result.ts';
import { concatBytes } from '../bytes/hex.ts';
import { idText } from '../bytes/id-text.ts';
import { Reader } from '../bytes/reader.ts';
import { Writer } from '../bytes/writer.ts';
import { HASH_BYTES, hashTagged, ZERO_HASH, type Hash } from '../crypto/hash.ts';
import type { Address } from '../ledger/address.ts';

/** Kind byte ‖ id. */
export type StateKey = Brand<Uint8Array, 'StateKey'>;

/** The numbers are part of the state root: append, never renumber. Not every number has a kind. */
export const RECORD_KINDS = {
  parameters: 0,
  account: 1,
  maker: 2,
  batch: 3,
  device: 4,
  grant: 5,
  subnet: 6,
  epoch: 7,
  validator: 8,
  escrow: 9,
  deposit: 10,
  withdrawals: 11,
  model: 15,
  sale: 16,
  'device-recovery': 17,
  group: 18,
  delegation: 19,
  sponsorship: 21,
  sponsored: 22,
  stream: 23,
  expiry: 24,
  'parameter-votes': 25,
  keys: 12,
  guardians: 13,
  'rental-offer': 28,
  rental: 29,
  settlement: 30,
  channel: 31,
  release: 32,
  installs: 33,
  membership: 36,
  stake: 37,
  turn: 38,
  'co-signing-key': 45,
  'co-signers': 46,
  'checkpoint-range': 39,
  'checkpoint-peaks': 40,
  'subnet-base': 41,
} as const;

export type RecordKind = keyof typeof RECORD_KINDS;

/** A counter at the end of an id, big-endian, so that neighbours are neighbours. */
const COUNTER_BYTES = 8;

const ID_BYTES: Readonly<Record<RecordKind, number>> = {
  parameters: 0,
  account: HASH_BYTES,
  maker: HASH_BYTES,
  batch: HASH_BYTES,
  device: HASH_BYTES,
  grant: 2 * HASH_BYTES,
  subnet: HASH_BYTES,
  epoch: 0,
  validator: HASH_BYTES,
  escrow: HASH_BYTES,
  deposit: HASH_BYTES + COUNTER_BYTES,
  withdrawals: HASH_BYTES + COUNTER_BYTES,
  model: 2 * HASH_BYTES,
  sale: HASH_BYTES,
  'device-recovery': HASH_BYTES,
  group: 2 * HASH_BYTES,
  delegation: 3 * HASH_BYTES,
  sponsorship: HASH_BYTES,
  sponsored: 2 * HASH_BYTES,
  stream: HASH_BYTES,
  expiry: COUNTER_BYTES + HASH_BYTES,
  'parameter-votes': 1,
  keys: HASH_BYTES,
  guardians: HASH_BYTES,
  'rental-offer': HASH_BYTES,
  rental: HASH_BYTES,
  settlement: HASH_BYTES,
  channel: HASH_BYTES,
  release: HASH_BYTES + COUNTER_BYTES,
  installs: HASH_BYTES + COUNTER_BYTES + 2 * HASH_BYTES,
  membership: HASH_BYTES,
  stake: 2 * HASH_BYTES,
  turn: HASH_BYTES + COUNTER_BYTES,
  'co-signing-key': HASH_BYTES,
  'co-signers': 0,
  'checkpoint-range': HASH_BYTES,
  'checkpoint-peaks': HASH_BYTES,
  'subnet-base': HASH_BYTES,
};

const KIND_OF: readonly (RecordKind | undefined)[] = (Object.keys(RECORD_KINDS) as RecordKind[]).reduce<
  (RecordKind | undefined)[]
>((table, kind) => {
  table[RECORD_KINDS[kind]] = kind;
  return table;
}, []);

/** The id must have the width of its kind: our callers build it from branded hashes and addresses. */
export function stateKey(kind: RecordKind, ...id: readonly Uint8Array[]): StateKey {
  const key = concatBytes(Uint8Array.of(RECORD_KINDS[kind]), ...id);
  if (key.length !== 1 + ID_BYTES[kind])
    throw new RangeError(`a key of kind ${kind} has ${1 + ID_BYTES[kind]} bytes, got ${key.length}`);
  return key as StateKey;
}

export const PARAMETERS_KEY: StateKey = stateKey('parameters');
export const EPOCH_KEY: StateKey = stateKey('epoch');
/** Who may co-sign in the present epoch; absent where nobody may. */
export const CO_SIGNERS_KEY: StateKey = stateKey('co-signers');
export const accountKey = (address: Address): StateKey => stateKey('account', address);
/** A device is named by the address of its own key. */
export const deviceKey = (device: Address): StateKey => stateKey('device', device);
/** One grant per device or group and subject; all grants of a device are neighbours. */
export const grantKey = (scope: Uint8Array, subject: Address): StateKey => stateKey('grant', scope, subject);
/** One per device or group, subject and delegator; all that a subject holds of a device are neighbours. */
export const delegationKey = (scope: Uint8Array, subject: Address, granter: Address): StateKey =>
  stateKey('delegation', scope, subject, granter);
/** All groups of an owner are neighbours. */
export const groupKey = (owner: Address, group: Hash): StateKey => stateKey('group', owner, group);
export const subnetKey = (id: Hash): StateKey => stateKey('subnet', id);
/** Under it a light client finds everything a subnet ever applied. */
export const checkpointRangeKey = (subnet: Hash): StateKey => stateKey('checkpoint-range', subnet);
/** Named by the account that bonds, not by the consensus key. */
export const validatorKey = (address: Address): StateKey => stateKey('validator', address);

/** Of the account; absent while its first key alone acts. */
export const keysKey = (address: Address): StateKey => stateKey('keys', address);
export const guardiansKey = (address: Address): StateKey => stateKey('guardians', address);

export const sponsorshipKey = (id: Hash): StateKey => stateKey('sponsorship', id);
/** What was used of it today by a device or account, or by all when none is named. */
export const sponsoredKey = (id: Hash, subject: Uint8Array = ZERO_HASH): StateKey =>
  stateKey('sponsored', id, subject);
export const streamKey = (id: Hash): StateKey => stateKey('stream', id);

/** A subnet and the number of a deposit, or the sequence of a checkpoint with withdrawals: the id of those records. */
export const countedId = (subnet: Hash, counter: number): Uint8Array =>
  concatBytes(subnet, new Writer(COUNTER_BYTES).u53(counter).finish());

/** The counter at the end of such an id. */
export const counterOf = (id: Uint8Array): number => new Reader(id.slice(-COUNTER_BYTES)).u53();

/** Position in the state tree. */
export function stateKeyHash(key: StateKey): Hash {
  return hashTagged('stateKey', key);
}

/** Records that change often change again: these hashes are remembered, some 4 MB of them at most. */
const REMEMBERED_MAX = 32_768;
const remembered = new Map<string, string>();

/** `stateKeyHash` as text; `label` is the key as text, see `idText`. The same for the same key, whatever was asked before. */
export function stateKeyText(key: StateKey, label: string): string {
  let text = remembered.get(label);
  if (text !== undefined) return text;
  text = idText(stateKeyHash(key));
  if (remembered.size >= REMEMBERED_MAX) remembered.clear();
  remembered.set(label, text);
  return text;
}

/** Splits stored bytes into kind and id; undefined when they are no state key. The id is a view. */
export function parseStateKey(
  bytes: Uint8Array,
): { readonly kind: RecordKind; readonly id: Uint8Array } | undefined {
  const kind = KIND_OF[bytes[0] ?? -1];
  if (kind === undefined || bytes.length !== 1 + ID_BYTES[kind]) return undefined;
  return { kind, id: bytes.subarray(1) };
}
