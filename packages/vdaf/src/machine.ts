import { Arena } from './kernel/kernel.ts';
import { plainKernel } from './kernel/plain.ts';
import { webAssemblyKernel } from './kernel/webassembly.ts';

/** Which arithmetic to use: `auto` is WebAssembly where the host allows it. */
export type KernelChoice = 'auto' | 'webassembly' | 'plain';

let compiled: Arena | undefined | 'unavailable';
let plain: Arena | undefined;

/**
 * The arena of the chosen kernel. There is one of each per module: operations are synchronous and
 * leave it empty, so sharing it is safe and keeps the set-up cost to one compilation.
 */
export function arenaOf(choice: KernelChoice): Arena {
  if (choice !== 'plain') {
    if (compiled === undefined) {
      const kernel = webAssemblyKernel();
      compiled = kernel === undefined ? 'unavailable' : new Arena(kernel);
    }
    if (compiled !== 'unavailable') return compiled;
    if (choice === 'webassembly') throw new RangeError('vdaf: this host does not run WebAssembly');
  }
  plain ??= new Arena(plainKernel());
  return plain;
}

/** The kernel that `auto` means on this host. */
export const kernelInUse = (): 'webassembly' | 'plain' => arenaOf('auto').kernel.kind;
