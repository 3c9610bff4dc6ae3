/**
 * Whether what an access proof shows allows a command (spec LIGHT-5, LIGHT-12): judged by the device itself, link by link, in
 * plain integers. The deposits in records are amounts beyond them, so they are passed over.
 */
import { equalBytes } from '../bytes/hex.ts';
import { decode, type Reader } from '../bytes/reader.ts';
import { ok, refused, type Refused, type Result } from '../bytes/result.ts';
import type { Hash } from '../crypto/hash.ts';
import { compareKeys, type PublicKey } from '../crypto/signature.ts';
import { verifyStateProof } from '../crypto/state-tree.ts';
import { readKeySet } from '../ledger/account-keys.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { Action, Refusal } from '../ledger/command.ts';
import type { Millis } from '../ledger/ids.ts';
import { termsRefusal } from '../ledger/terms.ts';
import {
  isChain,
  rootOfGroup,
  termsIn,
  type AccessChain,
  type DelegationLink,
} from '../state/access-chain.ts';
import { readDelegationHead, readGrantHead, readGroupHead } from '../state/access-record.ts';
import { readDeviceHead, type DeviceHead } from '../state/device-record.ts';
import {
  delegationKey,
  deviceKey,
  grantKey,
  groupKey,
  keysKey,
  stateKeyHash,
  type StateKey,
} from '../state/keys.ts';
import { DEPOSIT_BYTES } from '../state/record-deposit.ts';
import type { AccessProof } from './access-proof.ts';
import type { Shown } from './shown-record.ts';

type Step<T> = Result<T, Refusal>;

/** Which place in a proof a record has. A number: of the delegations, from the holder of the grant down. */
type Part = 'device' | 'keys' | 'grant' | 'group' | number;

/** Records under one certified state root, however they were shown, and which way they lead from the owner to the signer. */
export interface ShownAccess {
  readonly hasGrant: boolean;
  readonly group: Hash | undefined;
  readonly granters: readonly Address[];
  /** What the state holds at a key. */
  record(key: StateKey, part: Part): Step<Uint8Array | undefined>;
}

interface Question {
  readonly shown: ShownAccess;
  readonly device: Address;
  /** The account that commands. */
  readonly signer: Address;
  /** That signed, each once; the one whose hash the account's address is when left out. */
  readonly keys?: readonly PublicKey[];
  readonly action: Action;
  /** Of the chain, as far as the device knows. */
  readonly now: Millis;
}

export interface AccessQuestion {
  readonly access: AccessProof;
  readonly device: Address;
  /** As in `Question`. */
  readonly signer: Address;
  readonly keys?: readonly PublicKey[];
  readonly action: Action;
  /** Of the chain, as far as the device knows. */
  readonly now: Millis;
}

/** A grant whose uses are counted: the device has to have some left. */
export interface CountedUse {
  readonly serial: number;
  /** All there are. */
  readonly uses: number;
  /** Until then the count is kept. */
  readonly expiresAt: Millis;
}

/** What a device has to keep account of when it obeys. */
export interface Allowed {
  /** Counts that one use of the access adds to. */
  readonly counted: readonly CountedUse[];
  /** The rental by which the signer has access, and the last moment of it as far as is shown. */
  readonly rental?: { readonly id: Hash; readonly until: Millis };
}

/** The header is certified already. */
export function judgeAccess({ access, ...o }: AccessQuestion): Step<Allowed> {
  return judgeShown({ ...o, shown: shownIn(access) });
}

/** What a proof shows; each record is checked when it is asked for. */
export function shownIn(access: AccessProof): ShownAccess {
  const { header, device, keys, grant, group, delegations } = access;
  const partOf = (part: Part): Shown | undefined =>
    typeof part === 'number' ? delegations[part] : { device, keys, grant, group }[part];
  return {
    hasGrant: grant !== undefined,
    group: group?.id,
    granters: delegations.map(({ granter }) => granter),
    record: (key, part) => {
      const shown = partOf(part);
      return shown !== undefined &&
        verifyStateProof(header.stateRoot, stateKeyHash(key), shown.record, shown.proof)
        ? ok(shown.record)
        : refused('proof', 'what is shown is not in the certified state');
    },
  };
}

/** The same of records that were proven one by one. */
export function judgeShown(o: Question): Step<Allowed> {
  const device = read(o, deviceKey(o.device), 'device', readDeviceHead);
  if (!device.ok) return device;
  if (device.value === undefined) return refused('proof', 'the record of the device is not shown');
  const { state, owner } = device.value;
  if (state === 'stolen') return refused('stolen', 'the device was reported stolen');
  if (state === 'retired') return refused('retired', 'the device was retired');
  const without = judgeKeys(o);
  if (without !== undefined) return without;
  if (equalBytes(owner, o.signer)) {
    // One form only: a grant the owner does not need could be anything.
    if (o.shown.hasGrant) return refused('proof', 'the owner needs no grant');
    return isRental(o.action) ? notRented() : ok({ counted: [] });
  }
  const chain = provenChain(o, device.value);
  if (!chain.ok) return chain;
  const { rental: id, expiresAt: until } = chain.value.grant;
  if (id === undefined && isRental(o.action)) return notRented();
  const counted = judgeTerms(chain.value, o);
  return counted.ok ? ok({ counted: counted.value, ...(id && { rental: { id, until } }) }) : counted;
}

function isRental({ kind }: Action): boolean {
  return kind === 'begin' || kind === 'end';
}

function notRented(): Step<never> {
  return refused('not-allowed', 'the signer does not rent the device');
}

/**
 * Whether those who signed act for the account: once keys were changed the first one, whose hash the address still is, commands nothing,
 * and keys that weigh too little neither.
 */
function judgeKeys({ signer, keys, ...o }: Question): Refused<Refusal> | undefined {
  const record = read(o, keysKey(signer), 'keys', readKeySet);
  if (!record.ok) return record;
  const { value: set } = record;
  const isFirst = (key: PublicKey): boolean => equalBytes(addressOf(key), signer);
  const others = refused('not-granted', 'other keys act for the account of the signer');
  if (set === undefined) {
    const [key, ...rest] = keys ?? [];
    return key === undefined || (rest.length === 0 && isFirst(key)) ? undefined : others;
  }
  const listed =
    keys === undefined
      ? [set.keys.find(({ key }) => isFirst(key))]
      : keys.map((one) => set.keys.find(({ key }) => compareKeys(key, one) === 0));
  let weight = 0;
  for (const own of listed) {
    if (own === undefined) return others;
    weight += own.weight;
  }
  if (weight >= set.threshold) return undefined;
  return refused(
    'below-threshold',
    `those who signed weigh ${weight} together, and ${set.threshold} is needed`,
  );
}

/** What every link allows. */
function judgeTerms(
  chain: AccessChain,
  { action, now }: Pick<Question, 'action' | 'now'>,
): Step<readonly CountedUse[]> {
  const counted: CountedUse[] = [];
  for (const terms of termsIn(chain)) {
    const reason = termsRefusal(terms, action, now);
    if (reason !== undefined) return refused(reason, REASONS[reason]);
    const { uses, serial, expiresAt } = terms;
    if (uses !== undefined) counted.push({ serial, uses, expiresAt });
  }
  return ok(counted);
}

const REASONS = {
  'not-granted': 'the grant is not in force now',
  'off-schedule': 'the grant holds at other hours of the week',
  'not-allowed': 'the grant does not cover this',
} as const;

function provenChain(o: Question, device: DeviceHead): Step<AccessChain> {
  const { hasGrant, group, granters } = o.shown;
  if (!hasGrant) return refused('proof', 'the signer is not the owner, and no grant is shown');
  const scope: Uint8Array = group ?? o.device;
  const grant = read(o, grantKey(scope, granters[0] ?? o.signer), 'grant', readGrantHead);
  if (!grant.ok) return grant;
  if (grant.value === undefined) return refused('not-granted', 'the signer has no grant for this device');
  const root = provenRoot(o, device);
  if (!root.ok) return root;
  const delegations = provenDelegations(o, scope);
  if (!delegations.ok) return delegations;
  const chain: AccessChain = { grant: grant.value, delegations: delegations.value };
  return isChain(root.value, chain)
    ? ok(chain)
    : refused('not-granted', 'what is granted counts no more: by an earlier owner, or cut off above');
}

function provenRoot(
  o: Question,
  device: DeviceHead,
): Step<{ readonly owner: Address; readonly basis: number }> {
  const { group } = o.shown;
  if (group === undefined) return ok({ owner: device.owner, basis: device.transfers });
  const record = read(o, groupKey(device.owner, group), 'group', readGroupHead);
  if (!record.ok) return record;
  const root = record.value && rootOfGroup(record.value, device, o.device);
  return root === undefined ? refused('not-granted', 'the device is not in this group') : ok(root);
}

function provenDelegations(o: Question, scope: Uint8Array): Step<readonly DelegationLink[]> {
  const { granters } = o.shown;
  const links: DelegationLink[] = [];
  for (const [i, granter] of granters.entries()) {
    const subject = granters[i + 1] ?? o.signer;
    const record = read(o, delegationKey(scope, subject, granter), i, readDelegationHead);
    if (!record.ok) return record;
    if (record.value === undefined) return refused('proof', 'a delegation is not shown');
    links.push({ granter, record: record.value });
  }
  return ok(links);
}

/** What the state holds at a key, without the deposit at its end. */
function read<T>(
  { shown }: Pick<Question, 'shown'>,
  key: StateKey,
  part: Part,
  readHead: (reader: Reader) => T,
): Step<T | undefined> {
  const record = shown.record(key, part);
  if (!record.ok) return record;
  const { value } = record;
  if (value === undefined) return ok(undefined);
  const decoded = decode((reader) => {
    const head = readHead(reader);
    reader.fixed(DEPOSIT_BYTES);
    return head;
  }, value);
  return decoded.ok ? decoded : refused('proof', decoded.message);
}
