/** Transactions that wait too long (spec PBFT-13): enough validators report them, and the proposer has to take them in. */
import { equalBytes } from '../bytes/hex.ts';
import type { Hash } from '../crypto/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Include } from './messages.ts';
import type { ReplicaState } from './replica-state.ts';
import { turnOf } from './schedule.ts';
import { includeBytes } from './signing.ts';
import { doubt } from './suspicion.ts';

/** Further blocks the proposer has for an overdue transaction: a full pipeline may have been proposed before. */
export const INCLUSION_BLOCKS: number = LIMITS.pipelineDepth + 2;

/** And this many resend intervals, or a quick proposer would be through before the reports have reached it. */
const INCLUSION_INTERVALS = 2;

/** A report counts this many resend intervals; it is sent again in each as long as it holds. */
const REPORT_INTERVALS = 3;

/** An own overdue transaction that others report too. */
export interface Overdue {
  readonly id: Hash;
  /** Delivered height at which the present proposer's time for it began. */
  readonly since: number;
  readonly sinceMs: number;
  readonly view: number;
  readonly turn: number;
}

export function onInclude(state: ReplicaState, message: Include): void {
  if (state.now === undefined) return;
  state.reports[message.sender] = { ids: message.ids, at: state.now };
}

/** On every tick: reports, watches the present proposer, and tells an own shell that proposes what to take in. */
export function watchInclusion(state: ReplicaState): void {
  const { now } = state;
  if (now === undefined || !state.canVote) return;
  if (state.overdue.length > 0 && now - state.reportedAt >= state.timing.resendMs) {
    state.reportedAt = now;
    state.send('all', ownReport(state));
  }
  if (state.changing || state.syncing || state.closed || !state.isOpen) {
    state.watched = [];
    return;
  }
  const next = state.delivered.height + 1;
  if (state.proposer(next) === state.self) wantInclusion(state, now);
  watch(state, next, now);
}

function ownReport(state: ReplicaState): Include {
  const { chain, epoch, self, sign } = state.options;
  const unsigned = { kind: 'include', sender: self, epoch, ids: state.overdue } as const;
  return { ...unsigned, signature: sign(includeBytes(chain, unsigned)) };
}

function watch(state: ReplicaState, next: number, now: number): void {
  const turn = turnOf(next);
  state.watched = state.overdue
    .filter((id) => reportedWeight(state, id) >= state.weights.quorum.weak)
    .map((id) => {
      const held = state.watched.find((known) => equalBytes(known.id, id));
      if (held !== undefined && held.view === state.view && held.turn === turn) return held;
      return { id, since: state.delivered.height, sinceMs: now, view: state.view, turn };
    });
  const patienceMs = INCLUSION_INTERVALS * state.timing.resendMs;
  const isOut = ({ since, sinceMs }: Overdue): boolean =>
    state.delivered.height - since >= INCLUSION_BLOCKS && now - sinceMs >= patienceMs;
  if (state.watched.some(isOut)) doubt(state, next, 'leaves-out');
}

/** Also what this shell does not have itself: it may have been kept from here. */
function wantInclusion(state: ReplicaState, now: number): void {
  if (now - state.inclusionWantedAt < state.timing.resendMs) return;
  const ids: Hash[] = [];
  const lists = [state.overdue, ...state.reports.map((report) => report?.ids ?? [])];
  for (const id of lists.flat()) {
    if (ids.length >= LIMITS.inclusionMax) break;
    if (ids.some((known) => equalBytes(known, id))) continue;
    if (reportedWeight(state, id) >= state.weights.quorum.weak) ids.push(id);
  }
  if (ids.length === 0) return;
  state.inclusionWantedAt = now;
  state.out.want.push({ kind: 'include', ids });
}

/** Weight that reports a transaction now, this replica included. */
function reportedWeight(state: ReplicaState, id: Hash): number {
  const since = (state.now ?? 0) - REPORT_INTERVALS * state.timing.resendMs;
  return state.weights.sum((index) => {
    if (index === state.self) return state.overdue.some((known) => equalBytes(known, id));
    const report = state.reports[index];
    return report !== undefined && report.at >= since && report.ids.some((known) => equalBytes(known, id));
  });
}
