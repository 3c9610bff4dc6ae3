// House rules no compiler holds: who may import whom, file sizes, spec clauses that no test names, left-over markers.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// Workspace → workspaces it may import. `core ← client ← {edge, dashboard}`, `core ← node ← edge`, cli → all.
const WORKSPACES = {
  'packages/core': [],
  'packages/vdaf': [],
  'packages/client': ['core'],
  'packages/node': ['core'],
  'packages/edge': ['core', 'client', 'node'],
  'apps/cli': ['core', 'client', 'node', 'edge', 'dashboard'],
  // Of edge the conversion alone, in the worker: one reading of SenML for gateway and browser.
  'apps/dashboard': ['core', 'client', 'edge'],
  sim: ['core', 'node'],
  bench: ['core', 'client', 'node', 'edge', 'vdaf'],
};

// Folder of core → folders it may import.
const LAYERS = {
  bytes: [],
  crypto: ['bytes'],
  ledger: ['bytes', 'crypto'],
  state: ['bytes', 'crypto', 'ledger'],
  pbft: ['bytes', 'crypto', 'ledger'],
  dag: ['bytes', 'crypto', 'ledger'],
  light: ['bytes', 'crypto', 'ledger', 'state', 'pbft', 'dag'],
};

const LINES_MAX = 600;

function* walk(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (['node_modules', 'dist', '.git', '.itc', 'www'].includes(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

const files = [...walk(root)].map((path) => relative(root, path));
const sources = files.filter((path) => /\.(ts|tsx)$/.test(path) && !path.endsWith('.d.ts'));
const text = new Map(sources.map((path) => [path, readFileSync(join(root, path), 'utf8')]));

function importsOf(path) {
  return [...text.get(path).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^'\n]+)'(?=\)|;)/g)].map(
    (match) => match[1],
  );
}

const isTest = (path) => path.endsWith('.test.ts') || path.includes('/testing/');

test('ARCHITECTURE: workspaces import only along the dependency rule', () => {
  const wrong = [];
  for (const path of sources) {
    const home = Object.keys(WORKSPACES).find((workspace) => path.startsWith(`${workspace}/`));
    if (home === undefined) continue;
    for (const target of importsOf(path)) {
      const other = /^@itc\/([a-z]+)/.exec(target)?.[1];
      // A test may use its own package by name, as a stranger would.
      if (other !== undefined && home !== `packages/${other}` && !WORKSPACES[home].includes(other))
        wrong.push(`${path} imports ${target}`);
      if (target.startsWith('..') && !join(path, '..', target).startsWith(`${home}/`))
        wrong.push(`${path} reaches out of its workspace: ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('ARCHITECTURE: inside core, left never imports right, and it imports nothing but noble', () => {
  const wrong = [];
  for (const path of sources.filter((file) => file.startsWith('packages/core/src/') && !isTest(file))) {
    const layer = path.split('/')[3];
    for (const target of importsOf(path)) {
      if (target.startsWith('@noble/')) continue;
      if (!target.startsWith('.')) wrong.push(`${path} imports ${target}`);
      const other = join(path, '..', target).split('/')[3];
      if (other !== layer && !LAYERS[layer]?.includes(other)) wrong.push(`${path} imports ${other}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('STYLE: the pure packages name no clock, no chance and no promise', () => {
  const wrong = [];
  for (const path of sources.filter((file) => /^packages\/(core|vdaf)\/src\//.test(file) && !isTest(file))) {
    for (const [i, line] of text.get(path).split('\n').entries()) {
      if (/^\s*(\/?\*|\/\/)/.test(line)) continue;
      if (/\bDate\b|Math\.random|\bPromise\b|\basync\b|\bprocess\.|\bBuffer\b/.test(line))
        wrong.push(`${path}:${i + 1}: ${line.trim()}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test(`STYLE: no file passes ${LINES_MAX} lines`, () => {
  const long = sources.filter((path) => text.get(path).split('\n').length > LINES_MAX);
  assert.deepEqual(long, []);
});

test('STYLE: no left-over markers, no tests that do not run', () => {
  const wrong = [];
  for (const path of sources) {
    for (const [i, line] of text.get(path).split('\n').entries()) {
      if (/\b(TODO|FIXME|XXX|HACK)\b/.test(line) || /\b(test|it|describe)\.(only|todo)\b/.test(line))
        wrong.push(`${path}:${i + 1}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('spec: every numbered clause is named by a test', () => {
  const claims = sources
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => text.get(path))
    .join('\n');
  const missing = [];
  for (const path of files.filter((file) => /^spec\/.*\.md$/.test(file))) {
    for (const [, clause] of readFileSync(join(root, path), 'utf8').matchAll(
      /^\*\*([A-Z]+-\d+(?:\.\d+)*)\*\*/gm,
    )) {
      if (!new RegExp(`${clause.replaceAll('.', '\\.')}(?![\\d.]*\\d)`).test(claims))
        missing.push(`${path}: ${clause}`);
    }
  }
  assert.deepEqual(missing, []);
});

test('README: every folder on its map exists', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const named = [...readme.matchAll(/^\| `([a-z/]+\/?)`\s*\|/gm)].map((match) => match[1]);
  assert.ok(named.length > 5, 'the README has a map of the folders');
  assert.deepEqual(
    named.filter((folder) => !existsSync(join(root, folder))),
    [],
  );
});

test('CONTRIBUTING: every dependency has its line', () => {
  const lines = readFileSync(join(root, 'docs/DEPENDENCIES.md'), 'utf8');
  const missing = [];
  for (const manifest of files.filter((path) => path.endsWith('package.json') && !path.includes('peers'))) {
    const { dependencies = {}, devDependencies = {} } = JSON.parse(
      readFileSync(join(root, manifest), 'utf8'),
    );
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
      if (!name.startsWith('@itc/') && !lines.includes(`\`${name}\``)) missing.push(`${manifest}: ${name}`);
    }
  }
  assert.deepEqual(missing, []);
});
