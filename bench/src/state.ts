/** The state by itself: transfers without signatures, with the tree hashed and committed, at growing numbers of accounts. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ENGINE_ARGUMENTS } from '@itc/node/engine.js';
import { figure, type BenchOptions, type Result } from './result.ts';
import type { StateFigures, StateTask } from './state-ledger.ts';

export const name = 'state';

function tasksOf({ seed, quick }: BenchOptions): StateTask[] {
  if (quick)
    return [{ accounts: 2_000, rounds: 2, blocks: 2, transfers: 200, seed, peers: ['memory', 'puts'] }];
  const task = { rounds: 5, blocks: 32, transfers: 4_000, seed };
  return [
    { ...task, accounts: 10_000, peers: ['memory', 'puts'] },
    { ...task, accounts: 100_000, peers: ['memory', 'puts'] },
    { ...task, accounts: 1_000_000, peers: ['puts'] },
    { ...task, accounts: 10_000_000, peers: ['puts'] },
  ];
}

/** A process for each size: what one has left in memory is not in the figures of the next. */
async function measured(task: StateTask): Promise<StateFigures> {
  const child = fork(
    fileURLToPath(new URL('./state-ledger.js', import.meta.url)),
    ['measure', JSON.stringify(task)],
    { execArgv: [...ENGINE_ARGUMENTS] },
  );
  return await new Promise<StateFigures>((resolve, reject) => {
    let figures: StateFigures | undefined;
    child.on('message', (message) => (figures = message as StateFigures));
    child.on('error', reject);
    child.on('close', (code) =>
      figures === undefined
        ? reject(new Error(`${task.accounts} accounts: exit code ${code}`))
        : resolve(figures),
    );
  });
}

export async function run(options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  let least: number | undefined;
  for (const task of tasksOf(options)) {
    const figures = await measured(task);
    const { pages, memory, puts } = figures;
    const at = `${task.accounts.toLocaleString('en')} accounts`;
    const perProcessor = (us: readonly number[]): number[] => us.map((each) => 1_000_000 / each);
    const peer = memory ?? puts;
    results.push(
      figure(
        `transfers per second of one processor, ${at}`,
        '/s',
        perProcessor(pages.processorUs),
        peer && {
          name: memory === undefined ? 'puts alone' : 'in memory',
          samples: perProcessor(peer.processorUs),
          better: 'more',
        },
      ),
      figure(
        `transfers per second elapsed, ${at}`,
        '/s',
        pages.perSecond,
        peer && {
          name: memory === undefined ? 'puts alone' : 'in memory',
          samples: peer.perSecond,
          better: 'more',
        },
      ),
    );
    if (memory !== undefined && puts !== undefined)
      results.push(
        figure(`puts alone per second of one processor, ${at}`, '/s', perProcessor(puts.processorUs)),
      );
    const cost = figure('', '', pages.processorUs).value;
    least ??= cost;
    results.push(
      figure(`processor time of a transfer, ${at}`, 'µs', pages.processorUs),
      figure(`cost of a transfer against the least accounts, ${at}`, '×', [cost / least]),
      figure(`proof of presence, ${at}`, 'µs', figures.proofUs.present),
      figure(`proof of presence, ${at}`, 'bytes', figures.proofBytes.present),
      figure(`proof of absence, ${at}`, 'µs', figures.proofUs.absent),
      figure(`proof of absence, ${at}`, 'bytes', figures.proofBytes.absent),
      figure(`state on disk, ${at}`, 'bytes/account', [figures.liveBytes / task.accounts]),
      figure(`file with leftovers, ${at}`, 'bytes/account', [figures.fileBytes / task.accounts]),
      figure(`memory of the process, ${at}`, 'MB', [figures.residentBytes / 1e6]),
      figure(`open, ${at}`, 'ms', figures.openMs),
    );
  }
  return results;
}
