/**
 * A module of the core with some of its text replaced: rules that have no place to put another one, because production has no use
 * for such a place, are taken out here.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

/** File, by its folder and name in the core; what stands there, once; and what is put in its place. */
export type TextChange = readonly [file: string, from: string, to: string];

const OF_CORE = /[\\/]core[\\/]dist[\\/]([\w/\\-]+)\.js$/;

/** Bounds and hash are those of the run: there is one of each. */
const SHARED = /[\\/](?:ledger[\\/]limits|crypto[\\/]hash|hash|limits)\.js$/;

/** Throws when a place is gone: the mutation is to be put where the rule has moved to. */
export async function mutatedModule(entry: string, changes: readonly TextChange[]): Promise<unknown> {
  const left = new Set(changes);
  const plugin: Plugin = {
    name: 'mutation',
    setup(bundling) {
      bundling.onResolve({ filter: SHARED }, ({ path, resolveDir }) => ({
        path: pathToFileURL(resolve(resolveDir, path)).href,
        external: true,
      }));
      bundling.onLoad({ filter: OF_CORE }, async ({ path }) => {
        const file = OF_CORE.exec(path)?.[1]?.replaceAll('\\', '/');
        const own = changes.filter(([of]) => of === file);
        if (own.length === 0) return undefined;
        let contents = await readFile(path, 'utf8');
        for (const change of own) {
          const [, from, to] = change;
          if (contents.split(from).length !== 2) continue;
          contents = contents.replace(from, () => to);
          left.delete(change);
        }
        return { contents, loader: 'js' };
      });
    },
  };
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve(entry))],
    bundle: true,
    write: false,
    format: 'esm',
    plugins: [plugin],
  });
  for (const [file, from] of left) throw new Error(`the place of a mutation is gone from ${file}: ${from}`);
  const source = Buffer.from(outputFiles[0]?.contents ?? []).toString('base64');
  return (await import(`data:text/javascript;base64,${source}`)) as unknown;
}
