/** A process of the pool: does one task after the other, each of which follows from what it is told alone. */
import { oracleDisagreement } from '@itc/core/testing/dag-oracle.js';
import { runDagSeed, type SeedReport } from './dag.ts';
import { readDagScenario } from './dag/scenario.ts';
import { installQuickHash } from './dag/quick-hash.ts';
import { explore, type Exploration } from './model/explore.ts';
import { variantOf, type Bounds } from './model/pipeline.ts';
import { sabotageOf } from './pbft/mutations.ts';
import { drawPlan } from './pbft/plan.ts';
import { runPlan, type Outcome } from './pbft/simulation.ts';

export type Task =
  /** Runs seeds in order; with `mutation`, until the first violation. */
  | {
      readonly kind: 'seeds';
      readonly first: number;
      readonly number: number;
      readonly mutation?: string;
      /** With light clients. */
      readonly light: boolean;
    }
  | { readonly kind: 'model'; readonly bounds: Bounds; readonly variant: string }
  /** The same for subnets. */
  | {
      readonly kind: 'dag-seeds';
      readonly first: number;
      readonly number: number;
      readonly scenario?: string;
    }
  /** Random DAGs against the definitions. */
  | { readonly kind: 'dag-oracle'; readonly first: number; readonly number: number };

export type Report =
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  | { readonly kind: 'exploration'; readonly exploration: Exploration }
  | { readonly kind: 'dag-seed'; readonly seed: SeedReport }
  | { readonly kind: 'dag-disagreement'; readonly seed: number; readonly message: string }
  | { readonly kind: 'done' };

/** @param report called for each result, and at last with 'done' */
export async function perform(task: Task, report: (report: Report) => void): Promise<void> {
  switch (task.kind) {
    case 'seeds': {
      const sabotage = task.mutation === undefined ? {} : await sabotageOf(task.mutation);
      for (let seed = task.first; seed < task.first + task.number; seed += 1) {
        const outcome = runPlan(drawPlan(seed, task.light), sabotage);
        report({ kind: 'outcome', outcome });
        if (outcome.violation !== undefined) break;
      }
      break;
    }
    case 'model':
      report({ kind: 'exploration', exploration: explore(task.bounds, variantOf(task.variant)) });
      break;
    case 'dag-seeds': {
      const options = task.scenario === undefined ? {} : readDagScenario(task.scenario);
      for (let seed = task.first; seed < task.first + task.number; seed += 1) {
        const ran = runDagSeed(seed, options);
        report({ kind: 'dag-seed', seed: ran });
        if (ran.violation !== undefined) break;
      }
      break;
    }
    case 'dag-oracle':
      installQuickHash();
      for (let seed = task.first; seed < task.first + task.number; seed += 1) {
        const message = oracleDisagreement(seed);
        if (message !== undefined) report({ kind: 'dag-disagreement', seed, message });
      }
      break;
  }
  report({ kind: 'done' });
}

if (process.send !== undefined && process.argv[2] === 'pool-worker') {
  process.on('message', (task: Task) => void perform(task, (report) => process.send?.(report)));
}
