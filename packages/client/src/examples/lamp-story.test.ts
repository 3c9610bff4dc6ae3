import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const SOURCE = new URL('../../src/examples/lamp-story.ts', import.meta.url);
const GUIDE = new URL('../../../../docs/guide/lamp-story.md', import.meta.url);

const all = (text: string, form: RegExp): string[] =>
  [...text.matchAll(form)].map(([, code = '']) => code.trim());

test('GUIDE: the text about the life of a lamp shows the code that is compiled and run, all of it, in its order', () => {
  const source = readFileSync(SOURCE, 'utf8');
  const blocks = all(source, /^\/\/\/ block: \w+\n(.*?)^\/\/\/ end$/gms);
  const shown = all(readFileSync(GUIDE, 'utf8'), /^```ts\n(.*?)^```$/gms);
  assert.ok(blocks.length >= 10, 'the example has its blocks');
  assert.deepEqual(shown, blocks);
});

test('GUIDE: all that the example exports is in a block of the guide, but for the pause between two questions', () => {
  const source = readFileSync(SOURCE, 'utf8');
  const outside = source.replaceAll(/^\/\/\/ block: \w+\n.*?^\/\/\/ end$/gms, '');
  const exported = all(outside, /^export (?:async )?(?:function|class|const) (\w+)/gm);
  assert.deepEqual(exported, ['until']);
});
