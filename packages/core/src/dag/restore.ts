/** Rebuilding a member from its log (spec DAG-10): the same functions as in operation, fed with what was written down. */
import { equalBytes } from '../bytes/hex.ts';
import { checkpointHash } from '../ledger/checkpoint.ts';
import { readDepositRecord } from './deposits.ts';
import { noEffects, type Delivery, type MemberOptions } from './effects.ts';
import { LaneTable } from './lanes.ts';
import {
  readAppliedRecord,
  readSnapshotRecord,
  readVoteRecord,
  type LogRecord,
  type VoteRecord,
} from './records.ts';
import type { MemberParts } from './report.ts';
import { trustEnvelope } from './verify.ts';

export function restoreRecords(
  options: MemberOptions,
  parts: MemberParts,
  records: readonly LogRecord[],
): { readonly deliveries: Delivery[]; readonly votes: VoteRecord[] } {
  const votes: VoteRecord[] = [];
  // Acting on effects is for what happens from now on; of the past only deliveries matter.
  const effects = noEffects();
  const evaluations = new Map<string, never>();
  for (const { kind, bytes } of records) {
    switch (kind) {
      case 'snapshot':
        restoreSnapshot(options, parts, bytes);
        break;
      case 'envelope': {
        const envelope = trustEnvelope(options, bytes);
        parts.intake.receive({ envelope, from: options.self, origin: 'certified' }, 0, effects);
        break;
      }
      case 'applied':
        parts.follow.enqueue(readAppliedRecord(bytes), 0, effects);
        parts.follow.run(0, evaluations, effects, () => undefined);
        break;
      case 'deposit':
        parts.follow.deposits.add(readDepositRecord(bytes));
        break;
      case 'vote':
        votes.push(readVoteRecord(bytes));
        break;
    }
  }
  parts.follow.appliedAt = -1;
  return { deliveries: effects.deliver, votes };
}

function restoreSnapshot(options: MemberOptions, parts: MemberParts, bytes: Uint8Array): void {
  const { graph, follow } = parts;
  const snapshot = readSnapshotRecord(bytes);
  const stake = options.members.map((member) => member.weight);
  graph.restoreLanes(LaneTable.from(stake, snapshot.entries));
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
