/** How the engine that runs a node is set up: for several processes on few processors, and for objects that live a second or three. */
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/**
 * Arguments a node's process is started with. Payloads of a subnet live from their envelope to their checkpoint: in a young
 * generation of 16 MB, as it is without this, nearly all of them are moved twice before they go; with 64 MB most have gone
 * when it is full. Where little passes it does not grow.
 */
export const ENGINE_ARGUMENTS: readonly string[] = ['--max-semi-space-size=64'];

/**
 * Helpers of the garbage collector spin while they wait for each other, and marking beside the program makes each write
 * dearer: where several processes share few processors that takes a fifth of all time for nothing.
 */
const FEW_PROCESSORS = [
  '--no-parallel-scavenge',
  '--no-parallel-compaction',
  '--no-parallel-pointer-update',
  '--no-concurrent-marking',
  '--no-concurrent-sweeping',
];

/** Once at the start of a process, before there is much in memory. */
export function settleEngine(): void {
  if (availableParallelism() <= 4) for (const flag of FEW_PROCESSORS) setFlagsFromString(flag);
}
