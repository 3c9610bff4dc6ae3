/** Rebuilding a member from its log (spec DAG-10): the same functions as in operation, fed with what was written down. */
import { equalBytes } from '../bytes/hex.ts';
import { checkpointHash } from '../ledger/checkpoint.ts';
import { readDepositRecord } from './deposits.ts';
import { noEffects, type Delivery } from './effects.ts';
import { LaneTable } from './lanes.ts';
import {
  readAppliedRecord,
  readSnapshotRecord,
  readVoteRecord,
  type LogRecord,
  type VoteRecord,
} from './records.ts';
import type { MemberParts } from './report.ts';
import { readTurnRecord, type MemberTurn } from './turn.ts';
import { trustEnvelope } from './verify.ts';

/** `turn` has the parts made anew for other members. */
export function restoreRecords(
  parts: MemberParts,
  records: readonly LogRecord[],
  turn: (turn: MemberTurn) => void,
): { readonly deliveries: Delivery[]; readonly votes: VoteRecord[] } {
  const votes: VoteRecord[] = [];
  // Acting on effects is for what happens from now on; of the past only deliveries matter.
  const effects = noEffects();
  const evaluations = new Map<string, never>();
  parts.follow.restoring = true;
  for (const { kind, bytes } of records) {
    switch (kind) {
      case 'snapshot':
        restoreSnapshot(parts, bytes, turn);
        break;
      case 'envelope': {
        const envelope = trustEnvelope(parts.options, bytes);
        parts.intake.receive({ envelope, from: parts.options.self, origin: 'certified' }, 0, effects);
        break;
      }
      case 'applied':
        parts.follow.enqueue(readAppliedRecord(bytes), 0, effects);
        parts.follow.run(0, evaluations, effects, () => undefined);
        break;
      case 'turn': {
        const { first, members } = readTurnRecord(bytes);
        parts.follow.loggedTurns.set(first - 1, members);
        break;
      }
      case 'deposit':
        parts.follow.deposits.add(readDepositRecord(bytes));
        break;
      case 'vote':
        votes.push(readVoteRecord(bytes));
        break;
    }
  }
  parts.follow.restoring = false;
  parts.follow.loggedTurns.clear();
  parts.follow.appliedAt = -1;
  return { deliveries: effects.deliver, votes };
}

function restoreSnapshot(parts: MemberParts, bytes: Uint8Array, turn: (turn: MemberTurn) => void): void {
  const snapshot = readSnapshotRecord(bytes);
  const stake = parts.options.members.map((member) => member.weight);
  const lanes = LaneTable.from(stake, snapshot.entries);
  if (lanes.turn !== undefined) turn(lanes.turn);
  const { graph, follow } = parts;
  graph.restoreLanes(lanes);
  for (const anchor of snapshot.anchors) graph.anchors.add(anchor);
  for (const final of snapshot.finalised) graph.finals.add(final);
  // The snapshot does not say how much had been forgotten before it; asking storage in vain costs little.
  graph.finals.forgotten = true;
  follow.checkpoint = snapshot.checkpoint;
  follow.deposits.creditedUpTo(graph.lanes.ledger.totals.deposits);
  follow.envelopesFinal = snapshot.envelopesFinal;
  follow.payloadsApplied = snapshot.payloadsApplied;
  const root = snapshot.checkpoint?.stateRoot;
  if (root !== undefined && !equalBytes(graph.lanes.root, root))
    throw new Error('the snapshot does not have the state root of its checkpoint');
  if (snapshot.checkpoint !== undefined) {
    const last = graph.anchors.last;
    if (!equalBytes(last.hash, checkpointHash(snapshot.checkpoint)))
      throw new Error('the snapshot does not end with its checkpoint');
  }
}
