/** Reading the write-ahead log back (spec PBFT-7). Own records are trusted: the disk is part of the replica. */
import { LIMITS } from '../ledger/limits.ts';
import { indicesOf } from '../ledger/validators.ts';
import { noEffects } from './effects.ts';
import { epochOfRecord, type LogRecord } from './log.ts';
import type { ReplicaState } from './replica-state.ts';
import { blameAfresh } from './suspicion.ts';
import { adoptView } from './view-change.ts';

/** Applies the records of this epoch in order. Some may be there twice, or stand for heights the block log already covers. */
export function restore(state: ReplicaState, records: readonly LogRecord[]): void {
  for (const record of records) if (epochOfRecord(record) === state.options.epoch) apply(state, record);
  // Nothing is to be written or sent because of what was only read.
  state.out = noEffects();
}

function apply(state: ReplicaState, record: LogRecord): void {
  switch (record.kind) {
    case 'accepted': {
      const slot = state.slotOfRecord(record.block.height);
      if (slot === undefined) return;
      slot.keep(record.block);
      if (slot.accepted === undefined || record.view >= slot.accepted.view)
        slot.accepted = { view: record.view, block: record.block };
      return;
    }
    case 'prepared': {
      const slot = state.slotOfRecord(record.certificate.height);
      if (
        slot !== undefined &&
        (slot.prepared === undefined || record.certificate.view >= slot.prepared.view)
      ) {
        slot.prepared = record.certificate;
      }
      return;
    }
    case 'committed':
      state.learnFinal(record.certificate, record.certificate, undefined);
      state.certifiedDurable = state.certified.height;
      return;
    case 'view-change':
      if (record.message.view < state.view) return;
      state.view = record.message.view;
      state.changing = true;
      state.ownViewChange = record.message;
      for (const index of indicesOf(record.message.suspects, state.weights.count) ?? [])
        blameAfresh(state, index, state.certified.height + LIMITS.skipBlocks);
      state.viewChanges[record.message.sender] = {
        message: record.message,
        stable: record.message.stable,
        committed: record.message.committed,
        prepared: record.message.prepared,
      };
      return;
    case 'new-view':
      if (record.message.view < state.view) return;
      adoptView(state, record.message);
      if (record.message.base.height > state.certified.height) {
        state.learnFinal(record.message.base, undefined, record.message.sender);
        state.certifiedDurable = state.certified.height;
      }
      return;
    case 'checkpoint':
      if (record.message.height >= state.stableHeight)
        state.ownCheckpoints.set(record.message.height, record.message);
      return;
    case 'stable':
      if (record.certificate.height <= state.stableHeight) return;
      state.stablePrevious = state.stable;
      state.stable = record.certificate;
      for (const at of state.ownCheckpoints.keys())
        if (at < record.certificate.height) state.ownCheckpoints.delete(at);
      state.learnFinal(record.certificate, undefined, undefined);
      return;
    case 'truncate':
      return;
  }
}
