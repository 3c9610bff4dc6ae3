/**
 * Access shown by a light stream (spec LIGHT-13): one answer leads a device from the epoch it trusts to the newest header and shows
 * under it whether a signer may command it. The device keeps its trust of 149 bytes and no set of validators.
 */
import { idText } from '../bytes/id-text.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { asHash, HASH_BYTES, type Hash } from '../crypto/hash.ts';
import type { SignatureVerifier } from '../crypto/signature.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import type { Refusal } from '../ledger/command.ts';
import type { Height, Millis } from '../ledger/ids.ts';
import {
  delegationKey,
  deviceKey,
  grantKey,
  groupKey,
  keysKey,
  parseStateKey,
  type StateKey,
} from '../state/keys.ts';
import type { ShownAccess } from './access.ts';
import type { AccessPath } from './access-proof.ts';
import { judgeCommand, type CommandQuestion, type CommandVerdictOf } from './command.ts';
import { LightReader, type StreamCheck } from './light-reader.ts';

/** Keys that a stream of access shows at most: a device, its rental, keys, group, grant and delegations. */
export const ACCESS_KEYS_MAX = 12;

/**
 * The keys a stream shows for a command, in order: device; keys of the signer; for anybody but the owner the group, if there is one, the
 * grant, and the delegations from its holder down to the signer.
 */
export function accessKeys(o: {
  readonly device: Address;
  readonly owner: Address;
  readonly subject: Address;
  /** Absent for the owner. */
  readonly path?: AccessPath;
}): StateKey[] {
  const { device, owner, subject, path } = o;
  const keys = [deviceKey(device), keysKey(subject)];
  if (path === undefined) return keys;
  const { group, granters } = path;
  const scope: Uint8Array = group ?? device;
  if (group !== undefined) keys.push(groupKey(owner, group));
  keys.push(grantKey(scope, granters[0] ?? subject));
  for (const [i, granter] of granters.entries())
    keys.push(delegationKey(scope, granters[i + 1] ?? subject, granter));
  return keys;
}

/** What a stream has proven. */
export interface Followed {
  /** 149 bytes, to be kept. */
  readonly trust: Uint8Array;
  readonly height: Height;
  readonly time: Millis;
  /** Under the newest header, by state key as text. Undefined: nothing is there. */
  readonly records: ReadonlyMap<string, Uint8Array | undefined>;
  /** In the order they were shown. */
  readonly keys: readonly Uint8Array[];
}

/** `trusted-set`: it begins at another set than the one that is trusted; one that begins at the device's epoch may do. */
export type FollowCheck = StreamCheck | 'unfinished';

/** Reads a whole stream from what is trusted. */
export function followStream(o: {
  readonly trust: Uint8Array;
  readonly stream: Uint8Array;
  readonly verify: SignatureVerifier;
}): Result<Followed, FollowCheck> {
  const reader = new LightReader({ trust: o.trust, verify: o.verify });
  let newest: { trust: Uint8Array; height: Height; time: Millis } | undefined;
  const records = new Map<string, Uint8Array | undefined>();
  const keys: Uint8Array[] = [];
  for (const event of reader.push(o.stream)) {
    switch (event.kind) {
      case 'refused':
        return refused(event.check, event.reason);
      case 'believed':
        newest = { trust: event.trust, height: event.height, time: event.time };
        break;
      case 'state':
        // What is shown under an earlier header is of another moment.
        if (event.height !== newest?.height || keys.length >= ACCESS_KEYS_MAX) break;
        keys.push(event.key);
        records.set(idText(event.key), event.value);
        break;
      case 'history':
      case 'transaction':
      case 'applied':
      case 'fresh':
      case 'done':
        break;
    }
  }
  if (newest === undefined || !reader.isDone) return refused('unfinished', 'the stream ends too early');
  return ok({ ...newest, records, keys });
}

export type StreamedVerdict = CommandVerdictOf<Uint8Array> & {
  /** What the stream has shown; absent where it was not read, or refused. */
  readonly followed?: Followed;
  /** Why it was refused. */
  readonly unfollowed?: FollowCheck;
};

/** The device's side: as `verifyCommand`, with a stream in the place of the proof and trust as bytes. */
export function verifyStreamedCommand(
  o: CommandQuestion & { readonly trust: Uint8Array; readonly stream: Uint8Array },
): StreamedVerdict {
  let followed: Followed | undefined;
  let unfollowed: FollowCheck | undefined;
  const chain = asHash(o.trust.slice(0, HASH_BYTES));
  const verdict = judgeCommand(o, { chain, trust: o.trust }, () => {
    const read = followStream(o);
    if (!read.ok) {
      unfollowed = read.code;
      return refused(read.code === 'stale' ? 'stale-proof' : 'proof', read.message);
    }
    followed = read.value;
    const { trust, time } = followed;
    if (o.proofAgeMsMax !== undefined && time + o.proofAgeMsMax < o.now)
      return refused('stale-proof', `the proof is older than ${o.proofAgeMsMax} ms`);
    return ok({ trust, time, shown: shownBy(followed) });
  });
  return { ...verdict, ...(followed && { followed }), ...(unfollowed && { unfollowed }) };
}

/** The way is read off the keys; whether they are those of this device, owner and signer is asked record by record. */
export function shownBy({ records, keys }: Followed): ShownAccess {
  let hasGrant = false;
  let group: Hash | undefined;
  const granters: Address[] = [];
  for (const key of keys) {
    const parsed = parseStateKey(key);
    if (parsed?.kind === 'grant') hasGrant = true;
    if (parsed?.kind === 'group') group = asHash(parsed.id.slice(HASH_BYTES));
    if (parsed?.kind === 'delegation') granters.push(asAddress(parsed.id.slice(2 * HASH_BYTES)));
  }
  return {
    hasGrant,
    group,
    granters,
    record: (key) => {
      const name = idText(key);
      return records.has(name)
        ? ok(records.get(name))
        : refused<Refusal>('proof', 'a record that it takes is not shown');
    },
  };
}
