/** Tasks spread over worker processes, one per processor unless told otherwise. */
import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { perform, type Report, type Task } from './worker.ts';

export function jobsDefault(): number {
  return availableParallelism();
}

/**
 * Does all tasks, in the order given as far as workers are free. `report` says whether to begin further tasks: those
 * under way are finished in any case, so that the outcome does not depend on which worker was quicker.
 */
export async function runTasks(
  tasks: readonly Task[],
  jobs: number,
  report: (report: Exclude<Report, { kind: 'done' }>) => 'go on' | 'enough',
): Promise<void> {
  if (jobs <= 1 || tasks.length <= 1) return runHere(tasks, report);
  const queue = [...tasks];
  const count = Math.min(jobs, tasks.length);
  await Promise.all(Array.from({ length: count }, () => runWorker(queue, report)));
}

async function runHere(tasks: readonly Task[], report: Parameters<typeof runTasks>[2]): Promise<void> {
  for (const task of tasks) {
    let enough = false;
    await perform(task, (said) => {
      if (said.kind !== 'done' && report(said) === 'enough') enough = true;
    });
    if (enough) return;
  }
}

function runWorker(queue: Task[], report: Parameters<typeof runTasks>[2]): Promise<void> {
  const worker = fork(fileURLToPath(new URL('worker.js', import.meta.url)), ['pool-worker'], {
    execArgv: ['--enable-source-maps'],
  });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (code === 0 || code === null) resolve();
      else reject(new Error(`a worker ended with code ${code}`));
    });
    worker.on('message', (said: Report) => {
      if (said.kind !== 'done') {
        if (report(said) === 'enough') queue.length = 0;
        return;
      }
      next(worker, queue);
    });
    next(worker, queue);
  });
}

function next(worker: ChildProcess, queue: Task[]): void {
  const task = queue.shift();
  if (task === undefined) worker.disconnect();
  else worker.send(task);
}
