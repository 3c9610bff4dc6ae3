// Where the bundle of the command line lies, and whether it is made of what is compiled now.
import { statSync } from 'node:fs';

/** Workspaces whose code is in it; the compiler notes next to each when it last wrote something. */
const SOURCES = ['packages/core', 'packages/client', 'packages/node', 'packages/edge', 'apps/cli'];

export const bundle = new URL('../dist/bundle/main.js', import.meta.url);

/** False also when there is none. */
export function isFresh() {
  const made = timeOf(bundle);
  return (
    made !== undefined &&
    SOURCES.every((path) => {
      const compiled = timeOf(new URL(`../../../${path}/tsconfig.tsbuildinfo`, import.meta.url));
      return compiled === undefined || compiled < made;
    })
  );
}

function timeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
}
