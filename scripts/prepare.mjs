// Makes a fresh checkout ready: installs what the lockfile names, compiles, bundles command line and dashboard.
// Does only what is missing, so that the second start is quick.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isFresh } from '../apps/cli/bin/bundle.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `IoT Chain needs Node 20.19 or newer; this is ${process.versions.node}. Install a newer Node and try again.`,
  );
  process.exit(1);
}

function run(label, command, args) {
  const started = Date.now();
  process.stderr.write(`${label} … `);
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.status !== 0) {
    process.stderr.write(`failed\n${result.stdout}${result.stderr}`);
    process.exit(result.status ?? 1);
  }
  process.stderr.write(`${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

const stamp = `${root}/node_modules/.itc-lock`;
const lock = createHash('sha256')
  .update(readFileSync(`${root}/package-lock.json`))
  .digest('hex');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  run('Installing dependencies', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  writeFileSync(stamp, lock);
}
run('Compiling', process.execPath, [`${root}/node_modules/typescript/bin/tsc`, '-b']);
if (!isFresh()) run('Bundling the command line', process.execPath, [`${root}/scripts/bundle-cli.mjs`]);
if (!process.argv.includes('--no-bundle'))
  run('Bundling the dashboard', process.execPath, [`${root}/scripts/bundle.mjs`]);
