/** Faults put into shell, core and main chain, one at a time, to prove that the checkers see them: each within 40 seeds. */
import { addressOf } from '@itc/core/ledger/address.js';
import { LaneDraft, LaneTable } from '@itc/core/dag/lanes.js';
import { LedgerDraft } from '@itc/core/dag/ledger-table.js';
import { OwnPast } from '@itc/core/dag/own-past.js';
import { WINDOW_BYTES } from '@itc/core/dag/sequence-window.js';
import { isVoucher, voucherLaneOf } from '@itc/core/ledger/value-order.js';
import { runDagSeed, type SeedReport } from '../dag.ts';
import type { DagOptions } from './options.ts';
import type { Sabotage } from './node-options.ts';

export interface DagMutation {
  /** What is wrong with it. */
  readonly what: string;
  /** Runs that give it room to show. */
  readonly options: DagOptions;
  /** Changes the core for the whole process; the result puts it back. */
  readonly install?: () => () => void;
}

/** Seeds tried before a mutation counts as not caught. */
export const MUTATION_SEEDS = 40;

const CRASHES: DagOptions = {
  members: 4,
  byzantine: 0,
  candidates: 0,
  value: false,
  durationMs: 8_000,
  cadenceMs: 1_000,
  faults: { loss: 0.1, delayMaxMs: 100, crashEveryMs: 500, blackoutEveryMs: 4_000 },
};
const VALUE: DagOptions = { ...CRASHES, value: true, durationMs: 5_000, cadenceMs: 150, faults: {} };
const TURNS: DagOptions = {
  ...CRASHES,
  candidates: 2,
  wipe: false,
  durationMs: 14_000,
  cadenceMs: 100,
  mainChainCuts: false,
  faults: { loss: 0.02, delayMaxMs: 20, crashEveryMs: 1_500 },
};

const inShell = (sabotage: Sabotage, what: string, options: DagOptions = CRASHES): DagMutation => ({
  what,
  options: { ...options, sabotage },
});

/** Takes the place of a method until the result is called. */
function patch<T extends object, K extends keyof T>(
  target: T,
  name: K,
  made: (original: T[K]) => T[K],
): () => void {
  const original = target[name];
  target[name] = made(original);
  return () => {
    target[name] = original;
  };
}

const inLedger = (what: string, install: () => () => void): DagMutation => ({
  what,
  options: VALUE,
  install,
});

export const DAG_MUTATIONS: Readonly<Record<string, DagMutation>> = {
  'send-before-persist': inShell('send-before-persist', 'messages leave before the log is durable'),
  'forget-votes': inShell('forget-votes', 'votes are not read from the log after a crash'),
  'forget-envelopes': inShell('forget-envelopes', 'envelopes are not read from the log after a crash'),
  'answer-nothing': inShell('answer-nothing', 'requests go unanswered'),
  'start-over': inShell('start-over', 'after a crash only what is final is there', {
    ...CRASHES,
    faults: { loss: 0.1, delayMaxMs: 100, blackoutEveryMs: 1_500 },
  }),
  'forget-turns': inShell('forget-turns', 'turns are not read from the log after a crash', TURNS),
  'forget-deposits': inShell('forget-deposits', 'deposits are not read from the log after a crash', {
    ...VALUE,
    faults: CRASHES.faults,
  }),
  'drop-void': inShell('drop-void', 'what a turn made void is not packed again', TURNS),
  'ignore-turns': inShell('ignore-turns', 'the members of the start go on', TURNS),
  'reuse-lanes': inShell('reuse-lanes', 'lanes whose envelopes were given up are used again', {
    ...CRASHES,
    stuckMs: 300,
    faults: { loss: 0.3, delayMaxMs: 400, partitionEveryMs: 1_500 },
  }),
  'trust-no-records': {
    what: 'who has lost its records goes on at once',
    options: {
      ...CRASHES,
      wipe: true,
      // Long enough for a checkpoint before the loss: without one there is nothing to wait for.
      durationMs: 20_000,
      faults: { loss: 0.3, delayMaxMs: 400, cutEveryMs: 1_000 },
    },
    install: () =>
      patch(
        OwnPast.prototype,
        'look',
        () =>
          function (this: OwnPast) {
            this.isCertain = true;
          },
      ),
  },
  'thin-certificates': {
    what: 'one signature makes a checkpoint, and the main chain takes it',
    options: { ...VALUE, sabotage: 'thin-certificates', chainSabotage: { judgesBySigners: true } },
  },
  'judge-by-first-set': {
    what: 'the main chain and all members go by the first set for ever',
    options: { ...TURNS, sabotage: 'ignore-turns', chainSabotage: { judgesByFirstSet: true } },
  },
  'pay-again': {
    what: 'the main chain forgets what it has paid',
    options: { ...VALUE, chainSabotage: { paysAgain: true } },
  },
  'credit-twice': inLedger('a deposit is credited twice inside', () =>
    patch(
      LedgerDraft.prototype,
      'credit',
      (credit) =>
        function (this: LedgerDraft, deposit) {
          credit.call(this, deposit);
          this.totals = { ...this.totals, inside: this.totals.inside + deposit.amount };
        },
    ),
  ),
  'transfer-mints': inLedger('what is taken from a holder stays with it', () =>
    patch(
      LedgerDraft.prototype,
      'apply',
      (apply) =>
        function (this: LedgerDraft, payload, time) {
          const holder = addressOf(payload.signer);
          const before = this.balanceOf(holder);
          const refusal = apply.call(this, payload, time);
          if (refusal === undefined && this.balanceOf(holder) < before)
            this.balances.set(String.fromCharCode(...holder), { address: holder, balance: before });
          return refusal;
        },
    ),
  ),
  'let-out-twice': inLedger('a withdrawal is under the root twice', () =>
    patch(
      LedgerDraft.prototype,
      'apply',
      (apply) =>
        function (this: LedgerDraft, payload, time) {
          const before = this.withdrawals.length;
          const refusal = apply.call(this, payload, time);
          const [last] = this.withdrawals.slice(before);
          if (last !== undefined) this.withdrawals.push(last);
          return refusal;
        },
    ),
  ),
  'cash-again': inLedger('numbers of vouchers are forgotten', () =>
    patch(
      LedgerDraft.prototype,
      'apply',
      (apply) =>
        function (this: LedgerDraft, payload, time) {
          const refusal = apply.call(this, payload, time);
          if (refusal !== undefined || !isVoucher(payload)) return refusal;
          for (const [name, { holder, lane, record }] of this.lanes)
            if (record !== undefined && lane === voucherLaneOf(payload))
              this.lanes.set(name, {
                holder,
                lane,
                record: { ...record, high: 0, window: new Uint8Array(WINDOW_BYTES) },
              });
          return refusal;
        },
    ),
  ),
  'apply-again': {
    what: 'numbers of payloads are forgotten',
    options: { ...VALUE, value: false },
    install: () =>
      patch(
        LaneDraft.prototype,
        'apply',
        (apply) =>
          function (this: LaneDraft, payload, issuer) {
            const outcome = apply.call(this, payload, issuer);
            return outcome === 'duplicate' ? 'applied' : outcome;
          },
      ),
  },
  'stale-root': {
    what: 'now and then the state tree is not moved on',
    options: { ...VALUE, value: false },
    install: () => {
      let count = 0;
      return patch(
        LaneTable.prototype,
        'adopt',
        (adopt) =>
          function (this: LaneTable, draft) {
            const { tree } = this;
            adopt.call(this, draft);
            count += 1;
            if (count % 11 === 0) this.tree = tree;
          },
      );
    },
  },
};

/** One run with a mutation, and the core as it was afterwards. */
export function runMutation(name: string, seed: number): SeedReport {
  const mutation = DAG_MUTATIONS[name];
  if (mutation === undefined) throw new RangeError(`there is no mutation ${name}`);
  const restore = mutation.install?.();
  try {
    return runDagSeed(seed, mutation.options);
  } finally {
    restore?.();
  }
}

/** The first seed that shows the fault, or undefined. */
export function seedThatShows(
  name: string,
  first = 1,
  number: number = MUTATION_SEEDS,
): SeedReport | undefined {
  for (let seed = first; seed < first + number; seed += 1) {
    const report = runMutation(name, seed);
    if (report.violation !== undefined) return report;
  }
  return undefined;
}
