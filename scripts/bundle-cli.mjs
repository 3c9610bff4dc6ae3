// Bundles the command line into apps/cli/dist/bundle, in parts as commands need them. What has native code stays outside.
import { build } from 'esbuild';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = `${root}/apps/cli/dist/bundle`;
rmSync(outdir, { recursive: true, force: true });
await build({
  entryPoints: {
    main: `${root}/apps/cli/dist/main.js`,
    // Found by its name beside whoever starts it.
    'verify-worker': `${root}/packages/node/dist/crypto/verify-worker.js`,
  },
  outdir,
  splitting: true,
  chunkNames: 'part-[hash]',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: ['lmdb', 'sodium-native', 'pino'],
  // Packages of the older form ask for others by `require`.
  banner: {
    js: "import { createRequire as createRequireHere } from 'node:module';\nconst require = createRequireHere(import.meta.url);",
  },
  sourcemap: true,
  logLevel: 'warning',
});
