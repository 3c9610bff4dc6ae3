// `npm test`: lint, format check, then every compiled test; the last line is the total.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const steps = [
  ['lint', 'node_modules/.bin/oxlint', ['--type-aware', '--quiet']],
  ['format', 'node_modules/.bin/oxfmt', ['--check']],
  ['bundle', process.execPath, ['scripts/bundle.mjs']],
];
for (const [name, command, args] of steps) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.status === 0) continue;
  process.stdout.write(`${result.stdout}${result.stderr}\n${name} failed\n0 passed, 1 failed, 0 skipped\n`);
  process.exit(1);
}
// Folders, or single test files given as arguments: `npm test -- packages/core`.
const targets =
  process.argv.length > 2 ? process.argv.slice(2) : ['packages', 'apps', 'sim', 'bench', 'scripts'];
const tests = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', '--test-reporter', './scripts/totals-reporter.mjs', ...targets],
  { cwd: root, stdio: 'inherit' },
);
process.exit(tests.status ?? 1);
