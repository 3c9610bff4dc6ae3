// Bundles the dashboard into apps/dashboard/dist/www: one script, one style sheet, no outside host.
import { build } from 'esbuild';
import { cpSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const app = fileURLToPath(new URL('../apps/dashboard', import.meta.url));
const entry = `${app}/dist/main.js`;
if (!existsSync(entry)) {
  console.error('The dashboard is not compiled yet: run `npm run build`.');
  process.exit(1);
}
await build({
  entryPoints: [entry],
  outfile: `${app}/dist/www/dashboard.js`,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  sourcemap: 'external',
  logLevel: 'warning',
});
await build({
  entryPoints: [`${app}/style/main.css`],
  outfile: `${app}/dist/www/style.css`,
  bundle: true,
  minify: true,
  target: 'es2022',
  logLevel: 'warning',
});
cpSync(`${app}/public`, `${app}/dist/www`, { recursive: true });
