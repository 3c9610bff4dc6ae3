import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const sheet = fileURLToPath(new URL('../style/tokens.css', import.meta.url));
const text = existsSync(sheet) ? readFileSync(sheet, 'utf8') : '';

/** The tokens of the block that starts with `selector`. */
function tokensOf(selector: string): Map<string, string> {
  const start = text.indexOf(selector);
  const block = text.slice(start, text.indexOf('}', start));
  return new Map(
    [...block.matchAll(/--([a-z-]+):\s*(#[0-9a-f]{6});/g)].map((match) => [match[1] ?? '', match[2] ?? '']),
  );
}

/** WCAG 2.2: relative luminance. */
function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const TEXTS: readonly (readonly [string, string])[] = [
  ['text', 'ground'],
  ['text', 'surface'],
  ['text', 'raised'],
  ['text-muted', 'ground'],
  ['text-muted', 'surface'],
  ['text-muted', 'raised'],
  ['text-muted', 'hover'],
  ['text-muted', 'idle-wash'],
  ['accent', 'surface'],
  ['accent', 'ground'],
  ['on-accent', 'accent'],
  ['good', 'good-wash'],
  ['warn', 'warn-wash'],
  ['bad', 'bad-wash'],
  ['bad', 'surface'],
  ['text', 'bad-wash'],
  ['text', 'warn-wash'],
  ['past', 'surface'],
  ['future', 'surface'],
];
const MARKS = ['mark-good', 'mark-bad', 'pending', 'accepted', 'final', 'past', 'future'];

for (const [name, selector] of [
  ['light', ':root {'],
  ['dark', ":root[data-theme='dark'] {"],
] as const)
  test(
    `WCAG AA in ${name}: text has 4.5 : 1, marks that carry meaning 3 : 1`,
    { skip: text === '' ? 'the style sheet is absent' : false },
    () => {
      const tokens = tokensOf(selector);
      const colour = (token: string): string => tokens.get(token) ?? assert.fail(`no token --${token}`);
      for (const [fore, back] of TEXTS) {
        const ratio = contrast(colour(fore), colour(back));
        assert.ok(ratio >= 4.5, `--${fore} on --${back}: ${ratio.toFixed(2)}`);
      }
      for (const mark of MARKS) {
        const ratio = contrast(colour(mark), colour('surface'));
        assert.ok(ratio >= 3, `--${mark} on --surface: ${ratio.toFixed(2)}`);
      }
    },
  );

test(
  'the system’s dark and the chosen dark are the same',
  { skip: text === '' ? 'the style sheet is absent' : false },
  () => {
    assert.deepEqual(tokensOf(':root:not([data-theme]) {'), tokensOf(":root[data-theme='dark'] {"));
  },
);
