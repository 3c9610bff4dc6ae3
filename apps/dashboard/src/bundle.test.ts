import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const www = fileURLToPath(new URL('www', import.meta.url));
const skip = existsSync(`${www}/dashboard.js`)
  ? false
  : 'the dashboard is not bundled: run `node scripts/bundle.mjs`';
const FIRST_LOAD_BYTES_MAX = 100_000;

/** A script and what it imports before it runs; parts that a page loads later are not among them. */
function withImports(script: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(script)) return seen;
  seen.add(script);
  const text = readFileSync(`${www}/${script}`, 'utf8');
  for (const match of text.matchAll(/(?:from|import)\s*"\.\/(part-[^"]+)"/g))
    withImports(match[1] as string, seen);
  return seen;
}

test('the first load is below 100 kB compressed', { skip }, (t) => {
  const files = [
    'index.html',
    ...withImports('dashboard.js'),
    'style.css',
    'icon.svg',
    'manifest.webmanifest',
  ];
  const total = files.reduce((sum, file) => sum + gzipSync(readFileSync(`${www}/${file}`)).length, 0);
  t.diagnostic(`note: dashboard first load ${(total / 1000).toFixed(1)} kB gzip`);
  assert.ok(total < FIRST_LOAD_BYTES_MAX, `first load is ${total} bytes`);
});

test('no outside host: nothing the page ships loads from elsewhere', { skip }, () => {
  for (const file of readdirSync(www).filter((name) => /\.(html|css|svg|webmanifest)$/.test(name))) {
    const text = readFileSync(`${www}/${file}`, 'utf8').replaceAll('http://www.w3.org/2000/svg', '');
    assert.doesNotMatch(text, /https?:\/\/|url\(\s*['"]?\/\//, file);
  }
  for (const file of readdirSync(www).filter((name) => name.endsWith('.js')))
    assert.doesNotMatch(
      readFileSync(`${www}/${file}`, 'utf8'),
      /(?:fetch|import|src\s*=)\s*\(?\s*["'`]https?:/,
    );
});
