// `npm test`: lint, format check, then every compiled test; the last line is the total.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import totals from './totals-reporter.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
// What a test process needs, given to each by `run`.
if (!process.execArgv.includes('--enable-source-maps')) process.execArgv.push('--enable-source-maps');
process.execArgv.push('--import', new URL('fixed-seed.mjs', import.meta.url).href);

const steps = [
  ['lint', 'node_modules/.bin/oxlint', ['--type-aware', '--quiet']],
  ['format', 'node_modules/.bin/oxfmt', ['--check']],
  ['bundle', process.execPath, ['scripts/bundle.mjs']],
];
for (const [name, command, args] of steps) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.status === 0) continue;
  process.stdout.write(`${result.stdout}${result.stderr}\n${name} failed\n0 passed, 1 failed, 0 skipped\n`);
  process.exit(1);
}

/** Test files below a folder, or the file itself. */
function testFiles(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => {
    const inner = join(path, name);
    if (name === 'node_modules' || name === 'src') return [];
    return statSync(inner).isDirectory() ? testFiles(inner) : /\.test\.m?js$/.test(name) ? [inner] : [];
  });
}

// Folders, or single test files given as arguments: `npm test -- packages/core`.
const targets =
  process.argv.length > 2 ? process.argv.slice(2) : ['packages', 'apps', 'sim', 'bench', 'scripts'];
const files = targets.flatMap((target) => testFiles(target)).toSorted();
// Whole systems of processes and browsers keep every core busy and watch the clock: one of them at a time.
const whole = files.filter((file) => /^(apps|bench)\//.test(file));
const parts = files.filter((file) => !whole.includes(file));

async function* events() {
  yield* run({ files: parts, concurrency: availableParallelism() });
  yield* run({ files: whole, concurrency: 1 });
}

let last = '';
for await (const line of totals(events())) {
  process.stdout.write(line);
  last = line;
}
process.exit(/ 0 failed,/.test(last) ? 0 : 1);
