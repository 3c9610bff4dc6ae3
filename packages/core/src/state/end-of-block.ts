/**
 * What happens after the last transaction of a block (spec STATE-11, STATE-13): fees are put by; at checkpoint heights
 * validators are paid, an elected set takes over and bonds return; `pipelineDepth` below them the next set is elected.
 * On all other heights this is one addition.
 */
import type { PublicKey } from '../crypto/signature.ts';
import { toHex } from '../bytes/hex.ts';
import { asAddress, type Address } from '../ledger/address.ts';
import { electsAt, type EpochRecord } from '../ledger/epoch.ts';
import { amount, epoch, height, type Amount, type Height } from '../ledger/ids.ts';
import { LIMITS } from '../ledger/limits.ts';
import { quorumOf, type ValidatorSet } from '../ledger/validators.ts';
import type { Draft } from './draft.ts';
import { elect, weightIn } from './election.ts';
import type { BlockContext } from './block-context.ts';
import { changeParameters } from './apply-parameters.ts';
import { collectExpired } from './collect-expired.ts';
import type { EndEvent, LedgerEventBody } from './events.ts';
import { coSignersDue, dropCoSigningKey, renewCoSigners } from './co-signing.ts';
import { idBytes } from './record-map.ts';
import { carriedWeight, stakeOf, targetWeight, type ValidatorRecord } from './validator-record.ts';

/** Events in the order in which things happen. */
export function endBlock(draft: Draft, context: Pick<BlockContext, 'height' | 'time'>): readonly EndEvent[] {
  return [...collectExpired(draft, context), ...endHeight(draft, context.height)];
}

function endHeight(draft: Draft, at: Height): readonly EndEvent[] {
  if (draft.fees > 0n) draft.setEpoch({ ...draft.epoch, fees: amount(draft.epoch.fees + draft.fees) });
  draft.fees = 0n;
  if (electsAt(at)) return electNext(draft, at);
  if (at % LIMITS.checkpointInterval !== 0) return [];
  // Those who decided up to here are paid, then the next ones take over.
  return [...payOut(draft), ...promote(draft, at), ...releaseBonds(draft, at), ...changeParameters(draft)];
}

/**
 * What an election would decide now: the next set, which may be the same one when a restart asks for a new epoch.
 * Undefined when the epoch goes on.
 */
export function electable(
  record: EpochRecord,
  bonded: Iterable<{ readonly address: Address; readonly validator: ValidatorRecord }>,
  bondPerWeight: Amount,
): ValidatorSet | undefined {
  const candidates = Array.from(bonded, ({ address, validator }) => ({
    address,
    key: validator.key,
    current: weightIn(record.validators, validator.key),
    target: targetWeight(validator, bondPerWeight),
    jailed: validator.jailed,
    restartAt: validator.restartAt,
  }));
  const validators = elect(record.validators, candidates);
  // A restart asked for before this epoch began was answered by its beginning.
  const restart = candidates.some(({ current, restartAt }) => current > 0 && restartAt >= record.since);
  return !restart && sameSet(validators, record.validators) ? undefined : validators;
}

function electNext(draft: Draft, at: Height): readonly LedgerEventBody[] {
  const record = draft.epoch;
  const bonded = draft
    .validators()
    .map(([id, validator]) => ({ address: asAddress(idBytes(id)), validator }));
  const elected = electable(record, bonded, draft.parameters.bondPerWeight);
  // Co-signing keys change with the epoch only, so one that was registered asks for the next.
  const validators = elected ?? (coSignersDue(draft, bonded) ? record.validators : undefined);
  if (validators === undefined) return [];
  const closes = height(at + LIMITS.pipelineDepth);
  draft.setEpoch({ ...record, next: { validators, closes } });
  return [{ kind: 'epoch-elected', epoch: epoch(record.epoch + 1), closes, validators }];
}

function promote(draft: Draft, at: Height): readonly LedgerEventBody[] {
  const record = draft.epoch;
  const { next } = record;
  if (next?.closes !== at) return [];
  const { validators } = next;
  const opened = { epoch: epoch(record.epoch + 1), since: height(at + 1), validators };
  draft.setEpoch({ ...record, ...opened, next: undefined });
  renewCoSigners(draft);
  return [{ kind: 'epoch-promoted', ...opened }];
}

/**
 * Fees, less what burns of them, and reward, split by weight. What does not divide stays for the next time, and so does a culprit's share, which
 * it gets no more.
 */
function payOut(draft: Draft): readonly LedgerEventBody[] {
  const record = draft.epoch;
  const { rewardPerCheckpoint, burnShare } = draft.parameters;
  const reward = record.reserve < rewardPerCheckpoint ? record.reserve : rewardPerCheckpoint;
  const burned = (record.fees * BigInt(burnShare)) / 10_000n;
  const pot = record.fees - burned + reward;
  if (pot === 0n && burned === 0n) return [];
  const accounts = accountsByKey(draft);
  const { total } = quorumOf(record.validators.map(({ weight }) => weight));
  const shares = record.validators.flatMap(({ key, weight }) => {
    const account = accounts.get(keyText(key));
    const share = (pot * BigInt(weight)) / BigInt(total);
    if (account === undefined || account.record.jailed || share === 0n) return [];
    return [{ validator: asAddress(idBytes(account.id)), amount: amount(share) }];
  });
  let fees = pot;
  for (const share of shares) {
    draft.adjust(share.validator, share.amount);
    fees -= share.amount;
  }
  draft.setEpoch({
    ...record,
    fees: amount(fees),
    reserve: amount(record.reserve - reward),
    burned: amount(record.burned + burned),
  });
  return [
    { kind: 'rewards-paid', fees: record.fees, burned: amount(burned), reward: amount(reward), shares },
  ];
}

/**
 * A bond returns when its time has come and its owner decides no longer with weight the rest does not carry: the
 * turnover may keep a validator longer than it wants, and as long as it decides it has something to lose.
 */
function releaseBonds(draft: Draft, at: Height): readonly EndEvent[] {
  const { validators } = draft.epoch;
  const events: EndEvent[] = [];
  for (const [id, record] of draft.validators()) {
    const weight = weightIn(validators, record.key);
    const due = record.unbonding.filter((part) => part.releaseAt <= at);
    const carried = carriedWeight(record.bond, draft.parameters.bondPerWeight);
    let kept = record;
    if (due.length > 0 && weight <= carried) {
      const released = amount(due.reduce((sum, part) => sum + part.amount, 0n));
      const validator = asAddress(idBytes(id));
      kept = { ...record, unbonding: record.unbonding.slice(due.length) };
      draft.adjust(validator, released);
      events.push({ kind: 'bond-released', validator, amount: released });
    }
    const idle = weight === 0 && kept.weight === 0 && stakeOf(kept) === 0n;
    if (idle || kept !== record) draft.set('validator', id, idle ? undefined : kept);
    if (idle) events.push(...dropCoSigningKey(draft, id));
  }
  return events;
}

function accountsByKey(
  draft: Draft,
): ReadonlyMap<string, { readonly id: string; readonly record: ValidatorRecord }> {
  return new Map(draft.validators().map(([id, record]) => [keyText(record.key), { id, record }]));
}

function keyText(key: PublicKey): string {
  return toHex(key.bytes);
}

function sameSet(a: ValidatorSet, b: ValidatorSet): boolean {
  return a.length === b.length && a.every(({ key, weight }) => weightIn(b, key) === weight);
}
