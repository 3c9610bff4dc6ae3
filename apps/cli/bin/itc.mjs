#!/usr/bin/env node
// Starts the compiled command line. A plain file, so that npm can link it before the first build.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('itc is not compiled yet. Run: npm run build');
  process.exit(1);
}
await import(main.href);
