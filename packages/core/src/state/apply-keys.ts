/**
 * Who may act for an account, and how that changes (spec STATE-15). The address never changes: it is the hash of the first key,
 * which counts as long as there is no record of others.
 */
import { compareBytes, equalBytes } from '../bytes/hex.ts';
import { ok, refused, type Result } from '../bytes/result.ts';
import { ZERO_HASH, type Hash } from '../crypto/hash.ts';
import { compareKeys, type PublicKey } from '../crypto/signature.ts';
import { checkPublicKey } from '../crypto/verify.ts';
import { keySetHash, type KeySet } from '../ledger/account-keys.ts';
import { addressOf, type Address } from '../ledger/address.ts';
import type { Guardianship, KeysBody } from '../ledger/bodies/keys.ts';
import type { BodyOf } from '../ledger/body.ts';
import type { ErrorCode } from '../ledger/errors.ts';
import { millis } from '../ledger/ids.ts';
import type { BlockContext, Flaw } from './block-context.ts';
import type { Draft } from './draft.ts';
import type { LedgerEventBody } from './events.ts';
import type { GuardiansRecord, RecoveryVote } from './guardians-record.ts';
import { STATE_LIMITS } from './limits.ts';
import { exchangeDeposit, NO_DEPOSIT, releaseDeposit } from './record-deposit.ts';
import { idText } from './record-map.ts';
import { recordBytes } from './records.ts';
import type { Rules } from './rules.ts';
import { signaturesOf, type OpenedTransaction } from './verified-transaction.ts';

/**
 * Whether those who signed may act for the sender, given what its record of keys says (undefined: it has none). Their weights
 * reach the threshold, and none of them could be left out: so a transaction has no second form that is valid as well.
 */
export function signersFlaw(set: KeySet | undefined, { tx }: OpenedTransaction): Flaw {
  if (set === undefined) {
    if (tx.account === undefined && tx.cosigners === undefined) return undefined;
    return refused('account.signers', 'expected the key whose address the sender is, and no other');
  }
  let sum = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const { key } of signaturesOf(tx)) {
    const weight = weightOf(set, key);
    if (weight === 0) return refused('account.signers', 'a key that signed is not one of the account');
    sum += weight;
    least = Math.min(least, weight);
  }
  if (sum < set.threshold)
    return refused('account.signers', `expected signers of weight ${set.threshold}, got ${sum}`);
  if (sum - least >= set.threshold)
    return refused('account.signers', 'expected no signer that could be left out');
  return undefined;
}

function weightOf(set: KeySet, key: PublicKey): number {
  return set.keys.find((entry) => compareKeys(entry.key, key) === 0)?.weight ?? 0;
}

/** A key nobody could sign with would lock its account. Curve arithmetic: asked after the signatures. */
function keysFlaw({ keys }: KeySet): Flaw {
  if (keys.every(({ key }) => checkPublicKey(key))) return undefined;
  return refused('keys.malformed', 'a key is not one of its scheme');
}

function guardianshipFlaw(sender: Address, { guardians, threshold, delay }: Guardianship): Flaw {
  const malformed = (expected: string): Flaw => refused('guardians.malformed', expected);
  if (guardians.length === 0)
    return threshold === 0 && delay === 0
      ? undefined
      : malformed('no guardians have neither threshold nor delay');
  if (threshold < 1 || threshold > guardians.length)
    return malformed(`expected a threshold from 1 to ${guardians.length}, got ${threshold}`);
  const { recoveryDelayMinMs: min, recoveryDelayMaxMs: max } = STATE_LIMITS;
  if (delay < min || delay > max) return malformed(`expected a delay from ${min} to ${max} ms, got ${delay}`);
  for (const [i, guardian] of guardians.entries()) {
    if (equalBytes(guardian, sender)) return malformed('an account does not guard itself');
    const before = guardians[i - 1];
    if (before !== undefined && compareBytes(before, guardian) >= 0)
      return malformed('expected guardians ascending');
  }
  return undefined;
}

/** The last check before the first write. The first key alone is what an account without a record has: one state, one set of records. */
function setKeys(draft: Draft, account: Address, set: KeySet, payer: Address): Flaw {
  const [only] = set.keys;
  const isFirst = set.keys.length === 1 && only !== undefined && equalBytes(addressOf(only.key), account);
  const id = idText(account);
  const held = draft.get('keys', id)?.deposit;
  if (isFirst) {
    if (held !== undefined) releaseDeposit(draft, held);
    draft.set('keys', id, undefined);
    return undefined;
  }
  const bytes = recordBytes('keys', { ...set, deposit: NO_DEPOSIT });
  const deposit = exchangeDeposit(draft, held, payer, bytes);
  if (!deposit.ok) return deposit;
  draft.set('keys', id, { ...set, deposit: deposit.value });
  return undefined;
}

function applyRotate(
  draft: Draft,
  sender: Address,
  { keys }: BodyOf<'rotate-keys'>,
): Result<LedgerEventBody, ErrorCode> {
  const flaw = keysFlaw(keys) ?? setKeys(draft, sender, keys, sender);
  if (flaw !== undefined) return flaw;
  dropRecovery(draft, sender);
  return ok({ kind: 'keys-rotated', account: sender, keys });
}

/** Whoever has the keys has no need of a recovery, so one under way ends here. */
function dropRecovery(draft: Draft, account: Address): void {
  const record = draft.get('guardians', idText(account));
  if (record !== undefined && record.votes.length > 0)
    draft.set('guardians', idText(account), { ...record, votes: [], pending: undefined });
}

function applySetGuardians(
  draft: Draft,
  sender: Address,
  body: BodyOf<'set-guardians'>,
): Result<LedgerEventBody, ErrorCode> {
  const { guardians, threshold, delay } = body;
  const id = idText(sender);
  const held = draft.get('guardians', id)?.deposit;
  if (guardians.length === 0) {
    if (held !== undefined) releaseDeposit(draft, held);
    draft.set('guardians', id, undefined);
  } else {
    const record = { guardians, threshold, delay, votes: [], pending: undefined };
    const deposit = exchangeDeposit(draft, held, sender, longestBytes(body));
    if (!deposit.ok) return deposit;
    draft.set('guardians', id, { ...record, deposit: deposit.value });
  }
  return ok({ kind: 'guardians-set', account: sender, guardians, threshold, delay });
}

/** Bytes of the record when everyone has voted and enough agree. */
function longestBytes({ guardians, threshold, delay }: Guardianship): number {
  const votes = guardians.map((guardian) => ({ guardian, choice: ZERO_HASH }));
  const pending = { keys: ZERO_HASH, readyAt: millis(0) };
  return recordBytes('guardians', { guardians, threshold, delay, votes, pending, deposit: NO_DEPOSIT });
}

function applyRecover(
  draft: Draft,
  context: BlockContext,
  guardian: Address,
  { account, keys }: BodyOf<'recover'>,
): Result<LedgerEventBody, ErrorCode> {
  const record = draft.get('guardians', idText(account));
  const refusal = guardianFlaw(record, guardian) ?? keysFlaw(keys);
  if (refusal !== undefined || record === undefined) return refusal ?? unguarded();
  const choice = keySetHash(keys);
  const votes = voted(record.votes, { guardian, choice });
  const support = countFor(votes, choice);
  const held = stillHeld(record, votes);
  // Agreement on other keys starts the delay anew; further votes for the same ones do not.
  const agreed = support >= record.threshold && !(held !== undefined && equalBytes(held.keys, choice));
  const pending = agreed ? { keys: choice, readyAt: millis(context.time + record.delay) } : held;
  draft.set('guardians', idText(account), { ...record, votes, pending });
  const { threshold } = record;
  const readyAt = pending !== undefined && equalBytes(pending.keys, choice) ? pending.readyAt : undefined;
  return ok({ kind: 'recovery-proposed', account, guardian, keys, support, threshold, readyAt });
}

function applyVeto(
  draft: Draft,
  sender: Address,
  { account }: BodyOf<'veto-recovery'>,
): Result<LedgerEventBody, ErrorCode> {
  const record = draft.get('guardians', idText(account));
  const isOwner = equalBytes(sender, account);
  const refusal = isOwner ? undefined : guardianFlaw(record, sender);
  if (refusal !== undefined || record === undefined) return refusal ?? unguarded();
  if (record.votes.length === 0)
    return refused('recovery.unknown', 'nobody wants other keys for this account');
  const votes = voted(record.votes, { guardian: sender, choice: ZERO_HASH });
  const isOver = isOwner || countFor(votes, ZERO_HASH) >= record.threshold;
  const next = isOver
    ? { ...record, votes: [], pending: undefined }
    : { ...record, votes, pending: stillHeld(record, votes) };
  draft.set('guardians', idText(account), next);
  return ok({ kind: 'recovery-vetoed', account, by: sender, isOver });
}

function applyFinish(
  draft: Draft,
  context: BlockContext,
  sender: Address,
  { account, keys }: BodyOf<'finish-recovery'>,
): Result<LedgerEventBody, ErrorCode> {
  const record = draft.get('guardians', idText(account));
  const pending = record?.pending;
  if (record === undefined || pending === undefined)
    return refused('recovery.unknown', 'the guardians of this account have not agreed on keys');
  if (!equalBytes(pending.keys, keySetHash(keys)))
    return refused('recovery.keys', 'these are not the keys the guardians have agreed on');
  if (context.time < pending.readyAt)
    return refused('recovery.early', `possible from ${pending.readyAt}, this block is of ${context.time}`);
  const flaw = setKeys(draft, account, keys, sender);
  if (flaw !== undefined) return flaw;
  draft.set('guardians', idText(account), { ...record, votes: [], pending: undefined });
  return ok({ kind: 'recovered', account, keys });
}

function unguarded(): Result<never, ErrorCode> {
  return refused('guardians.unknown', 'this account has no guardians');
}

function guardianFlaw(record: GuardiansRecord | undefined, sender: Address): Flaw {
  if (record === undefined) return refused('guardians.unknown', 'this account has no guardians');
  if (record.guardians.some((guardian) => equalBytes(guardian, sender))) return undefined;
  return refused('recovery.not-guardian', 'the sender is not a guardian of this account');
}

/** A guardian has one vote, the last one. */
function voted(votes: readonly RecoveryVote[], vote: RecoveryVote): readonly RecoveryVote[] {
  return [...votes.filter(({ guardian }) => !equalBytes(guardian, vote.guardian)), vote].sort((a, b) =>
    compareBytes(a.guardian, b.guardian),
  );
}

function countFor(votes: readonly RecoveryVote[], choice: Hash): number {
  return votes.filter((vote) => equalBytes(vote.choice, choice)).length;
}

/** What was agreed on stays so only as long as enough guardians want it. */
function stillHeld(record: GuardiansRecord, votes: readonly RecoveryVote[]): GuardiansRecord['pending'] {
  const { pending, threshold } = record;
  return pending !== undefined && countFor(votes, pending.keys) >= threshold ? pending : undefined;
}

export const KEYS_RULES: Rules<KeysBody['kind']> = {
  'rotate-keys': {
    signs: true,
    proved: (_, __, ___, body) => keysFlaw(body.keys),
    apply: (draft, _, { sender }, body) => applyRotate(draft, sender, body),
  },
  'set-guardians': {
    flaw: guardianshipFlaw,
    apply: (draft, _, { sender }, body) => applySetGuardians(draft, sender, body),
  },
  recover: {
    signs: true,
    proved: (_, __, ___, body) => keysFlaw(body.keys),
    apply: (draft, context, { sender }, body) => applyRecover(draft, context, sender, body),
  },
  'veto-recovery': { apply: (draft, _, { sender }, body) => applyVeto(draft, sender, body) },
  'finish-recovery': {
    apply: (draft, context, { sender }, body) => applyFinish(draft, context, sender, body),
  },
};
