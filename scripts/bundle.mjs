// Bundles the dashboard into apps/dashboard/dist/www: one script, one style sheet, no outside host.
import { build } from 'esbuild';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const app = fileURLToPath(new URL('../apps/dashboard', import.meta.url));
const entry = `${app}/dist/main.js`;
if (!existsSync(entry)) {
  console.error('The dashboard is not compiled yet: run `npm run build`.');
  process.exit(1);
}
const www = `${app}/dist/www`;
if (existsSync(www))
  for (const file of readdirSync(www)) if (file.startsWith('part-')) rmSync(`${www}/${file}`);
await build({
  entryPoints: { dashboard: entry },
  outdir: www,
  // What a page loads when it is opened, such as the wallet, is a part of its own.
  splitting: true,
  chunkNames: 'part-[hash]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  sourcemap: 'external',
  logLevel: 'warning',
});
// The worker that verifies; a script of its own, because nothing of it belongs to the first load.
await build({
  entryPoints: { 'light-worker': `${app}/dist/light-worker.js` },
  outdir: www,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  sourcemap: 'external',
  logLevel: 'warning',
});
await build({
  entryPoints: [`${app}/style/main.css`],
  outfile: `${www}/style.css`,
  bundle: true,
  minify: true,
  target: 'es2022',
  logLevel: 'warning',
});
cpSync(`${app}/public`, www, { recursive: true });
