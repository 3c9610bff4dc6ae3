import { ok, refused } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import type { Prio3, ReportShare, VerifyState } from './prio3.ts';

/**
 * The ping-pong topology of draft-irtf-cfrg-vdaf-20 §5.7.1, for one leader and one helper. With the
 * single round of Prio3 it takes one message each way:
 *
 *     leader                                  helper
 *       leaderInitialize ── initialize ──▶ helperInitialize   (output share)
 *       leaderFinish     ◀──  finish   ──                     (output share)
 *
 * Both stop at the first refusal, and a refused report must not be aggregated by either.
 */
export interface PingPongTask {
  readonly verifyKey: Uint8Array;
  readonly context: Uint8Array;
}

/** Message types on the wire. `continue` (1) does not occur in a VDAF of one round. */
const INITIALIZE = 0;
const FINISH = 2;
/** Type, then the length of the only item as four bytes, most significant first. */
const HEADER_BYTES = 5;

function encodeMessage(type: number, item: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES + item.length);
  out[0] = type;
  new DataView(out.buffer).setUint32(1, item.length);
  out.set(item, HEADER_BYTES);
  return out;
}

/** The item of a message of the awaited type; trailing or missing bytes are refused. */
function decodeMessage(bytes: Uint8Array, type: number): Outcome<Uint8Array> {
  if (bytes.length < HEADER_BYTES) return refused('malformed-length');
  if (bytes[0] !== type) return refused('message-unexpected');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (length !== bytes.length - HEADER_BYTES) return refused('malformed-length');
  return ok(bytes.slice(HEADER_BYTES));
}

export interface LeaderStep {
  readonly state: VerifyState;
  readonly message: Uint8Array;
}

export interface HelperStep {
  readonly outputShare: Uint8Array;
  readonly message: Uint8Array;
}

/** Starts the verification of a report; the message goes to the helper. */
export function leaderInitialize<M, R>(
  prio3: Prio3<M, R>,
  task: PingPongTask,
  report: ReportShare,
): Outcome<LeaderStep> {
  checkShares(prio3);
  const outcome = prio3.verifyInit({ ...task, aggregatorId: 0 }, report);
  if (outcome.kind === 'refused') return outcome;
  const { state, verifierShare } = outcome.value;
  return ok({ state, message: encodeMessage(INITIALIZE, verifierShare) });
}

/** The helper's whole part: it combines the shares, so it is the first to have an output share. */
export function helperInitialize<M, R>(
  prio3: Prio3<M, R>,
  task: PingPongTask,
  report: ReportShare,
  inbound: Uint8Array,
): Outcome<HelperStep> {
  checkShares(prio3);
  const outcome = prio3.verifyInit({ ...task, aggregatorId: 1 }, report);
  if (outcome.kind === 'refused') return outcome;
  const leaderShare = decodeMessage(inbound, INITIALIZE);
  if (leaderShare.kind === 'refused') return leaderShare;
  const { state, verifierShare } = outcome.value;
  const combined = prio3.verifierSharesToMessage(task.context, [leaderShare.value, verifierShare]);
  if (combined.kind === 'refused') return combined;
  const output = prio3.verifyNext(state, combined.value);
  if (output.kind === 'refused') return output;
  return ok({ outputShare: output.value, message: encodeMessage(FINISH, combined.value) });
}

/** Ends the leader's part with the helper's answer: the leader's output share. */
export function leaderFinish<M, R>(
  prio3: Prio3<M, R>,
  state: VerifyState,
  inbound: Uint8Array,
): Outcome<Uint8Array> {
  const message = decodeMessage(inbound, FINISH);
  return message.kind === 'refused' ? message : prio3.verifyNext(state, message.value);
}

function checkShares<M, R>(prio3: Prio3<M, R>): void {
  if (prio3.shares !== 2) throw new RangeError('vdaf: ping-pong is for two aggregators');
}
