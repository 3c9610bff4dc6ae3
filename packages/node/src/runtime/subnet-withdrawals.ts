/**
 * Withdrawals that checkpoints have let out (spec SUBNET-9), so that whoever is to be paid gets the path from a member and needs to
 * remember nothing. A checkpoint's rows go when the main chain has paid all of it: what is kept is bounded by what the main
 * chain keeps, and that by the value it holds. Pruning of the DAG does not touch them; what a snapshot has skipped comes from others.
 */
import { equalBytes } from '@itc/core/bytes/hex.js';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import { HASH_BYTES, type Hash } from '@itc/core/crypto/hash.js';
import { merkleRoot, MerkleTree } from '@itc/core/crypto/merkle.js';
import type { Delivery } from '@itc/core/dag/effects.js';
import type { Address } from '@itc/core/ledger/address.js';
import { readWithdrawal, withdrawalLeaf, writeWithdrawal, type Withdrawal } from '@itc/core/ledger/escrow.js';
import { LIMITS } from '@itc/core/ledger/limits.js';
import { isPaid } from '@itc/core/state/escrow-record.js';
import type { LedgerState } from '@itc/core/state/ledger-state.js';
import type { Change, Tables } from '../ports.ts';

/** Checkpoint → all it let out, in order: the leaves of its withdrawal root. */
const BY_CHECKPOINT = 'subnet-withdrawals';
/** Receiver ‖ checkpoint → nothing. */
const BY_RECEIVER = 'subnet-withdrawals-to';
const SEQUENCE_BYTES = 8;
/** In one answer; who has more fetches these first. */
export const WITHDRAWALS_TOLD = 64;

export interface WaitingWithdrawal {
  readonly checkpoint: number;
  readonly withdrawal: Withdrawal;
  /** To the withdrawal root of the checkpoint. */
  readonly path: readonly Hash[];
}

const sequenceKey = (sequence: number): Uint8Array => new Writer(SEQUENCE_BYTES).u53(sequence).finish();

function receiverKey(to: Address, sequence: number): Uint8Array {
  return new Writer(HASH_BYTES + SEQUENCE_BYTES).fixed(to, HASH_BYTES).u53(sequence).finish();
}

function rowsOf(checkpoint: number, withdrawals: readonly Withdrawal[]): Change[] {
  const writer = new Writer(48 * withdrawals.length);
  writer.list(withdrawals, writeWithdrawal);
  return [
    { table: BY_CHECKPOINT, key: sequenceKey(checkpoint), value: writer.finish() },
    ...withdrawals.map(({ to }) => ({
      table: BY_RECEIVER,
      key: receiverKey(to, checkpoint),
      value: new Uint8Array(0),
    })),
  ];
}

export class SubnetWithdrawals {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** What has to be written with a delivery; the same for the same one. */
  changes({ committed, withdrawals }: Delivery): Change[] {
    if (withdrawals.length === 0) return [];
    return rowsOf(committed.certificate.checkpoint.sequence, withdrawals);
  }

  /** Of those for this address that the main chain has not paid, oldest first, at most `WITHDRAWALS_TOLD`. */
  waiting(subnet: Hash, to: Address, state: LedgerState): WaitingWithdrawal[] {
    const waiting: WaitingWithdrawal[] = [];
    const from = receiverKey(to, 0);
    const end = receiverKey(to, Number.MAX_SAFE_INTEGER);
    for (const { key } of this.#tables.table(BY_RECEIVER).range({ start: from, end })) {
      const checkpoint = new Reader(key.subarray(HASH_BYTES)).u53();
      const open = state.withdrawals(subnet, checkpoint);
      const all = this.#of(checkpoint);
      if (open === undefined || all.length === 0) continue;
      const tree = new MerkleTree(all.map((withdrawal) => withdrawalLeaf(subnet, withdrawal)));
      for (const [index, withdrawal] of all.entries()) {
        if (Buffer.compare(withdrawal.to, to) !== 0 || isPaid(open, index)) continue;
        if (waiting.push({ checkpoint, withdrawal, path: tree.path(index) }) >= WITHDRAWALS_TOLD)
          return waiting;
      }
    }
    return waiting;
  }

  /** Checkpoints of which something waits that is not here: this member has skipped them with a snapshot. At most so many. */
  lacking(subnet: Hash, state: LedgerState, countMax: number): number[] {
    const lacking: number[] = [];
    const rows = this.#tables.table(BY_CHECKPOINT);
    for (const { checkpoint } of state.openWithdrawals(subnet)) {
      if (rows.get(sequenceKey(checkpoint)) !== undefined) continue;
      if (lacking.push(checkpoint) >= countMax) break;
    }
    return lacking;
  }

  /** All that a checkpoint let out, for another member; empty when it is not here. */
  list(checkpoint: number): readonly Withdrawal[] {
    return this.#of(checkpoint);
  }

  /** Believed is a list whose root the main chain holds. False when this is not it. */
  async take(
    subnet: Hash,
    checkpoint: number,
    withdrawals: readonly Withdrawal[],
    state: LedgerState,
  ): Promise<boolean> {
    const open = state.withdrawals(subnet, checkpoint);
    if (open === undefined || withdrawals.length !== open.count) return false;
    if (withdrawals.some(({ number }, i) => number !== open.first + i)) return false;
    const root = merkleRoot(withdrawals.map((withdrawal) => withdrawalLeaf(subnet, withdrawal)));
    if (!equalBytes(root, open.root)) return false;
    await this.#tables.commit(rowsOf(checkpoint, withdrawals));
    return true;
  }

  #of(checkpoint: number): Withdrawal[] {
    const value = this.#tables.table(BY_CHECKPOINT).get(sequenceKey(checkpoint));
    return value === undefined ? [] : new Reader(value).list(LIMITS.withdrawalsMax, readWithdrawal);
  }

  /** What goes because the main chain has paid all of a checkpoint; empty when it is not here. */
  settled(checkpoint: number): Change[] {
    const all = this.#of(checkpoint);
    if (all.length === 0) return [];
    return [
      { table: BY_CHECKPOINT, key: sequenceKey(checkpoint), value: undefined },
      ...all.map(({ to }) => ({ table: BY_RECEIVER, key: receiverKey(to, checkpoint), value: undefined })),
    ];
  }

  /** Forgets what was paid, also while this process was away. A few at a time; the rest with the next call. */
  async sweep(subnet: Hash, state: LedgerState): Promise<void> {
    const last = state.subnet(subnet)?.lastSequence ?? 0;
    const changes: Change[] = [];
    for (const { key } of this.#tables.table(BY_CHECKPOINT).range({ limit: 256 })) {
      const checkpoint = new Reader(key).u53();
      if (checkpoint <= last && state.withdrawals(subnet, checkpoint) === undefined)
        changes.push(...this.settled(checkpoint));
    }
    if (changes.length > 0) await this.#tables.commit(changes);
  }
}
